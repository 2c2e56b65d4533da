//! What this node's kernel offers, found out by trying. Nothing stays behind.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, Enforcement};
use crate::failure::Failure;
use crate::load::Trial;
use crate::pins::Pins;
use crate::status::{DeviceStatus, NodeStatus, Status};
use crate::sys::clock;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Note,
    /// `policyd run` would fail.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub grade: Grade,
    /// What was found, and what to do about it.
    pub found: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The checks, in the order in which one would mend them.
    pub checks: Vec<Check>,
}

impl Report {
    /// Looks at everything.
    pub fn new(config: &Config) -> Self {
        let mut checks = vec![
            kernel(),
            bpf_file_system(config),
            jit(),
            hardening(),
            timer(),
        ];
        checks.extend(programs());
        checks.push(node_policy(config));
        Self { checks }
    }

    /// Whether `policyd run` can work here.
    pub fn is_fit(&self) -> bool {
        self.checks.iter().all(|check| check.grade != Grade::Failed)
    }

    /// As one JSON object.
    ///
    /// # Errors
    /// Never, in practice.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Failure::internal(format!("the report cannot be written: {error}")))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let grade = match check.grade {
                Grade::Ok => "ok",
                Grade::Note => "note",
                Grade::Failed => "FAILED",
            };
            writeln!(out, "{grade:<7} {:<16} {}", check.name, check.found)?;
        }
        Ok(())
    }
}

fn check(name: &'static str, grade: Grade, found: impl fmt::Display) -> Check {
    Check {
        name,
        grade,
        found: found.to_string(),
    }
}

/// A setting of the kernel's, `None` if there is no such.
fn setting(path: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
    Some(text.trim().to_owned())
}

fn kernel() -> Check {
    let release = setting("kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    check("kernel", Grade::Ok, format!("Linux {release}"))
}

fn bpf_file_system(config: &Config) -> Check {
    match Pins::new(&config.pin_dir).check() {
        Ok(()) => check("bpf file system", Grade::Ok, config.pin_dir.display()),
        Err(failure) => check("bpf file system", Grade::Failed, failure),
    }
}

fn jit() -> Check {
    // A kernel that cannot do without has no such setting, or does not let it be read.
    match setting("net/core/bpf_jit_enable").as_deref() {
        Some("0") => check(
            "compiler",
            Grade::Note,
            "programs are interpreted, which makes them several times slower: `sysctl net.core.bpf_jit_enable=1`",
        ),
        _ => check("compiler", Grade::Ok, "programs are compiled"),
    }
}

fn hardening() -> Check {
    match setting("net/core/bpf_jit_harden").as_deref() {
        Some("2") => check(
            "hardening",
            Grade::Note,
            "constants of all programs are blinded, which makes them slower (`net.core.bpf_jit_harden` is 2)",
        ),
        _ => check(
            "hardening",
            Grade::Ok,
            "constants of privileged programs are not blinded",
        ),
    }
}

fn timer() -> Check {
    match clock::tick() {
        Ok(tick) => check(
            "timer",
            Grade::Ok,
            format!("a tick lasts {} microseconds", tick / 1_000),
        ),
        Err(error) => check(
            "timer",
            Grade::Failed,
            format!("the length of a tick is unknown: {error}"),
        ),
    }
}

/// What is in force for the node itself: who is locked out of a node looks for that first.
fn node_policy(config: &Config) -> Check {
    let name = "node policy";
    if config.host.enforcement == Enforcement::Off {
        let found =
            "off: bundles with policies for the node itself are refused (`host.enforcement`)";
        return check(name, Grade::Note, found);
    }
    match Status::read(config) {
        Ok(status) => match status.and_then(|status| status.node) {
            Some(node) => describe_node(name, &node),
            None => check(
                name,
                Grade::Ok,
                "on; no policy in force applies to the node itself",
            ),
        },
        Err(failure) => check(name, Grade::Note, format!("on; {failure}")),
    }
}

fn describe_node(name: &'static str, node: &NodeStatus) -> Check {
    let (attached, missing): (Vec<_>, Vec<_>) =
        node.devices.iter().partition(|device| device.attached);
    let names = |devices: Vec<&DeviceStatus>| {
        let names: Vec<&str> = devices.iter().map(|one| one.interface.as_str()).collect();
        names.join(", ")
    };
    let audit = if node.audit { ", audit only" } else { "" };
    if attached.is_empty() || !missing.is_empty() {
        let found = format!("in force, but NOT ATTACHED everywhere: {}", names(missing));
        return check(name, Grade::Note, found);
    }
    let found = format!("in force at {}{audit}", names(attached));
    check(name, Grade::Ok, found)
}

/// Makes maps and loads programs as `run` would, without pinning or attaching anything.
fn programs() -> Vec<Check> {
    let trial = match Trial::new() {
        Ok(trial) => trial,
        Err(failure) => return vec![check("maps", Grade::Failed, failure)],
    };
    let mut checks = vec![check(
        "maps",
        Grade::Ok,
        format!("all {} can be made", trial.maps()),
    )];
    let (programs, way) = trial.load();
    checks.extend(programs.into_iter().map(|(name, result)| match result {
        Ok(instructions) => check(
            name,
            Grade::Ok,
            format!("the verifier accepts it after {instructions} instructions"),
        ),
        Err(failure) => check(name, Grade::Failed, failure),
    }));
    checks.extend(way.map(|way| match way {
        Ok(way) => check(
            "attachment",
            Grade::Ok,
            format!("programs get onto interfaces by {}", way.name()),
        ),
        Err(failure) => check("attachment", Grade::Failed, failure),
    }));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(grades: &[Grade]) -> Report {
        let checks = grades.iter().map(|grade| check("thing", *grade, "so"));
        Report {
            checks: checks.collect(),
        }
    }

    #[test]
    fn notes_do_not_make_a_node_unfit() {
        assert!(report(&[Grade::Ok, Grade::Note]).is_fit());
        let unfit = report(&[Grade::Ok, Grade::Failed]);
        assert!(!unfit.is_fit());
        assert!(unfit.to_string().contains("FAILED  thing            so"));
    }

    #[test]
    fn folders_elsewhere_are_a_failure() {
        let config = Config::parse("node = 'a'\npin_dir = '/proc/nowhere'").unwrap();
        let found = bpf_file_system(&config);
        assert_eq!(found.grade, Grade::Failed);
        assert!(found.found.contains("mount -t bpf"), "{}", found.found);
    }
}
