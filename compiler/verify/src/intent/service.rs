//! Protocols and ports from written parts.

use policyc_diag::{Diagnostic, Span, codes};
use policyc_ir::port::{L4, Ports, Protocol};

/// Reads `tcp`, `tcp/5432`, `udp/8000-8100`, `tcp/http` or `icmp/8` from its two halves; `any` stands for every
/// protocol that has ports.
pub fn service(protocol: &str, ports: Option<&str>, span: Span) -> Result<Vec<L4>, Diagnostic> {
    let protocols = if protocol.eq_ignore_ascii_case("any") {
        Protocol::WITH_PORTS.to_vec()
    } else {
        let known = Protocol::parse(protocol).ok_or_else(|| {
            Diagnostic::new(
                codes::INVALID_PROTOCOL,
                format!("`{protocol}` is no protocol"),
            )
            .label(span, "expected `tcp`, `udp`, `sctp`, `icmp` or `icmpv6`")
        })?;
        vec![known]
    };
    let all = protocols.into_iter().map(|protocol| {
        let ports = ports.map_or(Ok(Ports::All), |text| read(protocol, text, span))?;
        Ok(L4 { protocol, ports })
    });
    all.collect()
}

fn read(protocol: Protocol, text: &str, span: Span) -> Result<Ports, Diagnostic> {
    let fault = |message: String, label: &str| {
        Err(Diagnostic::new(codes::INVALID_PORT, message).label(span, label))
    };
    if !protocol.has_ports() && !protocol.is_icmp() {
        let message = format!("`{protocol}` has no ports");
        return fault(message, "leave the port out");
    }
    let top = if protocol.is_icmp() { 255 } else { u16::MAX };
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number <= top);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Ports::Range(first, last)),
        (Some(_), Some(_)) => fault(
            format!("the range `{text}` ends before it starts"),
            "expected the lower port first",
        ),
        _ if protocol.has_ports() && policyc_ir::port::is_service_name(text) => {
            Ok(Ports::Named(text.to_ascii_lowercase().into(), None))
        }
        _ => fault(
            format!("`{text}` is neither a port nor a name of one"),
            "expected a number, a range such as `8000-8100`, or a port's name",
        ),
    }
}
