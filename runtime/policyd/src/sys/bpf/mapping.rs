//! Values of array maps as memory of this process: no copy on the way, and no system call for each.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// One value of an array map.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: *mut u8,
    length: usize,
}

impl Mapping {
    /// Maps `length` bytes of the values from an offset on. The map must have been made for it, and both numbers be
    /// multiples of the page size.
    pub(crate) fn new(map: BorrowedFd<'_>, at: u64, length: usize) -> io::Result<Self> {
        let at = libc::off_t::try_from(at).map_err(io::Error::other)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, aliasing nothing of this process.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                at,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            base: base.cast(),
            length,
        })
    }

    /// Replaces the value. Programs must not be reading it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() != self.length {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: the mapping has the length just checked, and is not memory of `bytes`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base, self.length) };
        Ok(())
    }

    /// Whether the value is this.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        // SAFETY: the mapping is readable for its length as long as `self` lives, and only this process writes to it.
        let value = unsafe { std::slice::from_raw_parts(self.base, self.length) };
        value == bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}
