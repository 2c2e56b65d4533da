// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The maps that the daemon fills and reads. Their names are part of the ABI: the daemon pins by them.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use policy_abi::arena;
use policy_abi::conntrack::{Entry, FragmentKey, FragmentPorts, Key};
use policy_abi::control::Control;
use policy_abi::event::{self, Budget};
use policy_abi::ipcache::{HostKey, PrefixKey};
use policy_abi::reason::{self, Counter, RECORDS_COUNTED};

use crate::sys::Scratch;

/// The tables of one generation. Far larger than the stack: only ever seen behind a pointer.
#[repr(C, align(8))]
pub(crate) struct Arena([u8; arena::BYTES as usize]);

/// Tables of both generations, by slot.
#[map]
pub(crate) static ARENA: Array<Arena> = Array::with_max_entries(2, BPF_F_MMAPABLE);

/// Which generation is in force.
#[map]
pub(crate) static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Identity indexes of full-length addresses.
#[map]
pub(crate) static IPCACHE_HOST: HashMap<HostKey, u32> =
    HashMap::with_max_entries(262_144, BPF_F_NO_PREALLOC);

/// Identity indexes of prefixes.
#[map]
pub(crate) static IPCACHE_PREFIX: LpmTrie<PrefixKey, u32> =
    LpmTrie::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// Connections.
#[map]
pub(crate) static CONNTRACK: LruHashMap<Key, Entry> = LruHashMap::with_max_entries(131_072, 0);

/// Ports of fragmented packets.
#[map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts> =
    LruHashMap::with_max_entries(8_192, 0);

/// Packets and bytes per record, both generations one after the other.
#[map]
pub(crate) static RECORD_COUNTERS: PerCpuArray<Counter> =
    PerCpuArray::with_max_entries(2 * RECORDS_COUNTED, 0);

/// New connections and drops.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(event::RING, 0);

/// How many more of them each CPU may report, and how many more packets it may answer.
#[map]
pub(crate) static EVENT_BUDGET: PerCpuArray<Budget> = PerCpuArray::with_max_entries(2, 0);

/// Working memory; of no meaning to the daemon.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Packets and bytes per reason, ingress before egress.
#[map]
pub(crate) static REASON_COUNTERS: PerCpuArray<Counter> =
    PerCpuArray::with_max_entries(2 * reason::COUNT, 0);
