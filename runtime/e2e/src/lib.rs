//! What tests and the demo need to see the datapath at work: the object loaded without a daemon, packets made by
//! hand, and real traffic between network namespaces.
//!
//! Nothing here touches the host's own interfaces, routes or settings.

/// Policy tables made by hand, for tests that do not want a compiler.
pub mod arena;
/// What `make bench-datapath` measures.
pub mod bench;
/// The datapath loaded without a daemon, and packets put through it.
pub mod datapath;
/// What `make demo` shows.
pub mod demo;
/// What becomes of a packet, worked out in user space.
pub mod model;
/// Numbers that look random and are the same every time.
pub mod numbers;
/// A kernel without tcx, as a program started from here would meet it.
pub mod old_kernel;
/// Packets made by hand.
pub mod packet;
/// The programs that are tested.
pub mod programs;
/// Whether the tests may run here.
pub mod root;
/// A command whose every step into the kernel can be made to fail.
pub mod stumble;
/// Everything that only `unsafe` can do: namespaces, mounts, mapped memory, raw sockets.
mod sys;
/// A node and its pods as network namespaces.
pub mod topology;
/// Traffic between namespaces: what gets an answer and what does not.
pub mod traffic;
