//! Interfaces.
#![expect(unsafe_code, reason = "the standard library does not know interfaces")]

use std::ffi::{CStr, CString};

/// Index of an interface of this network namespace, `None` if there is none of that name.
pub(crate) fn index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Name of an interface of this network namespace.
pub(crate) fn name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length the function demands.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) }.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&name)
        .ok()?
        .to_str()
        .ok()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_nonsense_is_not() {
        let lo = index("lo").unwrap();
        assert_eq!(name(lo).as_deref(), Some("lo"));
        assert_eq!(index("no-such-if"), None);
        assert_eq!(name(u32::MAX), None);
    }
}
