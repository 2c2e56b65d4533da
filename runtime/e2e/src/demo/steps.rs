//! The steps without the kernel.

use std::process::Command;

use super::node::Folder;
use super::screen::Screen;
use super::{Error, Options, command};

/// Policies that are right.
pub(super) const POLICIES: &str = "policies";
/// The sample cluster.
pub(super) const INVENTORY: &str = "testdata/demo/inventory.yaml";
/// The sample cluster's node that the demo builds.
pub(super) const NODE: &str = "node-a";
/// A policy with a mistake.
const MISTAKE: &str = "testdata/demo/policies";
/// What must never be possible.
const INTENTS: &str = "testdata/demo/intents.pol";
/// What `policyc inspect` says that a newcomer understands.
const TELLING: [&str; 5] = ["revision", "digest", "signed", "tables", "pod"];

/// Finds a mistake, and none where there is none.
pub(super) fn check(options: &Options, screen: &mut Screen<'_>) -> Result<(), Error> {
    screen.heading("Check: find mistakes before a cluster sees them")?;
    screen.say("An allow and a deny were added at different times. The compiler proves that the allow does nothing:")?;
    let mut wrong = Command::new(&options.policyc);
    wrong.args(["check", MISTAKE]);
    screen.command(&command::line(&wrong))?;
    let said = command::run(&mut wrong, 1)?;
    screen.quote(said.stdout.lines())?;
    explain(options, &said.stdout, screen)?;
    screen.say("The shop's own policies are fine, and keep every promise of the intents file, for all pods that could exist:")?;
    let mut right = Command::new(&options.policyc);
    right.args(["check", POLICIES, "--inventory", INVENTORY]);
    right.args(["--intents", INTENTS]);
    screen.command(&command::line(&right))?;
    let said = command::run(&mut right, 0)?;
    screen.quote(said.stdout.lines().chain(said.stderr.lines()))
}

fn explain(options: &Options, findings: &str, screen: &mut Screen<'_>) -> Result<(), Error> {
    let Some(code) = code(findings) else {
        return Err(Error::Failed(format!(
            "there is no code in these findings:\n{findings}"
        )));
    };
    screen.say("Every code is explained at length; this is the beginning:")?;
    let mut explain = Command::new(&options.policyc);
    explain.args(["explain", code]);
    screen.command(&command::line(&explain))?;
    let said = command::run(&mut explain, 0)?;
    screen.quote(opening(&said.stdout))
}

/// The code of the first finding: what stands in its first brackets.
fn code(findings: &str) -> Option<&str> {
    let (_, rest) = findings.split_once('[')?;
    rest.split_once(']').map(|(code, _)| code)
}

/// An explanation up to its second section.
fn opening(explanation: &str) -> impl Iterator<Item = &str> {
    let mut sections = 0;
    let lines = explanation.lines().take_while(move |line| {
        sections += u32::from(line.starts_with("## "));
        sections < 2
    });
    lines.filter(|line| !line.is_empty())
}

/// Compiles the policies into a signed bundle.
pub(super) fn build(
    options: &Options,
    folder: &Folder,
    screen: &mut Screen<'_>,
) -> Result<(), Error> {
    screen.heading("Build: one signed file for the node")?;
    screen.say("Policies and inventory become lookup tables, which are compared with the model before they are signed:")?;
    let mut keygen = Command::new(&options.policyc);
    keygen.arg("keygen").arg("--output").arg(folder.key());
    let mut build = Command::new(&options.policyc);
    build.args([
        "build",
        "--policies",
        POLICIES,
        "--inventory",
        INVENTORY,
        "--node",
        NODE,
    ]);
    build.arg("--key").arg(folder.key());
    build.arg("--output").arg(folder.bundle());
    for step in [&mut keygen, &mut build] {
        screen.command(&command::line(step))?;
        let said = command::run(step, 0)?;
        screen.quote(said.stdout.lines().chain(said.stderr.lines()))?;
    }
    screen.say(
        "Every byte of a bundle is checked when it is read. In short (rules and sections left out):",
    )?;
    let mut inspect = Command::new(&options.policyc);
    inspect.arg("inspect").arg(folder.bundle());
    inspect.arg("--key").arg(folder.public_key());
    screen.command(&command::line(&inspect))?;
    let said = command::run(&mut inspect, 0)?;
    let is_telling = |line: &&str| TELLING.iter().any(|word| line.starts_with(word));
    screen.quote(said.stdout.lines().filter(is_telling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_in_the_first_brackets() {
        assert_eq!(code("warning[W1003] denied-rule\n[other]"), Some("W1003"));
        assert_eq!(code("no findings"), None);
    }

    #[test]
    fn the_opening_ends_before_the_second_section() {
        let lines: Vec<_> = opening("# W1 x\n\n## What\n\na\nb\n\n## Why\n\nc").collect();
        assert_eq!(lines, ["# W1 x", "## What", "a", "b"]);
    }
}
