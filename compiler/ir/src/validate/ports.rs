//! Ports and protocols.

use policyc_diag::codes;
use policyc_syntax::ast::cilium::{Port, PortRule};

use super::rule::Place;
use super::text::shown;
use super::{Check, l7};
use crate::port::{self, PortText};

/// Elements that Cilium takes in one list of ports, or of ICMP types.
pub(super) const MOST: usize = 40;

const PROTOCOLS: [&str; 4] = ["TCP", "UDP", "SCTP", "ANY"];
const EXTENDED: [&str; 7] = ["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"];

/// An element of `toPorts`.
pub(super) fn rule(rule: &PortRule, place: Place, check: &mut Check<'_>) {
    if let Some(ports) = rule.ports.as_ref().filter(|ports| ports.len() > MOST) {
        let message = format!("{} ports in one list, Cilium takes {MOST}", ports.len());
        check
            .fault(codes::TOO_MANY_ITEMS, message, ports.span, "too many")
            .help("use `endPort` for a range, or spread them over several elements of `toPorts`");
    }
    for port in rule.ports.iter().flat_map(|ports| &ports.items) {
        number(port, check);
        protocol(port, check);
        if let Some(end) = port
            .end_port
            .filter(|end| u16::try_from(end.value).is_err())
        {
            let message = format!("{} is no port", end.value);
            check.fault(codes::INVALID_PORT, message, end.span, "not in 0 to 65535");
        }
    }
    l7::rule(rule, place, check);
}

fn number(port: &Port, check: &mut Check<'_>) {
    let Some(text) = port.port.as_ref().filter(|text| !text.is_empty()) else {
        // Protocols without ports have their own switch, and with it any port may be left out.
        if !check.settings.extended_protocols {
            let span = port.port.as_ref().map_or(port.span, |text| text.span);
            check
                .missing(codes::INVALID_PORT, "a port must be given", span, "no port")
                .help("`port: \"0\"` is every port of the protocol");
        }
        return;
    };
    if port::parse(text).is_some() {
        return;
    }
    let message = format!("`{}` is neither a port number nor a port name", shown(text));
    check
        .fault(codes::INVALID_PORT, message, text.span, "not a port")
        .maybe_help(mend(text));
}

/// How to write what was likely meant.
fn mend(text: &str) -> Option<String> {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    if let Some((first, last)) = text.split_once(['-', ':']) {
        let (first, last) = (number(first)?, number(last)?);
        return Some(format!(
            "a range is `port: \"{first}\"` with `endPort: {last}`"
        ));
    }
    match number(text) {
        Some(number) if text.starts_with('0') => {
            Some(format!("a leading 0 means octal: write `\"{number}\"`"))
        }
        Some(number) => Some(format!("write `\"{number}\"`")),
        None => Some(
            "a number is at most 65535; a name has at most 15 letters, digits and hyphens"
                .to_owned(),
        ),
    }
}

fn protocol(port: &Port, check: &mut Check<'_>) {
    let Some(text) = &port.protocol else { return };
    let name = text.value.as_str();
    if PROTOCOLS.contains(&name) {
        return;
    }
    if EXTENDED.contains(&name) {
        extended(port, check);
        return;
    }
    let upper = name.to_ascii_uppercase();
    let message = format!("`{}` is no protocol that a policy can name", shown(name));
    let help = match upper.as_str() {
        "ICMP" | "ICMPV6" => "use `icmps` instead of `toPorts`".to_owned(),
        known if PROTOCOLS.contains(&known) || EXTENDED.contains(&known) => {
            format!("write `{known}`")
        }
        _ => format!(
            "protocols are {}",
            PROTOCOLS.map(|name| format!("`{name}`")).join(", ")
        ),
    };
    check
        .fault(
            codes::INVALID_PROTOCOL,
            message,
            text.span,
            "unknown protocol",
        )
        .help(help);
}

/// A protocol without ports.
fn extended(port: &Port, check: &mut Check<'_>) {
    let Some(text) = &port.protocol else { return };
    if !check.settings.extended_protocols {
        let message = format!(
            "protocol `{}` needs the agent's `enable-extended-ip-protocols`, which is off",
            text.value
        );
        check.fault(
            codes::FEATURE_DISABLED,
            message,
            text.span,
            "rejected by the agent",
        );
    }
    let zero = |number: &str| number.is_empty() || port::parse(number) == Some(PortText::Number(0));
    if let Some(number) = port.port.as_ref().filter(|number| !zero(number)) {
        let message = format!("protocol `{}` has no ports", text.value);
        check.fault(
            codes::INVALID_PORT,
            message,
            number.span,
            "leave it out, or write `\"0\"`",
        );
    }
}
