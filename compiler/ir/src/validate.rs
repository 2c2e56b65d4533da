//! Step one: would Cilium accept the object?
//!
//! What the API server checks (the schema of Cilium's kinds, its own rules for NetworkPolicy) and what the agent
//! checks when it reads a policy are one question here: a policy that either refuses is not enforced.

/// Prefixes and their exceptions.
mod cidr;
/// Domain names and patterns.
mod fqdn;
/// ICMP types.
mod icmp;
/// Kubernetes ClusterNetworkPolicy.
mod kcnp;
/// Layer 7 rules, TLS and listeners.
mod l7;
/// Object names and labels.
mod name;
/// Kubernetes NetworkPolicy.
mod netpol;
/// Who an entry speaks of.
mod peers;
/// Ports and protocols.
mod ports;
/// Syntax of the regular expressions that Cilium takes.
pub mod regex;
/// Layer 7 protocols that older versions have.
mod retired;
/// One rule: `spec`, or an element of `specs`.
mod rule;
/// Label selectors.
mod selector;
/// One row per reason to reject.
#[cfg(test)]
mod tests;
/// Forms of names and labels that Kubernetes prescribes.
pub mod text;

use policyc_diag::{Code, Diagnostic, Span};
use policyc_syntax::ast::{Document, Object};

use crate::settings::Version;

/// Faults reported of one document; whoever has more of them mends the first ones first.
const MOST_FAULTS: usize = 1000;

/// Agent settings that validation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the agent, under its own name"
)]
pub struct Settings {
    /// The release of Cilium.
    pub version: Version,
    /// `enable-node-selector-labels`.
    pub node_selector_labels: bool,
    /// `enable-extended-ip-protocols`.
    pub extended_protocols: bool,
    /// `enable-l7-proxy`.
    pub l7_proxy: bool,
    /// `enable-icmp-rules`.
    pub icmp_rules: bool,
    /// Whether to take what the agent takes, though the API server would not.
    pub lenient: bool,
}

impl From<&crate::settings::Settings> for Settings {
    fn from(cluster: &crate::settings::Settings) -> Self {
        Self {
            version: cluster.version,
            node_selector_labels: cluster.node_selector_labels,
            extended_protocols: cluster.extended_protocols,
            l7_proxy: cluster.l7_proxy,
            icmp_rules: cluster.icmp_rules,
            lenient: false,
        }
    }
}

impl Default for Settings {
    /// The agent's defaults.
    fn default() -> Self {
        Self {
            version: Version::DEFAULT,
            node_selector_labels: false,
            extended_protocols: false,
            l7_proxy: true,
            icmp_rules: true,
            lenient: false,
        }
    }
}

/// Every reason for which the document would be rejected. Inventory objects have none.
///
/// In a document that is not [sound](Document::sound), nothing is called missing: it may have been misspelt, and
/// that was reported.
pub fn check(document: &Document, settings: &Settings) -> Vec<Diagnostic> {
    let mut check = Check {
        settings,
        sound: document.sound,
        faults: Vec::new(),
    };
    match &document.object {
        Object::CiliumNetworkPolicy(policy) => {
            name::check(&document.meta, &mut check);
            rule::policy(policy, document, rule::Scope::Namespaced, &mut check);
        }
        Object::CiliumClusterwideNetworkPolicy(policy) => {
            name::check(&document.meta, &mut check);
            rule::policy(policy, document, rule::Scope::Cluster, &mut check);
        }
        Object::NetworkPolicy(policy) => {
            name::check(&document.meta, &mut check);
            netpol::policy(policy, &mut check);
        }
        Object::ClusterNetworkPolicy(policy) => {
            name::check(&document.meta, &mut check);
            kcnp::policy(policy, document, &mut check);
        }
        Object::CidrGroup(group) => {
            name::check(&document.meta, &mut check);
            cidr::group(group, document, &mut check);
        }
        Object::Inventory(_) => {}
    }
    check.faults
}

/// A document being checked.
struct Check<'a> {
    settings: &'a Settings,
    sound: bool,
    faults: Vec<Diagnostic>,
}

impl Check<'_> {
    /// Reports a fault.
    fn fault(
        &mut self,
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Report<'_> {
        if self.faults.len() >= MOST_FAULTS {
            return Report(None);
        }
        self.faults
            .push(Diagnostic::new(code, message).label(span, label));
        Report(self.faults.last_mut())
    }

    /// Reports something missing, if it cannot just be misspelt.
    fn missing(
        &mut self,
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Report<'_> {
        if !self.sound {
            return Report(None);
        }
        self.fault(code, message, span, label)
    }
}

/// A fault just reported, to be added to.
struct Report<'a>(Option<&'a mut Diagnostic>);

impl Report<'_> {
    /// How to mend it.
    fn help(self, text: impl Into<String>) -> Self {
        self.maybe_help(Some(text.into()))
    }

    /// How to mend it, if that is known.
    fn maybe_help(mut self, text: Option<String>) -> Self {
        if let Some(fault) = &mut self.0 {
            fault.help.extend(text);
        }
        self
    }

    /// Another place.
    fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        if let Some(fault) = &mut self.0 {
            fault.labels.push(policyc_diag::Label {
                span,
                text: text.into(),
            });
        }
        self
    }
}
