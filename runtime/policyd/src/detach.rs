//! Removes everything from the kernel.

use crate::config::Config;
use crate::failure::Failure;
use crate::pins::Pins;
use crate::state::State;

/// Removes links and maps, and the copy of the bundle; traffic is no longer filtered. The highest accepted revision
/// is kept: leaving must not open a way back to an old bundle.
///
/// # Errors
/// If a daemon is running, or something cannot be removed.
pub fn detach(config: &Config) -> Result<(), Failure> {
    let state = State::new(&config.state_dir);
    let _lock = state.lock()?;
    let pins = Pins::new(&config.pin_dir);
    if pins.exist() {
        pins.remove()?;
    }
    state.forget_bundle()
}
