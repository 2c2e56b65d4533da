//! ICMP types.

use policyc_diag::{codes, suggest};
use policyc_syntax::ast::List;
use policyc_syntax::ast::cilium::{IcmpField, IcmpRule, IcmpType};

use super::Check;
use super::ports::MOST;
use super::text::shown;
use crate::icmp;

/// A name of the agent's table that the API server's schema misspells (with a blank), so that no one can use it.
const UNUSABLE: &str = "ExtendedEchoReply";

/// `icmps`.
pub(super) fn list(list: Option<&List<IcmpRule>>, check: &mut Check<'_>) {
    let Some(list) = list else { return };
    if !list.is_empty() && !check.settings.icmp_rules {
        let message = "`icmps` needs the agent's `enable-icmp-rules`, which is off";
        check.fault(
            codes::FEATURE_DISABLED,
            message,
            list.span,
            "rejected by the agent",
        );
    }
    for fields in list.iter().filter_map(|rule| rule.fields.as_ref()) {
        if fields.len() > MOST {
            let message = format!(
                "{} ICMP types in one list, Cilium takes {MOST}",
                fields.len()
            );
            check
                .fault(codes::TOO_MANY_ITEMS, message, fields.span, "too many")
                .help("spread them over several lists");
        }
        fields.iter().for_each(|field| one(field, check));
    }
}

fn one(field: &IcmpField, check: &mut Check<'_>) {
    // Empty is the agent's IPv4 too, but not in the schema's list.
    let family = field.family.as_ref().map(|text| text.value.as_str());
    let Some(protocol) = icmp::family(family).filter(|_| family != Some("")) else {
        let message = format!("`{}` is no ICMP family", shown(family.unwrap_or("")));
        let span = field.family.as_ref().map_or(field.span, |text| text.span);
        check
            .fault(codes::INVALID_ICMP, message, span, "unknown family")
            .help("families are `IPv4` and `IPv6`");
        return;
    };
    let Some(kind) = &field.kind else { return };
    match &kind.value {
        // Beyond 255 no packet has it, but Cilium takes it.
        IcmpType::Number(number) if u16::try_from(*number).is_ok() => {}
        IcmpType::Name(name) if name != UNUSABLE && icmp::type_number(protocol, name).is_some() => {
        }
        IcmpType::Number(number) => {
            let message = format!("{number} is no ICMP type");
            check.fault(codes::INVALID_ICMP, message, kind.span, "not in 0 to 255");
        }
        IcmpType::Name(name) => {
            let family = family.unwrap_or("IPv4");
            let message = format!("`{}` is no ICMP type of {family}", shown(name));
            let number = icmp::type_number(protocol, name)
                .map(i64::from)
                .or_else(|| name.parse().ok());
            let help = match number {
                Some(number) => Some(format!("write it as a number, without quotes: `{number}`")),
                None => suggest::did_you_mean(name, icmp::type_names(protocol)),
            };
            check
                .fault(codes::INVALID_ICMP, message, kind.span, "unknown type")
                .maybe_help(help);
        }
    }
}
