//! Grace periods.
#![expect(unsafe_code, reason = "the standard library has no membarrier")]

use std::io;

const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Waits until every program run that was under way has ended.
pub(crate) fn synchronize() -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
