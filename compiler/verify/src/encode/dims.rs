//! Labels and the values that rules name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policyc_ir::label::{CLUSTER, NAMESPACE};
use policyc_ir::port::{Ports, Protocol};
use policyc_ir::rule::{Peer, Peers, Rule, RuleSet, Services};
use policyc_ir::selector::{Operator, Selector};
use policyc_ir::settings::Settings;

use crate::algebra::selector::{canonical, on_pods};
use crate::encode::{Frame, Side};
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
    /// Names of ports.
    ports: BTreeSet<Arc<str>>,
    /// The local cluster's name.
    pub(crate) cluster: Arc<str>,
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
            ..Self::default()
        };
        dims.value(NAMESPACE.into(), None);
        dims.value(CLUSTER.into(), Some(settings.cluster.clone()));
        for rule in slice {
            dims.rule(rules, rule);
        }
        dims
    }

    fn rule(&mut self, rules: &RuleSet, rule: &Rule) {
        self.selector(rules.selector(rule.subject.selector));
        self.value(NAMESPACE.into(), rule.subject.namespace.clone());
        if let Peers::Of(list) = &rule.peers {
            for peer in list {
                if let Some(Peer::Labels(selector)) = rules.peer(*peer) {
                    self.selector(rules.selector(*selector));
                }
            }
        }
        self.services(&rule.services);
    }

    /// Adds what a selector names.
    pub(crate) fn selector(&mut self, selector: &Selector) {
        for requirement in selector.requirements() {
            if !on_pods(&requirement.key) {
                continue;
            }
            let name = canonical(&requirement.key.name);
            self.value(name.clone(), None);
            if let Operator::In(values) | Operator::NotIn(values) = &requirement.operator {
                for value in values {
                    self.value(name.clone(), Some(value.clone()));
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
            if let Ports::Named(name, _) = &l4.ports {
                self.ports.insert(name.clone());
            }
        }
    }

    fn value(&mut self, name: Arc<str>, value: Option<Arc<str>>) {
        let values = self.labels.entry(name).or_default();
        if let Some(value) = value
            && let Err(at) = values.binary_search(&value)
        {
            values.insert(at, value);
        }
    }

    /// All labels with their named values.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<str>])> {
        self.labels
            .iter()
            .map(|(name, values)| (name, values.as_slice()))
    }

    /// Named values of a label.
    pub(crate) fn values(&self, name: &str) -> &[Arc<str>] {
        self.labels.get(name).map_or(&[], Vec::as_slice)
    }

    /// The code of a named value.
    pub(crate) fn code(&self, name: &str, value: &str) -> Option<u128> {
        let at = self
            .values(name)
            .binary_search_by(|known| (**known).cmp(value))
            .ok()?;
        u128::try_from(at).ok().map(|at| at + FIRST)
    }

    /// The text of a code: `None` if absent; the other value is some text that no rule names.
    pub(crate) fn text(&self, name: &str, code: u128) -> Option<(Arc<str>, bool)> {
        match code {
            ABSENT => None,
            OTHER => Some((self.unused(name), true)),
            named => {
                let at = usize::try_from(named - FIRST).ok()?;
                self.values(name)
                    .get(at)
                    .map(|value| (value.clone(), false))
            }
        }
    }

    fn unused(&self, name: &str) -> Arc<str> {
        let values = self.values(name);
        let free = |text: &String| !values.iter().any(|value| **value == **text);
        let mut tried = std::iter::once("other".to_owned())
            .chain((2_u32..).map(|number| format!("other-{number}")));
        tried.find(free).unwrap_or_default().into()
    }

    /// How many codes a label has.
    pub(crate) fn size(&self, name: &str) -> u128 {
        FIRST + self.values(name).len() as u128
    }

    /// Bits that hold every code of a label.
    pub(crate) fn width(&self, name: &str) -> u8 {
        let bits = u128::BITS - (self.size(name) - 1).leading_zeros();
        u8::try_from(bits).unwrap_or(u8::MAX)
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
        let named = self.ports.iter().map(|name| {
            (
                name.clone(),
                script.declare(format!("port-named.{name}"), 0),
            )
        });
        let named = named.collect();
        let mut frame = Frame {
            dims: self,
            script,
            sides,
            protocol,
            port,
            named,
        };
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
        for (_, flag) in &self.named {
            let declared = with_ports.clone().and(Term::Is(self.port, 0).negate());
            facts.push(Term::Flag(*flag).implies(declared));
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
        let facts: Vec<_> = self
            .named
            .iter()
            .map(|(_, flag)| Term::Flag(*flag).implies(pod.clone()))
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
        .filter(|(name, _)| name.starts_with(policyc_ir::label::NAMESPACE_LABELS))
        .filter_map(|(name, _)| same(name))
        .map(|tie| premise.clone().implies(tie))
        .collect()
}

/// The variables of labels on one side.
pub(crate) type Labels = BTreeMap<Arc<str>, Var>;
