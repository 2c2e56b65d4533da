//! Time of one intent, and of one guard, over clusters of growing size.
//!
//! `POLICY_BENCH=1000 cargo bench …` measures one number of policies only.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails must stop, and says what it measured"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use policy_dev::cluster::{Cluster, Shape};
use policyc_diag::SourceMap;
use policyc_ir::inventory::Inventory;
use policyc_ir::normalise::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use policyc_verify::intent::{Statements, read};
use policyc_verify::{Options, Prover, check_guards};

/// Numbers of policies; pods are of no concern, since intents are about all that could exist.
const SIZES: &[usize] = &[100, 1_000, 5_000];

/// What is asked: of two workloads, of a namespace, of everyone.
const INTENTS: &[(&str, &str)] = &[
    (
        "two workloads",
        "app=app-0 in namespace ns-0 must not reach app=app-10 in namespace ns-0 on tcp/8080",
    ),
    (
        "must",
        "app=app-0 in namespace ns-0 must reach app=app-10 in namespace ns-0 on tcp/8080",
    ),
    (
        "only",
        "only pods in namespace ns-0 may reach app=app-0 in namespace ns-0 on tcp",
    ),
    (
        "the internet",
        "the internet must not reach pods in namespace ns-1",
    ),
    ("everyone", "any must not reach any on tcp/22"),
    ("holds", "pods must not reach pods on tcp/22"),
];

/// What makes the last intent hold, against every rule of the cluster.
const DENY: &str = "
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-ssh}
spec:
  endpointSelector: {}
  ingressDeny:
  - fromEntities: [all]
    toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]
";

const GUARD: &str = "guard tenant: policies in namespace ns-0 may not allow from the internet to pods in namespace ns-0";

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let chosen = std::env::var("POLICY_BENCH").ok();
    let sizes = chosen.map_or_else(|| SIZES.to_vec(), |size| vec![size.parse().unwrap()]);
    for size in sizes {
        bench(&mut criterion, size);
    }
    criterion.final_summary();
}

fn statements(text: &str) -> Statements {
    let mut sources = SourceMap::new();
    let source = sources.add("intents", text);
    let (written, faults) = policyc_syntax::grammar::intent::parse(&source);
    assert!(faults.is_empty(), "{faults:?}");
    let (statements, faults) = read(&written);
    assert!(faults.is_empty(), "{faults:?}");
    statements
}

fn rules(policies: usize, settings: &Settings) -> RuleSet {
    let cluster = Cluster::new(Shape::new(policies, policies));
    let text = cluster.policies + DENY;
    let parsed = policyc_syntax::parse(&SourceMap::new().add("policies.yaml", text));
    let (set, _) = PolicySet::admit(&parsed.documents, settings);
    normalise(&set, &Inventory::default(), settings)
}

fn bench(criterion: &mut Criterion, policies: usize) {
    let settings = Settings::default();
    let options = Options::default();
    let rules = rules(policies, &settings);
    println!("{policies} policies, {} rules", rules.rules().len());
    let mut group = criterion.benchmark_group("intents");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new("set-up", policies), |bencher| {
        bencher.iter(|| Prover::new(black_box(&rules), &settings, &options));
    });
    let prover = Prover::new(&rules, &settings, &options);
    for (name, text) in INTENTS {
        let read = statements(text);
        let report = prover.check(&read.intents);
        let holds = report.stats.proven == 1;
        println!(
            "{name}: holds {holds}, questions {}",
            report.stats.questions
        );
        assert_eq!(report.stats.undecided, 0, "{text}");
        group.bench_function(BenchmarkId::new(*name, policies), |bencher| {
            bencher.iter(|| prover.check(black_box(&read.intents)));
        });
    }
    let guard = statements(GUARD);
    group.bench_function(BenchmarkId::new("guard with set-up", policies), |bencher| {
        bencher.iter(|| check_guards(&rules, &settings, black_box(&guard.guards), &options));
    });
    group.finish();
}
