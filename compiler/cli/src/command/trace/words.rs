//! What changes, rules and verdicts are in words.

use policyc_ir::IdentityId;
use policyc_ir::explain::{self, Change, Examined, Fit};
use policyc_ir::l7::{Auth, Parser};
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source};
use policyc_ir::model::{Demand, Redirect};
use policyc_ir::port::{L4, Ports};
use policyc_ir::print;
use policyc_ir::rule::{Direction, Level, Peer, Peers, Rule, Services};
use policyc_ir::selector::{Operator, Requirement, Selector};

use super::{Side, Told};

/// Alternatives of a rule that are written out.
const ALTERNATIVES: usize = 4;

/// The end whose policy is not asked, by its part in the flow.
pub(super) const fn peer(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "sender",
        Direction::Egress => "receiver",
    }
}

/// What would have to be different, to go behind "if".
pub(super) fn change(told: &Told<'_>, side: &Side<'_>, change: &Change) -> String {
    let who = peer(side.flow.direction);
    match change {
        Change::Label(requirement) => label(who, requirement),
        Change::Pod(selector) => format!("the {who} were {}", pods(told, selector, "a pod")),
        Change::Prefix(cidr, except) if except.is_empty() => format!("the {who} were in {cidr}"),
        Change::Prefix(cidr, except) => {
            let except: Vec<_> = except.iter().map(ToString::to_string).collect();
            format!(
                "the {who} were in {cidr}, but not in {}",
                except.join(" or ")
            )
        }
        Change::Name(fqdn) => format!("a DNS answer for `{fqdn}` had given the {who}'s address"),
        Change::Protocol(protocol) => format!("the protocol were {protocol}"),
        Change::Port(first, last) => {
            let port = if side.flow.protocol.is_icmp() {
                "type"
            } else {
                "port"
            };
            if first == last {
                format!("the {port} were {first}")
            } else {
                format!("the {port} were in {first}-{last}")
            }
        }
    }
}

fn label(who: &str, requirement: &Requirement) -> String {
    let name = &*requirement.key.name;
    if requirement.key.source == Source::Reserved {
        let not = if matches!(
            requirement.operator,
            Operator::DoesNotExist | Operator::NotIn(_)
        ) {
            "not "
        } else {
            ""
        };
        return format!("the {who} were {not}`{name}`");
    }
    let what = match name {
        NAMESPACE => format!("the {who}'s namespace"),
        CLUSTER => format!("the {who}'s cluster"),
        SERVICE_ACCOUNT => format!("the {who}'s service account"),
        _ => format!("the {who}'s label `{}`", requirement.key),
    };
    let quoted = |values: &[std::sync::Arc<str>]| {
        let each = values.iter().map(|value| format!("`{value}`"));
        each.collect::<Vec<_>>().join(" or ")
    };
    match &requirement.operator {
        Operator::In(values) => format!("{what} were {}", quoted(values)),
        Operator::NotIn(values) => format!("{what} were not {}", quoted(values)),
        Operator::Exists => format!("{what} existed"),
        Operator::DoesNotExist => format!("{what} did not exist"),
    }
}

/// What a selector selects. That pods are of this cluster goes without saying, and so does the source of their labels.
fn pods(told: &Told<'_>, selector: &Selector, noun: &str) -> String {
    let cluster = |one: &&Requirement| {
        let here = Operator::In(vec![told.front.settings.cluster.clone()]);
        one.key.is_k8s(CLUSTER) && one.operator == here
    };
    let all = selector.requirements().iter();
    let reserved = all.clone().any(|one| one.key.source == Source::Reserved);
    let (namespace, others): (Vec<_>, Vec<_>) = all
        .filter(|one| !cluster(one))
        .partition(|one| one.key.is_k8s(NAMESPACE));
    let others: Vec<_> = others.into_iter().map(bare).collect();
    let within: Vec<_> = namespace
        .into_iter()
        .map(|one| match &one.operator {
            Operator::In(names) => format!(" in namespace {}", names.join(" or ")),
            Operator::NotIn(names) => format!(" outside namespace {}", names.join(" and ")),
            Operator::Exists => " in any namespace".to_owned(),
            Operator::DoesNotExist => " in no namespace".to_owned(),
        })
        .collect();
    let what = match (others.is_empty(), reserved) {
        (true, _) => noun.to_owned(),
        (false, true) => others.join(", "),
        (false, false) => format!("{noun} with {}", others.join(", ")),
    };
    format!("{what}{}", within.concat())
}

/// A requirement without its source: pods have labels of Kubernetes, and reserved labels are known by their names.
fn bare(requirement: &Requirement) -> String {
    let name = requirement.key.name.clone();
    let key = match requirement.key.source {
        Source::K8s | Source::Reserved => Key::new(Source::Any, name),
        _ => requirement.key.clone(),
    };
    Requirement::new(key, requirement.operator.clone()).to_string()
}

/// What an identity is.
pub(super) fn identity(told: &Told<'_>, id: IdentityId) -> String {
    let Some(identity) = told.model.universe().identity(id) else {
        return "unknown".to_owned();
    };
    let value = |name: &str| identity.labels.get(&Key::new(Source::K8s, name));
    let hidden = |key: &Key| {
        [NAMESPACE, CLUSTER, SERVICE_ACCOUNT].contains(&&*key.name)
            || key.name.starts_with(NAMESPACE_LABELS)
    };
    let shown = identity.labels.iter().filter(|(key, _)| !hidden(key));
    let shown: Vec<_> = shown
        .map(|(key, value)| match (&key.source, value.is_empty()) {
            (Source::K8s, _) => format!("{}={value}", key.name),
            (_, true) => key.name.to_string(),
            (_, false) => format!("{key}={value}"),
        })
        .collect();
    let mut text = shown.join(", ");
    if let Some(namespace) = value(NAMESPACE) {
        let labels = if text.is_empty() {
            "a pod without labels".to_owned()
        } else {
            format!("a pod with {text}")
        };
        text = format!("{labels} in namespace {namespace}");
    }
    if let Some(cidr) = identity.cidr {
        text = format!("{text}, in {cidr}");
    }
    if !identity.names.is_empty() {
        text = format!("{text}, known as {}", identity.names.join(", "));
    }
    text
}

/// The peers of a rule, as far as they matter to the flow.
pub(super) fn peers(told: &Told<'_>, rule: &Rule, fit: &Fit<policyc_ir::PeerId>) -> String {
    let rules = told.model.resolved.rules;
    let written = |id: &policyc_ir::PeerId| {
        rules.peer(*id).map_or_else(String::new, |one| match one {
            Peer::Labels(id) => pods(told, rules.selector(*id), "pods"),
            other => print::peer(rules, other),
        })
    };
    match (fit, &rule.peers) {
        (Fit::By(id), _) => written(id),
        _ if rule.unresolved => {
            "anyone (what it names does not exist, and Cilium then leaves the peer open)".to_owned()
        }
        (Fit::Any, _) | (Fit::No, Peers::Any) => "anyone".to_owned(),
        (Fit::No, Peers::Of(list)) => listed(list.iter().map(written), "nobody"),
    }
}

/// The layer 4 of a rule, as far as it matters to the flow.
pub(super) fn services(told: &Told<'_>, side: &Side<'_>, rule: &Rule, fit: &Fit<L4>) -> String {
    let written = |l4: &L4| match (&l4.ports, explain::range(told.model, l4, &side.flow)) {
        (Ports::Named(..), Some((number, _))) => format!("{l4} ({number})"),
        (Ports::Named(..), None) => format!("{l4} (no such port)"),
        _ => l4.to_string(),
    };
    match (fit, &rule.services) {
        (Fit::By(l4), _) => written(l4),
        (Fit::Any, _) | (Fit::No, Services::All) => "any protocol".to_owned(),
        (Fit::No, Services::Of(list)) => listed(list.iter().map(written), "no port"),
    }
}

fn listed(each: impl ExactSizeIterator<Item = String>, none: &str) -> String {
    let total = each.len();
    let shown: Vec<_> = each.take(ALTERNATIVES).collect();
    match total - shown.len() {
        _ if shown.is_empty() => none.to_owned(),
        0 => shown.join(" | "),
        more => format!("{} | {more} more", shown.join(" | ")),
    }
}

/// Why a rule matters or not.
pub(super) fn fit(told: &Told<'_>, side: &Side<'_>, examined: &Examined) -> String {
    match &examined.needs {
        _ if examined.decides => "matches, and decides".to_owned(),
        _ if examined.matches() && side.report.conflict.is_some() => "matches".to_owned(),
        _ if examined.matches() => "matches, but others decide".to_owned(),
        Some(changes) => format!("only if {}", all(told, side, changes)),
        None => "neither this flow nor one close to it".to_owned(),
    }
}

/// Several changes that are needed together.
pub(super) fn all(told: &Told<'_>, side: &Side<'_>, changes: &[Change]) -> String {
    let each = changes.iter().map(|one| change(told, side, one));
    each.collect::<Vec<_>>().join(" and ")
}

/// A level that is not the ordinary one.
pub(super) fn level(level: Level) -> Option<String> {
    if level == Level::NORMAL {
        return None;
    }
    Some(format!(
        "{} tier, priority {}.{:02}",
        level.tier.name(),
        level.priority / 100,
        level.priority % 100
    ))
}

/// Which proxy has the last word.
pub(super) fn redirect(redirect: &Redirect) -> String {
    let about = print::layer7(&redirect.l7);
    let about = if about.is_empty() {
        about
    } else {
        format!(", by {about}")
    };
    let plain = match (redirect.plain, redirect.parser) {
        (true, Parser::Http) => {
            "; an allow without layer 7 matches as well, so every request passes"
        }
        _ => "",
    };
    format!(
        "the {} proxy has the last word{about}{plain}",
        redirect.parser.name()
    )
}

/// What a rule asks beyond layer 4.
pub(super) fn terms(rule: &Rule) -> String {
    let l7 = rule
        .l7
        .as_ref()
        .map(|l7| format!(", {}", print::layer7(l7)));
    let auth = match rule.auth {
        None => "",
        Some(Auth::Disabled) => ", without authentication",
        Some(Auth::Required) => ", with authentication",
        Some(Auth::AlwaysFail) => ", with authentication that always fails",
    };
    format!("{}{auth}", l7.unwrap_or_default())
}

/// The authentication before it.
pub(super) fn auth(demand: Demand) -> String {
    let what = match demand.mode {
        Auth::Disabled => "no authentication is needed",
        Auth::Required => "both ends must have authenticated",
        Auth::AlwaysFail => "authentication is needed and always fails",
    };
    let derived = if demand.derived {
        ", as a broader rule says"
    } else {
        ""
    };
    format!("{what}{derived}")
}
