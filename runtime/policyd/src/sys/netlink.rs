//! Filters of traffic control: how programs get onto interfaces on kernels without tcx.
//!
//! Messages are put together and taken apart as bytes; what the kernel answers is checked like any other input.
#![expect(unsafe_code, reason = "the standard library has no netlink sockets")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::bpf::Hook;

/// Kinds of messages.
const ERROR: u16 = 2;
const NEW_QDISC: u16 = 36;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;
/// Flags of messages.
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;
/// Attributes of disciplines and filters, and of BPF filters.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const BPF_FD: u16 = 6;
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
const BPF_ID: u16 = 11;
/// The program's result is the verdict.
const DIRECT_ACTION: u32 = 1;
/// The discipline that has no queue, and its two ends.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// "PLCA": tells our filters from others of the same priority.
const HANDLE: u32 = 0x504c_4341;
/// Before all others: one that accepts packets ends the walk through the filters.
const PRIORITY: u32 = 1;
/// Every EtherType.
const ALL: u16 = 3;
/// Bytes of a message's header, and of what follows it in messages about traffic control.
const HEADER: usize = 16;
const TRAFFIC: usize = 20;
/// Longest answer.
const ANSWER: usize = 32 << 10;

/// A message about traffic control.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, (ifindex, handle, parent, info): (u32, u32, u32, u32)) -> Self {
        let flags = flags | REQUEST | ACKNOWLEDGE;
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        // Number and sender: one message at a time needs neither. Then the address family.
        bytes.extend([0; 12]);
        for word in [ifindex, handle, parent, info] {
            bytes.extend(word.to_ne_bytes());
        }
        Self(bytes)
    }

    /// About the filter of one side.
    fn filter(kind: u16, flags: u16, ifindex: u32, hook: Hook) -> Self {
        let parent = match hook {
            Hook::Ingress => INGRESS,
            Hook::Egress => EGRESS,
        };
        let info = PRIORITY << 16 | u32::from(ALL.to_be());
        Self::new(kind, flags, (ifindex, HANDLE, parent, info))
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> io::Result<Self> {
        self.0.extend(attribute(kind, value)?);
        Ok(self)
    }

    /// Sends the message and returns what the kernel answers, without the acknowledgement.
    fn send(mut self) -> io::Result<Vec<u8>> {
        let length = u32::try_from(self.0.len()).map_err(io::Error::other)?;
        if let Some(place) = self.0.first_chunk_mut() {
            *place = length.to_ne_bytes();
        }
        let socket = socket()?;
        // SAFETY: the message is readable for its length.
        let sent =
            unsafe { libc::send(socket.as_raw_fd(), self.0.as_ptr().cast(), self.0.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = Vec::new();
        loop {
            let bytes = receive(&socket)?;
            if take_apart(&bytes, &mut answer)? {
                return Ok(answer);
            }
        }
    }
}

/// An attribute with its length before it and zeros up to the next multiple of four behind it.
fn attribute(kind: u16, value: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(value.len() + 4).map_err(io::Error::other)?;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made the descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; ANSWER];
    // SAFETY: the buffer is writable for its length.
    let length = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            0,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Adds the contents of messages to `answer`. Says whether the acknowledgement was among them.
fn take_apart(mut bytes: &[u8], answer: &mut Vec<u8>) -> io::Result<bool> {
    let broken = || io::Error::other("the kernel's answer cannot be read");
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).ok_or_else(broken)? as usize;
        let content = bytes.get(HEADER..length).ok_or_else(broken)?;
        if u16_at(bytes, 4) == Some(ERROR) {
            return match u32_at(content, 0).map(u32::cast_signed) {
                Some(0) => Ok(true),
                Some(error) => Err(io::Error::from_raw_os_error(error.wrapping_neg())),
                None => Err(broken()),
            };
        }
        answer.extend_from_slice(content);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Value of the first attribute of a kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        // The highest bits of a kind say how it is written.
        let kind = u16_at(attributes, 2)? & 0x3fff;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|raw| u16::from_ne_bytes(*raw))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|raw| u32::from_ne_bytes(*raw))
}

/// Makes an interface have the discipline that filters need, unless it has it.
fn ensure_clsact(ifindex: u32) -> io::Result<()> {
    let message = Message::new(NEW_QDISC, CREATE, (ifindex, CLSACT_HANDLE, CLSACT, 0));
    match message.attribute(KIND, b"clsact\0")?.send() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(drop),
    }
}

/// Puts a program on one side of an interface, in the place of the one that was there: no packet goes without.
pub(crate) fn set_filter(
    ifindex: u32,
    hook: Hook,
    program: BorrowedFd<'_>,
    name: &str,
) -> io::Result<()> {
    ensure_clsact(ifindex)?;
    let fd = program.as_raw_fd().to_ne_bytes();
    let options = [
        attribute(BPF_FD, &fd)?,
        attribute(BPF_NAME, &[name.as_bytes(), b"\0"].concat())?,
        attribute(BPF_FLAGS, &DIRECT_ACTION.to_ne_bytes())?,
    ];
    Message::filter(NEW_FILTER, CREATE | REPLACE, ifindex, hook)
        .attribute(KIND, b"bpf\0")?
        .attribute(OPTIONS, &options.concat())?
        .send()
        .map(drop)
}

/// Number of the program on one side of an interface, `None` if there is none of ours.
pub(crate) fn filter(ifindex: u32, hook: Hook) -> io::Result<Option<u32>> {
    let message = Message::filter(GET_FILTER, 0, ifindex, hook).attribute(KIND, b"bpf\0")?;
    let answer = match message.send() {
        // No such filter, or nothing that it could be in, or no such interface.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)
            ) =>
        {
            return Ok(None);
        }
        answer => answer?,
    };
    let id = answer
        .get(TRAFFIC..)
        .and_then(|attributes| find(attributes, OPTIONS))
        .and_then(|options| find(options, BPF_ID))
        .and_then(|id| u32_at(id, 0));
    Ok(id)
}

/// Takes our program off one side of an interface.
pub(crate) fn remove_filter(ifindex: u32, hook: Hook) -> io::Result<()> {
    Message::filter(DELETE_FILTER, 0, ifindex, hook)
        .attribute(KIND, b"bpf\0")?
        .send()
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_behind_others() {
        let bytes = [
            attribute(7, b"abc").unwrap(),
            attribute(11, &[1, 2, 3, 4]).unwrap(),
        ]
        .concat();
        assert_eq!(bytes.len(), 16);
        assert_eq!(find(&bytes, 11), Some(&[1, 2, 3, 4][..]));
        assert_eq!(find(&bytes, 9), None);
        assert_eq!(find(&bytes[..10], 11), None);
        assert_eq!(find(&[0; 8], 11), None);
    }

    #[test]
    fn answers_may_be_of_any_shape() {
        let message = |kind: u16, content: &[u8]| {
            let length = u32::try_from(HEADER + content.len()).unwrap();
            let head = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
            [&head, content].concat()
        };
        let mut answer = Vec::new();
        let good = [message(NEW_FILTER, &[5; 4]), message(ERROR, &[0; 20])].concat();
        assert!(take_apart(&good, &mut answer).unwrap());
        assert_eq!(answer, [5; 4]);
        let refused = take_apart(&message(ERROR, &(-2_i32).to_ne_bytes()), &mut answer);
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::ENOENT));
        for length in 1..good.len() {
            // Cut anywhere, it is an error or not the end, and never a panic.
            let _read = take_apart(&good[..length], &mut answer);
        }
        assert!(take_apart(&[0; 16], &mut answer).is_err());
    }

    #[test]
    fn loopback_has_no_filter_of_ours() {
        assert_eq!(filter(1, Hook::Ingress).unwrap(), None);
    }
}
