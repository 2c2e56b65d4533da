//! Programs on interfaces: they stay when the daemon ends, and its next start takes them over.
//!
//! With tcx a program is on an interface by a link, which is pinned. Without it, by a filter, which needs no pin to
//! stay; what is pinned then is the program, in the link's place, to tell that there is a filter and of which program.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::files;
use crate::load::{Loaded, Way};
use crate::pins::{Pins, Side};
use crate::plan::Plan;
use crate::sys::bpf::{self, Hook};
use crate::sys::{net, netlink};

impl Side {
    /// Ingress on the host's end of a veth pair is what the pod sends; on a device of the node's, what it gets.
    pub(crate) const fn hook(self) -> Hook {
        match self {
            Self::From | Self::In => Hook::Ingress,
            Self::To | Self::Out => Hook::Egress,
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
    for (interface, ifindex, side) in plan.spots() {
        let path = pins.link(interface, side);
        let found = find(&path, ifindex, side.hook())?;
        let result = attach_one(loaded, ifindex, side, (&path, &found));
        let is_new = result.map_err(|error| {
            Failure::internal(format!(
                "program `{}` cannot be attached to interface `{interface}`: {error}",
                side.program(),
            ))
        })?;
        if is_new {
            made.push(path);
        } else {
            adopted += 1;
        }
    }
    Ok(adopted)
}

/// What is there of an attachment.
#[derive(Debug)]
enum Found {
    Nothing,
    /// A link, and the number of its program.
    Link(OwnedFd, u32),
    /// A filter of the pinned program with this number.
    Filter(u32),
}

/// Attaches a program, in the place of what is found if there is something. Says whether there was nothing.
fn attach_one(
    loaded: &Loaded,
    ifindex: u32,
    side: Side,
    (path, found): (&Path, &Found),
) -> io::Result<bool> {
    let (program, hook) = (loaded.program(side)?, side.hook());
    match (found, loaded.way()) {
        (Found::Link(link, running), _) => {
            if bpf::program_id(program)? != *running {
                bpf::link_update(link.as_fd(), program)?;
            }
        }
        (Found::Filter(running), Way::Clsact) => {
            if bpf::program_id(program)? != *running {
                set_filter(program, ifindex, side, path)?;
            }
        }
        // The kernel has learnt tcx; the filter goes once the link is there.
        (Found::Filter(_), Way::Tcx) => {
            files::unlink(path)?;
            bpf::pin(bpf::link_create(program, ifindex, hook)?.as_fd(), path)?;
            netlink::remove_filter(ifindex, hook)?;
        }
        (Found::Nothing, Way::Tcx) => {
            // What is pinned without being on the interface is a program whose filter is gone.
            files::unlink(path)?;
            bpf::pin(bpf::link_create(program, ifindex, hook)?.as_fd(), path)?;
        }
        (Found::Nothing, Way::Clsact) => set_filter(program, ifindex, side, path)?,
    }
    Ok(matches!(found, Found::Nothing))
}

/// Sets a filter, and pins its program first: a filter without a pin would be nobody's.
fn set_filter(program: BorrowedFd<'_>, ifindex: u32, side: Side, path: &Path) -> io::Result<()> {
    files::unlink(path)?;
    bpf::pin(program, path)?;
    netlink::set_filter(ifindex, side.hook(), program, side.program())
}

/// What is pinned at a path and still on the interface. What is on another one, such as one that is gone, is removed.
fn find(path: &Path, ifindex: u32, hook: Hook) -> Result<Found, Failure> {
    let fail = |error: io::Error| {
        Failure::internal(format!("link `{}` cannot be used: {error}", path.display()))
    };
    let pinned = match bpf::get(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        pinned => pinned.map_err(fail)?,
    };
    let info = bpf::link_info(pinned.as_fd()).map_err(fail)?;
    if info.is_program() {
        let running = netlink::filter(ifindex, hook).map_err(fail)?;
        // Another program's filter, left by a crash between pinning and setting, is ours to replace all the same.
        return Ok(running.map_or(Found::Nothing, Found::Filter));
    }
    if info.is_at(ifindex, hook) {
        return Ok(Found::Link(pinned, info.program));
    }
    remove(path)?;
    Ok(Found::Nothing)
}

/// Detaches what is pinned at once and removes the pin. Left to the removal alone, the kernel would detach a link some
/// time later, the two sides of a pod apart, and drop the answers in between; a filter would stay for ever.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    if let Ok(pinned) = bpf::get(path) {
        // What is on an interface that is gone is detached already; the pin is removed in any case.
        if bpf::link_info(pinned.as_fd()).is_ok_and(|info| info.is_program()) {
            remove_filter(path);
        } else {
            let _ = bpf::link_detach(pinned.as_fd());
        }
    }
    files::remove(path)
}

fn remove_filter(path: &Path) {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((interface, side)) = name.and_then(Pins::parse_link) else {
        return;
    };
    if let Some(ifindex) = net::index(&interface) {
        let _ = netlink::remove_filter(ifindex, side.hook());
    }
}

/// Whether the program of one side is on the interface with the index given.
pub(crate) fn is_attached(pins: &Pins, interface: &str, ifindex: u32, side: Side) -> bool {
    let pinned = bpf::get(&pins.link(interface, side));
    let Ok(info) = pinned.and_then(|pinned| bpf::link_info(pinned.as_fd())) else {
        return false;
    };
    if info.is_program() {
        netlink::filter(ifindex, side.hook()).is_ok_and(|running| running == Some(info.id))
    } else {
        info.is_at(ifindex, side.hook())
    }
}

fn remove_others(pins: &Pins, plan: &Plan<'_>) -> Result<usize, Failure> {
    let wanted: BTreeSet<PathBuf> = plan
        .spots()
        .map(|(interface, _, side)| pins.link(interface, side))
        .collect();
    let found = pins
        .link_names()?
        .into_iter()
        .map(|name| pins.links().join(name));
    let others: Vec<PathBuf> = found.filter(|path| !wanted.contains(path)).collect();
    for path in &others {
        if is_replaced(path, plan) {
            files::remove(path)?;
        } else {
            remove(path)?;
        }
    }
    Ok(others.len())
}

/// Whether a filter was at a place where the plan has one, which then has taken its place: an interface has become a
/// pod's that was a device of the node's, or the other way round.
fn is_replaced(path: &Path, plan: &Plan<'_>) -> bool {
    let is_filter = bpf::get(path)
        .and_then(|pinned| bpf::link_info(pinned.as_fd()))
        .is_ok_and(|info| info.is_program());
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((interface, side)) = name.and_then(Pins::parse_link) else {
        return false;
    };
    let mut spots = plan.spots();
    is_filter && spots.any(|(other, _, of)| (other, of.hook()) == (&interface, side.hook()))
}
