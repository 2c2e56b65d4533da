//! Bounds on what is read. They are far above real files, and keep hostile ones from costing time or memory.

/// Bytes of a file. Callers check it before reading one.
pub const FILE_BYTES: usize = 32 << 20;

/// Levels of nesting, aliases expanded. Real policies have about 12.
pub const DEPTH: usize = 64;

/// Values of one document, aliases expanded; long text counts for several, see [`TEXT_UNIT`].
pub const NODES: usize = 2_000_000;

/// Bytes of text that count as one more value, so that aliases of long text are bounded too.
pub const TEXT_UNIT: usize = 64;

/// Unknown fields and repeated keys reported of one mapping.
pub const FAULTS_PER_MAPPING: usize = 50;

/// Faults reported of one document; one more says that there are others.
pub const FAULTS: usize = 1000;
