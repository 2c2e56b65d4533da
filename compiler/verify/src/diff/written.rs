//! The questions as SMT-LIB text.

use policyc_ir::rule::RuleSet;
use policyc_ir::settings::{Enforcement, Settings};

use super::component::{self, Component, Context};
use super::goal::goal;
use super::joint::Joint;
use super::question::{About, Question};
use super::{What, deadline};
use crate::Options;
use crate::solver::smtlib;
use crate::term::Term;

/// What is asked of every set of changed rules that may share subjects.
const ASKED: [(What, &str); 6] = [
    (
        What::Broken,
        "does a pod lose its policy to rules that exclude each other",
    ),
    (What::Mended, "does a pod get a policy that it had not"),
    (
        What::Opened,
        "does a pod that was in default deny let flows pass that no rule matches",
    ),
    (
        What::Isolated,
        "does a pod that was not in default deny drop flows that no rule matches",
    ),
    (What::Allowed, "is a flow allowed that was denied"),
    (What::Denied, "is a flow denied that was allowed"),
];

/// All that decides whether two sets of rules are equal at layers 3 and 4, the same bytes for the same rules. What proxies
/// and authentication ask is compared case by case and is no one question.
pub fn questions(old: &RuleSet, new: &RuleSet, settings: &Settings) -> Vec<crate::Question> {
    if settings.enforcement == Enforcement::Never {
        return Vec::new();
    }
    let joint = Joint::new(old, new);
    let options = Options::default();
    let context = Context::new(&joint, [old, new], settings, &options, deadline(&options));
    let components = component::split(&context);
    let each = components.iter();
    each.flat_map(|one| of_component(&context, one)).collect()
}

fn of_component(context: &Context<'_>, component: &Component) -> Vec<crate::Question> {
    let question = Question::new(context, component, About::All);
    let changed = component.changed.iter();
    let names: Vec<_> = changed
        .map(|id| format!("`{}`", context.joint.rules.name(*id)))
        .collect();
    let names = names.join(", ");
    let goals = ASKED
        .iter()
        .map(|(what, asked)| (goal(&question, *what).0, *asked));
    let written = goals.map(|(term, asked)| crate::Question {
        rule: names.clone(),
        asked: asked.to_owned(),
        text: text(&question, term, asked, &names),
    });
    written.collect()
}

fn text(question: &Question, term: Term, asked: &str, names: &str) -> String {
    let about = [
        format!("Because of {names}: {asked}?"),
        "unsat: none does.".to_owned(),
    ];
    smtlib::print(&question.frame.script, &[term], &about)
}
