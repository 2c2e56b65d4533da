//! `policyc`: compiler and offline verifier for Cilium and Kubernetes network policies.

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> policyc::exit::Exit {
    policyc::run(policyc::args::Cli::parse())
}
