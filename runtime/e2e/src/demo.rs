//! The demo: policies are checked and compiled, the bundle is put into force on a node made of network namespaces,
//! and real traffic is compared with what the compiler's model says about it.

/// Who talks to whom, and how.
mod cast;
/// Running the programs that are shown.
mod command;
/// The steps with the kernel.
mod enforce;
/// What the model says about each flow.
mod expect;
/// The node: namespaces, servers, the daemon and its files.
mod node;
/// Tries of all flows.
mod pass;
/// Clean-up after a panic.
mod rescue;
/// What the reader sees.
mod screen;
/// The steps without the kernel.
mod steps;
/// Signals, which the standard library does not know.
mod sys;
/// Expected verdicts beside observed outcomes.
mod table;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::root;
use screen::Screen;

/// What the demo needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The compiler.
    pub policyc: PathBuf,
    /// The daemon.
    pub policyd: PathBuf,
    /// Whether the reader's terminal shows colours.
    pub colour: bool,
}

/// Why the demo ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Somebody sent this signal.
    Stopped(u8),
    /// Something is not as it should be.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(signal) => write!(
                out,
                "stopped by signal {signal}; everything has been cleaned up"
            ),
            Self::Failed(message) => out.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the demo, which writes to `out`. Whatever it makes is gone when this returns, also after an error.
///
/// # Errors
/// If anything is not as expected, or a signal asks the process to end.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    // Blocked from before the first thread on and looked at between steps, so that clean-up always happens.
    sys::block_stop_signals()?;
    rescue::install();
    run_steps(options, out).map_err(|error| match check_stopped() {
        // A signal from a terminal also ends the children, and that is what failed.
        Err(stopped) => stopped,
        Ok(()) => error,
    })
}

fn run_steps(options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    if !Path::new(steps::INVENTORY).exists() {
        return Err(Error::Failed(format!(
            "there is no `{}` here; run the demo from the repository's root folder",
            steps::INVENTORY
        )));
    }
    let start = Instant::now();
    let screen = &mut Screen::new(out, options.colour);
    let folder = node::Folder::new()?;
    steps::check(options, screen)?;
    steps::build(options, &folder, screen)?;
    if root::is_root() {
        enforce::enforce(options, &folder, screen)?;
    } else {
        screen.heading("Enforce: skipped")?;
        screen.say(
            "Loading programs into the kernel and making network namespaces needs root. To see it:",
        )?;
        screen.say("  sudo make demo")?;
    }
    screen.blank()?;
    screen.say(&format!("Done in {:.1} s.", start.elapsed().as_secs_f64()))
}

/// An error if a signal has asked the process to end.
fn check_stopped() -> Result<(), Error> {
    match sys::stop_signal() {
        Some(signal) => Err(Error::Stopped(signal)),
        None => Ok(()),
    }
}
