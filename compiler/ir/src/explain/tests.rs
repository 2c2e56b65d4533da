//! Explanations of flows between a few pods.

use policyc_diag::SourceMap;

use super::{Change, Fit, MISSES, Report, explain};
use crate::cidr::Cidr;
use crate::ids::{EndpointId, IdentityId};
use crate::inventory::{Inventory, universe};
use crate::model::{Flow, Model, Reason};
use crate::normalise::normalise;
use crate::policy::PolicySet;
use crate::port::Protocol;
use crate::resolve::Resolved;
use crate::rule::{Action, Direction, Level, RuleSet, Tier};
use crate::settings::Settings;
use crate::universe::Universe;

const PODS: &str = "
{kind: Pod, apiVersion: v1, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {containers: [{name: a, ports: [{name: sql, containerPort: 5432}]}]}, status: {podIP: 10.0.0.1}}
---
{kind: Pod, apiVersion: v1, metadata: {name: web, namespace: shop, labels: {app: web, tier: front}}, status: {podIP: 10.0.0.2}}
---
{kind: Pod, apiVersion: v1, metadata: {name: web, namespace: test, labels: {app: web}}, status: {podIP: 10.0.0.3}}
";

/// A policy for `shop/db` with these sections.
fn policy(sections: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  endpointSelector: {{matchLabels: {{app: db}}}}\n{sections}"
    )
}

/// Explains a flow of `shop/db` under policies.
fn ask(policies: &str, direction: Direction, peer: &str, protocol: Protocol, port: u16) -> Report {
    ask_of(policies, |_| (), (direction, peer, protocol, port))
}

/// The same after a change to the rules.
fn ask_of(
    policies: &str,
    change: impl FnOnce(&mut RuleSet),
    (direction, peer, protocol, port): (Direction, &str, Protocol, u16),
) -> Report {
    let mut sources = SourceMap::new();
    let read = |text: &str, sources: &mut SourceMap| {
        let parsed = policyc_syntax::parse(&sources.add("test.yaml", text));
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        parsed.documents
    };
    let settings = Settings::default();
    let (set, faults) = PolicySet::admit(&read(policies, &mut sources), &settings);
    assert!(faults.is_empty(), "{faults:?}");
    let (inventory, faults) = Inventory::read(&read(PODS, &mut sources));
    assert!(faults.is_empty(), "{faults:?}");
    let mut rules = normalise(&set, &inventory, &settings);
    change(&mut rules);
    let universe = universe(&inventory, &rules, &settings, None);
    let resolved = Resolved::new(&rules, &universe);
    let model = Model::build(&resolved, &settings);
    let flow = Flow {
        subject: universe.find("shop/db").unwrap(),
        direction,
        peer: identity(&universe, peer),
        protocol,
        port,
    };
    explain(&model, &flow, &settings)
}

fn identity(universe: &Universe, name: &str) -> IdentityId {
    let pod = universe.find(name).map(EndpointId::index);
    let pod = pod.and_then(|at| universe.endpoints().get(at));
    pod.map(|pod| pod.identity)
        .or_else(|| IdentityId::reserved(name))
        .unwrap_or_else(|| universe.identity_of(name.parse().unwrap()))
}

fn ingress(sections: &str, peer: &str, port: u16) -> Report {
    ask(
        &policy(sections),
        Direction::Ingress,
        peer,
        Protocol::TCP,
        port,
    )
}

/// The misses as text: rule and changes.
fn misses(report: &Report) -> Vec<String> {
    let one = |miss: &super::Miss| {
        let changes = miss.changes.iter().map(|change| match change {
            Change::Label(requirement) => requirement.to_string(),
            Change::Pod(selector) => format!("pod {selector}"),
            Change::Prefix(cidr, except) => format!("{cidr} except {}", except.len()),
            Change::Name(fqdn) => fqdn.to_string(),
            Change::Protocol(protocol) => protocol.to_string(),
            Change::Port(first, last) => format!("{first}-{last}"),
        });
        format!(
            "r{}: {}",
            miss.rule.0,
            changes.collect::<Vec<_>>().join("; ")
        )
    };
    report.misses.iter().map(one).collect()
}

#[test]
fn each_rule_says_what_it_matches_and_what_it_needs() {
    let report = ingress(
        "
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
  - fromEndpoints: [{matchLabels: {app: api}}]
  - toPorts: [{ports: [{port: '80', protocol: TCP}, {port: '443', protocol: TCP}]}]
",
        "shop/web",
        80,
    );
    assert_eq!(report.verdict.reason, Reason::Rule(Action::Allow));
    let matches: Vec<_> = report
        .examined
        .iter()
        .map(super::Examined::matches)
        .collect();
    assert_eq!(matches, [true, false, true]);
    let decides: Vec<_> = report.examined.iter().map(|one| one.decides).collect();
    assert_eq!(decides, [true, false, true]);
    assert!(matches!(report.examined[0].peer, Fit::By(_)));
    assert_eq!(report.examined[1].service, Fit::Any);
    assert_eq!(report.examined[2].peer, Fit::Any);
    assert_eq!(report.examined[0].needs, Some(Vec::new()));
    assert_eq!(report.examined[1].needs.as_ref().unwrap().len(), 1);
    assert_eq!(report.isolating.len(), 3);
    assert!(report.misses.is_empty());
}

#[test]
fn the_nearest_misses_have_the_fewest_changes() {
    let rules = "
  ingress:
  - fromEndpoints: [{matchLabels: {app: api, tier: back}}]
    toPorts: [{ports: [{port: '80', protocol: UDP}]}]
  - fromEndpoints: [{matchLabels: {app: web, io.kubernetes.pod.namespace: shop}}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  - fromEndpoints: [{matchLabels: {app: web, tier: front, io.kubernetes.pod.namespace: shop}}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
";
    let namespace = "k8s:io.kubernetes.pod.namespace";
    assert_eq!(
        misses(&ingress(rules, "shop/web", 81)),
        ["r1: 443-443", "r2: 80-80"]
    );
    let test = misses(&ingress(rules, "test/web", 443));
    assert_eq!(
        test,
        [format!("r1: {}=shop", namespace.trim_start_matches("k8s:"))]
    );
    let many = (0..9).map(|port| {
        format!(
            "  - toPorts: [{{ports: [{{port: '{}', protocol: TCP}}]}}]\n",
            1000 + port
        )
    });
    let many = format!("  ingress:\n{}", many.collect::<String>());
    assert_eq!(ingress(&many, "shop/web", 80).misses.len(), MISSES);
}

#[test]
fn a_miss_that_another_rule_denies_is_none() {
    let rules = |deny: &str| {
        format!(
            "
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: api}}}}]
  - toPorts: [{{ports: [{{port: '443', protocol: TCP}}]}}]
  ingressDeny:
  - {deny}
"
        )
    };
    let report = ingress(
        &rules("fromEndpoints: [{matchLabels: {app: api}}]"),
        "shop/web",
        80,
    );
    assert_eq!(misses(&report), ["r1: 443-443"]);
    let report = ingress(
        &rules("toPorts: [{ports: [{port: '443', protocol: TCP}]}]"),
        "shop/web",
        80,
    );
    assert_eq!(misses(&report), ["r0: app=api"]);
    let report = ingress(&rules("fromEntities: [world]"), "shop/web", 80);
    assert_eq!(misses(&report).len(), 2);
}

#[test]
fn denies_by_rule_and_allows_have_no_misses() {
    let rules = "
  ingress:
  - fromEndpoints: [{matchLabels: {app: api}}]
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: web}}]
";
    let denied = ingress(rules, "shop/web", 80);
    assert_eq!(denied.verdict.reason, Reason::Rule(Action::Deny));
    assert!(denied.misses.is_empty());
    assert!(
        ingress("  egress: [{}]\n", "shop/web", 80)
            .misses
            .is_empty()
    );
}

#[test]
fn addresses_are_measured_by_prefix() {
    let rules = "
  ingress:
  - fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/25, 192.0.2.192/26]}]
  - fromEndpoints: [{matchLabels: {app: web}}]
";
    let report = ingress(rules, "192.0.2.200", 80);
    assert_eq!(misses(&report), ["r0: 192.0.2.0/24 except 2"]);
    let nothing = "  ingress: [{fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/24]}]}]\n";
    let report = ingress(nothing, "192.0.2.200", 80);
    assert_eq!(
        (misses(&report).len(), &report.examined[0].needs),
        (0, &None)
    );
    // The nearest of several prefixes is the one that shares most with what is known of the address.
    let several = "  ingress: [{fromCIDRSet: [{cidr: 198.51.100.0/24}, {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}]}]\n";
    let report = ingress(several, "192.0.2.200", 80);
    assert_eq!(misses(&report), ["r0: 192.0.2.0/24 except 1"]);
    // For a pod, an address outside the cluster is far away.
    let report = ingress(rules, "test/web", 80);
    assert_eq!(
        misses(&report),
        ["r1: k8s:io.kubernetes.pod.namespace=shop"]
    );
}

#[test]
fn names_protocols_and_reserved_labels_are_changes_too() {
    let egress = policy(
        "
  egress:
  - toFQDNs: [{matchPattern: '**.example.com'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  - toEntities: [host]
    toPorts: [{ports: [{port: '53', protocol: UDP}]}]
  - toEndpoints: [{}]
    toPorts: [{ports: [{port: sql, protocol: TCP}]}]
",
    );
    let ask = |peer, protocol, port| misses(&ask(&egress, Direction::Egress, peer, protocol, port));
    assert_eq!(ask("192.0.2.1", Protocol::TCP, 443), ["r0: **.example.com"]);
    assert_eq!(ask("host", Protocol::TCP, 53), ["r1: udp"]);
    assert_eq!(ask("remote-node", Protocol::UDP, 53), ["r1: reserved:host"]);
    // A name for a port counts only where a pod has it.
    assert_eq!(ask("shop/db", Protocol::TCP, 80), ["r2: 5432-5432"]);
    let far = [
        "r0: **.example.com; 443-443",
        "r1: reserved:host; udp; 53-53",
    ];
    assert_eq!(ask("shop/web", Protocol::TCP, 80), far);
}

#[test]
fn levels_are_explained_in_order_and_earlier_ones_are_heeded() {
    let written = policy(
        "
  ingress:
  - fromEndpoints: [{matchLabels: {app: api}}]
  - fromEndpoints: [{matchLabels: {app: web, tier: back}}]
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: api}}]
",
    );
    let report = |tier| {
        let change = |rules: &mut RuleSet| {
            rules.rules[2].level = Level {
                tier,
                priority: 100,
            };
            rules.rules[2].default_deny = false;
        };
        let flow = (Direction::Ingress, "shop/web", Protocol::TCP, 80);
        ask_of(&written, change, flow)
    };
    let order = |report: &Report| {
        report
            .examined
            .iter()
            .map(|one| one.rule.0)
            .collect::<Vec<_>>()
    };
    // To be `app: api` would satisfy a rule, but the admin tier denies it before.
    let admin = report(Tier::Admin);
    assert_eq!(
        (order(&admin), misses(&admin)),
        (vec![2, 0, 1], vec!["r1: tier=back".to_owned()])
    );
    let baseline = report(Tier::Baseline);
    assert_eq!(
        (order(&baseline), misses(&baseline).len()),
        (vec![0, 1, 2], 2)
    );
}

#[test]
fn what_lies_inside_a_prefix_with_exceptions_is_found() {
    let cidr = |text: &str| Cidr::parse(text).unwrap();
    let inside = |outer, except: &[&str]| {
        let except: Vec<_> = except.iter().map(|text| cidr(text)).collect();
        super::peer::inside(&cidr(outer), &except).map(|found| found.to_string())
    };
    assert_eq!(inside("10.0.0.0/8", &[]).as_deref(), Some("10.0.0.0/8"));
    assert_eq!(
        inside("10.0.0.0/8", &["10.0.0.0/9"]).as_deref(),
        Some("10.128.0.0/9")
    );
    assert_eq!(
        inside("10.0.0.0/31", &["10.0.0.0/32"]).as_deref(),
        Some("10.0.0.1/32")
    );
    assert_eq!(inside("10.0.0.0/31", &["10.0.0.0/32", "10.0.0.1/32"]), None);
    assert_eq!(
        inside("2001:db8::/127", &["2001:db8::/128"]).as_deref(),
        Some("2001:db8::1/128")
    );
    assert_eq!(inside("0.0.0.0/0", &["0.0.0.0/0"]), None);
}
