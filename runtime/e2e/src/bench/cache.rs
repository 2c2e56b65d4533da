//! Emptying the processor's caches.

/// Bytes written to push everything else out; more than the last-level caches of common servers.
const BYTES: usize = 128 << 20;
/// Bytes of a cache line.
const LINE: usize = 64;

/// A block of memory larger than the caches.
pub(super) struct Eviction(Vec<u8>);

impl Eviction {
    pub(super) fn new() -> Self {
        Self(vec![1; BYTES])
    }

    /// Writes to every line of the block.
    pub(super) fn evict(&mut self) {
        for byte in self.0.iter_mut().step_by(LINE) {
            *byte = byte.wrapping_add(1);
        }
        // The sum has to be of use, or the compiler may leave the writing out.
        std::hint::black_box(&self.0);
    }
}
