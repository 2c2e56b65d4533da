//! The eBPF object: creates the maps or takes over pinned ones, loads the programs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader};

use crate::failure::Failure;
use crate::maps::{self, Maps};
use crate::pins::{Pins, Side};
use crate::sys::bpf::{self, Hook};

/// The compiled programs.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/policy.o");

/// An interface index that no interface has.
const NO_INTERFACE: u32 = i32::MAX.unsigned_abs();

/// Loaded programs and their maps.
#[derive(Debug)]
pub(crate) struct Loaded {
    programs: Ebpf,
    pub(crate) maps: Maps,
    way: Way,
}

impl Loaded {
    /// Loads the programs of pods over the pinned maps, which are made if they are not there.
    ///
    /// # Errors
    /// If pinned maps have another shape, or the kernel refuses the maps or programs.
    pub(crate) fn load(pins: &Pins) -> Result<Self, Failure> {
        let shapes = maps::expected(OBJECT)?;
        pins.prepare()?;
        maps::check_pinned(pins, &shapes)?;
        let mut settings = EbpfLoader::new();
        for shape in &shapes {
            settings.map_pin_path(shape.name, pins.map(shape.name));
        }
        let mut programs = settings.load(OBJECT).map_err(|error| {
            Failure::internal(format!("the kernel refused the maps: {}", chain(&error)))
        })?;
        for side in Side::BOTH {
            load_program(&mut programs, side)?;
        }
        let maps =
            Maps::open(pins)?.ok_or_else(|| Failure::internal("the maps were not pinned"))?;
        let way = Way::of_kernel(program(&programs, Side::From).map_err(Failure::internal)?)?;
        Ok(Self {
            programs,
            maps,
            way,
        })
    }

    /// Loads what else is needed: the kernel looks at every path through a program, which takes its time.
    ///
    /// # Errors
    /// If the kernel refuses a program.
    pub(crate) fn need(&mut self, sides: impl Iterator<Item = Side>) -> Result<(), Failure> {
        for side in sides {
            if self.program(side).is_err() {
                load_program(&mut self.programs, side)?;
            }
        }
        Ok(())
    }

    /// A program's descriptor.
    pub(crate) fn program(&self, side: Side) -> io::Result<BorrowedFd<'_>> {
        program(&self.programs, side)
    }

    /// How programs get onto interfaces here.
    pub(crate) fn way(&self) -> Way {
        self.way
    }
}

/// Maps and programs that are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Trial(Ebpf);

/// What the kernel says to each program: instructions that the verifier went through, or why not.
pub(crate) type Verdicts = Vec<(&'static str, Result<u32, Failure>)>;

impl Trial {
    /// Makes the maps.
    pub(crate) fn new() -> Result<Self, Failure> {
        maps::expected(OBJECT)?;
        EbpfLoader::new().load(OBJECT).map(Self).map_err(|error| {
            Failure::internal(format!("the kernel refused the maps: {}", chain(&error)))
        })
    }

    /// How many maps there are.
    pub(crate) fn maps(&self) -> usize {
        self.0.maps().count()
    }

    /// Loads the programs; if that works, says how they get onto interfaces.
    pub(crate) fn load(mut self) -> (Verdicts, Option<Result<Way, Failure>>) {
        let verdicts: Verdicts = Side::ALL
            .into_iter()
            .map(|side| {
                let loaded = load_program(&mut self.0, side);
                (
                    side.program(),
                    loaded.and_then(|()| self.instructions(side)),
                )
            })
            .collect();
        let is_loaded = verdicts.iter().all(|(_, verdict)| verdict.is_ok());
        let way = is_loaded.then(|| {
            let program = program(&self.0, Side::From).map_err(Failure::internal)?;
            Way::of_kernel(program)
        });
        (verdicts, way)
    }

    fn instructions(&self, side: Side) -> Result<u32, Failure> {
        let program = self.0.program(side.program());
        let info = program.and_then(|program| program.info().ok());
        info.and_then(|info| info.verified_instruction_count())
            .ok_or_else(|| {
                Failure::internal("the kernel does not describe a program it has loaded")
            })
    }
}

/// How programs get onto interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By links, which kernels have since 6.6.
    Tcx,
    /// By filters of traffic control.
    Clsact,
}

impl Way {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    /// Asks for a link to an interface that does not exist: a kernel with tcx complains about that only.
    pub(crate) fn of_kernel(program: BorrowedFd<'_>) -> Result<Self, Failure> {
        match bpf::link_create(program, NO_INTERFACE, Hook::Ingress) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Self::Tcx),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Self::Clsact),
            Err(error) => Err(Failure::internal(format!(
                "the kernel refused to say whether it has tcx: {error}"
            ))),
            Ok(_) => Err(Failure::internal(
                "the kernel attached a program to an interface that does not exist",
            )),
        }
    }
}

fn program(programs: &Ebpf, side: Side) -> io::Result<BorrowedFd<'_>> {
    let missing = || io::Error::other(format!("the built-in programs lack `{}`", side.program()));
    let program = programs.program(side.program()).ok_or_else(missing)?;
    Ok(program.fd().map_err(|_| missing())?.as_fd())
}

fn load_program(programs: &mut Ebpf, side: Side) -> Result<(), Failure> {
    let name = side.program();
    let missing = || Failure::internal(format!("the built-in programs lack `{name}`"));
    let program: &mut SchedClassifier = programs
        .program_mut(name)
        .ok_or_else(missing)?
        .try_into()
        .map_err(|_| missing())?;
    program.load().map_err(|error| match error {
        // The verifier's log has thousands of lines; only its end says why.
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            let end: Vec<&str> = log.trim_end().lines().rev().take(3).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            Failure::internal(format!(
                "the kernel refused program `{name}`: {io_error}: {}",
                end.join(" / ")
            ))
        }
        error => Failure::internal(format!(
            "the kernel refused program `{name}`: {}",
            chain(&error)
        )),
    })
}

/// An error and what caused it, in one line and without repetitions.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        let is_denied = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        if is_denied {
            text += " (policyd needs root, or CAP_BPF and CAP_NET_ADMIN)";
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_short_and_helpful() {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        let error = aya::maps::MapError::CreateError {
            name: "A".into(),
            io_error: denied,
        };
        let text = chain(&error);
        assert!(text.starts_with("failed to create map `A`"), "{text}");
        assert!(
            text.ends_with("(policyd needs root, or CAP_BPF and CAP_NET_ADMIN)"),
            "{text}"
        );
        assert_eq!(text.matches("failed to create").count(), 1, "{text}");
    }

    #[test]
    fn all_programs_are_built_in() {
        let object = aya_obj::Object::parse(OBJECT).unwrap();
        for side in Side::ALL {
            assert!(
                object.programs.contains_key(side.program()),
                "{}",
                side.program()
            );
        }
    }
}
