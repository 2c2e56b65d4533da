//! The kernel's timer.
#![expect(
    unsafe_code,
    reason = "the standard library does not tell a clock's resolution"
)]

use std::io;
use std::time::Duration;

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

/// The time since 1970 in seconds at which the kernel's monotonic clock, in nanoseconds, stood like this.
pub(crate) fn since_1970(monotonic: u64) -> f64 {
    let read = |clock| {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the kernel writes one `timespec`, which outlives the call; both clocks always exist.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_nanos(now.tv_nsec.unsigned_abs())
    };
    let started = read(libc::CLOCK_REALTIME).saturating_sub(read(libc::CLOCK_MONOTONIC));
    (started + Duration::from_nanos(monotonic)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_between_a_hundred_and_a_thousand_per_second() {
        assert!((1_000_000..=10_000_000).contains(&tick().unwrap()));
    }
}
