//! Marks for aya: plain old data, safe to copy to and from maps.
#![expect(
    unsafe_code,
    reason = "aya asks for a marker trait whose promise it cannot check"
)]

use crate::{bench, conntrack, control, event, ipcache, reason};

// SAFETY: each is `repr(C)`, `Copy`, of integers only and without padding (sizes are asserted beside them).
unsafe impl aya::Pod for ipcache::HostKey {}
// SAFETY: as above.
unsafe impl aya::Pod for ipcache::PrefixKey {}
// SAFETY: as above.
unsafe impl aya::Pod for control::Control {}
// SAFETY: as above.
unsafe impl aya::Pod for conntrack::Key {}
// SAFETY: as above.
unsafe impl aya::Pod for conntrack::Entry {}
// SAFETY: as above.
unsafe impl aya::Pod for conntrack::FragmentKey {}
// SAFETY: as above.
unsafe impl aya::Pod for conntrack::FragmentPorts {}
// SAFETY: as above.
unsafe impl aya::Pod for reason::Counter {}
// SAFETY: as above.
unsafe impl aya::Pod for event::Budget {}
// SAFETY: as above.
unsafe impl aya::Pod for bench::Config {}
// SAFETY: as above.
unsafe impl aya::Pod for bench::PolicyKey {}
// SAFETY: as above.
unsafe impl aya::Pod for bench::PolicyValue {}
