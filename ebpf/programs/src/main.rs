// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The datapath: two tc classifiers on the host side of each pod's veth.
//!
//! `from_pod` stands where the pod's packets enter the host, `to_pod` where packets leave for the pod. Both judge
//! a packet the same way, only "local" and "remote" change places.
//!
//! **Invariants.** A packet reads the generation in force once and uses its tables throughout. Whatever is not
//! understood is dropped. A packet that passes returns "next", so that other programs on the interface still run.
#![no_std]
#![no_main]

/// Connections: who opened them, until when they are known, and what is a reply.
mod conntrack;
/// Counting packets per record and per reason.
mod counters;
/// Reporting new connections and drops.
mod events;
/// ICMP errors that belong to a known connection.
mod icmp_error;
/// The maps that the daemon fills and reads.
mod maps;
/// From bytes to addresses: Ethernet, IPv4, IPv6 and its extension headers.
mod network;
/// The order of the checks that a packet goes through.
mod policy;
/// Telling a pod that its packet was dropped.
mod reject;
/// Everything that only `unsafe` can do: the packet, the tables and map values behind pointers.
mod sys;
/// From bytes to ports: TCP, UDP, SCTP, ICMP, and the fragments that follow a first.
mod transport;

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

/// Which way a packet goes, seen from the pod.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// The other way.
    #[inline(always)]
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// Judges packets that leave a pod; attach to the ingress side of the host's interface.
#[classifier]
pub(crate) fn from_pod(context: TcContext) -> i32 {
    policy::run(&sys::Frame::new(&context), Direction::Egress)
}

/// Judges packets that go to a pod; attach to the egress side of the host's interface.
#[classifier]
pub(crate) fn to_pod(context: TcContext) -> i32 {
    policy::run(&sys::Frame::new(&context), Direction::Ingress)
}
