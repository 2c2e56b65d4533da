//! Step one's product: policies in which every name, prefix and port is legal.
//!
//! A [`PolicySet`] can only be made by [`PolicySet::admit`], which runs [`crate::validate`] first and refuses what
//! this version cannot compile. Selectors are as written here; scoping is the next step's work.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_diag::{Diagnostic, Span, Spanned, codes};
use policyc_syntax::ast;
use rayon::prelude::*;

use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::l7::{self, Auth};
use crate::port::L4;
use crate::rule::{self, Action, Direction, Level};
use crate::selector::Selector;
use crate::settings::Settings;
use crate::validate;

/// From the syntax tree of Cilium's kinds.
mod cilium;
/// From the syntax tree of Kubernetes ClusterNetworkPolicy.
mod kcnp;
/// From the syntax tree of Kubernetes NetworkPolicy.
mod netpol;
/// What this version refuses, and how it says so.
mod refuse;

/// Policies that Cilium would accept and this version can compile.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Kind and name.
    pub info: rule::Policy,
    /// Its rules: one for `spec`, one per element of `specs`.
    pub rules: Vec<Rule>,
}

/// One rule of a policy: a subject and entries about it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The subject as written.
    pub subject: Spanned<Selector>,
    /// Whether it selects nodes.
    pub node: bool,
    /// Whether a direction is put into default deny: ingress, egress.
    pub default_deny: [bool; 2],
    /// `log.value`.
    pub log: Option<Arc<str>>,
    /// Entries of all sections.
    pub entries: Vec<Entry>,
}

/// One entry of a section.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path within the policy.
    pub path: Arc<str>,
    /// The entry.
    pub span: Span,
    /// Which way.
    pub direction: Direction,
    /// What it does.
    pub action: Action,
    /// When it is asked.
    pub level: Level,
    /// The other side.
    pub peers: Peers,
    /// Layer 4, and layer 7 with it.
    pub traffic: Traffic,
    /// `authentication.mode`.
    pub auth: Option<Auth>,
}

/// Layers 4 and 7 of an entry.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// Not spoken of: everything.
    Any,
    /// Any of these.
    Of(Vec<Element>),
}

/// An element of `toPorts`, or all of `icmps`.
#[derive(Clone, Debug)]
pub struct Element {
    /// Path within the entry, e.g. `toPorts[0]`.
    pub path: Arc<str>,
    /// The element.
    pub span: Span,
    /// Its protocols and ports; nothing matches if there are none.
    pub l4: Vec<L4>,
    /// What a proxy looks at; never [`l7::Rules::is_empty`].
    pub l7: Option<Arc<l7::Rules>>,
}

/// The other side of an entry, as written.
#[derive(Clone, Debug)]
pub enum Peers {
    /// Not spoken of.
    Absent,
    /// Endpoints by label.
    Endpoints(Vec<Selector>),
    /// Entities by name.
    Entities(Vec<Arc<str>>),
    /// Other nodes by label.
    Nodes(Vec<Selector>),
    /// Prefixes with exceptions.
    Cidrs(Vec<Block>),
    /// Services of the cluster; never empty.
    Services(Vec<Service>),
    /// Groups that an operator turns into prefixes, by their canonical text; never empty.
    Groups(Vec<Arc<str>>),
    /// Names in DNS; never empty.
    Fqdns(Vec<Fqdn>),
    /// Peers of a Kubernetes NetworkPolicy; `Absent` means anyone there.
    Kubernetes(Vec<KubernetesPeer>),
}

/// Addresses outside the cluster.
#[derive(Clone, Debug)]
pub enum Block {
    /// A prefix, less its exceptions.
    Cidr(Cidr, Vec<Cidr>),
    /// The CiliumCIDRGroup of a name, less exceptions.
    Group(Arc<str>, Vec<Cidr>),
    /// The CiliumCIDRGroups with such labels, less exceptions.
    Groups(Selector, Vec<Cidr>),
}

/// An element of `toServices`.
#[derive(Clone, Debug)]
pub struct Service {
    /// The namespace; any if `None`.
    pub namespace: Option<Arc<str>>,
    /// Which services of it.
    pub which: Which,
}

/// Services by name or label.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one of this name.
    Named(Arc<str>),
    /// Those with such labels.
    Labelled(Selector),
}

/// A peer of a Kubernetes NetworkPolicy or ClusterNetworkPolicy.
#[derive(Clone, Debug)]
pub enum KubernetesPeer {
    /// Pods by their labels and their namespace's; no namespace selector means the policy's own namespace.
    Pods {
        /// `podSelector`.
        pods: Selector,
        /// `namespaceSelector`, on the namespace's own labels.
        namespaces: Option<Selector>,
    },
    /// `ipBlock`, or one of `networks`.
    Block(Cidr, Vec<Cidr>),
    /// `namespaces` of a ClusterNetworkPolicy: pods of such namespaces, in any cluster.
    Namespaces(Selector),
    /// `nodes` of a ClusterNetworkPolicy.
    Nodes(Selector),
    /// One of `domainNames` of a ClusterNetworkPolicy.
    Fqdn(Fqdn),
    /// Whoever has such labels, in any namespace and cluster.
    Labels(Selector),
    /// Anyone at all.
    Everyone,
}

/// Whose eyes policies are read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// This tool's: a field that does not exist is a fault, since it was meant to restrict something.
    Strict,
    /// Cilium's: what the API server drops is dropped, and what the agent takes is taken. For answers about what a
    /// cluster does, never for what is built.
    Cilium,
}

impl PolicySet {
    /// Admits the policies among `documents`. A rejected policy is left out and its diagnostics say why; the
    /// others are not affected, as in a cluster. Order: kind, namespace, name.
    pub fn admit(documents: &[ast::Document], settings: &Settings) -> (Self, Vec<Diagnostic>) {
        Self::admit_as(documents, settings, Reading::Strict)
    }

    /// The same, with other eyes.
    pub fn admit_as(
        documents: &[ast::Document],
        settings: &Settings,
        reading: Reading,
    ) -> (Self, Vec<Diagnostic>) {
        let admitted: Vec<_> = documents
            .par_iter()
            .map(|document| match reading {
                Reading::Cilium if document.prunable && !document.sound => {
                    let pruned = ast::Document {
                        sound: true,
                        ..document.clone()
                    };
                    admit(&pruned, settings, reading)
                }
                _ => admit(document, settings, reading),
            })
            .collect();
        let mut diagnostics = Vec::new();
        let mut by_name: BTreeMap<_, Policy> = BTreeMap::new();
        for (policy, faults) in admitted {
            diagnostics.extend(faults);
            let Some(policy) = policy else { continue };
            let key = (
                policy.info.kind,
                policy.info.namespace.clone(),
                policy.info.name.clone(),
            );
            match by_name.entry(key) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(policy);
                }
                std::collections::btree_map::Entry::Occupied(taken) => {
                    diagnostics.push(duplicate(&policy.info, &taken.get().info));
                }
            }
        }
        (
            Self {
                policies: by_name.into_values().collect(),
            },
            diagnostics,
        )
    }

    /// The policies, by kind, namespace and name.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }
}

fn admit(
    document: &ast::Document,
    settings: &Settings,
    reading: Reading,
) -> (Option<Policy>, Vec<Diagnostic>) {
    use ast::Object;
    if matches!(document.object, Object::Inventory(_) | Object::CidrGroup(_)) {
        return (None, Vec::new());
    }
    let checks = validate::Settings {
        lenient: reading == Reading::Cilium,
        ..settings.into()
    };
    let mut diagnostics = validate::check(document, &checks);
    // What could not be read of a document may be what restricts it.
    if !document.sound || diagnostics.iter().any(Diagnostic::is_error) {
        return (None, diagnostics);
    }
    let refused = refuse::refuse(document);
    if !refused.is_empty() {
        diagnostics.extend(refused);
        return (None, diagnostics);
    }
    let policy = match &document.object {
        Object::CiliumNetworkPolicy(policy) => cilium::policy(document, policy, rule::Kind::Cnp),
        Object::CiliumClusterwideNetworkPolicy(policy) => {
            cilium::policy(document, policy, rule::Kind::Ccnp)
        }
        Object::NetworkPolicy(policy) => netpol::policy(document, policy),
        Object::ClusterNetworkPolicy(policy) => kcnp::policy(document, policy),
        Object::CidrGroup(_) | Object::Inventory(_) => None,
    };
    if policy.is_none() {
        let message = "the policy passed validation but could not be read";
        diagnostics.push(Diagnostic::new(codes::INTERNAL_ERROR, message).label(document.span, ""));
    }
    (policy, diagnostics)
}

fn duplicate(second: &rule::Policy, first: &rule::Policy) -> Diagnostic {
    Diagnostic::new(
        codes::DUPLICATE_OBJECT,
        format!("`{second}` is defined twice"),
    )
    .label(second.span, "defined again here")
    .label(first.span, "first defined here")
    .help("a cluster keeps one object of a name: rename or remove one of them")
}

/// Name, namespace and place of a document. A namespaced policy without a namespace goes to `default`, as
/// `kubectl apply` puts it.
fn info(document: &ast::Document, kind: rule::Kind) -> Option<rule::Policy> {
    let name = document.meta.name.as_ref()?;
    let written = document
        .meta
        .namespace
        .as_ref()
        .map(|namespace| namespace.value.as_str());
    let clusterwide = matches!(kind, rule::Kind::Ccnp | rule::Kind::Kcnp);
    let namespace = (!clusterwide).then(|| Arc::from(written.unwrap_or("default")));
    Some(rule::Policy {
        kind,
        namespace,
        name: name.value.as_str().into(),
        span: name.span,
    })
}

/// A path within a policy, e.g. `spec.ingress[0]`.
fn path(parent: &str, section: &str, at: usize) -> Arc<str> {
    format!("{parent}.{section}[{at}]").into()
}
