// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Everything that only `unsafe` can do. What comes out of here is checked values and references that live no
//! longer than the program's run.
#![expect(
    unsafe_code,
    reason = "the packet, the tables and map values are behind raw pointers"
)]

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{
    bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_redirect_peer, bpf_skb_change_tail,
    bpf_skb_load_bytes,
};
use aya_ebpf::maps::lpm_trie;
use aya_ebpf::programs::TcContext;
use policy_abi::arena::{self, Read};
use policy_abi::conntrack::{Entry, FragmentKey, FragmentPorts, Key};
use policy_abi::event::{Budget, Event, NO_IDENTITY};
use policy_abi::ipcache::{HostKey, PrefixKey};
use policy_abi::lookup::Verdict;
use policy_abi::reason::Counter;

use crate::conntrack::Connection;
use crate::maps;
use crate::network::Network;
use crate::reject::Answer;
use crate::transport::Transport;

/// Kernel's name for the licence of the program; only GPL-compatible programs may call some helpers.
// SAFETY: the section is the loader's, which reads a zero-terminated string from it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

/// Required by the language; nothing here can panic, and the linker drops it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Headers are looked for in place up to here, which bounds what the verifier has to reckon with.
const LINEAR_MASK: u32 = 0x3fff;

/// One packet, from its link layer on.
pub(crate) struct Frame<'run> {
    context: &'run TcContext,
}

impl<'run> Frame<'run> {
    /// The packet a program was called for.
    #[inline(always)]
    pub(crate) fn new(context: &'run TcContext) -> Self {
        Self { context }
    }

    #[inline(always)]
    fn skb(&self) -> &__sk_buff {
        // SAFETY: the kernel calls a classifier with a valid context, which outlives the run.
        unsafe { &*self.context.skb.skb }
    }

    /// Bytes of the packet, its link layer included.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.skb().len
    }

    /// Index of the interface the program is attached to.
    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        self.skb().ifindex
    }

    /// EtherType, in host order.
    #[inline(always)]
    pub(crate) fn ethertype(&self) -> u16 {
        u16::from_be(self.skb().protocol as u16)
    }

    /// Index of the interface that the packet came in by, 0 if it was made on this node.
    #[inline(always)]
    pub(crate) fn came_by(&self) -> u32 {
        self.skb().ingress_ifindex
    }

    /// Whether the packet is for a VLAN: it carries a tag with a number. Tags with the number 0 only tell a priority.
    #[inline(always)]
    pub(crate) fn is_of_vlan(&self) -> bool {
        self.is_tagged() && self.skb().vlan_tci & 0x0fff != 0
    }

    /// Whether the packet carries a VLAN tag (which the kernel keeps beside its bytes).
    #[inline(always)]
    pub(crate) fn is_tagged(&self) -> bool {
        self.skb().vlan_present != 0
    }

    /// `N` bytes at an offset; `None` if the packet is shorter.
    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        match self.linear::<N>(at) {
            Some(bytes) => Some(*bytes),
            None => self.context.load::<[u8; N]>(at as usize).ok(),
        }
    }

    /// `N` bytes at an offset, where they are; `None` if they are not in the packet's first piece.
    #[inline(always)]
    fn linear<const N: usize>(&self, at: u32) -> Option<&[u8; N]> {
        let (data, end) = (self.skb().data as usize, self.skb().data_end as usize);
        let from = data + (at & LINEAR_MASK) as usize;
        if at > LINEAR_MASK || from + N > end {
            return None;
        }
        // SAFETY: within the packet's bounds as just checked; the verifier insists on that check.
        Some(unsafe { &*(from as *const [u8; N]) })
    }

    /// Copies `N` bytes at an offset to a place in an answer; `None` if the packet is shorter.
    #[inline(always)]
    pub(crate) fn load<const N: usize>(
        &self,
        at: u32,
        to: &mut Answer,
        place: usize,
    ) -> Option<()> {
        let to: &mut [u8; N] = to.get_mut(place..)?.first_chunk_mut()?;
        // SAFETY: the context is valid for the run, and the helper writes the bytes that `to` has.
        let error = unsafe {
            let to = to.as_mut_ptr().cast();
            bpf_skb_load_bytes(self.context.skb.skb.cast(), at, to, N as u32)
        };
        (error == 0).then_some(())
    }

    /// Makes the packet consist of the first `N` bytes of an answer; `None` if the kernel does not.
    #[inline(always)]
    pub(crate) fn replace<const N: usize>(&self, answer: &Answer) -> Option<()> {
        let bytes: &[u8; N] = answer.first_chunk()?;
        // SAFETY: the context is valid for the run; no pointer into the packet is in use.
        let error = unsafe { bpf_skb_change_tail(self.context.skb.skb.cast(), N as u32, 0) };
        if error != 0 {
            return None;
        }
        self.context.store(0, bytes, 0).ok()
    }

    /// Sends the packet to the other end of the interface, past the programs on it: what the kernel is to do then.
    #[inline(always)]
    pub(crate) fn send_to_peer(&self) -> i32 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_redirect_peer(self.ifindex(), 0) as i32 }
    }

    /// Copies an IPv6 address at an offset; `None` if the packet is shorter.
    #[inline(always)]
    pub(crate) fn copy_address(&self, at: u32, to: &mut [u8; 16]) -> Option<()> {
        if let Some(address) = self.linear(at) {
            *to = *address;
            return Some(());
        }
        // SAFETY: the context is valid for the run, and the helper writes the 16 bytes that `to` has.
        let error = unsafe {
            bpf_skb_load_bytes(self.context.skb.skb.cast(), at, to.as_mut_ptr().cast(), 16)
        };
        (error == 0).then_some(())
    }
}

/// Working memory of one packet. The stack of 512 bytes does not hold all of these at once.
#[repr(C)]
pub(crate) struct Scratch {
    /// The packet's connection.
    pub(crate) connection: Connection,
    /// The connection of a quoted packet.
    pub(crate) quoted: Connection,
    /// Where the ports of a fragmented packet are known.
    pub(crate) fragment: FragmentKey,
    /// The peer's full-length address.
    pub(crate) host: HostKey,
    /// The same for the prefix trie.
    pub(crate) prefix: lpm_trie::Key<PrefixKey>,
    /// What the network layer says.
    pub(crate) network: Network,
    /// What the transport layer says.
    pub(crate) transport: Transport,
    /// Byte offset of the endpoint.
    pub(crate) endpoint: u32,
    /// Byte offset of the node's slot.
    pub(crate) node: u32,
    /// What the tables say.
    pub(crate) verdict: Verdict,
    /// A connection not yet stored.
    pub(crate) entry: Entry,
    /// What has been found out about the packet so far, for an event about it.
    pub(crate) findings: Findings,
    /// The event.
    pub(crate) event: Event,
    /// The answer to a packet that is dropped.
    pub(crate) answer: Answer,
}

/// What has been found out about a packet so far; what is not known has no value here.
#[repr(C)]
pub(crate) struct Findings {
    /// Identity index of the peer.
    pub(crate) identity: u32,
    /// The record that decided, 0 for none.
    pub(crate) record: u32,
    /// Which parts of the packet are known.
    pub(crate) known: u8,
    /// What the policy said, before audit mode.
    pub(crate) verdict: u8,
    /// Whether the packet opened a connection: 0 or 1.
    pub(crate) is_new: u8,
    /// Whether the packet may be answered if it is dropped: 0 or 1.
    pub(crate) may_answer: u8,
}

impl Findings {
    /// Nothing yet.
    pub(crate) const NONE: Self = Self {
        identity: NO_IDENTITY,
        record: 0,
        known: 0,
        verdict: 0,
        is_new: 0,
        may_answer: 0,
    };
}

/// This CPU's working memory; to be called once per packet. Holds whatever the last packet left.
#[inline(always)]
pub(crate) fn scratch<'run>() -> Option<&'run mut Scratch> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a classifier runs with softirqs off and stays on its CPU, so this run has the value for itself.
    Some(unsafe { &mut *scratch })
}

/// Takes one from a budget of so many per second; `false` if it is used up.
#[inline(always)]
pub(crate) fn spend(budget: &mut Budget, now: u64, rate: u32) -> bool {
    if now.wrapping_sub(budget.since) >= SECOND {
        budget.since = now;
        budget.used = 0;
    }
    if budget.used >= rate {
        return false;
    }
    budget.used += 1;
    true
}

/// Takes one from this CPU's budget of answers; `None` if it is used up.
#[inline(always)]
pub(crate) fn take_rejection(rate: u32) -> Option<()> {
    let budget = maps::EVENT_BUDGET.get_ptr_mut(1)?;
    let (_, tick) = in_force()?;
    // SAFETY: a classifier runs with softirqs off and stays on its CPU, so this run has the value for itself.
    let budget = unsafe { &mut *budget };
    spend(budget, ticks().wrapping_mul(tick), rate).then_some(())
}

/// Puts a value into working memory and takes it out again.
///
/// The verifier does not follow values through there. Without this it would go through the rest of the program once
/// for every way in which the value can come about, and run into its limit.
#[inline(always)]
pub(crate) fn settle<T: Copy>(place: &mut T, value: T) -> T {
    *place = value;
    // SAFETY: a valid reference; volatile only keeps the compiler from using the value it has at hand.
    unsafe { core::ptr::from_mut(place).read_volatile() }
}

/// The tables of one generation.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    base: *const u8,
}

impl Tables {
    /// Tables of a slot; the one map lookup for them in a packet's life.
    #[inline(always)]
    pub(crate) fn of_slot(slot: u32) -> Option<Self> {
        maps::ARENA
            .get_ptr(slot)
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

/// What is in force: the generation, 0 if there is none, and the length of a tick.
#[inline(always)]
pub(crate) fn in_force() -> Option<(u64, u64)> {
    let control = maps::CONTROL.get_ptr(0)?;
    // SAFETY: the pointer is to a map value; an aligned 8-byte load cannot tear, and volatile makes it the only one.
    // The tick is the same in every generation.
    unsafe {
        Some((
            (&raw const (*control).generation).read_volatile(),
            (*control).tick,
        ))
    }
}

/// Events that each CPU may report per second.
#[inline(always)]
pub(crate) fn event_rate() -> u32 {
    let Some(control) = maps::CONTROL.get_ptr(0) else {
        return 0;
    };
    // SAFETY: the pointer is to a map value, and an aligned 4-byte load cannot tear.
    unsafe { (*control).events }
}

/// Ticks of the kernel's timer. The verifier turns the call into a load.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_jiffies64() }
}

/// Monotonic time in nanoseconds, good to a clock tick.
#[inline(always)]
pub(crate) fn monotonic() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// What this CPU may still report.
#[inline(always)]
pub(crate) fn budget<'run>() -> Option<&'run mut Budget> {
    let budget = maps::EVENT_BUDGET.get_ptr_mut(0)?;
    // SAFETY: a classifier runs with softirqs off and stays on its CPU, so this run has the value for itself.
    Some(unsafe { &mut *budget })
}

/// Identity index of a full-length address.
#[inline(always)]
pub(crate) fn identity_of_host(key: &HostKey) -> Option<u32> {
    // SAFETY: copied at once; nothing in this program writes to the map.
    unsafe { maps::IPCACHE_HOST.get(key).copied() }
}

/// Entry of a connection.
///
/// Other CPUs may write to it at the same time: fields are whole words and any mixture of two packets' updates is
/// one that the packets could have made in turn.
#[inline(always)]
pub(crate) fn connection<'run>(key: &Key) -> Option<&'run mut Entry> {
    let entry = maps::CONNTRACK.get_ptr_mut(key)?;
    // SAFETY: the kernel keeps map values in place for the run of a program; this is its only reference to the entry.
    Some(unsafe { &mut *entry })
}

/// Ports of the packet that a fragment belongs to.
#[inline(always)]
pub(crate) fn fragment_ports(key: &FragmentKey) -> Option<FragmentPorts> {
    // SAFETY: copied at once, before this program writes to the map.
    unsafe { maps::FRAGMENTS.get(key).copied() }
}

/// Adds a packet to a counter of this CPU.
#[inline(always)]
pub(crate) fn count(counter: Option<*mut Counter>, bytes: u32) {
    if let Some(counter) = counter {
        // SAFETY: the pointer is to this CPU's map value, and a program is not interrupted by another of its kind.
        unsafe {
            (*counter).packets = (*counter).packets.wrapping_add(1);
            (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(bytes));
        }
    }
}
