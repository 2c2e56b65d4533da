//! A kernel without tcx, or without BPF, as a program started from here would meet it.
//!
//! Kernels before 6.6 answer a request for a tcx link with "invalid argument". A seccomp filter gives that answer to
//! the program and everything it starts.

use std::process::Command;

use crate::sys;

/// Has every BPF command fail in the command, as on a kernel that does not have it.
pub fn without_bpf(command: &mut Command) -> &mut Command {
    sys::before_exec(command, sys::seccomp::refuse_bpf)
}

/// Has every request for a BPF link fail in the command, as on a kernel without tcx.
pub fn without_tcx(command: &mut Command) -> &mut Command {
    sys::before_exec(command, sys::seccomp::refuse_links)
}
