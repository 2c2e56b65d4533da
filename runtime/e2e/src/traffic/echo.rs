//! ICMP echo.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use super::{Observed, PATIENCE, PAYLOAD, outcome_of};
use crate::sys::IcmpSocket;

/// Identifiers of echo requests, so that parallel flows do not take each other's answers.
static IDENTIFIER: AtomicU16 = AtomicU16::new(1);

/// Sends an echo request and waits for the reply to it.
pub(super) fn observe(to: IpAddr) -> io::Result<Observed> {
    let id = IDENTIFIER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let socket = IcmpSocket::new(to, PATIENCE)?;
    if let Err(error) = socket.send(&echo_request(to, id)) {
        return outcome_of(&error).ok_or(error);
    }
    let start = Instant::now();
    let mut buffer = [0; 256];
    // Raw sockets hear everything of their protocol, also other flows' answers.
    while start.elapsed() < PATIENCE {
        let length = match socket.receive(&mut buffer) {
            Ok(length) => length,
            Err(error) => return outcome_of(&error).ok_or(error),
        };
        let message = buffer.get(..length).unwrap_or_default();
        if is_echo_reply(to, id, message) {
            return Ok(Observed::Answered);
        }
    }
    Ok(Observed::Silent)
}

fn echo_request(to: IpAddr, id: [u8; 2]) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0, id[0], id[1], 0, 1];
    message.extend_from_slice(PAYLOAD);
    // The kernel fills in the checksum of ICMPv6, which covers the addresses too.
    if to.is_ipv4() {
        let sum = checksum(&message).to_be_bytes();
        message
            .iter_mut()
            .skip(2)
            .zip(sum)
            .for_each(|(byte, sum)| *byte = sum);
    }
    message
}

/// Internet checksum of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low, ..] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            [] => 0,
        })
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let [low, high, ..] = (!((folded & 0xffff) + (folded >> 16))).to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn is_echo_reply(to: IpAddr, id: [u8; 2], message: &[u8]) -> bool {
    let (kind, message) = match to {
        IpAddr::V4(_) => (0, message.get(20..).unwrap_or_default()),
        IpAddr::V6(_) => (129, message),
    };
    matches!(message, [first, _, _, _, high, low, ..] if *first == kind && [*high, *low] == id)
}
