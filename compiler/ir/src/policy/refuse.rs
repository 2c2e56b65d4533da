//! What this version refuses, and how it says so.
//!
//! Each construct is valid for Cilium; leaving it out would widen or narrow the policy without a word, so the whole
//! policy is refused instead.

use policyc_diag::{Diagnostic, Span, codes};
use policyc_syntax::ast::{Document, List, Object, cilium};

/// A diagnostic for each construct that cannot be compiled yet.
pub(super) fn refuse(document: &Document) -> Vec<Diagnostic> {
    if let Object::ClusterNetworkPolicy(_) = &document.object {
        let mut found = Found::default();
        found.add("ClusterNetworkPolicy", document.kind.span);
        return found.0;
    }
    let (Object::CiliumNetworkPolicy(policy) | Object::CiliumClusterwideNetworkPolicy(policy)) =
        &document.object
    else {
        return Vec::new();
    };
    let rules = policy
        .spec
        .iter()
        .chain(policy.specs.iter().flat_map(|list| list.iter()));
    let mut found = Found::default();
    rules.for_each(|rule| found.rule(rule));
    found.0
}

#[derive(Default)]
struct Found(Vec<Diagnostic>);

impl Found {
    fn add(&mut self, name: &str, span: Span) {
        let message = format!("`{name}` is valid for Cilium but not supported yet");
        let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message)
            .label(span, "cannot be compiled")
            .help("the whole policy is refused, because leaving this out would change what the policy means");
        self.0.push(diagnostic);
    }

    /// An empty list of these is the same to Cilium as none at all.
    fn list<T>(&mut self, name: &str, list: Option<&List<T>>) {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            self.add(name, list.span);
        }
    }

    fn rule(&mut self, rule: &cilium::Rule) {
        if let Some(log) = &rule.log {
            self.add("log", log.span);
        }
        for entry in [&rule.ingress, &rule.ingress_deny]
            .into_iter()
            .flatten()
            .flat_map(|list| list.iter())
        {
            self.nodes("fromNodes", entry.from_nodes.as_ref());
            self.list("fromRequires", entry.from_requires.as_ref());
            self.list("fromGroups", entry.from_groups.as_ref());
            self.cidr_set(entry.from_cidr_set.as_ref());
            self.ports(entry.to_ports.as_ref());
            if let Some(authentication) = &entry.authentication {
                self.add("authentication", authentication.span);
            }
        }
        for entry in [&rule.egress, &rule.egress_deny]
            .into_iter()
            .flatten()
            .flat_map(|list| list.iter())
        {
            self.nodes("toNodes", entry.to_nodes.as_ref());
            self.list("toRequires", entry.to_requires.as_ref());
            self.list("toGroups", entry.to_groups.as_ref());
            self.list("toServices", entry.to_services.as_ref());
            self.list("toFQDNs", entry.to_fqdns.as_ref());
            self.cidr_set(entry.to_cidr_set.as_ref());
            self.ports(entry.to_ports.as_ref());
            if let Some(authentication) = &entry.authentication {
                self.add("authentication", authentication.span);
            }
        }
    }

    /// Unlike the others, an empty list of nodes selects nobody, so that it has to be refused as well.
    fn nodes<T>(&mut self, name: &str, list: Option<&List<T>>) {
        if let Some(list) = list {
            self.add(name, list.span);
        }
    }

    fn cidr_set(&mut self, list: Option<&List<cilium::CidrRule>>) {
        for rule in list.iter().flat_map(|list| list.iter()) {
            if let Some(group) = &rule.group_ref {
                self.add("cidrGroupRef", group.span);
            }
            if let Some(selector) = &rule.group_selector {
                self.add("cidrGroupSelector", selector.span);
            }
        }
    }

    fn ports(&mut self, list: Option<&List<cilium::PortRule>>) {
        for rule in list.iter().flat_map(|list| list.iter()) {
            self.list("serverNames", rule.server_names.as_ref());
            for (name, span) in [
                (
                    "listener",
                    rule.listener.as_ref().map(|listener| listener.span),
                ),
                (
                    "terminatingTLS",
                    rule.terminating_tls.as_ref().map(|tls| tls.span),
                ),
                (
                    "originatingTLS",
                    rule.originating_tls.as_ref().map(|tls| tls.span),
                ),
            ] {
                if let Some(span) = span {
                    self.add(name, span);
                }
            }
            if let Some(l7) = &rule.rules {
                self.list("rules.http", l7.http.as_ref());
                self.list("rules.dns", l7.dns.as_ref());
                self.list("rules.kafka", l7.kafka.as_ref());
                if let Some(name) = &l7.l7proto {
                    self.add("rules.l7proto", name.span);
                }
            }
        }
    }
}
