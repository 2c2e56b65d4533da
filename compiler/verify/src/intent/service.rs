//! Protocols and ports from written parts.

use policyc_diag::{Diagnostic, Span, codes, suggest};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::Services;

use crate::algebra::overlap::ports_meet;
use crate::encode::{Dims, Frame, matching};
use crate::term::Term;

/// The services that an intent is about.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Alternatives by what was written, `tcp/80` or `any/53`; all services if there are none.
    pub each: Vec<Vec<L4>>,
    /// Whether every other service is meant instead.
    pub except: bool,
}

impl Wanted {
    /// All that are listed.
    pub(crate) fn listed(&self) -> Services {
        if self.each.is_empty() {
            Services::All
        } else {
            Services::Of(self.each.concat())
        }
    }

    /// What has to be possible by itself for something to be possible on each.
    pub(crate) fn parts(&self) -> Vec<Self> {
        if self.except || self.each.is_empty() {
            return vec![self.clone()];
        }
        let part = |one: &Vec<L4>| Self {
            each: vec![one.clone()],
            except: false,
        };
        self.each.iter().map(part).collect()
    }

    /// Whether a flow on one of them may be on services of a rule.
    pub(crate) fn may_meet(&self, other: &Services) -> bool {
        match (self.listed(), other) {
            (Services::Of(own), Services::Of(other)) if !self.except => {
                let mut own = own.iter();
                own.any(|own| other.iter().any(|other| ports_meet(own, other)))
            }
            _ => true,
        }
    }

    /// Names what it speaks of.
    pub(crate) fn describe(&self, dims: &mut Dims) {
        dims.services(&self.listed());
    }

    /// The flow is on one of them.
    pub(crate) fn holds(&self, frame: &Frame) -> Term {
        let listed = matching::services(frame, &self.listed());
        if self.except { listed.negate() } else { listed }
    }

    /// Ports worth showing: those that are named, then common ones.
    pub(crate) fn port_hints(&self) -> Vec<u16> {
        let listed = self.each.iter().flatten().filter(|_| !self.except);
        let first = listed.filter_map(|l4| match l4.ports {
            Ports::Range(first, _) => Some(first),
            _ => None,
        });
        first.chain([80, 8]).collect()
    }
}

/// Reads `tcp`, `tcp/5432`, `udp/8000-8100`, `tcp/http` or `icmp/8` from its two halves; `any` stands for every
/// protocol that has ports.
pub fn service(protocol: &str, ports: Option<&str>, span: Span) -> Result<Vec<L4>, Diagnostic> {
    let protocols = if protocol.eq_ignore_ascii_case("any") {
        Protocol::WITH_PORTS.to_vec()
    } else {
        let known = Protocol::parse(protocol).ok_or_else(|| unknown(protocol, span))?;
        vec![known]
    };
    let all = protocols.into_iter().map(|protocol| {
        let ports = ports.map_or(Ok(Ports::All), |text| read(protocol, text, span))?;
        Ok(L4 { protocol, ports })
    });
    all.collect()
}

fn unknown(protocol: &str, span: Span) -> Diagnostic {
    const KNOWN: [&str; 6] = ["tcp", "udp", "sctp", "icmp", "icmpv6", "any"];
    let message = format!("`{protocol}` is no protocol");
    Diagnostic::new(codes::INVALID_PROTOCOL, message)
        .label(span, "expected `tcp`, `udp`, `sctp`, `icmp` or `icmpv6`")
        .maybe_help(suggest::did_you_mean(protocol, KNOWN))
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
