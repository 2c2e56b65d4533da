//! The steps with the kernel.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::cast::{Exchange, exchanges};
use super::node::{Folder, Node};
use super::pass::{self, Pass};
use super::screen::{Look, Screen};
use super::{Error, Options, command, expect, steps, table};

/// How long flows are under way before the daemon is killed.
const HEAD_START: Duration = Duration::from_millis(30);

/// Puts the bundle into force and compares traffic with the model.
pub(super) fn enforce(
    options: &Options,
    folder: &Folder,
    screen: &mut Screen<'_>,
) -> Result<(), Error> {
    let exchanges = exchanges();
    screen.heading("Enforce: real traffic through the kernel")?;
    let expected = ask_model(options, folder, &exchanges, screen)?;
    screen.say("A node is made of network namespaces: four pods, two hosts outside, and servers on every port.")?;
    let mut node = Node::new(options, folder)?;
    reach_all(&mut node, &exchanges, screen)?;
    let generation = start(&mut node, 0, screen)?;
    screen.say("Each cell: what the model expects, and ✓ if the network agrees (allow: answered, deny: silence) or ✗ if not.")?;
    let first = pass::observe(&mut node, &exchanges, &expected, None)?;
    screen.quote(table::lines(&first.rows, screen).iter().map(String::as_str))?;
    judge(&first, screen)?;
    survive(&mut node, &exchanges, &expected, generation, screen)
}

/// What the model says about every flow, in one call.
fn ask_model(
    options: &Options,
    folder: &Folder,
    exchanges: &[Exchange],
    screen: &mut Screen<'_>,
) -> Result<Vec<bool>, Error> {
    screen.say("First the model is asked what should happen to every flow:")?;
    std::fs::write(folder.flows(), expect::questions(exchanges))?;
    let mut verdicts = Command::new(&options.policyc);
    verdicts.args(["verdicts", "--policies", steps::POLICIES]);
    verdicts.args(["--inventory", steps::INVENTORY, "--node", steps::NODE]);
    verdicts.arg("--flows").arg(folder.flows());
    screen.command(&command::line(&verdicts))?;
    let said = command::run(&mut verdicts, 0)?;
    let expected = expect::verdicts(exchanges, &said.stdout)?;
    let allowed = expected.iter().filter(|is_allowed| **is_allowed).count();
    screen.quote([format!("{} flows, {allowed} allowed", expected.len()).as_str()])?;
    Ok(expected)
}

/// Sees to it that later silence means a policy and not a broken network.
fn reach_all(
    node: &mut Node<'_>,
    exchanges: &[Exchange],
    screen: &mut Screen<'_>,
) -> Result<(), Error> {
    screen.say(
        "Before policyd starts, every flow must be answered, so that silence later means policy:",
    )?;
    let everything = vec![true; exchanges.len()];
    judge(&pass::observe(node, exchanges, &everything, None)?, screen)
}

fn start(node: &mut Node<'_>, older: u64, screen: &mut Screen<'_>) -> Result<u64, Error> {
    screen.command(&node.command_line(&["run"]))?;
    let generation = node.start(older)?;
    screen.quote(node.log()?.lines())?;
    Ok(generation)
}

/// Kills the daemon under load, starts it again, and shows what has been counted.
fn survive(
    node: &mut Node<'_>,
    exchanges: &[Exchange],
    expected: &[bool],
    generation: u64,
    screen: &mut Screen<'_>,
) -> Result<(), Error> {
    screen.heading("Survive: the daemon is killed, the kernel goes on")?;
    screen.say("All flows again, and in the middle of them policyd gets SIGKILL:")?;
    let mut kill = |node: &mut Node<'_>| {
        thread::sleep(HEAD_START);
        let killed = node.kill()?;
        let process = killed.ok_or_else(|| Error::Failed("policyd did not run".to_owned()))?;
        screen.command(&format!("kill -9 {process}"))
    };
    let second = pass::observe(node, exchanges, expected, Some(&mut kill))?;
    judge(&second, screen)?;
    screen.say("Started again, policyd adopts what it finds in the kernel:")?;
    start(node, generation, screen)?;
    judge(&pass::observe(node, exchanges, expected, None)?, screen)?;
    screen.say("What each rule has decided since, and why packets passed or were dropped:")?;
    screen.command(&node.command_line(&["status"]))?;
    screen.quote(node.status()?.lines())
}

/// Says how well network and model agree; an error if they do not.
fn judge(pass: &Pass, screen: &mut Screen<'_>) -> Result<(), Error> {
    let wrong: Vec<String> = pass.disagreements().map(table::Row::describe).collect();
    let look = if wrong.is_empty() {
        Look::Good
    } else {
        Look::Bad
    };
    let plural = if wrong.len() == 1 { "" } else { "s" };
    let verdict = format!(
        "{} flows, {} disagreement{plural}",
        pass.rows.len(),
        wrong.len()
    );
    let line = screen.paint(look, &verdict);
    let late = match pass.late {
        0 => String::new(),
        late => format!(" ({late} answered only when asked again)"),
    };
    screen.quote([format!("{line}{late}").as_str()])?;
    if wrong.is_empty() {
        return Ok(());
    }
    screen.quote(wrong.iter().map(String::as_str))?;
    Err(Error::Failed(format!(
        "{} of {} flows did not do what was expected",
        wrong.len(),
        pass.rows.len()
    )))
}
