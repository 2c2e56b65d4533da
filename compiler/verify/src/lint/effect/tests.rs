//! Which allows are no substitute for each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use policyc_diag::codes;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{self, Auth, Content, Http};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{Direction, Services};

use crate::tiny::{Draft, DraftPeer, build, settings};
use crate::{Options, check};

fn http(method: &str) -> Arc<l7::Rules> {
    let request = Http {
        method: Some(method.into()),
        ..Http::default()
    };
    rules(Content::Http(vec![request]))
}

fn dns(pattern: &str) -> Arc<l7::Rules> {
    rules(Content::Dns(vec![Fqdn::new(None, Some(pattern))]))
}

fn rules(content: Content) -> Arc<l7::Rules> {
    Arc::new(l7::Rules {
        content,
        ..l7::Rules::default()
    })
}

fn ports(first: u16, last: u16) -> Services {
    Services::Of(vec![L4 {
        protocol: Protocol::TCP,
        ports: Ports::Range(first, last),
    }])
}

/// A rule for port 53 of the peers.
fn narrow() -> Draft {
    Draft {
        peers: Some(vec![DraftPeer::Entity("health")]),
        services: ports(53, 53),
        ..Draft::plain()
    }
}

/// A rule for more ports of anyone.
fn wide() -> Draft {
    Draft {
        services: ports(1, 1000),
        ..Draft::plain()
    }
}

/// The positions of rules that are called needless.
fn needless(drafts: &[Draft]) -> Vec<u32> {
    let rules = build(drafts, Direction::Egress, &BTreeSet::new());
    let report = check(&rules, &settings(), &Options::default());
    assert_eq!(report.stats.undecided, 0);
    let shadowed = report
        .findings
        .iter()
        .filter(|finding| [codes::SHADOWED_RULE, codes::DUPLICATE_RULE].contains(&finding.code));
    let mut found: Vec<u32> = shadowed
        .map(|finding| finding.span().unwrap().start)
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_plain_rule_is_covered_by_a_plain_one() {
    assert_eq!(needless(&[narrow(), wide()]), [0]);
}

#[test]
fn no_plain_rule_is_covered_by_one_with_layer_7() {
    let filtered = Draft {
        l7: Some(http("GET")),
        ..wide()
    };
    assert_eq!(needless(&[narrow(), filtered]), [] as [u32; 0]);
}

#[test]
fn layer_7_is_covered_by_the_same_and_by_nothing_else() {
    let with = |draft: Draft, method| Draft {
        l7: Some(http(method)),
        ..draft
    };
    assert_eq!(needless(&[with(narrow(), "GET"), with(wide(), "GET")]), [0]);
    let other = [with(narrow(), "GET"), with(wide(), "POST")];
    assert_eq!(needless(&other), [] as [u32; 0]);
}

#[test]
fn a_plain_rule_beside_dns_rules_of_its_port_is_kept() {
    let names = Draft {
        l7: Some(dns("*.example.com")),
        ..narrow()
    };
    let set = [narrow(), wide(), names.clone()];
    assert_eq!(
        needless(&set),
        [] as [u32; 0],
        "it opens the names of this port"
    );
    let elsewhere = Draft {
        services: ports(54, 54),
        ..names
    };
    assert_eq!(needless(&[narrow(), wide(), elsewhere]), [0]);
}

#[test]
fn another_authentication_is_another_effect() {
    let asks = |draft: Draft, auth| Draft {
        auth: Some(auth),
        ..draft
    };
    let set = [asks(narrow(), Auth::Required), wide()];
    assert_eq!(needless(&set), [] as [u32; 0]);
    let set = [narrow(), asks(wide(), Auth::Required)];
    assert_eq!(needless(&set), [] as [u32; 0]);
    let twice = [
        asks(narrow(), Auth::Required),
        asks(narrow(), Auth::Required),
    ];
    assert_eq!(needless(&twice), [1]);
}
