//! A command whose every step into the kernel can be made to fail, or to be its last.

use std::io;
use std::process::{Command, ExitStatus};

use crate::sys::{self, seccomp};

/// What happens to the step that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stumble {
    /// The kernel has no memory for it.
    Fail,
    /// The process is killed on the spot, as by `kill -9`.
    Die,
}

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// What the command said.
    pub status: ExitStatus,
    /// How many steps it took, the chosen one included.
    pub steps: u64,
    /// Whether it got to the chosen step.
    pub has_stumbled: bool,
}

/// Runs a command of which the `bpf` system call with this number, counted from 1, fails.
///
/// # Errors
/// If it cannot be started or watched.
pub fn run(command: &mut Command, number: u64, stumble: Stumble) -> io::Result<Ending> {
    let mut child = sys::before_exec(command, seccomp::ask_about_bpf).spawn()?;
    let listener = seccomp::Listener::of(child.id())?;
    let (mut steps, mut has_stumbled) = (0, false);
    while let Some((id, _)) = listener.next()? {
        steps += 1;
        if steps != number {
            listener.decide(id, None)?;
            continue;
        }
        has_stumbled = true;
        match stumble {
            Stumble::Fail => listener.decide(id, Some(libc::ENOMEM))?,
            Stumble::Die => child.kill()?,
        }
    }
    Ok(Ending {
        status: child.wait()?,
        steps,
        has_stumbled,
    })
}
