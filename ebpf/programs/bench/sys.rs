// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Everything that only `unsafe` can do: maps and their values.
#![expect(unsafe_code, reason = "map values are behind raw pointers")]

use aya_ebpf::maps::Array;
use policy_abi::arena::{self, Read};
use policy_abi::bench::Config;

/// Kernel's name for the licence of the program.
// SAFETY: the section is the loader's, which reads a zero-terminated string from it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

/// Required by the language; nothing here can panic, and the linker drops it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The tables of one generation. Far larger than the stack: only ever seen behind a pointer.
#[repr(C, align(8))]
pub(crate) struct Arena([u8; arena::BYTES as usize]);

/// The tables, read as the datapath reads them.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    base: *const u8,
}

impl Tables {
    /// The one map lookup.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        crate::ARENA
            .get_ptr(0)
            .map(|base| Self { base: base.cast() })
    }
}

impl Read for Tables {
    #[inline(always)]
    fn u16(&self, at: u32) -> u16 {
        let at = at & (arena::BYTES - 1) & !1;
        // SAFETY: the masked offset and the byte after it lie inside the arena, whose base is aligned to 8.
        unsafe { self.base.add(at as usize).cast::<u16>().read_volatile() }
    }

    #[inline(always)]
    fn u32(&self, at: u32) -> u32 {
        let at = at & (arena::BYTES - 1) & !3;
        // SAFETY: the masked offset and the three bytes after it lie inside the arena, whose base is aligned to 8.
        unsafe { self.base.add(at as usize).cast::<u32>().read_volatile() }
    }
}

/// Makes the next run start where this one has ended.
#[inline(always)]
pub(crate) fn go_on(map: &Array<Config>, state: u64) {
    if let Some(config) = map.get_ptr_mut(0) {
        // SAFETY: the pointer is to a map value of this type.
        unsafe { (*config).seed = state };
    }
}

/// Stores a result.
#[inline(always)]
pub(crate) fn put(map: &Array<u64>, value: u64) {
    if let Some(place) = map.get_ptr_mut(0) {
        // SAFETY: the pointer is to a map value of this type.
        unsafe { *place = value };
    }
}
