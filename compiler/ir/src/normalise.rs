//! Step two: from policies to flat rules with explicit defaults.

use std::sync::Arc;

use crate::ids::PolicyId;
use crate::inventory::Inventory;
use crate::label::{Key, Source};
use crate::policy::{self, Element, PolicySet, Traffic};
use crate::port::L4;
use crate::rule::{Action, Builder, Direction, Origin, Rule, RuleSet, Services, Subject};
use crate::selector::{Operator, Requirement};
use crate::settings::Settings;

/// CIDR groups as prefixes.
mod group;
/// The other side of an entry.
mod peers;
/// Which pods a selector can mean: namespace and cluster requirements that policies leave out.
pub(crate) mod scope;
/// Services as their backends.
mod service;

/// Flattens policies into rules: scopes selectors, spells out entities, groups, services and defaults. Of the
/// inventory only CIDR groups, services and their backends are read.
pub fn normalise(policies: &PolicySet, inventory: &Inventory, settings: &Settings) -> RuleSet {
    let mut pass = Pass {
        builder: Builder::new(),
        groups: group::Prefixes::of(inventory),
        inventory,
        settings,
    };
    for policy in policies.policies() {
        pass.policy(policy);
    }
    pass.builder.finish()
}

struct Pass<'a> {
    builder: Builder,
    groups: group::Prefixes<'a>,
    inventory: &'a Inventory,
    settings: &'a Settings,
}

/// What a policy's entries share.
struct Context<'a> {
    id: PolicyId,
    info: &'a crate::rule::Policy,
    rule: &'a policy::Rule,
    subject: Subject,
    /// Whether the subject names the init identity.
    initial: bool,
}

impl Pass<'_> {
    fn policy(&mut self, policy: &policy::Policy) {
        let id = self.builder.policy(policy.info.clone());
        for rule in &policy.rules {
            let selector = scope::subject(&rule.subject.value, &policy.info);
            let context = Context {
                id,
                info: &policy.info,
                rule,
                subject: Subject {
                    selector: self.builder.selector(selector),
                    namespace: policy.info.namespace.clone(),
                    node: rule.node,
                },
                initial: scope::speaks_of_init(&rule.subject.value),
            };
            for entry in &rule.entries {
                self.entry(&context, entry);
            }
        }
    }

    /// One rule for all elements without layer 7, one for each element with it, in the order of the elements.
    fn entry(&mut self, context: &Context<'_>, entry: &policy::Entry) {
        let resolved = self.peers(context, entry);
        let mut plain: Option<Vec<L4>> = None;
        let elements = match &entry.traffic {
            Traffic::Any => {
                return self.rule(context, entry, &resolved, Services::All, None);
            }
            Traffic::Of(elements) => elements,
        };
        for element in elements {
            if element.l7.is_some() {
                let services = Services::Of(element.l4.clone());
                self.rule(context, entry, &resolved, services, Some(element));
            } else {
                plain.get_or_insert_default().extend_from_slice(&element.l4);
            }
        }
        if let Some(l4) = plain {
            self.rule(context, entry, &resolved, Services::Of(l4), None);
        }
    }

    fn rule(
        &mut self,
        context: &Context<'_>,
        entry: &policy::Entry,
        resolved: &peers::Resolved,
        services: Services,
        element: Option<&Element>,
    ) {
        let several = matches!(&entry.traffic, Traffic::Of(elements) if elements.len() > 1);
        let (path, span) = match element.filter(|_| several) {
            Some(element) => (
                Arc::from(format!("{}.{}", entry.path, element.path)),
                element.span,
            ),
            None => (entry.path.clone(), entry.span),
        };
        let [ingress, egress] = context.rule.default_deny;
        let written = match entry.direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        // The switch is about `enableDefaultDeny`, which ClusterNetworkPolicy does not have.
        let forced = !self.settings.non_default_deny && !context.info.kind.has_levels();
        let allows = entry.action == Action::Allow;
        self.builder.rule(Rule {
            origin: Origin {
                policy: context.id,
                path,
                span,
                subject: context.rule.subject.span,
            },
            direction: entry.direction,
            action: entry.action,
            level: entry.level,
            subject: context.subject.clone(),
            peers: resolved.peers.clone(),
            beside: resolved.beside.clone(),
            services,
            l7: element.and_then(|element| element.l7.clone()),
            auth: entry.auth.filter(|_| allows),
            log: context.rule.log.clone(),
            unresolved: resolved.unresolved,
            default_deny: written || forced,
        });
    }
}

/// `key = value` on a Kubernetes label.
fn k8s_equals(name: &str, value: &str) -> Requirement {
    Requirement {
        key: Key::new(Source::K8s, name),
        operator: Operator::In(vec![value.into()]),
    }
}
