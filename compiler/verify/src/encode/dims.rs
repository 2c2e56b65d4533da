//! Labels and the values that rules name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::filter::Filter;
use policyc_ir::label::{CLUSTER, Key, Labels, NAMESPACE, NAMESPACE_LABELS};
use policyc_ir::port::{Ports, Protocol};
use policyc_ir::rule::{Peer, Peers, Rule, RuleSet, Services};
use policyc_ir::selector::{Operator, Selector};
use policyc_ir::settings::Settings;

use crate::algebra::kind::Kind;
use crate::algebra::selector::{canonical, on_host, on_kind, on_nodes, on_pods};
use crate::encode::{Frame, NamedPort, Side};
use crate::names;
use crate::term::{Script, Term, Var};

/// Code of an absent label.
pub(crate) const ABSENT: u128 = 0;
/// Code of a value that no rule names.
pub(crate) const OTHER: u128 = 1;
/// Code of the first named value.
pub(crate) const FIRST: u128 = 2;

/// What the rules of a slice tell apart.
#[derive(Debug, Default)]
pub(crate) struct Dims {
    /// Named values by label, sorted.
    labels: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// The same for labels of nodes.
    nodes: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Whether other nodes have labels (`enable-node-selector-labels`).
    pub(super) node_labels: bool,
    /// Names of ports, and whether a range starts at one.
    ports: BTreeMap<Arc<str>, bool>,
    /// DNS names and patterns of peers.
    names: BTreeSet<Fqdn>,
    /// The local cluster's name.
    pub(crate) cluster: Arc<str>,
    /// Which labels the cluster keeps.
    pub(crate) filter: Filter,
}

/// The values of one label that rules name, sorted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Domain<'a>(&'a [Arc<str>]);

impl Domain<'_> {
    /// The code of a named value.
    pub(crate) fn code(self, value: &str) -> Option<u128> {
        let at = self.0.binary_search_by(|known| (**known).cmp(value)).ok()?;
        u128::try_from(at).ok().map(|at| at + FIRST)
    }

    /// The text of a code: `None` if absent; the other value is some text that no rule names.
    pub(crate) fn text(self, code: u128) -> Option<(Arc<str>, bool)> {
        match code {
            ABSENT => None,
            OTHER => Some((self.unused(), true)),
            named => {
                let at = usize::try_from(named - FIRST).ok()?;
                self.0.get(at).map(|value| (value.clone(), false))
            }
        }
    }

    fn unused(self) -> Arc<str> {
        let free = |text: &String| !self.0.iter().any(|value| **value == **text);
        let mut tried = std::iter::once("other".to_owned())
            .chain((2_u32..).map(|number| format!("other-{number}")));
        tried.find(free).unwrap_or_default().into()
    }

    /// How many codes there are.
    pub(crate) fn size(self) -> u128 {
        FIRST + self.0.len() as u128
    }

    /// Bits that hold every code.
    pub(crate) fn width(self) -> u8 {
        let bits = u128::BITS - (self.size() - 1).leading_zeros();
        u8::try_from(bits).unwrap_or(u8::MAX)
    }
}

fn value(of: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>, name: &str, value: Option<Arc<str>>) {
    let values = match of.get_mut(name) {
        Some(values) => values,
        None => of.entry(name.into()).or_default(),
    };
    if let Some(value) = value
        && let Err(at) = values.binary_search(&value)
    {
        values.insert(at, value);
    }
}

impl Dims {
    /// What these rules tell apart.
    pub(crate) fn new<'a>(
        rules: &RuleSet,
        slice: impl IntoIterator<Item = &'a Rule>,
        settings: &Settings,
    ) -> Self {
        let mut dims = Self {
            cluster: settings.cluster.clone(),
            filter: settings.labels.clone(),
            node_labels: settings.node_selector_labels,
            ..Self::default()
        };
        value(&mut dims.labels, NAMESPACE, None);
        value(&mut dims.labels, CLUSTER, Some(settings.cluster.clone()));
        for rule in slice {
            dims.rule(rules, rule);
        }
        dims
    }

    /// Adds what a rule's subject names.
    pub(crate) fn subject(&mut self, rules: &RuleSet, rule: &Rule) {
        let subject = rules.selector(rule.subject.selector);
        if rule.subject.node {
            let filter = self.filter.clone();
            let own = |key: &Key| on_host(key, &filter);
            self.node(subject, &Kind::HOST.labels(), own);
        } else {
            self.selector(subject);
        }
        value(&mut self.labels, NAMESPACE, rule.subject.namespace.clone());
    }

    fn rule(&mut self, rules: &RuleSet, rule: &Rule) {
        self.subject(rules, rule);
        if let Peers::Of(list) = &rule.peers {
            for peer in list {
                match rules.peer(*peer) {
                    Some(Peer::Labels(selector)) => self.peer(rules.selector(*selector)),
                    Some(Peer::Fqdn(fqdn)) => {
                        self.names.insert(fqdn.clone());
                    }
                    Some(Peer::Cidr(..) | Peer::Group(..)) | None => {}
                }
            }
        }
        self.services(&rule.services);
    }

    /// Adds what a selector names of pods and, where it can match them, of other nodes.
    pub(crate) fn peer(&mut self, selector: &Selector) {
        self.selector(selector);
        if self.node_labels {
            for kind in Kind::NODES {
                self.node(selector, &kind.labels(), on_nodes);
            }
        }
    }

    /// Adds what a selector names of a kind of node.
    fn node(&mut self, selector: &Selector, fixed: &Labels, own: impl Fn(&Key) -> bool) {
        let Some(asked) = on_kind(selector, fixed, own) else {
            return;
        };
        for (name, values) in asked {
            value(&mut self.nodes, &name, None);
            for one in values.list {
                value(&mut self.nodes, &name, Some(one));
            }
        }
    }

    /// Adds what a selector names.
    pub(crate) fn selector(&mut self, selector: &Selector) {
        for requirement in selector.requirements() {
            if !on_pods(&requirement.key, &self.filter) {
                continue;
            }
            let name = canonical(&requirement.key.name);
            value(&mut self.labels, &name, None);
            if let Operator::In(values) | Operator::NotIn(values) = &requirement.operator {
                for one in values {
                    value(&mut self.labels, &name, Some(one.clone()));
                }
            }
        }
    }

    /// Adds the names of ports.
    pub(crate) fn services(&mut self, services: &Services) {
        let Services::Of(list) = services else {
            return;
        };
        for l4 in list {
            if let Ports::Named(name, last) = &l4.ports {
                *self.ports.entry(name.clone()).or_default() |= last.is_some();
            }
        }
    }

    /// Adds a DNS name or pattern.
    pub(crate) fn name(&mut self, fqdn: &Fqdn) {
        self.names.insert(fqdn.clone());
    }

    /// DNS names and patterns that peers are selected by.
    pub(crate) fn names(&self) -> &BTreeSet<Fqdn> {
        &self.names
    }

    /// All labels of pods.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.labels.keys()
    }

    /// All labels of nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.keys()
    }

    /// The domain of a pod's label.
    pub(crate) fn of_pods(&self, name: &str) -> Domain<'_> {
        Domain(self.labels.get(name).map_or(&[], Vec::as_slice))
    }

    /// The domain of a node's label.
    pub(crate) fn of_nodes(&self, name: &str) -> Domain<'_> {
        Domain(self.nodes.get(name).map_or(&[], Vec::as_slice))
    }

    /// The code of a named value of a pod's label.
    pub(crate) fn code(&self, name: &str, value: &str) -> Option<u128> {
        self.of_pods(name).code(value)
    }

    /// Declares a flow's variables and says when they are well formed.
    pub(crate) fn frame(self) -> Frame {
        let mut script = Script::default();
        let sides = [
            Side::declare(&mut script, "subject", &self),
            Side::declare(&mut script, "peer", &self),
        ];
        let protocol = script.declare("protocol", 8);
        let port = script.declare("port", 16);
        let named = self.ports.iter().map(|(name, ranged)| NamedPort {
            name: name.clone(),
            here: script.declare(format!("port-named.{name}"), 0),
            below: ranged.then(|| script.declare(format!("port-above-that-named.{name}"), 0)),
        });
        let named = named.collect();
        let implied = names::implied(&self.names)
            .into_iter()
            .map(|(one, another)| (one.clone(), another.clone()))
            .collect();
        let mut frame = Frame {
            dims: self,
            script,
            sides,
            protocol,
            port,
            named,
            implied,
        };
        frame.names_are_possible();
        frame.layer4_is_well_formed();
        frame.namespaces_agree();
        frame
    }
}

impl Frame {
    /// ICMP types end at 255, protocols without ports have port 0, and a family's ICMP stays in it.
    fn layer4_is_well_formed(&mut self) {
        let is = |protocol: Protocol| Term::Is(self.protocol, u128::from(protocol.0));
        let with_ports = Term::any(Protocol::WITH_PORTS.map(is));
        let icmp = is(Protocol::ICMP).or(is(Protocol::ICMPV6));
        let types = icmp.clone().implies(Term::AtMost(self.port, 255));
        let none = with_ports
            .clone()
            .or(icmp)
            .negate()
            .implies(Term::Is(self.port, 0));
        let mut facts = vec![types, none];
        for side in &self.sides {
            facts.push(side.is_v4().implies(is(Protocol::ICMPV6).negate()));
            facts.push(side.is_v6().implies(is(Protocol::ICMP).negate()));
        }
        for named in &self.named {
            let here = Term::Flag(named.here);
            let declared = with_ports.clone().and(Term::Is(self.port, 0).negate());
            facts.push(here.clone().implies(declared));
            if let Some(below) = named.below {
                let above_one = Term::AtMost(self.port, 1).negate();
                let fits = Term::all([with_ports.clone(), above_one, here.negate()]);
                facts.push(Term::Flag(below).implies(fits));
            }
        }
        for fact in facts {
            self.script.assert(fact);
        }
    }

    /// An address that learned a name is selected by every pattern that selects the name.
    fn names_are_possible(&mut self) {
        let mut facts = Vec::new();
        for side in &self.sides {
            for (one, another) in &self.implied {
                let flags = side.name(one).zip(side.name(another));
                facts.extend(
                    flags.map(|(one, another)| Term::Flag(one).implies(Term::Flag(another))),
                );
            }
        }
        for fact in facts {
            self.script.assert(fact);
        }
    }

    /// Two pods of one known namespace (and cluster) see the same labels of it.
    fn namespaces_agree(&mut self) {
        #[cfg(test)]
        if super::mutant::is(super::mutant::Mutant::NamespacesUntied) {
            return;
        }
        let [first, second] = &self.sides;
        let facts = side_ties(&self.dims, first, second);
        for fact in facts {
            self.script.assert(fact);
        }
    }

    /// Named ports belong to pods: the destination must be one.
    pub(crate) fn destination(&mut self, seat: super::Seat) {
        let (destination, _) = self.seats(seat);
        let pod = destination.is_pod();
        let flags = self.named.iter().flat_map(NamedPort::flags);
        let facts: Vec<_> = flags
            .map(|flag| Term::Flag(flag).implies(pod.clone()))
            .collect();
        for fact in facts {
            self.script.assert(fact);
        }
    }
}

fn side_ties(dims: &Dims, first: &Side, second: &Side) -> Vec<Term> {
    let same =
        |name: &str| -> Option<Term> { Some(Term::Same(first.label(name)?, second.label(name)?)) };
    let Some(namespace) = first.label(NAMESPACE) else {
        return Vec::new();
    };
    let known = Term::Is(namespace, OTHER).negate();
    let premise = Term::all(
        [first.is_pod(), second.is_pod(), known]
            .into_iter()
            .chain(same(NAMESPACE))
            .chain(same(CLUSTER)),
    );
    dims.labels()
        .filter(|name| name.starts_with(NAMESPACE_LABELS))
        .filter_map(|name| same(name))
        .map(|tie| premise.clone().implies(tie))
        .collect()
}

/// The variables of labels on one side.
pub(crate) type Vars = BTreeMap<Arc<str>, Var>;
