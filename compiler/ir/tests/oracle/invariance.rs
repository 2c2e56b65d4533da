//! What must not matter: the order in which things are written, how often, and in which form.

use policyc_syntax::ast::{Document, List, Object, cilium, kcnp, netpol};
use proptest::test_runner::Config;

use crate::generate::Case;
use crate::naive::Answer;
use crate::random::{parse, run, verdicts};

#[test]
fn the_order_of_documents_and_files_has_no_effect() {
    check(|case| {
        let mut reversed = case.policies.clone();
        reversed.reverse();
        let in_one_file = [case.policies.join("---\n")];
        assert_eq!(ask(case, &in_one_file), ask(case, &reversed));
    });
}

#[test]
fn the_order_within_lists_has_no_effect() {
    check(|case| {
        let documents = parse(&case.policies);
        let mut reversed = documents.clone();
        reversed.iter_mut().for_each(reverse);
        same(&verdicts(case, &documents), &verdicts(case, &reversed));
    });
}

#[test]
fn saying_a_thing_twice_has_no_effect() {
    check(|case| {
        let again = case.policies.iter().enumerate();
        let again = again
            .map(|(at, text)| text.replace(&format!("name: r{at}"), &format!("name: r{at}-again")));
        let twice: Vec<_> = case.policies.iter().cloned().chain(again).collect();
        same(&ask(case, &case.policies), &ask(case, &twice));
    });
}

#[test]
fn printed_as_json_and_read_again_a_policy_is_the_same() {
    check(|case| {
        let printed = case.policies.iter().map(|text| {
            let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        });
        let printed: Vec<_> = printed.collect();
        assert_eq!(ask(case, &case.policies), ask(case, &printed));
    });
}

fn check(one: impl Fn(&Case)) {
    run(Config::default().cases / 8, one);
}

fn ask(case: &Case, files: &[String]) -> Vec<Answer> {
    verdicts(case, &parse(files))
}

/// Equal, but for subjects that one of the two cannot have a policy for: which rules exclude each other depends on the
/// order in which Cilium merges them.
fn same(one: &[Answer], two: &[Answer]) {
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(two) {
        if one.verdict != "error" && two.verdict != "error" {
            assert_eq!(one, two);
        }
    }
}

/// Reverses every list in which the order means nothing.
fn reverse(document: &mut Document) {
    match &mut document.object {
        Object::CiliumNetworkPolicy(policy) | Object::CiliumClusterwideNetworkPolicy(policy) => {
            turn(policy.specs.as_mut());
            let more = policy.specs.iter_mut().flat_map(|list| &mut list.items);
            policy.spec.iter_mut().chain(more).for_each(reverse_rule);
        }
        Object::NetworkPolicy(policy) => {
            for section in [&mut policy.ingress, &mut policy.egress] {
                turn(section.as_mut());
                section
                    .iter_mut()
                    .flat_map(|list| &mut list.items)
                    .for_each(reverse_kubernetes);
            }
        }
        Object::ClusterNetworkPolicy(policy) => {
            // Rules are asked in order here.
            let sections = policy.ingress.iter_mut().chain(&mut policy.egress);
            sections
                .flat_map(|list| &mut list.items)
                .for_each(reverse_tiered);
        }
        _ => {}
    }
}

fn turn<T>(list: Option<&mut List<T>>) {
    if let Some(list) = list {
        list.items.reverse();
    }
}

fn reverse_rule(rule: &mut cilium::Rule) {
    for section in [&mut rule.ingress, &mut rule.ingress_deny] {
        turn(section.as_mut());
        for entry in section.iter_mut().flat_map(|list| &mut list.items) {
            turn(entry.from_endpoints.as_mut());
            turn(entry.from_entities.as_mut());
            turn(entry.from_cidr.as_mut());
            turn(entry.from_cidr_set.as_mut());
            reverse_ports(entry.to_ports.as_mut(), entry.icmps.as_mut());
        }
    }
    for section in [&mut rule.egress, &mut rule.egress_deny] {
        turn(section.as_mut());
        for entry in section.iter_mut().flat_map(|list| &mut list.items) {
            turn(entry.to_endpoints.as_mut());
            turn(entry.to_entities.as_mut());
            turn(entry.to_cidr.as_mut());
            turn(entry.to_cidr_set.as_mut());
            turn(entry.to_services.as_mut());
            turn(entry.to_fqdns.as_mut());
            reverse_ports(entry.to_ports.as_mut(), entry.icmps.as_mut());
        }
    }
}

fn reverse_ports(
    mut ports: Option<&mut List<cilium::PortRule>>,
    icmps: Option<&mut List<cilium::IcmpRule>>,
) {
    turn(icmps);
    turn(ports.as_deref_mut());
    for rule in ports.into_iter().flat_map(|list| &mut list.items) {
        turn(rule.ports.as_mut());
        turn(rule.server_names.as_mut());
        if let Some(rules) = &mut rule.rules {
            turn(rules.http.as_mut());
            turn(rules.dns.as_mut());
        }
    }
}

fn reverse_kubernetes(rule: &mut netpol::Rule) {
    turn(rule.peers.as_mut());
    turn(rule.ports.as_mut());
}

fn reverse_tiered(rule: &mut kcnp::Rule) {
    turn(rule.peers.as_mut());
    turn(rule.protocols.as_mut());
}
