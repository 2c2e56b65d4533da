//! The node daemon: makes the kernel enforce a compiled bundle.
//!
//! One module per stage, each with its own type, each callable alone: [`config`] says what runs where, [`open`]
//! believes a bundle or not, [`plan`] puts both together without touching the kernel, [`apply`] makes a plan the
//! generation in force, [`attach`] puts the programs on the interfaces, [`run`] drives and watches.
//!
//! **Invariant.** The generation in force is whole: until the one write that flips it, nothing it uses is touched,
//! and whatever fails before leaves it as it was. The kernel enforces it with or without a daemon.

/// Fills the standby tables and flips them into force.
pub mod apply;
/// Programs on interfaces, by pinned links.
pub mod attach;
/// The command line.
pub mod cli;
/// The configuration file.
pub mod config;
/// Removes everything from the kernel.
pub mod detach;
/// What this node's kernel offers.
pub mod doctor;
/// New connections and drops, as the programs report them.
pub mod events;
/// What went wrong, and the exit code it means.
pub mod failure;
mod files;
/// The eBPF object: creates the maps or takes over pinned ones, loads the programs.
pub mod load;
/// The maps by name, and what shape they must have.
pub mod maps;
/// Reads a bundle and decides whether to believe it.
pub mod open;
/// Where everything is pinned.
pub mod pins;
/// What to do, as data.
pub mod plan;
/// Drives the stages and waits for reasons to drive them again.
pub mod run;
/// What outlives the daemon on disk: revision, bundle, lock.
pub mod state;
/// What is in force, read from the kernel.
pub mod status;
mod sys;
