//! Policies of a revision, read with the `git` command line.
//!
//! Only `rev-parse`, `ls-tree` and `cat-file` are run: they change nothing, run no hooks and ask nobody. What they
//! print is read within limits.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use policyc_diag::{Source, SourceMap};
use policyc_syntax::limits;

use crate::exit::Error;

/// Files of a revision at most.
const FILES_MAX: usize = 100_000;
/// Bytes of a listing at most.
const LISTING_MAX: u64 = 64 << 20;
/// Bytes of all files together at most.
const TOTAL_MAX: u64 = 1 << 30;

/// Which part of a revision is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Within<'a> {
    /// A path as git reads it: from the root of the tree, or from the current folder if it begins with `./`.
    Tree(&'a str),
    /// The place of a path on disk.
    Disk(&'a Path),
}

/// Reads the policy files of a revision; `side` is what the user wrote.
///
/// # Errors
/// No git, no repository, no such revision or path, and files that are too large or no text.
pub(super) fn read(
    side: &str,
    revision: &str,
    within: Within<'_>,
    sources: &mut SourceMap,
) -> Result<Vec<Source>, Error> {
    let git = Git::new(within);
    let commit = git.commit(side, revision)?;
    let path = git.path(side, within)?;
    let files = git.list(side, &commit, &path)?;
    if files.is_empty() {
        let place = if path.is_empty() { "." } else { &path };
        let message = format!("`{revision}` has no policy files at `{place}`");
        return Err(Error::usage(message));
    }
    git.contents(side, revision, &files, sources)
}

/// A file of a tree.
struct Entry {
    object: String,
    path: String,
}

/// Runs git in one folder.
struct Git {
    folder: PathBuf,
}

impl Git {
    fn new(within: Within<'_>) -> Self {
        let folder = match within {
            Within::Tree(_) => PathBuf::from("."),
            Within::Disk(path) if path.is_dir() => path.to_owned(),
            Within::Disk(path) => {
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                parent.unwrap_or(Path::new(".")).to_owned()
            }
        };
        Self { folder }
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.folder)
            .args(["--no-optional-locks", "--literal-pathspecs"])
            .args(args)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a command prints, within a limit; `Ok(Err)` is what git has to say against it.
    fn output<S: AsRef<OsStr>>(
        &self,
        side: &str,
        args: &[S],
    ) -> Result<Result<Vec<u8>, String>, Error> {
        let mut child = self
            .command(args)
            .spawn()
            .map_err(|error| no_git(side, &error))?;
        let mut printed = Vec::new();
        let read = child
            .stdout
            .take()
            .map(|out| out.take(LISTING_MAX).read_to_end(&mut printed));
        let failed =
            |error: &std::io::Error| Error::usage(format!("cannot read from git: {error}"));
        if let Some(Err(error)) = read {
            return Err(failed(&error));
        }
        if printed.len() as u64 >= LISTING_MAX {
            drop(child.kill());
            drop(child.wait());
            return Err(Error::usage(format!("`{side}` has too many files")));
        }
        let mut said = Vec::new();
        if let Some(err) = child.stderr.take() {
            drop(err.take(4096).read_to_end(&mut said));
        }
        let status = child.wait().map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(Ok(printed));
        }
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().next().unwrap_or_default();
        Ok(Err(line.trim_start_matches("fatal: ").to_owned()))
    }

    /// The commit that a revision names.
    fn commit(&self, side: &str, revision: &str) -> Result<String, Error> {
        let unknown = |why: &str| {
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" ({why})")
            };
            Error::usage(format!(
                "`{side}` is no file or folder, and `{revision}` is no revision that git knows{why}"
            ))
        };
        if revision.is_empty() || revision.starts_with('-') {
            return Err(unknown(""));
        }
        let wanted = format!("{revision}^{{commit}}");
        let args = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &wanted,
        ];
        let printed = self.output(side, &args)?.map_err(|why| unknown(&why))?;
        let text = String::from_utf8_lossy(&printed);
        let commit = text.trim();
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown(""));
        }
        Ok(commit.to_owned())
    }

    /// The path from the root of the tree; empty for all of it.
    fn path(&self, side: &str, within: Within<'_>) -> Result<String, Error> {
        let disk = match within {
            Within::Tree(path)
                if !path.starts_with("./") && !path.starts_with("../") && path != "." =>
            {
                return Ok(path.trim_matches('/').to_owned());
            }
            Within::Tree(path) => Path::new(path),
            Within::Disk(path) => path,
        };
        let refused = |why: String| Error::usage(format!("`{side}`: {why}"));
        let root = self
            .output(side, &["rev-parse", "--show-toplevel"])?
            .map_err(refused)?;
        let root = String::from_utf8_lossy(&root);
        let root = Path::new(root.trim_end_matches('\n'));
        // What a revision has need not be on disk any more, but the folder it is named from is.
        let known = disk.canonicalize().or_else(|_| {
            let here = Path::new(".").canonicalize()?;
            Ok::<_, std::io::Error>(normal(&here.join(disk)))
        });
        let known = known.map_err(|error| refused(error.to_string()))?;
        let root = root
            .canonicalize()
            .map_err(|error| refused(error.to_string()))?;
        let below = known.strip_prefix(&root);
        let below = below
            .map_err(|_| refused(format!("`{}` is outside of the repository", disk.display())))?;
        let text = below.to_str();
        text.map(ToOwned::to_owned)
            .ok_or_else(|| refused("the path is no text".to_owned()))
    }

    /// The policy files below a path, sorted as git sorts them.
    fn list(&self, side: &str, commit: &str, path: &str) -> Result<Vec<Entry>, Error> {
        let mut args = vec!["ls-tree", "-r", "-z", "--full-tree", commit, "--"];
        args.extend((!path.is_empty()).then_some(path));
        let listed = self.output(side, &args)?;
        let listed = listed.map_err(|why| Error::usage(format!("`{side}`: {why}")))?;
        let mut entries = Vec::new();
        for line in listed
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty())
        {
            let Some(entry) = entry(line) else { continue };
            if entry.path == path || is_yaml(&entry.path) {
                entries.push(entry);
            }
        }
        if entries.len() > FILES_MAX {
            return Err(Error::usage(format!(
                "`{side}` has more than {FILES_MAX} files"
            )));
        }
        Ok(entries)
    }

    /// Reads files by their objects, all in one run.
    fn contents(
        &self,
        side: &str,
        revision: &str,
        files: &[Entry],
        sources: &mut SourceMap,
    ) -> Result<Vec<Source>, Error> {
        let mut command = self.command(&["cat-file", "--batch"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| no_git(side, &error))?;
        let wanted: Vec<_> = files.iter().map(|file| file.object.as_str()).collect();
        let wanted = format!("{}\n", wanted.join("\n"));
        let stdin = child.stdin.take();
        let feeder = std::thread::spawn(move || {
            if let Some(mut stdin) = stdin {
                // If git is gone, its output ends early, which is noticed there.
                drop(stdin.write_all(wanted.as_bytes()));
            }
        });
        let mut read = Vec::new();
        let mut result = Ok(());
        if let Some(out) = child.stdout.take() {
            let mut out = BufReader::new(out.take(TOTAL_MAX));
            for file in files {
                let name = format!("{revision}:{}", file.path);
                match content(&mut out, &name) {
                    Ok(text) => read.push(sources.add(name, text)),
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
        }
        drop(child.kill());
        drop(child.wait());
        drop(feeder.join());
        result.map(|()| read)
    }
}

/// `mode type object<TAB>path`; links and submodules are no files.
fn entry(line: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(line).ok()?;
    let (about, path) = text.split_once('\t')?;
    let mut about = about.split(' ');
    let regular = about.next()?.starts_with("100") && about.next()? == "blob";
    let object = about.next()?.to_owned();
    regular.then(|| Entry {
        object,
        path: path.to_owned(),
    })
}

fn is_yaml(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "json"))
}

/// One object of `cat-file --batch`: `object type size`, the bytes, and a line end.
fn content(out: &mut impl std::io::BufRead, name: &str) -> Result<String, Error> {
    let refused = |why: &str| Error::usage(format!("cannot read `{name}` from git: {why}"));
    let mut header = String::new();
    let limit = 256;
    let got = out.by_ref().take(limit).read_line(&mut header);
    got.map_err(|error| refused(&error.to_string()))?;
    let size = header
        .trim_end()
        .rsplit_once(' ')
        .and_then(|(about, size)| {
            let size = size.parse::<usize>().ok()?;
            about.ends_with(" blob").then_some(size)
        });
    let size = size.ok_or_else(|| refused("it is missing or all files together are too large"))?;
    if size > limits::FILE_BYTES {
        let limit = limits::FILE_BYTES >> 20;
        return Err(refused(&format!(
            "it is larger than {limit} MiB, the limit for one file"
        )));
    }
    let mut bytes = vec![0; size + 1];
    out.read_exact(&mut bytes)
        .map_err(|error| refused(&error.to_string()))?;
    bytes.truncate(size);
    String::from_utf8(bytes).map_err(|_| refused("it is not text"))
}

/// A path without `.` and `..`, which need not exist.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

fn no_git(side: &str, error: &std::io::Error) -> Error {
    Error::usage(format!(
        "`{side}` is no file or folder, and git, which may know it as a revision, cannot be run: {error}"
    ))
}
