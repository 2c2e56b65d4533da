//! The kernel's timer.
#![expect(
    unsafe_code,
    reason = "the standard library does not tell a clock's resolution"
)]

use std::io;

/// Nanoseconds of one tick: what the coarse clocks are good to.
pub(crate) fn tick() -> io::Result<u64> {
    let mut resolution = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one `timespec`, which outlives the call.
    if unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) } != 0 {
        return Err(io::Error::last_os_error());
    }
    match u64::try_from(resolution.tv_nsec) {
        Ok(tick) if tick > 0 && resolution.tv_sec == 0 => Ok(tick),
        _ => Err(io::Error::other("it is not a fraction of a second")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_between_a_hundred_and_a_thousand_per_second() {
        assert!((1_000_000..=10_000_000).contains(&tick().unwrap()));
    }
}
