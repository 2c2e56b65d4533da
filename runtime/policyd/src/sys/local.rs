//! The node's own addresses, and the devices by which it is reached.
#![expect(
    unsafe_code,
    reason = "the standard library does not know interfaces and their addresses"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::plan::{Kind, Local};

/// Flag of an IPv6 route: it leads nowhere.
const REJECTED: u32 = 0x0200;

/// What the kernel says of this network namespace now.
pub(crate) fn read() -> io::Result<Local> {
    let mut local = Local {
        kinds: BTreeMap::new(),
        addresses: BTreeSet::new(),
        by_default: BTreeSet::new(),
    };
    let list = List::read()?;
    for entry in list.entries() {
        let Some(name) = entry.name() else { continue };
        if let Some(kind) = entry.kind() {
            local.kinds.insert(name.clone(), kind);
        }
        if let Some(address) = entry.address() {
            local.addresses.insert((name, address));
        }
    }
    // Without IPv6 the second file is not there.
    let routes = fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    local.by_default.extend(
        routes
            .lines()
            .filter_map(default_of_ipv4)
            .map(str::to_owned),
    );
    let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap_or_default();
    local.by_default.extend(
        routes
            .lines()
            .filter_map(default_of_ipv6)
            .map(str::to_owned),
    );
    Ok(local)
}

/// The device of a line of `net/route`, if it is about a default route.
fn default_of_ipv4(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields.as_slice() {
        [device, "00000000", _, _, _, _, _, "00000000", ..] => Some(device),
        _ => None,
    }
}

/// The device of a line of `net/ipv6_route`, if it is about a default route.
fn default_of_ipv6(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [to, "00", _, _, _, _, _, _, flags, device] = fields.as_slice() else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let is_default = to.bytes().all(|byte| byte == b'0') && flags & REJECTED == 0;
    is_default.then_some(*device)
}

/// The kernel's list of interfaces, each once for every address.
struct List(*mut libc::ifaddrs);

impl List {
    fn read() -> io::Result<Self> {
        let mut first = std::ptr::null_mut();
        // SAFETY: the call writes one pointer to where it is told.
        if unsafe { libc::getifaddrs(&raw mut first) } == 0 {
            Ok(Self(first))
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        // SAFETY: the pointer is null or to an entry, which lives as long as the list.
        let first = unsafe { self.0.as_ref() };
        std::iter::successors(first.map(Entry), |entry| {
            // SAFETY: as above.
            unsafe { entry.0.ifa_next.as_ref() }.map(Entry)
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list is the one that the kernel gave, and nothing refers to it any more.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// An interface with one of its addresses.
struct Entry<'list>(&'list libc::ifaddrs);

impl Entry<'_> {
    fn name(&self) -> Option<String> {
        if self.0.ifa_name.is_null() {
            return None;
        }
        // SAFETY: names end with a zero byte and live as long as the list.
        let name = unsafe { CStr::from_ptr(self.0.ifa_name) };
        name.to_str().ok().map(str::to_owned)
    }

    fn family(&self) -> Option<i32> {
        // SAFETY: the pointer is null or to an address, which begins with its family.
        let address = unsafe { self.0.ifa_addr.as_ref() }?;
        Some(i32::from(address.sa_family))
    }

    /// What kind of device it is; only the entry for the link layer knows.
    fn kind(&self) -> Option<Kind> {
        if self.family()? != libc::AF_PACKET {
            return None;
        }
        // SAFETY: an address of this family is of this type; it may be less aligned.
        let link = unsafe { self.0.ifa_addr.cast::<libc::sockaddr_ll>().read_unaligned() };
        Some(match link.sll_hatype {
            libc::ARPHRD_ETHER => Kind::Ethernet,
            libc::ARPHRD_LOOPBACK => Kind::Loopback,
            _ => Kind::Other,
        })
    }

    fn address(&self) -> Option<IpAddr> {
        match self.family()? {
            libc::AF_INET => {
                // SAFETY: an address of this family is of this type; it may be less aligned.
                let found = unsafe { self.0.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
                Some(Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let found = unsafe {
                    self.0
                        .ifa_addr
                        .cast::<libc::sockaddr_in6>()
                        .read_unaligned()
                };
                Some(Ipv6Addr::from(found.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let local = read().unwrap();
        assert_eq!(local.kinds.get("lo"), Some(&Kind::Loopback));
        let own = ("lo".to_owned(), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert!(local.addresses.contains(&own) || local.addresses.is_empty());
    }

    #[test]
    fn default_routes_are_told_from_others() {
        let line = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0";
        assert_eq!(default_of_ipv4(line), Some("eth0"));
        assert_eq!(
            default_of_ipv4(&line.replacen("00000000", "000000C0", 1)),
            None
        );
        assert_eq!(
            default_of_ipv4(&line.replace("\t00000000\t0\t0\t0", "\t00000080\t0\t0\t0")),
            None
        );
        let zeros = "0".repeat(32);
        let line = |bits: &str, flags: &str| {
            format!(
                "{zeros} {bits} {zeros} 00 fe80{} 00000400 00000001 00000000 {flags} eth0",
                "0".repeat(28)
            )
        };
        assert_eq!(default_of_ipv6(&line("00", "00000003")), Some("eth0"));
        assert_eq!(default_of_ipv6(&line("08", "00000003")), None);
        assert_eq!(default_of_ipv6(&line("00", "00200200")), None);
        assert_eq!(default_of_ipv6("nonsense"), None);
    }
}
