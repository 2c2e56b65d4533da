// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Telling a pod that its packet was dropped, by an ICMP error in the packet's place.
//!
//! Only for packets of protocols that have ports, whole and without options, and only so many per second: an answer to
//! anything else could be put to bad use.

use aya_ebpf::bindings::TC_ACT_REDIRECT;
use policy_abi::event::REJECTIONS;
use policy_abi::proto;

use crate::network::{ETHERNET, IPV4_HEADER, IPV6_HEADER, Part};
use crate::sys::{self, Frame, Scratch};

/// Bytes of headers.
const ETHER: usize = ETHERNET as usize;
const V4: usize = IPV4_HEADER as usize;
const V6: usize = IPV6_HEADER as usize;
const ICMP: usize = 8;
/// Bytes that are quoted behind the IP header of the packet dropped: its ports are among them.
const QUOTED: usize = 8;
/// Bytes of the answers.
const V4_ANSWER: usize = ETHER + V4 + ICMP + V4 + QUOTED;
/// The longer one, for which there is room.
pub(crate) const V6_ANSWER: usize = ETHER + V6 + ICMP + V6 + QUOTED;
/// Hop limit of the answers.
const HOP_LIMIT: u8 = 64;
/// "Communication administratively prohibited", type and code.
const V4_PROHIBITED: [u8; 2] = [3, 13];
const V6_PROHIBITED: [u8; 2] = [1, 1];

/// Room for an answer.
pub(crate) type Answer = [u8; V6_ANSWER];

/// Turns a packet that its pod's policy drops into an answer to the pod: what the kernel is to do with it then. `None`
/// if there is to be no answer.
#[inline(always)]
pub(crate) fn answer(frame: &Frame<'_>) -> Option<i32> {
    let Scratch {
        network,
        transport,
        findings,
        answer,
        ..
    } = sys::scratch()?;
    let has_ports = matches!(transport.protocol, proto::TCP | proto::UDP | proto::SCTP);
    if findings.may_answer == 0 || network.part != Part::Whole || !has_ports {
        return None;
    }
    if network.at == ETHERNET + IPV4_HEADER {
        sys::take_rejection(REJECTIONS)?;
        frame.load::<{ V4 + QUOTED }>(ETHERNET, answer, ETHER + V4 + ICMP)?;
        frame.load::<ETHER>(0, answer, 0)?;
        answer_v4(answer);
        frame.replace::<V4_ANSWER>(answer)?;
    } else if network.at == ETHERNET + IPV6_HEADER {
        sys::take_rejection(REJECTIONS)?;
        frame.load::<{ V6 + QUOTED }>(ETHERNET, answer, ETHER + V6 + ICMP)?;
        frame.load::<ETHER>(0, answer, 0)?;
        answer_v6(answer);
        frame.replace::<V6_ANSWER>(answer)?;
    } else {
        return None;
    }
    let action = frame.send_to_peer();
    (action == TC_ACT_REDIRECT).then_some(action)
}

/// Writes what stands before the quotation in IPv4.
#[inline(always)]
fn answer_v4(answer: &mut Answer) {
    const QUOTE: usize = ETHER + V4 + ICMP;
    swap_ends(answer);
    let length = (V4_ANSWER - ETHER) as u8;
    put(answer, ETHER, [0x45, 0, 0, length, 0, 0, 0, 0]);
    put(answer, ETHER + 8, [HOP_LIMIT, proto::ICMP, 0, 0]);
    let (source, destination) = (take::<4>(answer, QUOTE + 12), take::<4>(answer, QUOTE + 16));
    put(answer, ETHER + 12, destination);
    put(answer, ETHER + 16, source);
    let [kind, code] = V4_PROHIBITED;
    put(answer, ETHER + V4, [kind, code, 0, 0, 0, 0, 0, 0]);
    put(answer, ETHER + 10, fold(sum(answer, ETHER, ETHER + V4)));
    put(
        answer,
        ETHER + V4 + 2,
        fold(sum(answer, ETHER + V4, V4_ANSWER)),
    );
}

/// The same in IPv6.
#[inline(always)]
fn answer_v6(answer: &mut Answer) {
    const QUOTE: usize = ETHER + V6 + ICMP;
    swap_ends(answer);
    let length = (V6_ANSWER - ETHER - V6) as u8;
    put(
        answer,
        ETHER,
        [0x60, 0, 0, 0, 0, length, proto::ICMPV6, HOP_LIMIT],
    );
    let (source, destination) = (
        take::<16>(answer, QUOTE + 8),
        take::<16>(answer, QUOTE + 24),
    );
    put(answer, ETHER + 8, destination);
    put(answer, ETHER + 24, source);
    let [kind, code] = V6_PROHIBITED;
    put(answer, ETHER + V6, [kind, code, 0, 0, 0, 0, 0, 0]);
    // The addresses, the length and the protocol count, too.
    let pseudo = u32::from(length) + u32::from(proto::ICMPV6);
    let sum = pseudo + sum(answer, ETHER + 8, V6_ANSWER);
    put(answer, ETHER + V6 + 2, fold(sum));
}

/// Makes source and destination of the link layer change places.
#[inline(always)]
fn swap_ends(answer: &mut Answer) {
    let (destination, source) = (take::<6>(answer, 0), take::<6>(answer, 6));
    put(answer, 0, source);
    put(answer, 6, destination);
}

/// `N` bytes at a place; zeros beyond the end, which no caller means.
#[inline(always)]
fn take<const N: usize>(answer: &Answer, at: usize) -> [u8; N] {
    match answer.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => *bytes,
        None => [0; N],
    }
}

#[inline(always)]
fn put<const N: usize>(answer: &mut Answer, at: usize, bytes: [u8; N]) {
    if let Some(place) = answer.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = bytes;
    }
}

/// Sum of the 16-bit numbers between two even places.
#[inline(always)]
fn sum(answer: &Answer, from: usize, to: usize) -> u32 {
    let mut sum = 0;
    let mut at = from;
    while at < to {
        sum += u32::from(u16::from_be_bytes(take(answer, at)));
        at += 2;
    }
    sum
}

/// The Internet checksum of a sum.
#[inline(always)]
fn fold(sum: u32) -> [u8; 2] {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    (!(twice as u16)).to_be_bytes()
}
