//! Text forms of every stage, for `--emit` and snapshots: stable, one fact a line, places as `file:line`.

use std::fmt::Write as _;

use policyc_diag::{SourceMap, Span};

use crate::ids::EndpointId;
use crate::model::{Enforced, Model};
use crate::policy::{Entry, KubernetesPeer, Peers as Written, PolicySet};
use crate::resolve::Resolved;
use crate::rule::{Action, Direction, Peer, Peers, RuleSet, Services};

// Writing to a `String` cannot fail, so results of `write!` are dropped throughout.

/// Policies after validation.
pub fn policies(set: &PolicySet, sources: &SourceMap) -> String {
    let mut out = String::new();
    for policy in set.policies() {
        let _ = writeln!(
            out,
            "{} @ {}",
            policy.info,
            place(sources, policy.info.span)
        );
        for rule in &policy.rules {
            let kind = if rule.node { "nodes" } else { "endpoints" };
            let [ingress, egress] = rule.default_deny;
            let _ = writeln!(
                out,
                "  {kind} {} (default deny: ingress {ingress}, egress {egress})",
                rule.subject.value
            );
            for entry in &rule.entries {
                let action = action_name(entry.action);
                let peers = written_peers(entry);
                let _ = writeln!(
                    out,
                    "    {} {action} {peers} on {}",
                    entry.path,
                    services(&entry.services)
                );
            }
        }
    }
    out
}

fn written_peers(entry: &Entry) -> String {
    let braces = |items: Vec<String>| format!("[{}]", items.join("; "));
    match &entry.peers {
        Written::Absent => "unspecified".to_owned(),
        Written::Endpoints(list) => braces(list.iter().map(ToString::to_string).collect()),
        Written::Entities(list) => format!(
            "entities {}",
            braces(list.iter().map(ToString::to_string).collect())
        ),
        Written::Cidrs(list) => braces(
            list.iter()
                .map(|(cidr, except)| block(cidr, except))
                .collect(),
        ),
        Written::Kubernetes(list) => braces(
            list.iter()
                .map(|peer| match peer {
                    KubernetesPeer::Block(cidr, except) => block(cidr, except),
                    KubernetesPeer::Pods {
                        pods,
                        namespaces: None,
                    } => pods.to_string(),
                    KubernetesPeer::Pods {
                        pods,
                        namespaces: Some(namespaces),
                    } => {
                        format!("{pods} in namespaces {namespaces}")
                    }
                })
                .collect(),
        ),
    }
}

fn block(cidr: &crate::cidr::Cidr, except: &[crate::cidr::Cidr]) -> String {
    if except.is_empty() {
        return cidr.to_string();
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{cidr} except {}", except.join(" "))
}

/// Rules after normalising.
pub fn rules(rules: &RuleSet, sources: &SourceMap) -> String {
    let mut out = String::new();
    for (id, rule) in rules.iter() {
        let (direction, action) = (rule.direction.name(), action_name(rule.action));
        let isolates = if rule.default_deny {
            ", default deny"
        } else {
            ""
        };
        let at = place(sources, rule.origin.span);
        let _ = writeln!(
            out,
            "r{} {}: {direction} {action}{isolates} @ {at}",
            id.0,
            rules.name(id)
        );
        let kind = if rule.subject.node {
            "node"
        } else {
            "endpoint"
        };
        let _ = writeln!(out, "  {kind} {}", rules.selector(rule.subject.selector));
        let _ = writeln!(out, "  peers {}", peers(rules, &rule.peers));
        let _ = writeln!(out, "  on {}", services(&rule.services));
    }
    out
}

fn peers(rules: &RuleSet, peers: &Peers) -> String {
    match peers {
        Peers::Any => "any".to_owned(),
        Peers::Of(list) if list.is_empty() => "nobody".to_owned(),
        Peers::Of(list) => {
            let each = list
                .iter()
                .filter_map(|id| rules.peer(*id))
                .map(|one| peer(rules, one));
            each.collect::<Vec<_>>().join(" | ")
        }
    }
}

/// A peer as people read it.
pub fn peer(rules: &RuleSet, peer: &Peer) -> String {
    match peer {
        Peer::Labels(id) => rules.selector(*id).to_string(),
        Peer::Cidr(cidr, except) => block(cidr, except),
        Peer::Group(name, blocks) => {
            let blocks = blocks.iter().map(|(cidr, except)| block(cidr, except));
            format!("{name} [{}]", blocks.collect::<Vec<_>>().join(" "))
        }
        Peer::Fqdn(fqdn) => format!("fqdn {fqdn}"),
    }
}

fn services(services: &Services) -> String {
    match services {
        Services::All => "any protocol".to_owned(),
        Services::Of(list) if list.is_empty() => "nothing".to_owned(),
        Services::Of(list) => list
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Pass => "pass",
    }
}

/// Identities, addresses, and what each peer and endpoint resolves to.
pub fn resolved(resolved: &Resolved<'_>) -> String {
    let mut out = String::new();
    let universe = resolved.universe;
    for (at, identity) in universe.identities().iter().enumerate() {
        let cidr = identity
            .cidr
            .map(|cidr| format!(" cidr:{cidr}"))
            .unwrap_or_default();
        let _ = writeln!(out, "identity {at} {}{cidr}", identity.labels);
    }
    for (cidr, owner) in universe.addresses() {
        let node = owner
            .node
            .and_then(|node| universe.nodes().get(node.index()));
        let node = node
            .map(|name| format!(" (node {name})"))
            .unwrap_or_default();
        let _ = writeln!(out, "address {cidr} identity {}{node}", owner.identity.0);
    }
    for (at, peer_) in resolved.rules.peers().iter().enumerate() {
        let set = resolved.peer(crate::ids::PeerId::at(at));
        let members: Vec<_> = set.iter().map(|id| id.0.to_string()).collect();
        let _ = writeln!(
            out,
            "peer {} = {{{}}}",
            peer(resolved.rules, peer_),
            members.join(",")
        );
    }
    for (at, endpoint) in universe.endpoints().iter().enumerate() {
        let selected: Vec<_> = resolved
            .rules_of(EndpointId::at(at))
            .iter()
            .map(|id| format!("r{}", id.0))
            .collect();
        let _ = writeln!(
            out,
            "endpoint {} identity {} rules {}",
            endpoint.name,
            endpoint.identity.0,
            selected.join(" ")
        );
    }
    out
}

/// What applies to each endpoint.
pub fn model(model: &Model<'_>) -> String {
    let mut out = String::new();
    for (at, endpoint) in model.universe().endpoints().iter().enumerate() {
        let Some(policy) = model.policy_of(EndpointId::at(at)) else {
            continue;
        };
        let _ = writeln!(out, "endpoint {}", endpoint.name);
        for direction in Direction::BOTH {
            let _ = writeln!(
                out,
                "  {}: {}",
                direction.name(),
                enforced(policy.direction(direction))
            );
        }
    }
    out
}

fn enforced(enforced: &Enforced) -> String {
    let default = if enforced.default_deny {
        "default deny"
    } else {
        "default allow"
    };
    let localhost = if enforced.localhost {
        ", host allowed"
    } else {
        ""
    };
    let rules: Vec<_> = enforced
        .rules
        .iter()
        .map(|id| format!("r{}", id.0))
        .collect();
    if rules.is_empty() {
        return format!("{default}{localhost}");
    }
    format!("{default}{localhost}; rules {}", rules.join(" "))
}

/// `file:line` of a place.
pub fn place(sources: &SourceMap, span: Span) -> String {
    format!(
        "{}:{}",
        sources.name(span.file),
        sources.place(span.file, span.start).line
    )
}
