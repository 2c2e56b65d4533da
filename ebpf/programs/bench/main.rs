// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs for the benchmark: deciding by tables, deciding by two longest-prefix look-ups, and what both cost besides.
//!
//! Each makes a number of decisions about random identities and ports: whether a packet passes, and the number of the
//! record that it is counted under. If the next key depends on whether the last packet passed, the processor cannot work
//! on several at once, and what is measured is how long a verdict has to be waited for. Without, and with one decision
//! a run, it is what the decision adds to all else that a program does.
#![no_std]
#![no_main]

/// Everything that only `unsafe` can do: maps and their values.
mod sys;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, LpmTrie};
use aya_ebpf::programs::TcContext;
use policy_abi::arena::{Read, header, record};
use policy_abi::bench::{
    Config, DECISIONS, KEY_BITS, NOTHING, PolicyKey, PolicyValue, advance, decision, key,
};
use policy_abi::{lookup, proto};

use crate::sys::{Arena, Tables};

/// What to do.
#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// All decisions of the last run, folded into one number.
#[map]
static RESULT: Array<u64> = Array::with_max_entries(1, 0);

/// The tables, with one image.
#[map]
static ARENA: Array<Arena> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The reference's policy map.
#[map]
static POLICY: LpmTrie<PolicyKey, PolicyValue> =
    LpmTrie::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// What running a program costs.
#[classifier]
fn empty(_context: TcContext) -> i32 {
    0
}

/// What making the keys costs.
#[classifier]
fn keys(_context: TcContext) -> i32 {
    run(|identity, port| Decision {
        waited_for: identity ^ u32::from(port),
        made: identity,
    })
}

/// Deciding as the datapath does.
#[classifier]
fn tables(_context: TcContext) -> i32 {
    let Some(tables) = Tables::new() else {
        return -1;
    };
    let image = tables.u32(header::IMAGES_AT);
    run(|identity, port| {
        let verdict = lookup::verdict(&tables, image, identity, proto::TCP, port);
        Decision::new(verdict.record, verdict.passes)
    })
}

/// Deciding as the datapath does, and waiting for what an event about it says.
#[classifier]
fn records(_context: TcContext) -> i32 {
    let Some(tables) = Tables::new() else {
        return -1;
    };
    let image = tables.u32(header::IMAGES_AT);
    run(|identity, port| {
        let verdict = lookup::verdict(&tables, image, identity, proto::TCP, port);
        let at = lookup::record_at(&tables, verdict.record);
        Decision {
            waited_for: tables.u32(at + record::RULE),
            ..Decision::new(verdict.record, lookup::passes(&tables, at))
        }
    })
}

/// Deciding as Cilium does.
#[classifier]
fn reference(_context: TcContext) -> i32 {
    run(by_prefix)
}

/// A decision, and what of it has to be there before the next begins.
#[derive(Clone, Copy)]
struct Decision {
    waited_for: u32,
    made: u32,
}

impl Decision {
    /// One of which only the verdict is waited for.
    #[inline(always)]
    fn new(record: u32, passes: bool) -> Self {
        Self {
            waited_for: u32::from(passes),
            made: decision(record, passes),
        }
    }
}

#[inline(always)]
fn run(decide: impl Fn(u32, u16) -> Decision) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return -1;
    };
    let (mut state, mut sum) = (config.seed, 0);
    for count in 0..DECISIONS {
        if count >= config.decisions {
            break;
        }
        let (identity, port) = key(config, state);
        let Decision { waited_for, made } = decide(identity, port);
        sum = advance(sum ^ u64::from(made));
        state = advance(state ^ u64::from(waited_for & config.chain));
    }
    // The next run goes on with other keys.
    sys::put(&RESULT, sum);
    sys::go_on(&CONFIG, state);
    0
}

/// The entry of the identity and that of any identity; the higher precedence wins, then the longer key.
#[inline(always)]
fn by_prefix(identity: u32, port: u16) -> Decision {
    let key = |identity| {
        let data = PolicyKey {
            identity,
            direction: 0,
            protocol: proto::TCP,
            port: port.to_be_bytes(),
        };
        Key::new(KEY_BITS, data)
    };
    let (own, any) = (POLICY.get(key(identity)), POLICY.get(key(0)));
    let chosen = match (own, any) {
        (Some(own), Some(any)) => {
            let rank = |value: &PolicyValue| (value.precedence, value.deny >> 3);
            if rank(any) > rank(own) { any } else { own }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Decision::new(NOTHING, false),
    };
    Decision::new(chosen.record, chosen.deny & 1 == 0)
}
