//! `cargo dev <task>`: chores of the project that plain cargo commands do not cover.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line for people"
)]

use std::path::Path;
use std::process::ExitCode;

use policy_dev::cluster::{Cluster, Shape};
use policy_dev::{TaskError, ebpf};

const USAGE: &str = "usage: cargo dev <task>

tasks:
  cluster FOLDER [--pods N] [--policies N] [--nodes N] [--seed N] [--layers 4]
                 write the cluster that benchmarks of this size measure, as `inventory.yaml` and `policies.yaml`
  ebpf           rebuild the eBPF objects `ebpf/policy.o` and `ebpf/bench.o` and their list of sources
  ebpf --check   rebuild them elsewhere and fail if they are not, byte for byte, those checked in";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--help" | "-h" | "help"] | ["cluster" | "ebpf", "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["cluster", folder, options @ ..] if !folder.starts_with('-') => {
            Shape::from_arguments(options)
                .and_then(|shape| Cluster::new(shape).write(Path::new(folder)))
        }
        ["ebpf"] => ebpf::write(&say),
        ["ebpf", "--check"] => ebpf::check(&say),
        _ => Err(TaskError(USAGE.to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}
