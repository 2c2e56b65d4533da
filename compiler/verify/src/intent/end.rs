//! What an end is and how it is put together from written parts.

use policyc_diag::{Diagnostic, Span, codes, suggest};
use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::filter::Filter;
use policyc_ir::label::{CLUSTER, Source};
use policyc_ir::reach;
use policyc_ir::selector::{Requirement, Selector};
use policyc_ir::settings::Settings;
use policyc_ir::universe::RESERVED;

use crate::algebra::kind::Kind;
use crate::algebra::selector::{Conflict, Reach, pods};
use crate::encode::{Dims, Frame, Seat, Side, matching};
use crate::term::Term;

/// One end of an intent.
#[derive(Clone, Debug)]
pub struct End {
    /// Alternatives.
    pub(crate) parties: Vec<Parties>,
    /// Those of them that are not meant.
    pub(crate) except: Vec<Parties>,
    pub(crate) span: Span,
}

/// Whose pods are meant where no cluster is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clusters {
    /// Those of the local cluster.
    Own,
    /// Those of every cluster: a namespace is the same one everywhere.
    All,
}

/// One alternative of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parties {
    /// Every pod, and every address outside the cluster.
    Any,
    /// The same, other nodes and what else there is; but the local node as a source only where policies have a say.
    Everyone,
    /// Pods that a selector matches.
    Pods(Selector),
    /// A reserved entity.
    Entity(String),
    /// Addresses outside the cluster.
    Cidr(Cidr),
    /// Addresses outside the cluster that the internet routes.
    Internet,
    /// Addresses outside the cluster that a DNS answer gave for such a name.
    Dns(Fqdn),
}

impl Parties {
    /// An entity of the policy language: `world`, `host`, `cluster`, `all`, …
    pub(crate) fn entity(name: &str, span: Span) -> Result<Self, Diagnostic> {
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
        Ok(Self::Entity(name.to_owned()))
    }

    /// Addresses outside the cluster.
    pub(crate) fn cidr(text: &str, span: Span) -> Result<Self, Diagnostic> {
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
        Ok(Self::Cidr(cidr))
    }

    fn describe(&self, dims: &mut Dims) {
        match self {
            Self::Pods(selector) => dims.peer(selector),
            Self::Dns(fqdn) => dims.name(fqdn),
            _ => {}
        }
    }

    /// Who these may be, as selectors tell parties apart.
    fn reach(&self, filter: &Filter) -> Reach {
        let of = |kinds: &mut dyn Iterator<Item = Kind>| {
            let mut reach = Reach::default();
            for kind in kinds {
                if kind == Kind::POD {
                    reach.pod = Some(Vec::new());
                } else {
                    reach.kinds |= kind.bit();
                }
            }
            reach
        };
        match self {
            Self::Pods(selector) => Reach::new(selector, filter),
            Self::Any | Self::Everyone => of(&mut std::iter::once(Kind::POD).chain(Kind::OTHERS)),
            Self::Entity(name) => of(&mut kinds(name).into_iter()),
            Self::Cidr(_) | Self::Internet | Self::Dns(_) => {
                of(&mut Kind::V4.into_iter().chain(Kind::V6))
            }
        }
    }

    /// Whether they can be subjects of policies, which addresses are not.
    const fn have_policies(&self) -> bool {
        !matches!(self, Self::Cidr(_) | Self::Internet | Self::Dns(_))
    }

    /// Whether an address outside the cluster may be one of these.
    fn may_be_address(&self) -> bool {
        match self {
            Self::Pods(selector) => speaks_of_reserved(selector),
            Self::Entity(name) => {
                let mut kinds = kinds(name).into_iter();
                kinds.any(|kind| Kind::V4.contains(&kind) || Kind::V6.contains(&kind))
            }
            Self::Any | Self::Everyone | Self::Cidr(_) | Self::Internet | Self::Dns(_) => true,
        }
    }

    fn may_be_host(&self) -> bool {
        match self {
            Self::Pods(selector) => Kind::HOSTS
                .iter()
                .any(|kind| selector.matches(&kind.labels())),
            Self::Entity(name) => kinds(name).iter().any(|kind| Kind::HOSTS.contains(kind)),
            Self::Everyone => true,
            Self::Any | Self::Cidr(_) | Self::Internet | Self::Dns(_) => false,
        }
    }

    fn holds(&self, frame: &Frame, seat: Seat, settings: &Settings, clusters: Clusters) -> Term {
        let (side, _) = frame.seats(seat);
        let local = match clusters {
            Clusters::Own => side.is_local(&frame.dims),
            Clusters::All => Term::Const(true),
        };
        match self {
            Self::Any => side
                .is_any(std::iter::once(Kind::POD).chain(Kind::V4).chain(Kind::V6))
                .and(local),
            Self::Everyone => {
                let mute = seat == Seat::First && settings.allow_localhost;
                let spoken = |kind: &Kind| !mute || !Kind::HOSTS.contains(kind);
                side.is_any(kinds("all").into_iter().filter(spoken))
                    .and(local)
            }
            Self::Pods(selector) => {
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
            Self::Entity(name) => side.is_any(kinds(name)).and(local),
            Self::Cidr(cidr) => matching::inside(side, cidr),
            Self::Internet => internet(side),
            Self::Dns(fqdn) => side.name(fqdn).map_or(Term::Const(false), Term::Flag),
        }
    }
}

impl End {
    /// Several alternatives without exceptions.
    #[cfg(test)]
    pub(crate) fn of(parties: Vec<Parties>, span: Span) -> Self {
        Self {
            parties,
            except: Vec::new(),
            span,
        }
    }

    /// Names what it speaks of.
    pub(crate) fn describe(&self, dims: &mut Dims) {
        for parties in self.parties.iter().chain(&self.except) {
            parties.describe(dims);
        }
    }

    /// Whom it may hold; `subjects`: of those that have policies.
    pub(crate) fn reaches(&self, filter: &Filter, subjects: bool) -> Vec<Reach> {
        let parties = self.parties.iter();
        let meant = parties.filter(|one| !subjects || one.have_policies());
        meant.map(|one| one.reach(filter)).collect()
    }

    /// Whether an address outside the cluster may be in it.
    pub(crate) fn may_be_address(&self) -> bool {
        self.parties.iter().any(Parties::may_be_address)
    }

    /// Whether the local node may be in it.
    pub(crate) fn may_be_host(&self) -> bool {
        self.parties.iter().any(Parties::may_be_host)
    }

    /// Why no party can be in it.
    pub(crate) fn conflict(&self, filter: &Filter) -> Option<Conflict> {
        let mut first = None;
        for parties in &self.parties {
            match parties {
                Parties::Pods(selector) if !speaks_of_reserved(selector) => {
                    match pods(selector, filter) {
                        Ok(_) => return None,
                        Err(conflict) => first = first.or(Some(conflict)),
                    }
                }
                _ => return None,
            }
        }
        first
    }

    /// The party of a seat is in it.
    pub(crate) fn holds(
        &self,
        frame: &Frame,
        seat: Seat,
        settings: &Settings,
        clusters: Clusters,
    ) -> Term {
        let any = |parties: &[Parties]| {
            let each = parties.iter();
            Term::any(each.map(|one| one.holds(frame, seat, settings, clusters)))
        };
        any(&self.parties).and(any(&self.except).negate())
    }
}

/// It is an address outside the cluster that the internet routes.
fn internet(side: &Side) -> Term {
    let private = Term::any(reach::private().map(|cidr| matching::inside(side, &cidr)));
    side.is_v4().or(side.is_v6()).and(private.negate())
}

/// Whether it asks for a reserved label, as no pod has one.
pub(super) fn speaks_of_reserved(selector: &Selector) -> bool {
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
