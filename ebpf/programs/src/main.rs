// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The datapath: two tc classifiers on the host side of each pod's veth, and two on the node's own devices.
//!
//! `from_pod` stands where the pod's packets enter the host, `to_pod` where packets leave for the pod. Both judge
//! a packet the same way, only "local" and "remote" change places.
//!
//! `to_node` and `from_node` stand at the devices by which the node is reached. They judge what is the node's own and let
//! pass what is only forwarded: that is judged at the pods. They are there only if a policy applies to the node.
//!
//! **Invariants.** A packet reads the generation in force once and uses its tables throughout. Whatever is not
//! understood is dropped. A packet that passes returns "next", so that other programs on the interface still run.
#![no_std]
#![no_main]

/// Connections: who opened them, until when they are known, and what is a reply.
mod conntrack;
/// Counting packets per record and per reason.
mod counters;
/// What is the node's own at its devices.
mod device;
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
/// What the tables say about a packet.
mod verdict;

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

// The programs are inlined into their entry points: a call would cost time, and its symbol's name would depend on where
// the sources lie.

/// Which way a packet goes, seen from the pod or node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the pod or node.
    Ingress,
    /// From the pod or node.
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

/// Where a program stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the host's end of a pod's veth.
    Pod,
    /// At a device by which the node is reached.
    Device,
}

/// Judges packets that leave a pod; attach to the ingress side of the host's interface.
#[classifier]
#[inline(always)]
pub(crate) fn from_pod(context: TcContext) -> i32 {
    policy::run(&sys::Frame::new(&context), Direction::Egress, Place::Pod)
}

/// Judges packets that go to a pod; attach to the egress side of the host's interface.
#[classifier]
#[inline(always)]
pub(crate) fn to_pod(context: TcContext) -> i32 {
    policy::run(&sys::Frame::new(&context), Direction::Ingress, Place::Pod)
}

/// Judges packets that go to the node; attach to the ingress side of its device.
#[classifier]
#[inline(always)]
pub(crate) fn to_node(context: TcContext) -> i32 {
    policy::run(
        &sys::Frame::new(&context),
        Direction::Ingress,
        Place::Device,
    )
}

/// Judges packets that the node sends; attach to the egress side of its device.
#[classifier]
#[inline(always)]
pub(crate) fn from_node(context: TcContext) -> i32 {
    policy::run(&sys::Frame::new(&context), Direction::Egress, Place::Device)
}
