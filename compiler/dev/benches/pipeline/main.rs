//! Time and peak memory from YAML to the model, over clusters of growing size.
//!
//! Criterion measures each stage's time. Memory needs a process of its own for each cluster, so the parent runs
//! itself once for each, with the folder of the cluster in its environment. At the end it prints both as tables.
//!
//! `POLICY_BENCH=20000x10000 cargo bench …` measures clusters of one size only.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that fails must stop, and says what it measured"
)]

/// What is measured.
mod cells;
/// Peak memory, by a process for each cluster.
mod memory;
/// The stages of the compiler, one function each.
mod stages;
/// The results as tables.
mod table;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode};

use cells::Cell;
use stages::{Input, Trees};

fn main() {
    if let Some(folder) = memory::asked_for() {
        return memory::measure(&folder);
    }
    let arguments: Vec<_> = std::env::args().collect();
    let cells = cells::chosen();
    for cell in &cells {
        cell.generate();
    }
    // The folder is ours alone, so that the tables are of this run and machine.
    let home = cells::folder().join("criterion");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .output_directory(&home)
        .configure_from_args();
    for cell in &cells {
        bench(&mut criterion, cell);
    }
    criterion.final_summary();
    if !arguments
        .iter()
        .any(|one| one == "--test" || one == "--list")
    {
        let rows: Vec<_> = cells
            .iter()
            .map(|cell| table::Row::new(cell, &home))
            .collect();
        println!("{}", table::render(&rows));
    }
}

/// Every stage by itself, on the products of the one before.
fn bench(criterion: &mut Criterion, cell: &Cell) {
    let mut group = criterion.benchmark_group(cell.to_string());
    group.sampling_mode(SamplingMode::Flat);
    let input = Input::read(&cell.folder());
    group.bench_function("parse", |bencher| {
        bencher.iter_with_large_drop(|| Trees::parse(black_box(&input)));
    });
    let trees = Trees::parse(&input);
    group.bench_function("rules", |bencher| {
        bencher.iter_with_large_drop(|| stages::rules(black_box(&trees)));
    });
    let (rules, inventory) = stages::rules(&trees);
    drop(trees);
    group.bench_function("universe", |bencher| {
        bencher.iter_with_large_drop(|| stages::universe(black_box(&rules), &inventory));
    });
    let universe = stages::universe(&rules, &inventory);
    group.bench_function("resolve", |bencher| {
        bencher.iter_with_large_drop(|| stages::resolve(black_box(&rules), &universe));
    });
    let resolved = stages::resolve(&rules, &universe);
    group.bench_function("model", |bencher| {
        bencher.iter_with_large_drop(|| stages::model(black_box(&resolved)));
    });
    let model = stages::model(&resolved);
    let flows = stages::flows(&universe);
    group.bench_function("verdicts", |bencher| {
        let next = || flows.as_slice();
        let count = |flows: &[_]| flows.iter().filter(|flow| model.eval(flow).allowed).count();
        bencher.iter_batched(next, count, BatchSize::SmallInput);
    });
    group.finish();
}
