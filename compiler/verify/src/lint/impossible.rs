//! Selectors that nothing possible matches.

use std::collections::BTreeSet;

use policyc_diag::{Diagnostic, codes};
use policyc_ir::label::{CLUSTER, NAMESPACE, Source};
use policyc_ir::rule::{Peer, Peers, Rule};
use policyc_ir::selector::{Operator, Requirement, Selector};

use crate::algebra::kind::Kind;
use crate::algebra::overlap::Algebra;
use crate::algebra::prefix;
use crate::algebra::selector::{Conflict, Reach, on_host, pods};

/// One finding per place and reason.
pub(super) fn findings(algebra: &Algebra<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let mut seen: BTreeSet<(Option<policyc_diag::Span>, String)> = BTreeSet::new();
    for (id, rule) in algebra.rules.iter() {
        let found =
            subject(algebra, rule)
                .into_iter()
                .chain(peers(algebra, rule, &algebra.rules.name(id)));
        let unnamed = algebra
            .names_ports_of_no_pod(rule)
            .then(|| super::text::no_flow(algebra.rules, id));
        for finding in found.chain(unnamed) {
            let span = finding.span();
            if seen.insert((span, finding.message.clone())) {
                findings.push(finding);
            }
        }
    }
    findings
}

fn subject(algebra: &Algebra<'_>, rule: &Rule) -> Option<Diagnostic> {
    let (rules, settings) = (algebra.rules, algebra.settings);
    let filter = &settings.labels;
    let selector = rules.selector(rule.subject.selector);
    let policy = rules
        .policies()
        .get(rule.origin.policy.index())
        .map(ToString::to_string)
        .unwrap_or_default();
    let local = selector.clone().and(Requirement::equals(
        policyc_ir::label::Key::new(Source::K8s, CLUSTER),
        settings.cluster.clone(),
    ));
    if rule.subject.node {
        return node(algebra, rule, &policy);
    }
    let possible = Reach::new(&local, filter).pod.is_some()
        || rule.subject.namespace.is_none() && Reach::new(selector, filter).kinds != 0;
    if possible {
        return None;
    }
    let conflict = pods(&local, filter).err()?;
    let message = format!(
        "`{policy}` can never select a pod: {}",
        explain(&conflict, rule)
    );
    Some(
        Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
            .label(rule.origin.subject, "no pod can match this")
            .maybe_help(help(&conflict, true)),
    )
}

/// A selector of nodes that no node meets, because of a label that node policies do not see.
fn node(algebra: &Algebra<'_>, rule: &Rule, policy: &str) -> Option<Diagnostic> {
    if algebra.has_subject(rule) {
        return None;
    }
    let selector = algebra.rules.selector(rule.subject.selector);
    let unseen = selector.requirements().iter().find(|requirement| {
        let fixed = Kind::HOST.labels();
        fixed.get(&requirement.key).is_none()
            && !on_host(&requirement.key, &algebra.settings.labels)
            && !requirement.accepts(None)
    });
    let why = match unseen {
        Some(requirement) => format!(
            "Cilium leaves the label `{}` out of what node policies see, so `{requirement}` never holds",
            requirement.key
        ),
        None => "its requirements contradict each other".to_owned(),
    };
    let message = format!("`{policy}` can never select a node: {why}");
    Some(
        Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
            .label(rule.origin.subject, "no node can match this")
            .maybe_help(unseen.map(|_| "select by another label".to_owned())),
    )
}

fn peers(algebra: &Algebra<'_>, rule: &Rule, name: &str) -> Vec<Diagnostic> {
    let Peers::Of(list) = &rule.peers else {
        return Vec::new();
    };
    let rules = algebra.rules;
    let mut found = Vec::new();
    for id in list {
        if algebra.peer_is_possible(*id) {
            continue;
        }
        let (why, help) = match rules.peer(*id) {
            Some(Peer::Labels(selector)) => {
                let selector = rules.selector(*selector);
                if is_nobody(selector) {
                    continue;
                }
                match pods(selector, &algebra.settings.labels) {
                    Err(conflict) => (explain(&conflict, rule), help(&conflict, false)),
                    Ok(_) => continue,
                }
            }
            Some(Peer::Cidr(cidr, except)) if prefix::is_covered(cidr, except) => {
                (format!("the exceptions leave nothing of `{cidr}`"), None)
            }
            Some(Peer::Group(name, blocks)) if blocks.is_empty() => {
                (format!("the group `{name}` has no prefixes"), None)
            }
            Some(Peer::Group(name, _)) => (
                format!("the exceptions leave nothing of the group `{name}`"),
                None,
            ),
            _ => continue,
        };
        let others = list.iter().any(|other| algebra.peer_is_possible(*other));
        let label = if others {
            "one of these peers matches nothing"
        } else {
            "no peer can match this"
        };
        let message = format!("a peer of `{name}` can never match: {why}");
        found.push(
            Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
                .label(rule.origin.span, label)
                .maybe_help(help),
        );
    }
    found
}

/// The entity `none` is a deliberate way to say nobody.
fn is_nobody(selector: &Selector) -> bool {
    selector == &Selector::reserved("none")
}

fn explain(conflict: &Conflict, rule: &Rule) -> String {
    match conflict {
        Conflict::Contradiction(requirements) => contradiction(requirements, rule),
        Conflict::NeverOnPods(requirement) => never(requirement),
        Conflict::AlwaysOnPods(requirement) => {
            format!("every pod has the label `{}`", requirement.key)
        }
    }
}

fn contradiction(requirements: &[Requirement], rule: &Rule) -> String {
    let namespaces: Vec<&str> = requirements
        .iter()
        .filter(|requirement| requirement.key.is_k8s(NAMESPACE))
        .filter_map(single)
        .collect();
    if let ([one, two], 2) = (namespaces.as_slice(), requirements.len()) {
        let own = rule.subject.namespace.as_deref();
        let other = if own == Some(one) { two } else { one };
        return match own {
            Some(own) => format!(
                "its selector names namespace `{other}`, but the policy is in `{own}` and selects only there"
            ),
            None => format!("it asks for namespace `{one}` and for namespace `{two}`"),
        };
    }
    let texts: Vec<_> = requirements
        .iter()
        .map(|requirement| format!("`{requirement}`"))
        .collect();
    match texts.as_slice() {
        [one] => format!("no value can meet {one}"),
        several => format!("{} contradict each other", several.join(" and ")),
    }
}

fn single(requirement: &Requirement) -> Option<&str> {
    match &requirement.operator {
        Operator::In(values) => match values.as_slice() {
            [value] => Some(value),
            _ => None,
        },
        _ => None,
    }
}

fn never(requirement: &Requirement) -> String {
    let key = &requirement.key;
    match &key.source {
        Source::Reserved => format!(
            "no reserved identity meets `{requirement}` together with the other requirements"
        ),
        Source::Any | Source::K8s => format!(
            "Cilium leaves the label `{key}` out of identities, so `{requirement}` never holds"
        ),
        Source::Node | Source::Other(_) => {
            format!("pods have labels of source `k8s` only, so `{requirement}` never holds")
        }
    }
}

fn help(conflict: &Conflict, subject: bool) -> Option<String> {
    match conflict {
        Conflict::Contradiction(requirements) if requirements.len() > 1 => {
            let namespace = requirements.iter().all(|one| one.key.is_k8s(NAMESPACE));
            Some(if subject && namespace {
                "move the policy to that namespace, or drop the requirement".to_owned()
            } else {
                "requirements of one selector must all hold at once; for either of two, use `In` or two entries"
                    .to_owned()
            })
        }
        Conflict::NeverOnPods(requirement)
            if matches!(requirement.key.source, Source::Any | Source::K8s) =>
        {
            Some("select by another label".to_owned())
        }
        _ => None,
    }
}
