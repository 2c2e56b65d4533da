//! Text forms of every stage, for `--emit` and snapshots: stable, one fact a line, places as `file:line`.

use std::fmt::Write as _;

use policyc_diag::{SourceMap, Span};

use crate::ids::EndpointId;
use crate::l7::{self, Content};
use crate::model::{Enforced, Model};
use crate::port::L4;
use crate::resolve::Resolved;
use crate::rule::{Action, Direction, Level, Peer, Peers, RuleSet, Services};

/// Policies as they were written.
mod written;

pub use written::policies;

// Writing to a `String` cannot fail, so results of `write!` are dropped throughout.

fn block(cidr: &impl ToString, except: &[crate::cidr::Cidr]) -> String {
    if except.is_empty() {
        return cidr.to_string();
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{} except {}", cidr.to_string(), except.join(" "))
}

/// Rules after normalising.
pub fn rules(rules: &RuleSet, sources: &SourceMap) -> String {
    let mut out = String::new();
    for (id, rule) in rules.iter() {
        let (direction, action) = (rule.direction.name(), action_name(rule.action));
        let level = level(rule.level);
        let isolates = if rule.default_deny {
            ", default deny"
        } else {
            ""
        };
        let at = place(sources, rule.origin.span);
        let _ = writeln!(
            out,
            "r{} {}: {direction} {action}{level}{isolates} @ {at}",
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
        if let Some(l7) = &rule.l7 {
            let _ = writeln!(out, "  through {}", layer7(l7));
        }
        if let Some(auth) = rule.auth {
            let _ = writeln!(out, "  authentication {}", auth.name());
        }
    }
    out
}

/// Nothing for the level that most rules have.
fn level(level: Level) -> String {
    if level == Level::NORMAL {
        return String::new();
    }
    let (whole, part) = (level.priority / 100, level.priority % 100);
    format!(" at {} {whole}.{part:02}", level.tier.name())
}

/// What a proxy looks at, as people read it.
pub fn layer7(l7: &l7::Rules) -> String {
    let mut parts = Vec::new();
    if let Some(listener) = &l7.listener {
        parts.push(format!("listener {}", listener.name));
    }
    match &l7.content {
        Content::None => {}
        Content::Http(rules) => parts.push(format!("http [{}]", joined(rules))),
        Content::Dns(names) => parts.push(format!("dns [{}]", joined(names))),
        Content::Kafka(rules) => parts.push(format!("kafka, {} rules", rules.len())),
        Content::Generic(generic) => {
            parts.push(format!(
                "{}, {} rules",
                generic.protocol,
                generic.rules.len()
            ));
        }
    }
    if !l7.server_names.is_empty() {
        parts.push(format!("server names [{}]", joined(&l7.server_names)));
    }
    for (name, tls) in [
        ("terminating", &l7.terminating),
        ("originating", &l7.originating),
    ] {
        if let Some(tls) = tls {
            parts.push(format!("{name} TLS with {}/{}", tls.secret.0, tls.secret.1));
        }
    }
    parts.join(", ")
}

fn joined<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join("; ")
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
        Services::Of(list) => ports(list),
    }
}

fn ports(list: &[L4]) -> String {
    if list.is_empty() {
        return "nothing".to_owned();
    }
    let list: Vec<_> = list.iter().map(ToString::to_string).collect();
    list.join(" ")
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
