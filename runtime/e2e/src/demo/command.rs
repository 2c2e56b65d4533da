//! Running the programs that are shown.

use std::path::Path;
use std::process::Command;

use super::{Error, check_stopped};

/// What a finished program left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program; an error if it does not end with this exit code.
pub(super) fn run(command: &mut Command, wanted: i32) -> Result<Said, Error> {
    let output = command.output().map_err(|error| {
        Error::Failed(format!(
            "`{}` cannot be run: {error}",
            command.get_program().display()
        ))
    })?;
    check_stopped()?;
    let said = Said {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if output.status.code() == Some(wanted) {
        return Ok(said);
    }
    Err(Error::Failed(format!(
        "`{}` ended with {}, not with exit code {wanted}:\n{}{}",
        line(command),
        output.status,
        said.stdout,
        said.stderr
    )))
}

/// The command as a person would type it, the program without its folder.
pub(super) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = [name]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_program_without_its_folder() {
        let mut command = Command::new("target/release/policyc");
        command.args(["check", "policies"]);
        assert_eq!(line(&command), "policyc check policies");
    }

    #[test]
    fn another_exit_code_is_an_error_that_quotes_the_program() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 3"]);
        assert_eq!(run(&mut command, 3).unwrap().stdout, "why\n");
        let error = run(&mut command, 0).unwrap_err().to_string();
        assert!(
            error.contains("not with exit code 0") && error.contains("why"),
            "{error}"
        );
    }
}
