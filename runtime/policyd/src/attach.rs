//! Programs on interfaces, by pinned links: they stay when the daemon ends, and its next start takes them over.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::files;
use crate::load::Loaded;
use crate::pins::{Pins, Side};
use crate::plan::Plan;
use crate::sys::bpf::{self, Hook};

impl Side {
    /// Ingress on the host's end of a veth pair is what the pod sends.
    pub(crate) const fn hook(self) -> Hook {
        match self {
            Self::From => Hook::Ingress,
            Self::To => Hook::Egress,
        }
    }
}

/// What an attachment did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Links made.
    pub(crate) made: usize,
    /// Links that were there and now have the newly loaded program.
    pub(crate) adopted: usize,
    /// Links removed because their pod is no longer configured.
    pub(crate) removed: usize,
}

/// Attaches everything in the plan, then removes what is not in it.
///
/// # Errors
/// If the kernel refuses; links made by this call are removed again.
pub(crate) fn attach(pins: &Pins, loaded: &Loaded, plan: &Plan<'_>) -> Result<Outcome, Failure> {
    let mut made = Vec::new();
    let result = attach_all(pins, loaded, plan, &mut made);
    if result.is_err() {
        for path in &made {
            remove(path)?;
        }
    }
    let adopted = result?;
    let removed = remove_others(pins, plan)?;
    Ok(Outcome {
        made: made.len(),
        adopted,
        removed,
    })
}

fn attach_all(
    pins: &Pins,
    loaded: &Loaded,
    plan: &Plan<'_>,
    made: &mut Vec<PathBuf>,
) -> Result<usize, Failure> {
    let mut adopted = 0;
    for attachment in &plan.attachments {
        for side in Side::BOTH {
            let path = pins.link(&attachment.interface, side);
            let fail = |error: io::Error| {
                Failure::internal(format!(
                    "program `{}` cannot be attached to interface `{}`: {error}",
                    side.program(),
                    attachment.interface
                ))
            };
            let program = loaded.program(side)?;
            if let Some((link, running)) = find(&path, attachment.ifindex, side.hook())? {
                if bpf::program_id(program).map_err(fail)? != running {
                    bpf::link_update(link.as_fd(), program).map_err(fail)?;
                }
                adopted += 1;
                continue;
            }
            let link = bpf::link_create(program, attachment.ifindex, side.hook()).map_err(fail)?;
            bpf::pin(link.as_fd(), &path).map_err(fail)?;
            made.push(path);
        }
    }
    Ok(adopted)
}

/// The link pinned at a path, and the number of its program. One that is on another interface, such as one that is
/// gone, is removed.
fn find(path: &Path, ifindex: u32, hook: Hook) -> Result<Option<(OwnedFd, u32)>, Failure> {
    let fail = |error: io::Error| {
        Failure::internal(format!("link `{}` cannot be used: {error}", path.display()))
    };
    let link = match bpf::get(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        link => link.map_err(fail)?,
    };
    let info = bpf::link_info(link.as_fd()).map_err(fail)?;
    if info.is_at(ifindex, hook) {
        return Ok(Some((link, info.program)));
    }
    remove(path)?;
    Ok(None)
}

/// Detaches a pinned link at once and removes the pin. Left to the removal alone, the kernel would detach some time
/// later, the two sides of a pod apart, and drop the answers in between.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    if let Ok(link) = bpf::get(path) {
        // One whose interface is gone is detached already; the pin is removed in any case.
        let _ = bpf::link_detach(link.as_fd());
    }
    files::remove(path)
}

/// Whether the link of one side is on the interface with the index given.
pub(crate) fn is_attached(pins: &Pins, interface: &str, ifindex: u32, side: Side) -> bool {
    let info = bpf::get(&pins.link(interface, side)).and_then(|link| bpf::link_info(link.as_fd()));
    info.is_ok_and(|info| info.is_at(ifindex, side.hook()))
}

fn remove_others(pins: &Pins, plan: &Plan<'_>) -> Result<usize, Failure> {
    let wanted: BTreeSet<PathBuf> = plan
        .attachments
        .iter()
        .flat_map(|attachment| Side::BOTH.map(|side| pins.link(&attachment.interface, side)))
        .collect();
    let found = pins
        .link_names()?
        .into_iter()
        .map(|name| pins.links().join(name));
    let others: Vec<PathBuf> = found.filter(|path| !wanted.contains(path)).collect();
    for path in &others {
        remove(path)?;
    }
    Ok(others.len())
}
