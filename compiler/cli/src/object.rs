//! Whether an image fits the maps of the eBPF object.
//!
//! The object is the one `policyd` loads; reading it here means that a bundle which no node could load is refused
//! when it is built.

use aya_obj::Object;
use policy_abi::arena;
use policyc_diag::{Diagnostic, codes};
use policyc_lower::Image;

/// The object this version of `policyd` loads.
const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/policy.o"));

/// A map as the object declares it.
struct Shape {
    key: u32,
    value: u32,
    entries: u32,
}

/// Compares an image with the object's maps.
///
/// # Errors
/// A map that is missing, of another shape than the ABI says, or too small for the image in two generations.
pub(crate) fn fits(image: &Image) -> Result<(), Diagnostic> {
    let object = Object::parse(OBJECT)
        .map_err(|error| mismatch(format!("the eBPF object cannot be read: {error}")))?;
    let hosts = image.ipcache.iter().filter(|entry| is_host(entry)).count();
    let prefixes = image.ipcache.len() - hosts;
    expect(&object, "ARENA", 4, arena::BYTES, 2)?;
    expect(
        &object,
        "IPCACHE_HOST",
        size::<policy_abi::ipcache::HostKey>(),
        4,
        2 * hosts,
    )?;
    // The trie's key begins with the kernel's prefix length.
    expect(
        &object,
        "IPCACHE_PREFIX",
        4 + size::<policy_abi::ipcache::PrefixKey>(),
        4,
        2 * prefixes,
    )?;
    let records = 2 * image.sizes.records as usize;
    expect(
        &object,
        "RECORD_COUNTERS",
        4,
        size::<policy_abi::reason::Counter>(),
        records,
    )
}

fn is_host(entry: &policy_bundle::write::Ipcache) -> bool {
    usize::from(entry.prefix_len) == if entry.address.is_ipv4() { 32 } else { 128 }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

fn expect(
    object: &Object,
    name: &str,
    key: u32,
    value: u32,
    entries: usize,
) -> Result<(), Diagnostic> {
    let map = object
        .maps
        .get(name)
        .ok_or_else(|| mismatch(format!("the eBPF object has no map `{name}`")))?;
    let shape = Shape {
        key: map.key_size(),
        value: map.value_size(),
        entries: map.max_entries(),
    };
    if (shape.key, shape.value) != (key, value) {
        let message = format!(
            "map `{name}` of the eBPF object has keys of {} and values of {} bytes, the tables need {key} and {value}",
            shape.key, shape.value
        );
        return Err(mismatch(message));
    }
    if entries > shape.entries as usize {
        let message = format!(
            "map `{name}` holds {} entries, the tables need {entries}",
            shape.entries
        );
        let help = "build for one node with `--node`, or use fewer distinct prefixes";
        return Err(Diagnostic::new(codes::TABLE_LIMIT, message).help(help));
    }
    Ok(())
}

fn mismatch(message: String) -> Diagnostic {
    Diagnostic::new(codes::OBJECT_MISMATCH, message)
        .help("rebuild the object with `cargo dev ebpf`")
}
