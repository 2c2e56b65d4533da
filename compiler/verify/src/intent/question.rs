//! An intent as terms.

use std::collections::BTreeSet;
use std::time::Instant;

use policyc_ir::RuleId;
use policyc_ir::model::request::Request;
use policyc_ir::rule::{Action, Direction, Peer, Peers, Rule, RuleSet};
use policyc_ir::settings::Settings;

use super::end::{Clusters, End};
use super::request::{self, Part};
use super::service::Wanted;
use super::{Claim, Intent};
use crate::Options;
use crate::algebra::kind::Kind;
use crate::algebra::overlap::Algebra;
use crate::algebra::selector::Reach;
use crate::encode::{Dims, Encoded, Frame, Seat, Side, matching};
use crate::lint::effect;
use crate::replay::Library;
use crate::solver::smtlib;
use crate::term::Term;

/// What all intents share.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) algebra: Algebra<'a>,
    pub(crate) library: Library<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) options: &'a Options,
    deadline: Option<Instant>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        rules: &'a RuleSet,
        settings: &'a Settings,
        options: &'a Options,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            rules,
            algebra: Algebra::new(rules, settings),
            library: Library::new(rules, settings),
            settings,
            options,
            deadline,
        }
    }

    /// Whether there is no time left for another question.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Allows of any direction that may select a party of the end and ask for more than layers 3 and 4: some may exclude
    /// each other, and then the party has no policy at all.
    fn special(&self, end: &End) -> Vec<(RuleId, &'a Rule)> {
        let both = Direction::BOTH.map(|direction| self.slice(end, direction));
        let mut all = both.concat();
        all.retain(|(_, rule)| rule.action == Action::Allow && !effect::is_plain(rule));
        let own = |(_, rule): &(RuleId, &Rule)| {
            let mut others = all.iter();
            effect::is_unusable(rule) || others.any(|(_, other)| effect::may_clash(rule, other))
        };
        all.iter().copied().filter(own).collect()
    }

    /// Rules of a direction that may select a party of the end.
    fn slice(&self, end: &End, direction: Direction) -> Vec<(RuleId, &'a Rule)> {
        let own = end.reaches(&self.settings.labels, true);
        let concerns = |(_, rule): &(RuleId, &Rule)| {
            let reach = || self.algebra.subject(rule);
            rule.direction == direction
                && if rule.subject.node {
                    self.settings.host_firewall && end.may_be_host()
                } else {
                    reach().is_some_and(|reach| own.iter().any(|own| own.meets(reach)))
                }
        };
        self.rules.iter().filter(concerns).collect()
    }

    /// Whether a rule's peers may be in the end, given whom it may hold.
    fn peers_may_meet(&self, rule: &Rule, end: &End, reaches: &[Reach]) -> bool {
        let Peers::Of(list) = &rule.peers else {
            return true;
        };
        let mut known = list.iter().filter_map(|id| self.rules.peer(*id));
        known.any(|peer| match peer {
            Peer::Labels(selector) => {
                let reach = self.algebra.reach(*selector);
                reach.is_none_or(|reach| reaches.iter().any(|own| own.meets(reach)))
            }
            Peer::Fqdn(_) | Peer::Cidr(..) | Peer::Group(..) => end.may_be_address(),
        })
    }
}

/// An intent as terms over a frame whose first side opens the connection.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) frame: Frame,
    /// The flow is between the ends of the intent, whatever the service.
    pub(crate) between: Term,
    /// What can become of it: once, or for each kind of request that the intent is about.
    pub(crate) cases: Vec<Case>,
    /// Whether some end may have no policy at all, since its rules exclude each other.
    pub(crate) clashes: bool,
}

/// What can become of a flow.
#[derive(Debug)]
pub(crate) struct Case {
    /// What is asked once connected.
    pub(crate) request: Option<Request>,
    /// It may pass both ends; without a request, it does.
    pub(crate) passes: Term,
    /// It may be blocked at some end; without a request, it is.
    pub(crate) blocked: Term,
}

/// Rules of one direction that may select a party of an end.
struct Slice<'a> {
    /// Those that may match a flow of the intent.
    heard: Vec<(RuleId, &'a Rule)>,
    /// One for each subject of the others, of which it counts only whether they put it into default deny.
    mute: Vec<(RuleId, &'a Rule)>,
}

impl<'a> Slice<'a> {
    /// `own` is the end whose rules they are, and `far` the other one.
    fn new(
        context: &Context<'a>,
        own: &End,
        far: &End,
        services: &Wanted,
        direction: Direction,
    ) -> Self {
        let all = context.slice(own, direction);
        let reaches = far.reaches(&context.settings.labels, false);
        let meets = |(_, rule): &(RuleId, &Rule)| {
            services.may_meet(&rule.services) && context.peers_may_meet(rule, far, &reaches)
        };
        let (heard, mut mute): (Vec<_>, Vec<_>) = all.into_iter().partition(meets);
        let mut known = BTreeSet::new();
        mute.retain(|(_, rule)| {
            let subject = &rule.subject;
            let namespace = subject.namespace.as_deref();
            known.insert((subject.node, namespace, subject.selector, rule.default_deny))
        });
        Self { heard, mute }
    }
}

/// One end of an intent as terms.
struct Ruled<'a> {
    rules: Vec<(&'a Rule, Encoded)>,
    direction: Direction,
    seat: Seat,
}

impl Ruled<'_> {
    /// Whether the end lets a flow pass, if it has policies. Which requests a proxy lets through follows from walking the
    /// levels once more without the allows that have no say in them.
    fn passes(&self, frame: &Frame, settings: &Settings, request: Option<&Request>) -> Term {
        let all = self.rules.iter().map(|(_, encoded)| encoded);
        let mut passes = frame.verdict(all, self.direction, self.seat, settings);
        if let Some(request) = request {
            let left: Vec<_> = self
                .rules
                .iter()
                .map(|(rule, encoded)| {
                    let mut encoded = encoded.clone();
                    if rule.action == Action::Allow && request::part(rule, request) != Part::Lets {
                        encoded.matches = Term::Const(false);
                    }
                    encoded
                })
                .collect();
            passes = passes.and(frame.verdict(&left, self.direction, self.seat, settings));
        }
        let (subject, _) = frame.seats(self.seat);
        has_policy(frame, subject, settings).implies(passes)
    }

    /// Whether a proxy of another kind may have the last word.
    fn stopped(&self, request: &Request) -> Term {
        let stops = self.rules.iter().filter(|(rule, _)| {
            rule.action == Action::Allow && request::part(rule, request) == Part::Stops
        });
        Term::any(stops.map(|(_, encoded)| encoded.matches.clone()))
    }
}

impl Question {
    /// # Errors
    /// Requests that cannot be told apart.
    pub(crate) fn new(context: &Context<'_>, intent: &Intent) -> Result<Self, String> {
        let (rules, settings) = (context.rules, context.settings);
        let (from, to, wanted) = (&intent.from, &intent.to, &intent.services);
        let egress = Slice::new(context, from, to, wanted, Direction::Egress);
        let ingress = Slice::new(context, to, from, wanted, Direction::Ingress);
        let special = [context.special(from), context.special(to)];
        let heard = || {
            let heard = egress.heard.iter().chain(&ingress.heard);
            heard.map(|(_, rule)| *rule)
        };
        let mut dims = Dims::new(rules, heard(), settings);
        let mute = egress.mute.iter().chain(&ingress.mute);
        for (_, rule) in mute.chain(special.iter().flatten()) {
            dims.subject(rules, rule);
        }
        from.describe(&mut dims);
        to.describe(&mut dims);
        wanted.describe(&mut dims);
        let mut frame = dims.frame();
        frame.destination(Seat::Second);
        let ends = [
            (&egress, Direction::Egress, Seat::First),
            (&ingress, Direction::Ingress, Seat::Second),
        ];
        let ends = ends.map(|(slice, direction, seat)| {
            let mut encoded = Vec::new();
            for (id, rule) in &slice.heard {
                encoded.push((*rule, frame.encode(rules, *id, rule, seat)));
            }
            for (id, rule) in &slice.mute {
                encoded.push((*rule, frame.encode_subject(rules, *id, rule, seat)));
            }
            Ruled {
                rules: encoded,
                direction,
                seat,
            }
        });
        let [first, second] = &special;
        let clash =
            clash(&frame, rules, first, Seat::First).or(clash(&frame, rules, second, Seat::Second));
        let requests = match &intent.request {
            None => vec![None],
            Some(asked) => asked.kinds(heard())?.into_iter().map(Some).collect(),
        };
        let cases = requests.into_iter().map(|request| {
            let one = |end: &Ruled<'_>| end.passes(&frame, settings, request.as_ref());
            let passes = Term::all(ends.iter().map(one));
            let stopped = request.as_ref().map_or(Term::Const(false), |request| {
                Term::any(ends.iter().map(|end| end.stopped(request)))
            });
            Case {
                blocked: Term::any([passes.clone().negate(), stopped, clash.clone()]),
                passes,
                request,
            }
        });
        let cases = cases.collect();
        let between = between(&frame, intent, settings);
        Ok(Self {
            frame,
            between,
            cases,
            clashes: clash != Term::Const(false),
        })
    }
}

/// The party of a seat is selected by rules that may exclude each other.
fn clash(frame: &Frame, rules: &RuleSet, special: &[(RuleId, &Rule)], seat: Seat) -> Term {
    let (side, _) = frame.seats(seat);
    let selects = |rule: &Rule| matching::subject(frame, side, rules, rule);
    let mut pairs = Vec::new();
    let mut rest = special;
    while let Some(((_, one), more)) = rest.split_first() {
        if effect::is_unusable(one) {
            pairs.push(selects(one));
        }
        let others = more
            .iter()
            .filter(|(_, other)| effect::may_clash(one, other));
        pairs.extend(others.map(|(_, other)| selects(one).and(selects(other))));
        rest = more;
    }
    Term::any(pairs)
}

impl Question {
    /// What the solver is asked, as SMT-LIB text.
    pub(crate) fn texts(&self, intent: &Intent) -> Vec<crate::Question> {
        let parts = match intent.claim {
            Claim::May => intent.services.parts(),
            Claim::Never | Claim::Must => vec![intent.services.clone()],
        };
        let (asked, sat, unsat) = match intent.claim {
            Claim::Never => ("does a flow pass", "does not hold", "holds"),
            Claim::Must => ("is a flow blocked", "does not hold", "holds"),
            Claim::May => ("does a flow pass", "holds", "does not hold"),
        };
        let mut texts = Vec::new();
        for part in &parts {
            for case in &self.cases {
                let outcome = match intent.claim {
                    Claim::Must => &case.blocked,
                    Claim::Never | Claim::May => &case.passes,
                };
                let request = case.request.as_ref().map(request::show);
                let mut about = vec![
                    format!("`{}`: {asked}?", intent.text),
                    format!("sat: the intent {sat}; unsat: it {unsat}"),
                ];
                about.extend(request.map(|request| format!("asking {request}")));
                let terms = [
                    self.between.clone(),
                    part.holds(&self.frame),
                    outcome.clone(),
                ];
                texts.push(crate::Question {
                    rule: intent.text.to_string(),
                    asked: asked.to_owned(),
                    text: smtlib::print(&self.frame.script, &terms, &about),
                });
            }
        }
        texts
    }
}

/// The flow is one between the ends of the intent, and policies have a say in it.
fn between(frame: &Frame, intent: &Intent, settings: &Settings) -> Term {
    let (from, to) = frame.seats(Seat::First);
    let has_policy = |side: &Side| has_policy(frame, side, settings);
    Term::all([
        intent
            .from
            .holds(frame, Seat::First, settings, Clusters::Own),
        intent
            .to
            .holds(frame, Seat::Second, settings, Clusters::Own),
        has_policy(from).or(has_policy(to)),
        // What a node sends to itself meets no policy.
        from.is_host().and(to.is_host()).negate(),
    ])
}

/// The party of a side is an endpoint of this cluster. Pods of other clusters have policies that are not ours to see,
/// and nodes have some only with the host firewall.
pub(crate) fn has_policy(frame: &Frame, side: &Side, settings: &Settings) -> Term {
    let pod = side.is_pod().and(side.is_local(&frame.dims));
    let host = if settings.host_firewall {
        side.is_host()
    } else {
        Term::Const(false)
    };
    Term::any([pod, side.is_any(Kind::SUBJECTS), host])
}
