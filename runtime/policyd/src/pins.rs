//! Where everything is pinned: `pin_dir/v<ABI>/{maps,links}/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policy_abi::ABI_VERSION;

use crate::failure::Failure;
use crate::{attach, files, sys};

/// Which program: of the two of a pod, and the two of a device of the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Traffic from the pod: tcx ingress on the host's end of the veth pair.
    From,
    /// Traffic to the pod: tcx egress.
    To,
    /// Traffic to the node: tcx ingress on its device.
    In,
    /// Traffic from the node: tcx egress.
    Out,
}

impl Side {
    /// Both sides of a pod.
    pub const BOTH: [Self; 2] = [Self::From, Self::To];
    /// Both sides of a device.
    pub const DEVICE: [Self; 2] = [Self::In, Self::Out];
    /// All sides.
    pub const ALL: [Self; 4] = [Self::From, Self::To, Self::In, Self::Out];

    /// Name of the program in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Self::From => "from_pod",
            Self::To => "to_pod",
            Self::In => "to_node",
            Self::Out => "from_node",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// The folders of one ABI version.
#[derive(Clone, Debug)]
pub struct Pins {
    base: PathBuf,
    root: PathBuf,
}

impl Pins {
    /// The folders below `pin_dir`; nothing is touched.
    pub fn new(pin_dir: &Path) -> Self {
        Self {
            base: pin_dir.to_owned(),
            root: pin_dir.join(format!("v{ABI_VERSION}")),
        }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// If they would not be in a BPF file system, or another ABI version is pinned there.
    pub fn prepare(&self) -> Result<(), Failure> {
        self.check()?;
        for folder in [self.root.join("maps"), self.links()] {
            fs::create_dir_all(&folder).map_err(|error| {
                Failure::internal(format!(
                    "folder `{}` cannot be made: {error}",
                    folder.display()
                ))
            })?;
        }
        Ok(())
    }

    /// Checks that the folder is, or would be, in a BPF file system and free of other ABI versions.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self) -> Result<(), Failure> {
        let existing = self
            .base
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let is_bpf = sys::fs::is_bpf(existing).map_err(|error| {
            Failure::internal(format!(
                "`{}` cannot be examined: {error}",
                existing.display()
            ))
        })?;
        if !is_bpf {
            return Err(Failure::usage(format!(
                "`{}` is not in a BPF file system; mount one first: `mount -t bpf bpf /sys/fs/bpf`",
                self.base.display()
            )));
        }
        self.check_versions()
    }

    fn check_versions(&self) -> Result<(), Failure> {
        for name in names(&self.base)? {
            if name
                .strip_prefix('v')
                .is_some_and(|rest| rest.parse() != Ok(ABI_VERSION))
            {
                return Err(Failure::usage(format!(
                    "`{}` holds pins of another policyd (`{name}`; this one uses `v{ABI_VERSION}`); remove them with \
                     that version's `policyd detach` first",
                    self.base.display()
                )));
            }
        }
        Ok(())
    }

    /// Whether anything is pinned.
    pub fn exist(&self) -> bool {
        self.root.exists()
    }

    /// Pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.root.join("maps").join(name)
    }

    /// Pin of a link.
    pub fn link(&self, interface: &str, side: Side) -> PathBuf {
        self.links()
            .join(format!("{}-{}", escape(interface), side.suffix()))
    }

    /// Interface and side of a link's file name.
    pub fn parse_link(name: &str) -> Option<(String, Side)> {
        let (interface, suffix) = name.rsplit_once('-')?;
        let side = Side::ALL.into_iter().find(|side| side.suffix() == suffix)?;
        Some((interface.replace("%2e", ".").replace("%25", "%"), side))
    }

    /// File names of all pinned links.
    ///
    /// # Errors
    /// If the folder is there but cannot be read.
    pub fn link_names(&self) -> Result<Vec<String>, Failure> {
        names(&self.links())
    }

    /// Folder of the links.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Removes every pin; the kernel lets go of what nothing else holds. Links go first, so that no program runs
    /// over maps that are gone from sight.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        for name in self.link_names()? {
            attach::remove(&self.links().join(name))?;
        }
        let maps = self.root.join("maps");
        for name in names(&maps)? {
            files::remove(&maps.join(name))?;
        }
        for folder in [
            self.links(),
            self.root.join("maps"),
            self.root.clone(),
            self.base.clone(),
        ] {
            match fs::remove_dir(&folder) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(Failure::internal(format!(
                        "`{}` cannot be removed: {error}",
                        folder.display()
                    )));
                }
                _ => (),
            }
        }
        Ok(())
    }
}

/// The BPF file system does not allow dots in names; interfaces of VLANs have them.
fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// Names in a folder in order; none if it does not exist.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let fail = |error: io::Error| {
        Failure::internal(format!("`{}` cannot be read: {error}", folder.display()))
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_have_no_dots_and_stay_apart() {
        let pins = Pins::new(Path::new("/sys/fs/bpf/x"));
        assert_eq!(
            pins.link("eth0.5", Side::From),
            Path::new(&format!("/sys/fs/bpf/x/v{ABI_VERSION}/links/eth0%2e5-from"))
        );
        for name in ["eth0.5", "eth0%2e5", "a-b", "%.%25"] {
            for side in Side::BOTH {
                let path = pins.link(name, side);
                let file = path.file_name().unwrap().to_str().unwrap();
                assert_eq!(Pins::parse_link(file), Some((name.to_owned(), side)));
            }
        }
        assert_ne!(
            pins.link("eth0%2e5", Side::To),
            pins.link("eth0.5", Side::To)
        );
    }

    #[test]
    fn other_file_systems_are_refused() {
        let failure = Pins::new(&std::env::temp_dir().join("no-such-folder"))
            .prepare()
            .unwrap_err();
        assert!(
            failure.to_string().contains("mount -t bpf bpf /sys/fs/bpf"),
            "{failure}"
        );
    }

    #[test]
    fn other_versions_are_refused() {
        let folder = std::env::temp_dir().join(format!("policyd-pins-{}", std::process::id()));
        fs::create_dir_all(folder.join(format!("v{ABI_VERSION}"))).unwrap();
        Pins::new(&folder).check_versions().unwrap();
        fs::create_dir_all(folder.join("v7")).unwrap();
        let failure = Pins::new(&folder).check_versions().unwrap_err();
        assert!(failure.to_string().contains("`v7`"), "{failure}");
        fs::remove_dir_all(folder).unwrap();
    }
}
