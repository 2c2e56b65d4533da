//! What an end is and how it is put together from written parts.

use policyc_diag::{Diagnostic, Span, codes, suggest};
use policyc_ir::cidr::Cidr;
use policyc_ir::label::filter::Filter;
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, Source};
use policyc_ir::selector::{Operator, Requirement, Selector};
use policyc_ir::universe::RESERVED;

use crate::algebra::kind::Kind;
use crate::algebra::selector::{Reach, pods};
use crate::encode::{Dims, Frame, Seat, matching};
use crate::term::Term;

/// One end of an intent.
#[derive(Clone, Debug)]
pub struct End {
    pub(crate) parties: Parties,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Parties {
    /// Every pod, and every address outside the cluster.
    Any,
    /// Pods that a selector matches.
    Pods(Selector),
    /// A reserved entity.
    Entity(String),
    /// Addresses outside the cluster.
    Cidr(Cidr),
}

/// What is asked of a label, as intents write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `key=value`, `key in (a,b)`.
    In,
    /// `key!=value`, `key notin (a,b)`.
    NotIn,
    /// `key`.
    Exists,
    /// `!key`.
    Absent,
}

impl End {
    /// `any`: every pod and every address outside the cluster.
    pub fn any(span: Span) -> Self {
        Self {
            parties: Parties::Any,
            span,
        }
    }

    /// Pods by label, in one namespace or in all. Keys are written as in policies, `k8s:app` or `app`.
    pub fn pods<'a>(
        requirements: impl IntoIterator<Item = (&'a str, Test, &'a [String])>,
        namespace: Option<&str>,
        span: Span,
    ) -> Self {
        let written = requirements.into_iter().map(|(key, test, values)| {
            let values = values.iter().map(|value| value.as_str().into()).collect();
            let operator = match test {
                Test::In => Operator::In(values),
                Test::NotIn => Operator::NotIn(values),
                Test::Exists => Operator::Exists,
                Test::Absent => Operator::DoesNotExist,
            };
            Requirement::new(Key::parse(key), operator)
        });
        let namespace =
            namespace.map(|name| Requirement::equals(Key::new(Source::K8s, NAMESPACE), name));
        Self {
            parties: Parties::Pods(Selector::new(written.chain(namespace))),
            span,
        }
    }

    /// An entity of the policy language: `world`, `host`, `cluster`, `all`, …
    pub fn entity(name: &str, span: Span) -> Result<Self, Diagnostic> {
        let known = RESERVED.iter().map(|(name, _)| *name);
        let known: Vec<_> = known.chain(["all", "cluster"]).collect();
        if !known.contains(&name) {
            let message = format!("`{name}` is no entity");
            let help = suggest::did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("entities are `{}`", known.join("`, `")));
            return Err(Diagnostic::new(codes::UNKNOWN_ENTITY, message)
                .label(span, "unknown entity")
                .help(help));
        }
        Ok(Self {
            parties: Parties::Entity(name.to_owned()),
            span,
        })
    }

    /// Addresses outside the cluster.
    pub fn cidr(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let cidr = Cidr::parse(text).ok_or_else(|| {
            Diagnostic::new(
                codes::INVALID_CIDR,
                format!("`{text}` is no address prefix"),
            )
            .label(
                span,
                "expected an address and a length, such as `10.0.0.0/8`",
            )
        })?;
        Ok(Self {
            parties: Parties::Cidr(cidr),
            span,
        })
    }

    /// Names what it speaks of.
    pub(crate) fn describe(&self, dims: &mut Dims) {
        if let Parties::Pods(selector) = &self.parties {
            dims.peer(selector);
        }
    }

    /// Whether a rule's subject may be in it.
    pub(crate) fn may_meet(&self, subject: &Reach, filter: &Filter) -> bool {
        match &self.parties {
            Parties::Pods(selector) => Reach::new(selector, filter).meets(subject),
            Parties::Any => true,
            Parties::Entity(name) => kinds(name).iter().any(|kind| {
                subject.kinds & kind.bit() != 0 || *kind == Kind::POD && subject.pod.is_some()
            }),
            Parties::Cidr(_) => false,
        }
    }

    /// Whether the local node may be in it.
    pub(crate) fn may_be_host(&self) -> bool {
        match &self.parties {
            Parties::Pods(selector) => Kind::HOSTS
                .iter()
                .any(|kind| selector.matches(&kind.labels())),
            Parties::Entity(name) => kinds(name).iter().any(|kind| Kind::HOSTS.contains(kind)),
            Parties::Any | Parties::Cidr(_) => false,
        }
    }

    /// Why no party can be in it.
    pub(crate) fn conflict(&self, filter: &Filter) -> Option<crate::algebra::selector::Conflict> {
        match &self.parties {
            Parties::Pods(selector) if !speaks_of_reserved(selector) => {
                pods(selector, filter).err()
            }
            _ => None,
        }
    }

    /// The party of a seat is in it.
    pub(crate) fn holds(&self, frame: &Frame, seat: Seat) -> Term {
        let (side, _) = frame.seats(seat);
        let local = side.is_local(&frame.dims);
        match &self.parties {
            Parties::Any => side
                .is_any(std::iter::once(Kind::POD).chain(Kind::V4).chain(Kind::V6))
                .and(local),
            Parties::Pods(selector) => {
                let matched = side.matches(&frame.dims, selector);
                let only_pods = if speaks_of_reserved(selector) {
                    Term::Const(true)
                } else {
                    side.is_pod()
                };
                let mentions = |requirement: &Requirement| requirement.key.is_k8s(CLUSTER);
                let bound = if selector.requirements().iter().any(mentions) {
                    Term::Const(true)
                } else {
                    local
                };
                Term::all([matched, only_pods, bound])
            }
            Parties::Entity(name) => side.is_any(kinds(name)).and(local),
            Parties::Cidr(cidr) => matching::inside(side, cidr),
        }
    }
}

fn speaks_of_reserved(selector: &Selector) -> bool {
    selector
        .requirements()
        .iter()
        .any(|requirement| requirement.key.source == Source::Reserved)
}

fn kinds(entity: &str) -> Vec<Kind> {
    let real = || {
        Kind::OTHERS
            .into_iter()
            .filter(|kind| !matches!(*kind, Kind::WORLD | Kind::UNKNOWN))
    };
    let world = |kind: &Kind| Kind::V4.contains(kind) || Kind::V6.contains(kind);
    match entity {
        "all" => real().chain([Kind::POD]).collect(),
        "cluster" => real()
            .filter(|kind| !world(kind))
            .chain([Kind::POD])
            .collect(),
        "world" => real().filter(world).collect(),
        one => {
            let selector = Selector::reserved(one);
            real()
                .filter(|kind| selector.matches(&kind.labels()))
                .collect()
        }
    }
}
