//! File systems.
#![expect(unsafe_code, reason = "the standard library has no statfs")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a path is in a BPF file system.
pub(crate) fn is_bpf(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a zero byte and the kernel writes at most one `statfs`.
    if unsafe { libc::statfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so the structure is filled in.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_type == libc::BPF_FS_MAGIC)
}
