//! Which generation is in force.

/// The one value of the control map. A packet reads `generation` once and uses its slot throughout.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Generation in force; 0 before the first. Its slot is `generation & 1`.
    pub generation: u64,
    /// Revision of the bundle in force, for status and to refuse roll-back.
    pub revision: u64,
    /// SHA-256 of the bundle in force.
    pub digest: [u8; 32],
    /// Nanoseconds of one tick of the kernel's timer. Programs tell time by counting ticks, which costs a load where
    /// asking for the time costs a call; only user space knows how long a tick is. 0 is as good as no generation.
    pub tick: u64,
    /// Events that each CPU may report per second, [`crate::event`].
    pub events: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Control>() == 64);

impl Control {
    /// Slot of the generation in force.
    #[inline(always)]
    pub const fn slot(&self) -> u32 {
        (self.generation & 1) as u32
    }
}
