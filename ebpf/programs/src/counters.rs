// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Counting packets per record and per reason.

use policy_abi::reason::{self, RECORDS_COUNTED, Reason};

use crate::sys::{self, Frame};
use crate::{Direction, maps};

/// Counts a packet under the reason it passed or was dropped for.
#[inline(always)]
pub(crate) fn count_reason(frame: &Frame<'_>, direction: Direction, reason: Reason) {
    let base = if direction == Direction::Egress {
        reason::COUNT
    } else {
        0
    };
    sys::count(
        maps::REASON_COUNTERS.get_ptr_mut(base + reason as u32),
        frame.len(),
    );
}

/// Counts a packet under the record that decided about it.
#[inline(always)]
pub(crate) fn count_record(frame: &Frame<'_>, slot: u32, record: u32) {
    sys::count(
        maps::RECORD_COUNTERS.get_ptr_mut(slot * RECORDS_COUNTED + record % RECORDS_COUNTED),
        frame.len(),
    );
}
