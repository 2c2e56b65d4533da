//! Default deny and localhost (Cilium's computePolicyEnforcementAndRules).

use super::{Enforced, SubjectPolicy};
use crate::ids::{EndpointId, RuleId};
use crate::resolve::Resolved;
use crate::rule::Direction;
use crate::settings::{Enforcement, Settings};
use crate::universe::Endpoint;

/// Default deny and localhost for one endpoint (Cilium's computePolicyEnforcementAndRules).
pub(super) fn settle(
    resolved: &Resolved<'_>,
    endpoint: &Endpoint,
    id: EndpointId,
    settings: &Settings,
) -> SubjectPolicy {
    let rules = resolved.rules_of(id);
    let direction = |direction| {
        let of = |id: &&RuleId| {
            resolved
                .rules
                .rule(**id)
                .is_some_and(|rule| rule.direction == direction)
        };
        enforce(
            resolved,
            endpoint,
            direction,
            rules.iter().filter(of).copied().collect(),
            settings,
        )
    };
    SubjectPolicy {
        conflict: None,
        ingress: direction(Direction::Ingress),
        egress: direction(Direction::Egress),
    }
}

fn enforce(
    resolved: &Resolved<'_>,
    endpoint: &Endpoint,
    direction: Direction,
    rules: Vec<RuleId>,
    settings: &Settings,
) -> Enforced {
    // Cilium asks for the label's name alone, so a pod that carries a label `host` is exempt like the host.
    let exempt = !settings.host_firewall && endpoint.labels.has_name("host");
    if exempt || settings.enforcement == Enforcement::Never {
        return Enforced {
            default_deny: false,
            localhost: false,
            rules: Vec::new(),
            filters: None,
        };
    }
    if settings.enforcement == Enforcement::Always || endpoint.labels.has_name("init") {
        let localhost =
            direction == Direction::Ingress && settings.allow_localhost && !rules.is_empty();
        return Enforced {
            default_deny: true,
            localhost: localhost && !endpoint.host,
            rules,
            filters: None,
        };
    }
    let default_deny = rules.iter().any(|id| {
        resolved
            .rules
            .rule(*id)
            .is_some_and(|rule| rule.default_deny)
    });
    let localhost = default_deny
        && direction == Direction::Ingress
        && settings.allow_localhost
        && !endpoint.host;
    Enforced {
        default_deny,
        localhost,
        rules,
        filters: None,
    }
}
