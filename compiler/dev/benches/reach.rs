//! Time to find who can open connections to whom, from the model to every pair.
//!
//! `POLICY_BENCH=5000x1000 cargo bench …` measures clusters of one size only.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails must stop, and says what it measured"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use policy_dev::cluster::{Cluster, Shape};
use policyc_diag::SourceMap;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::Model;
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::reach::{Closure, Reach};
use policyc_ir::resolve::Resolved;
use policyc_ir::settings::Settings;
use policyc_syntax::ast::Document;

/// Pods, each with labels of its own, and policies.
const SIZES: &[(usize, usize)] = &[(1_000, 1_000), (10_000, 1_000), (100_000, 1_000)];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (pods, policies) in chosen() {
        bench(&mut criterion, pods, policies);
    }
    criterion.final_summary();
}

/// All sizes, or the one that the environment names.
fn chosen() -> Vec<(usize, usize)> {
    let Ok(named) = std::env::var("POLICY_BENCH") else {
        return SIZES.to_vec();
    };
    let (pods, policies) = named.split_once('x').unwrap();
    vec![(pods.parse().unwrap(), policies.parse().unwrap())]
}

fn parse(text: String) -> Vec<Document> {
    let parsed = policyc_syntax::parse(&SourceMap::new().add("cluster.yaml", text));
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    parsed.documents
}

fn bench(criterion: &mut Criterion, pods: usize, policies: usize) {
    let cluster = Cluster::new(Shape::new(pods, policies));
    let settings = Settings::default();
    let (set, _) = PolicySet::admit(&parse(cluster.policies), &settings);
    // Files have a limit of size, so a large inventory is several.
    let (inventory, faults) = Inventory::read(&parse_parts(&cluster.inventory));
    assert!(faults.is_empty(), "{faults:?}");
    let rules = normalise::normalise(&set, &inventory, &settings);
    let universe = inventory::universe(&inventory, &rules, &settings, None);
    let resolved = Resolved::new(&rules, &universe);
    let model = Model::build(&resolved, &settings);
    let reach = Reach::new(&model).unwrap();
    let matrix = reach.matrix();
    println!(
        "{pods}x{policies}: {} kinds of workloads, {} sets of ports",
        reach.classes().len(),
        reach.sets().len()
    );
    let mut group = criterion.benchmark_group(format!("{pods}x{policies}"));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("openings", |bencher| {
        bencher.iter_with_large_drop(|| Reach::new(black_box(&model)).unwrap());
    });
    group.bench_function("pairs", |bencher| {
        bencher.iter_with_large_drop(|| black_box(&reach).matrix());
    });
    group.bench_function("paths", |bencher| {
        bencher.iter_with_large_drop(|| Closure::new(black_box(&matrix)));
    });
    group.bench_function("all", |bencher| {
        bencher.iter_with_large_drop(|| {
            let reach = Reach::new(black_box(&model)).unwrap();
            let closure = Closure::new(&reach.matrix());
            (reach, closure)
        });
    });
    group.finish();
}

/// Reads an inventory of any size, ten thousand objects at a time.
fn parse_parts(text: &str) -> Vec<Document> {
    let objects: Vec<_> = text.split("\n---\n").collect();
    let parts = objects.chunks(10_000).map(|part| part.join("\n---\n"));
    parts.flat_map(parse).collect()
}
