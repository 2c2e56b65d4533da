//! Deciding by tables and by the reference.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::time::Instant;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use policy_abi::arena::{Read as _, header};
use policy_abi::bench::{Config, DECISIONS, PolicyKey, PolicyValue};
use serde_json::{Value, json};

use super::cache::Eviction;
use super::case::Case;
use super::median;
use crate::arena::Arena;
use crate::sys::Mapping;

/// The benchmark's programs.
const OBJECT: &[u8] = include_bytes!("../../../../ebpf/bench.o");
/// Sizes.
const ENTRIES: [u32; 4] = [96, 1_024, 16_384, 65_536];
const IDENTITIES: [u32; 3] = [1_000, 20_000, 60_000];
/// Runs of one warm measurement, and measurements; and single runs with empty caches.
const RUNS: u32 = 200_000;
const CHAINED_RUNS: u32 = 20_000;
const MEASUREMENTS: u64 = 15;
const COLD_RUNS: u64 = 41;
/// The programs, in the order in which they take turns.
const PROGRAMS: [&str; 5] = ["empty", "keys", "tables", "records", "reference"];

/// Nanoseconds of one policy size.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Entries of the prefix map, and identities that there are.
    pub entries: u32,
    pub identities: u32,
    /// What a run of a program that does nothing takes, and making one key.
    pub empty: f64,
    pub keys: f64,
    /// What one decision adds to a run, net of the program that makes the same keys and decides nothing.
    pub tables: f64,
    pub reference: f64,
    /// How long a verdict has to be waited for, where the next thing depends on it, and the record that decided.
    pub tables_latency: f64,
    pub record_latency: f64,
    pub reference_latency: f64,
    /// The first decision with empty caches, likewise.
    pub tables_cold: f64,
    pub reference_cold: f64,
    /// Bytes of the tables, and microseconds to write them and the entries.
    pub bytes: u32,
    pub tables_load: f64,
    pub reference_load: f64,
}

impl Decision {
    pub(super) fn json(&self) -> Value {
        json!({
            "entries": self.entries,
            "identities": self.identities,
            "empty_program_ns": self.empty,
            "key_ns": self.keys,
            "tables_ns": self.tables,
            "reference_ns": self.reference,
            "tables_latency_ns": self.tables_latency,
            "record_latency_ns": self.record_latency,
            "reference_latency_ns": self.reference_latency,
            "tables_cold_ns": self.tables_cold,
            "reference_cold_ns": self.reference_cold,
            "tables_bytes": self.bytes,
            "tables_load_us": self.tables_load,
            "reference_load_us": self.reference_load,
        })
    }
}

/// Measures all sizes.
pub(super) fn measure(progress: &mut dyn Write) -> io::Result<Vec<Decision>> {
    let mut eviction = Eviction::new();
    let mut measured = Vec::new();
    for identities in IDENTITIES {
        for entries in ENTRIES {
            let case = Case {
                entries,
                identities,
            };
            writeln!(
                progress,
                "measuring {entries} entries, {identities} identities"
            )?;
            measured.push(measure_case(case, &mut eviction)?);
        }
    }
    Ok(measured)
}

fn measure_case(case: Case, eviction: &mut Eviction) -> io::Result<Decision> {
    let mut bench = Bench::load()?;
    let arena = case.tables();
    let bytes = arena.bytes().u32(header::USED);
    let tables_load = bench.write_tables(&arena, bytes)?;
    let reference_load = bench.write_prefixes(&case.prefixes())?;
    bench.compare(case, &arena)?;
    let [empty, keys, tables, _, reference] = bench.warm(case, (RUNS, 1, 0))?;
    let chained = bench.warm(case, (CHAINED_RUNS, DECISIONS, u32::MAX))?;
    let [
        _,
        waited_keys,
        waited_tables,
        waited_records,
        waited_reference,
    ] = chained;
    let cold = bench.cold(case, eviction)?;
    let [_, cold_keys, cold_tables, _, cold_reference] = cold.map(median);
    let each = |run: &[f64]| added(run, &waited_keys) / f64::from(DECISIONS);
    Ok(Decision {
        entries: case.entries,
        identities: case.identities,
        keys: added(&keys, &empty),
        tables: added(&tables, &keys),
        reference: added(&reference, &keys),
        empty: median(empty),
        tables_latency: each(&waited_tables),
        record_latency: each(&waited_records),
        reference_latency: each(&waited_reference),
        tables_cold: cold_tables - cold_keys,
        reference_cold: cold_reference - cold_keys,
        bytes,
        tables_load,
        reference_load,
    })
}

/// What a program takes beyond another. They took turns, so each time is compared with that of its own turn.
fn added(of: &[f64], beyond: &[f64]) -> f64 {
    median(
        of.iter()
            .zip(beyond)
            .map(|(of, beyond)| of - beyond)
            .collect(),
    )
}

/// The loaded programs and their maps.
struct Bench(Ebpf);

impl Bench {
    fn load() -> io::Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(io::Error::other)?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut SchedClassifier = program.try_into().map_err(io::Error::other)?;
            program
                .load()
                .map_err(|error| io::Error::other(format!("`{name}`: {error:?}")))?;
        }
        Ok(Self(ebpf))
    }

    /// Microseconds that the tables take to write.
    fn write_tables(&mut self, arena: &Arena, used: u32) -> io::Result<f64> {
        let bytes = arena.bytes();
        let Some(Map::Array(map)) = self.0.map("ARENA") else {
            return Err(io::Error::other("the object lacks the tables"));
        };
        let mut mapping = Mapping::new(map.fd().as_fd(), bytes.len())?;
        // Once untimed: the pages of a fresh map have to be found first.
        mapping.write(0, bytes)?;
        let used = bytes.get(..used as usize).unwrap_or(bytes);
        let start = Instant::now();
        mapping.write(0, used)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    }

    /// Microseconds that the entries take to write, one by one.
    fn write_prefixes(&mut self, entries: &[(u32, PolicyKey, PolicyValue)]) -> io::Result<f64> {
        let map = self
            .0
            .map_mut("POLICY")
            .ok_or_else(|| io::Error::other("no prefix map"))?;
        let mut map =
            LpmTrie::<_, PolicyKey, PolicyValue>::try_from(map).map_err(io::Error::other)?;
        let start = Instant::now();
        for (bits, key, value) in entries {
            map.insert(&Key::new(*bits, *key), value, 0)
                .map_err(io::Error::other)?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6)
    }

    /// Both ways must decide the same, and as user space does.
    fn compare(&mut self, case: Case, arena: &Arena) -> io::Result<()> {
        for seed in 1..200_u64 {
            let chain = if seed.is_multiple_of(2) { u32::MAX } else { 0 };
            let config = case.config(seed, DECISIONS, chain);
            for program in ["tables", "records", "reference"] {
                let expected = Case::expected(arena, &config, program == "records");
                self.configure(config)?;
                self.run(program, 1)?;
                let found = self.result()?;
                if found != expected {
                    return Err(io::Error::other(format!(
                        "`{program}` decides otherwise than user space: {case:?}, seed {seed}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Nanoseconds of whole runs.
    fn warm(
        &mut self,
        case: Case,
        (runs, decisions, chain): (u32, u32, u32),
    ) -> io::Result<[Vec<f64>; 5]> {
        let mut times = [const { Vec::new() }; 5];
        for seed in 1..=MEASUREMENTS {
            for (program, times) in PROGRAMS.into_iter().zip(&mut times) {
                self.configure(case.config(seed, decisions, chain))?;
                times.push(self.watch(program, runs)?);
            }
        }
        Ok(times)
    }

    /// Nanoseconds of single runs of one decision with empty caches.
    fn cold(&mut self, case: Case, eviction: &mut Eviction) -> io::Result<[Vec<f64>; 5]> {
        let mut times = [const { Vec::new() }; 5];
        for seed in 1..=COLD_RUNS {
            for (program, times) in PROGRAMS.into_iter().zip(&mut times) {
                let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.configure(case.config(seed, 1, 0))?;
                eviction.evict();
                times.push(self.run(program, 1)?);
            }
        }
        Ok(times)
    }

    fn configure(&mut self, config: Config) -> io::Result<()> {
        let map = self
            .0
            .map_mut("CONFIG")
            .ok_or_else(|| io::Error::other("no configuration map"))?;
        Array::try_from(map)
            .and_then(|mut map| map.set(0, config, 0))
            .map_err(io::Error::other)
    }

    fn result(&self) -> io::Result<u64> {
        let map = self
            .0
            .map("RESULT")
            .ok_or_else(|| io::Error::other("no result map"))?;
        Array::<_, u64>::try_from(map)
            .and_then(|map| map.get(&0, 0))
            .map_err(io::Error::other)
    }

    /// Mean nanoseconds of one of many runs by this process's own clock: the kernel's answer is in whole ones.
    fn watch(&self, program: &str, times: u32) -> io::Result<f64> {
        let start = Instant::now();
        self.run(program, times)?;
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(times))
    }

    /// Mean nanoseconds of a run.
    fn run(&self, program: &str, times: u32) -> io::Result<f64> {
        let program: &SchedClassifier = self
            .0
            .program(program)
            .ok_or_else(|| io::Error::other("the object lacks a program"))?
            .try_into()
            .map_err(io::Error::other)?;
        let frame = [0; 64];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.repeat = times;
        let result = program.test_run(options).map_err(io::Error::other)?;
        Ok(result.duration.as_secs_f64() * 1e9)
    }
}

/// Mean nanoseconds of a program that does nothing.
pub(super) struct Empty(Bench);

impl Empty {
    pub(super) fn load() -> io::Result<Self> {
        Bench::load().map(Self)
    }

    pub(super) fn run(&self, times: u32) -> io::Result<f64> {
        self.0.run("empty", times)
    }
}
