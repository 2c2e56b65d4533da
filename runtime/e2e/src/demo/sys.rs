//! Signals, which the standard library does not know.
#![expect(
    unsafe_code,
    reason = "the standard library has no way to block signals or to take them"
)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Signals that ask a process to end.
const STOP: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

fn stop_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` fills the set in before anything else reads it, and the numbers are valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in STOP {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Lets signals that ask the process to end wait until [`stop_signal`] takes them: in this thread and in those that
/// it starts later. Programs that are started are not concerned, the standard library unblocks all signals for them.
pub(super) fn block_stop_signals() -> io::Result<()> {
    let set = stop_signals();
    // SAFETY: the set is initialised and outlives the call; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Takes a waiting signal that asks the process to end.
pub(super) fn stop_signal() -> Option<u8> {
    let set = stop_signals();
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: set and time are initialised and outlive the call; no details are asked for.
    let signal = unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) };
    u8::try_from(signal).ok()
}
