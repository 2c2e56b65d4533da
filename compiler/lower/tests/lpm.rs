//! The entries of Cilium's policy maps, read as its datapath reads them, against the model and against the tables, on
//! random clusters and policies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// Random clusters, settings and policies.
#[path = "../../ir/tests/oracle/generate.rs"]
#[expect(dead_code, reason = "other tests look up addresses as well")]
mod generate;

use std::cell::Cell;
use std::collections::BTreeSet;

use policy_abi::arena::record;
use policy_abi::lookup;
use policyc_diag::SourceMap;
use policyc_ir::cidr::Cidr;
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::l7::Auth;
use policyc_ir::model::{Demand, Flow, Model, SubjectPolicy};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, Rule};
use policyc_lower::lpm::{Fault, Maps, Outcome, Row, Table};
use policyc_lower::{Image, Target, lower};
use policyc_syntax::ast::Document;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};

use generate::{Case, Language};

/// Look-ups that a run compares at least, with the model and with the tables.
const LOOKUPS_MIN: usize = 100_000;

/// How often more cases are drawn while some outcome has not been seen.
const ROUNDS: usize = 8;

/// Ports on both sides of every bound that policies are drawn with.
const PORTS: &[u16] = &[
    1, 7, 8, 9, 53, 54, 79, 80, 81, 90, 91, 128, 129, 443, 444, 8079, 8080, 8081, 65_535,
];

const PROTOCOLS: &[u8] = &[1, 6, 17, 47, 58, 132];

#[test]
fn look_ups_agree_with_the_model() {
    let found = Cell::new(Found::default());

    for _ in 0..ROUNDS {
        run(generate::case(Language::WHOLE), |case| {
            let mut now = found.get();
            with_model(&case, |model| with_the_model(model, &mut now));
            found.set(now);
        });
        if found.get().is_complete() {
            break;
        }
    }
    let found = found.get();
    println!("{found:?}");
    assert!(found.lookups >= LOOKUPS_MIN, "{found:?}");
    assert!(found.is_complete(), "{found:?}");
}

#[test]
fn look_ups_agree_with_the_tables() {
    let lookups = Cell::new(0);
    run(generate::lowerable(), |mut case| {
        // Policies for names are refused as a whole.
        case.policies.retain(|text| !text.contains("domainNames"));
        lookups.set(lookups.get() + with_model(&case, with_the_tables));
    });
    println!("{} lookups", lookups.get());
    assert!(lookups.get() >= LOOKUPS_MIN, "only {}", lookups.get());
}

/// How often each outcome was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    lookups: usize,
    denied: usize,
    allowed: usize,
    redirected: usize,
    /// Allowed on the terms of authentication.
    authenticated: usize,
    /// In a direction with a rule that passes flows on.
    passing: usize,
}

impl Found {
    /// Whether every outcome was seen: what is never drawn is not tested.
    fn is_complete(&self) -> bool {
        let each = [
            self.denied,
            self.allowed,
            self.redirected,
            self.authenticated,
            self.passing,
        ];
        each.iter().all(|count| *count > 0)
    }
}

fn run(cases: impl Strategy<Value = Case>, then: impl Fn(Case)) {
    let mut runner = TestRunner::new(Config {
        // `PROPTEST_CASES` asks for more.
        cases: Config::default().cases / 8,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&cases, |case| {
        then(case);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let parsed = files
        .iter()
        .map(|file| policyc_syntax::parse(&sources.add("file", file.as_str())));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

fn with_model<T>(case: &Case, then: impl FnOnce(&Model<'_>) -> T) -> T {
    let settings = &case.settings;
    let (policies, _) = PolicySet::admit(&parse(&case.policies), settings);
    let (inventory, _) = Inventory::read(&parse(&[case.cluster.yaml()]));
    let rules = normalise::normalise(&policies, &inventory, settings);
    let universe = inventory::universe(&inventory, &rules, settings, None);
    let resolved = Resolved::new(&rules, &universe);
    then(&Model::build(&resolved, settings))
}

/// Every endpoint's tables, with their directions.
fn tables(maps: &Maps, pair: [usize; 2]) -> impl Iterator<Item = (Direction, &Table)> {
    let tables = pair.map(|at| maps.table(at).unwrap());
    Direction::BOTH.into_iter().zip(tables)
}

fn flows(
    model: &Model<'_>,
    subject: EndpointId,
    direction: Direction,
) -> impl Iterator<Item = Flow> {
    let identities = (0..model.universe().identities().len()).map(IdentityId::at);
    identities.flat_map(move |peer| {
        PROTOCOLS.iter().flat_map(move |protocol| {
            PORTS.iter().map(move |port| Flow {
                subject,
                direction,
                peer,
                protocol: Protocol(*protocol),
                port: *port,
            })
        })
    })
}

fn with_the_model(model: &Model<'_>, found: &mut Found) {
    let maps = Maps::new(model);
    for (subject, pair) in &maps.endpoints {
        let conflict = model.policy_of(*subject).unwrap().conflict;
        let pair = match pair {
            Ok(pair) => *pair,
            Err(fault) => {
                assert_eq!(conflict.map(Fault::Conflict), Some(*fault));
                continue;
            }
        };
        assert_eq!(conflict, None);
        for (direction, table) in tables(&maps, pair) {
            never_lower_within_one_peer(table);
            let passes = passes(model, *subject, direction);
            // An entry that asks for authentication is kept where one of an earlier tier covers it, and then speaks for
            // that one: only the model keeps the tiers apart.
            let one_level = levels(model, *subject, direction) < 2;
            for flow in flows(model, *subject, direction) {
                let verdict = model.eval(&flow);
                let answer = table.lookup(flow.peer, flow.protocol, flow.port);
                let wanted = match (verdict.allowed, &verdict.redirect) {
                    (false, _) => Outcome::Deny,
                    (true, None) => Outcome::Allow,
                    (true, Some(_)) => Outcome::Redirect,
                };
                // Without an entry the datapath drops.
                let given = answer.outcome.unwrap_or(Outcome::Deny);
                assert_eq!(given, wanted, "{flow:?} {verdict:?}");
                let auth = demanded(answer.auth);
                if one_level {
                    assert_eq!(auth, demanded(verdict.auth), "{flow:?} {verdict:?}");
                }
                found.authenticated += usize::from(auth.is_some());
                found.passing += usize::from(passes);
                found.lookups += 1;
                *match given {
                    Outcome::Deny => &mut found.denied,
                    Outcome::Allow => &mut found.allowed,
                    _ => &mut found.redirected,
                } += 1;
            }
        }
    }
}

/// A mode that demands nothing is the same as none.
fn demanded(auth: Option<Demand>) -> Option<Demand> {
    auth.filter(|demand| demand.mode != Auth::Disabled)
}

/// Among the entries of one peer, and among those of anyone, a longer prefix never has the lower precedence: the
/// datapath looks for the longest alone.
fn never_lower_within_one_peer(table: &Table) {
    let own = table.classes.iter().map(|class| &class.rows);
    for rows in own.chain([&table.anyone]) {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.is_in_map()).collect();
        for outer in &rows {
            for inner in rows
                .iter()
                .filter(|inner| outer.prefix.covers(inner.prefix))
            {
                assert!(inner.precedence >= outer.precedence, "{outer:?} {inner:?}");
            }
        }
    }
}

fn rules<'a>(
    model: &'a Model<'_>,
    subject: EndpointId,
    direction: Direction,
) -> impl Iterator<Item = &'a Rule> {
    let enforced = model.policy_of(subject).unwrap().direction(direction);
    let rules = enforced.rules.iter();
    rules.map(|id| model.resolved.rules.rule(*id).unwrap())
}

fn passes(model: &Model<'_>, subject: EndpointId, direction: Direction) -> bool {
    rules(model, subject, direction).any(|rule| rule.action == Action::Pass)
}

fn levels(model: &Model<'_>, subject: EndpointId, direction: Direction) -> usize {
    let levels = rules(model, subject, direction).map(|rule| rule.level);
    levels.collect::<BTreeSet<_>>().len()
}

fn with_the_tables(model: &Model<'_>) -> usize {
    let target = Target {
        pod_ranges: vec![Cidr::parse("10.77.0.0/16").unwrap()],
        extended_protocols: true,
        without_proxy: true,
        ..Target::default()
    };
    let maps = Maps::new(model);
    let Ok(image) = lower(model, &target) else {
        let conflict = |policy: &SubjectPolicy| policy.conflict.is_some();
        assert!(model.policies().iter().any(conflict));
        return 0;
    };
    let mut compared = 0;
    for bound in &image.endpoints {
        let own = maps.endpoints.iter().find(|(id, _)| *id == bound.endpoint);
        let pair = own.unwrap().1.unwrap();
        let offsets = [bound.ingress, bound.egress];
        for ((direction, table), offset) in tables(&maps, pair).zip(offsets) {
            // As with the model: only it keeps the tiers apart where authentication is demanded.
            let one_level = levels(model, bound.endpoint, direction) < 2;
            for flow in flows(model, bound.endpoint, direction) {
                let answer = table.lookup(flow.peer, flow.protocol, flow.port);
                let given = match answer.outcome {
                    Some(Outcome::Allow) => record::ALLOW,
                    Some(Outcome::Redirect) => record::REDIRECT,
                    _ => record::DENY,
                };
                let (action, auth) = read(&image, offset, &flow);
                assert_eq!(given, action, "{flow:?}");
                let demanded = match demanded(answer.auth).map(|demand| demand.mode) {
                    Some(Auth::Required) => record::AUTH_REQUIRED,
                    Some(Auth::AlwaysFail) => record::AUTH_ALWAYS_FAIL,
                    _ => record::AUTH_NONE,
                };
                if one_level {
                    assert_eq!(demanded, auth, "{flow:?}");
                }
                compared += 1;
            }
        }
    }
    compared
}

/// What the compiled tables do with a flow, and the authentication they demand for it.
fn read(image: &Image, table: u32, flow: &Flow) -> (u8, u8) {
    let arena = image.arena.as_slice();
    let verdict = lookup::verdict(arena, table, flow.peer.0, flow.protocol.0, flow.port);
    let at = lookup::record_at(arena, verdict.record);
    assert_eq!(verdict.passes, lookup::passes(arena, at), "{flow:?}");
    (lookup::action(arena, at), lookup::auth(arena, at))
}
