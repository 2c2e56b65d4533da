//! The questions as SMT-LIB text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Rule, RuleSet};
use policyc_ir::settings::Settings;

use super::asker::{encode, removal};
use super::near::Near;
use super::{Context, Group, conflict, groups, layer7};
use crate::Options;
use crate::algebra::overlap::Algebra;
use crate::encode::{Encoded, Frame};
use crate::replay::Library;
use crate::solver::smtlib;
use crate::term::Term;

/// One question as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The rule, e.g. `cnp shop/web spec.ingress[0]`.
    pub rule: String,
    /// What is asked, in one line.
    pub asked: String,
    /// SMT-LIB. What an answer means stands on top.
    pub text: String,
}

/// All that may be asked about rules, rule by rule: whether removing one changes a verdict, whether others cover it,
/// whether denies take all or part of it, whether plain allows open its layer 7, and whether one pod can have two
/// rules that exclude each other.
pub fn questions(rules: &RuleSet, settings: &Settings) -> Vec<Question> {
    let algebra = Algebra::new(rules, settings);
    let library = Library::new(rules, settings);
    let context = Context {
        rules,
        algebra: &algebra,
        library: &library,
        settings,
        options: &Options::default(),
        deadline: None,
        done: &AtomicUsize::new(0),
    };
    let mut asked: BTreeMap<RuleId, Vec<Question>> = BTreeMap::new();
    for direction in Direction::BOTH {
        let (mut all, wide) = groups(&algebra, settings, direction);
        all.push(wide);
        for id in all.iter().flat_map(|group| &group.own) {
            if let Some(rule) = rules.rule(*id) {
                asked.insert(*id, of_rule(&context, *id, rule));
            }
        }
    }
    for (one, other) in conflict::pairs(&algebra) {
        let question = Asking::new(&context, other, &[one]).together(one);
        asked.entry(other).or_default().push(question);
    }
    asked.into_values().flatten().collect()
}

fn of_rule(context: &Context<'_>, id: RuleId, rule: &Rule) -> Vec<Question> {
    let near = Near::new(context.algebra, id, rule, &BTreeSet::new());
    let mut all = vec![Asking::new(context, id, &near.slice).removed(&near)];
    let mut outside = |others: &[RuleId], who: &str, meaning: &str| {
        if !others.is_empty() {
            all.push(Asking::new(context, id, others).outside(who, meaning));
        }
    };
    let deciding = "rule that decides it the same way or before";
    outside(&near.deciding, deciding, "they cover the rule");
    if rule.action == Action::Allow {
        outside(&near.denies, "deny", "the rule allows nothing");
        let plain = layer7::plain(context.rules, rule, &near);
        outside(&plain, "plain allow", "the rule refuses no request");
        let parts = near.denies.iter();
        all.extend(parts.map(|deny| Asking::new(context, id, &[*deny]).both(*deny)));
    }
    all
}

/// A rule among others, as terms.
struct Asking<'a> {
    context: &'a Context<'a>,
    id: RuleId,
    others: Vec<RuleId>,
    frame: Frame,
    encoded: BTreeMap<RuleId, Encoded>,
}

impl<'a> Asking<'a> {
    fn new(context: &'a Context<'a>, id: RuleId, others: &[RuleId]) -> Self {
        let group = Group {
            own: vec![id],
            others: others.to_vec(),
        };
        let (frame, encoded) = encode(context, &group, true);
        Self {
            context,
            id,
            others: group.others,
            frame,
            encoded,
        }
    }

    fn name(&self, id: RuleId) -> String {
        format!("`{}`", self.context.rules.name(id))
    }

    fn of(&self, id: RuleId, what: fn(&Encoded) -> &Term) -> Term {
        let rule = self.encoded.get(&id);
        rule.map_or(Term::Const(false), |rule| what(rule).clone())
    }

    fn matches(&self, id: RuleId) -> Term {
        self.of(id, |rule| &rule.matches)
    }

    fn print(&self, term: Term, asked: String, meaning: String) -> Question {
        let about = [asked.clone(), meaning];
        Question {
            rule: self.context.rules.name(self.id),
            text: smtlib::print(&self.frame.script, &[term], &about),
            asked,
        }
    }

    fn removed(&self, near: &Near) -> Question {
        let term = removal(&self.frame, &self.encoded, self.context, self.id, near);
        let name = self.name(self.id);
        self.print(
            term,
            format!("Is there a flow that is judged otherwise without {name}?"),
            "unsat: removing the rule changes no verdict.".to_owned(),
        )
    }

    fn outside(&self, who: &str, meaning: &str) -> Question {
        let others = self.others.iter().map(|id| self.matches(*id));
        let term = self.matches(self.id).and(Term::any(others).negate());
        let name = self.name(self.id);
        self.print(
            term,
            format!("Is there a flow that {name} matches and no {who} does?"),
            format!("unsat: {meaning}."),
        )
    }

    fn both(&self, other: RuleId) -> Question {
        let term = self.matches(self.id).and(self.matches(other));
        let (name, deny) = (self.name(self.id), self.name(other));
        self.print(
            term,
            format!("Is there a flow that both {name} and {deny} match?"),
            "sat: the deny takes part of what the rule allows.".to_owned(),
        )
    }

    fn together(&self, other: RuleId) -> Question {
        let selects = |id| self.of(id, |rule| &rule.selects);
        let (name, second) = (self.name(self.id), self.name(other));
        self.print(
            selects(self.id).and(selects(other)),
            format!("Is there a pod that both {name} and {second} select?"),
            "sat: the rules exclude each other, and the pod has no policy.".to_owned(),
        )
    }
}
