//! Layer 7 rules, TLS and listeners.

use policyc_diag::codes;
use policyc_syntax::ast::Text;
use policyc_syntax::ast::cilium::{Http, L7, Listener, Port, PortRule};

use super::rule::Place;
use super::text::shown;
use super::{Check, fqdn, regex, retired};
use crate::port::{self, PortText};

const MISMATCHES: [&str; 4] = ["LOG", "ADD", "DELETE", "REPLACE"];

/// Everything of an element of `toPorts` but its ports.
pub(super) fn rule(rule: &PortRule, place: Place, check: &mut Check<'_>) {
    let filled = rule
        .rules
        .as_ref()
        .filter(|rules| has_http(rules) || has_dns(rules) || retired::filled(rules));
    if let Some(rules) = &rule.rules {
        members(rules, check);
        fqdn::list(rules.dns.as_ref(), check);
        rules
            .http
            .iter()
            .flat_map(|list| &list.items)
            .for_each(|http| request(http, check));
    }
    if let Some(rules) = filled {
        taken(rules, place, check);
        combination(rule, rules, check);
    }
    if let Some(names) = &rule.server_names {
        fqdn::server_names(names, check);
        if let (Some(rules), None, false) = (filled, &rule.terminating_tls, names.is_empty()) {
            let message = "`serverNames` with layer 7 rules needs `terminatingTLS`";
            check
                .fault(
                    codes::L7_PROTOCOL,
                    message,
                    names.span,
                    "server names of TLS that nobody decrypts",
                )
                .label(rules.span, "rules about what is inside");
        }
    }
    if let Some(name) = &rule.listener {
        listener(name, filled, place, check);
    }
}

fn has_http(rules: &L7) -> bool {
    rules.http.as_ref().is_some_and(|list| !list.is_empty())
}

fn has_dns(rules: &L7) -> bool {
    rules.dns.as_ref().is_some_and(|list| !list.is_empty())
}

/// Exactly one protocol.
fn members(rules: &L7, check: &mut Check<'_>) {
    retired::members(rules, check);
    let http = rules.http.as_ref().map(|list| ("http", list.span));
    let dns = rules.dns.as_ref().map(|list| ("dns", list.span));
    // `l7` belongs to `l7proto`.
    let old = retired::present(rules).filter(|(name, _)| *name != "l7" || rules.l7proto.is_none());
    let mut protocols = http.into_iter().chain(dns).chain(old);
    match (protocols.next(), protocols.next()) {
        (Some((first, span)), Some((second, other))) => {
            let message = format!("`{first}` and `{second}` cannot stand in one `rules`");
            check
                .fault(codes::L7_PROTOCOL, message, other, "one protocol")
                .label(span, "and another")
                .help("make an element of `toPorts` of each");
        }
        (None, _) => {
            check
                .missing(
                    codes::L7_PROTOCOL,
                    "`rules` has neither `http` nor `dns`",
                    rules.span,
                    "no rules",
                )
                .help("leave `rules` out to allow the ports as a whole");
        }
        _ => {}
    }
}

/// Whether layer 7 is possible where the rules stand.
fn taken(rules: &L7, place: Place, check: &mut Check<'_>) {
    if !check.settings.l7_proxy {
        let message = "layer 7 rules need the agent's `enable-l7-proxy`, which is off";
        check.fault(
            codes::FEATURE_DISABLED,
            message,
            rules.span,
            "rejected by the agent",
        );
    }
    let dns = rules.dns.as_ref().filter(|list| !list.is_empty());
    if let (Some(dns), true) = (dns, place.ingress) {
        check.fault(
            codes::L7_PROTOCOL,
            "DNS rules are for egress only",
            dns.span,
            "in ingress",
        );
    }
    let http = rules.http.as_ref().filter(|list| !list.is_empty());
    let http = http.map(|list| ("HTTP", list.span));
    for (name, span) in http.into_iter().chain(retired::present(rules)) {
        if place.node {
            let message = format!("rules for nodes cannot have {name} rules");
            check.fault(codes::L7_PROTOCOL, message, span, "the subject is a node");
        }
    }
}

/// Whether ports and protocols go with the rules.
fn combination(rule: &PortRule, rules: &L7, check: &mut Check<'_>) {
    let ports = rule.ports.as_ref().map_or(&[][..], |ports| &ports.items);
    if rules.dns.is_some() && ports.is_empty() {
        let help = "add `ports: [{port: \"53\", protocol: ANY}]`";
        check
            .missing(
                codes::L7_PROTOCOL,
                "DNS rules need a port",
                rules.span,
                "no `ports` beside it",
            )
            .help(help);
    }
    for port in ports {
        let number = port.port.as_ref().and_then(|text| match port::parse(text) {
            Some(PortText::Number(number)) => Some((number, text.span)),
            _ => None,
        });
        if let Some((0, span)) = number {
            check.fault(
                codes::L7_PROTOCOL,
                "layer 7 rules need a port other than 0",
                span,
                "port 0 is every port",
            );
        }
        if let (true, Some((number, _)), Some(end)) = (has_dns(rules), number, port.end_port)
            && end.value > i64::from(number)
        {
            check.fault(
                codes::L7_PROTOCOL,
                "DNS rules do not go with a range of ports",
                end.span,
                "a range",
            );
        }
        // DNS goes with any protocol; with both kinds present the agent looks at DNS alone here.
        if !has_dns(rules) {
            tcp(port, check);
        }
    }
}

fn tcp(port: &Port, check: &mut Check<'_>) {
    let name = port
        .protocol
        .as_ref()
        .map_or("ANY", |text| text.value.as_str());
    if name == "TCP" {
        return;
    }
    let span = port.protocol.as_ref().map_or(port.span, |text| text.span);
    let label = if port.protocol.is_some() {
        "not TCP"
    } else {
        "no protocol means any"
    };
    let message = format!("these layer 7 rules go with TCP only, not {}", shown(name));
    check
        .fault(codes::L7_PROTOCOL, message, span, label)
        .help("write `protocol: TCP`");
}

fn listener(listener: &Listener, filled: Option<&L7>, place: Place, check: &mut Check<'_>) {
    if place.ingress {
        check.fault(
            codes::L7_PROTOCOL,
            "`listener` is for egress only",
            listener.span,
            "in ingress",
        );
    }
    if let Some(rules) = filled {
        let message = "`listener` does not go with layer 7 rules";
        check
            .fault(
                codes::L7_PROTOCOL,
                message,
                listener.span,
                "the listener decides",
            )
            .label(rules.span, "and these");
    }
    if let Some(kind) = &listener.config_kind
        && !matches!(
            kind.value.as_str(),
            "CiliumEnvoyConfig" | "CiliumClusterwideEnvoyConfig"
        )
    {
        let message = format!("`{}` is no kind of Envoy configuration", shown(kind));
        let help = "kinds are `CiliumEnvoyConfig` and `CiliumClusterwideEnvoyConfig`";
        check
            .fault(codes::INVALID_VALUE, message, kind.span, "unknown kind")
            .help(help);
    }
    for name in listener
        .name
        .iter()
        .chain(&listener.config_name)
        .filter(|name| name.is_empty())
    {
        check.fault(
            codes::INVALID_VALUE,
            "a name must not be empty",
            name.span,
            "empty",
        );
    }
    if let Some(priority) = listener
        .priority
        .filter(|priority| !(1..=100).contains(&priority.value))
    {
        let message = format!("{} is no listener priority", priority.value);
        check.fault(
            codes::INVALID_VALUE,
            message,
            priority.span,
            "not in 1 to 100",
        );
    }
}

fn request(http: &Http, check: &mut Check<'_>) {
    expression(http.path.as_ref(), "path", check);
    expression(http.method.as_ref(), "method", check);
    for header in http.header_matches.iter().flat_map(|list| &list.items) {
        for name in header.name.iter().filter(|name| name.is_empty()) {
            check.fault(
                codes::INVALID_VALUE,
                "a header name must not be empty",
                name.span,
                "empty",
            );
        }
        let secret = header
            .secret
            .as_ref()
            .and_then(|secret| secret.name.as_ref());
        for name in secret.iter().filter(|name| name.is_empty()) {
            check.fault(
                codes::INVALID_VALUE,
                "a secret's name must not be empty",
                name.span,
                "empty",
            );
        }
        let unknown = |text: &&Text| !MISMATCHES.contains(&text.value.as_str());
        if let Some(mismatch) = header.mismatch.as_ref().filter(unknown) {
            let message = format!("`{}` is no action for a mismatch", shown(mismatch));
            let help = format!(
                "actions are {}",
                MISMATCHES.map(|name| format!("`{name}`")).join(", ")
            );
            check
                .fault(
                    codes::INVALID_VALUE,
                    message,
                    mismatch.span,
                    "unknown action",
                )
                .help(help);
        }
    }
}

fn expression(text: Option<&Text>, field: &str, check: &mut Check<'_>) {
    let Some(text) = text else { return };
    if let Err(error) = regex::check(text) {
        let message = format!("`{field}` is no regular expression: {error}");
        check.fault(
            codes::INVALID_VALUE,
            message,
            text.span,
            "Cilium cannot compile it",
        );
    }
}
