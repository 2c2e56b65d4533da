//! Whether the tests may run here.

use crate::sys;

/// Environment variable that makes lacking privileges a failure instead of a reason to skip.
pub const REQUIRE: &str = "POLICY_REQUIRE_ROOT";

/// Whether this process has the privileges that loading programs and making namespaces takes.
pub fn is_root() -> bool {
    sys::effective_user() == 0
}

/// Whether a test without privileges must fail.
pub fn is_required() -> bool {
    std::env::var_os(REQUIRE).is_some_and(|value| value == "1")
}

/// Ends a test early, and loudly, if it has no privileges; fails it if [`REQUIRE`] says so.
#[macro_export]
macro_rules! require_root {
    () => {
        if !$crate::root::is_root() {
            assert!(!$crate::root::is_required(), "this test needs root");
            eprintln!("SKIPPED: needs root");
            return;
        }
    };
}

/// Keeps the calling thread on the CPU it is on, and so the programs that it runs.
pub fn stay_on_one_cpu() -> std::io::Result<()> {
    sys::stay_on_one_cpu()
}
