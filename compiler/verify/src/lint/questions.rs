//! The questions as SMT-LIB text.

use std::collections::BTreeSet;

use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::settings::Settings;

use super::asker::{encode, removal};
use super::near::Near;
use super::{Context, Group, groups};
use crate::Options;
use crate::algebra::overlap::Algebra;
use crate::replay::Library;
use crate::solver::smtlib;

/// One question as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The rule, e.g. `cnp shop/web spec.ingress[0]`.
    pub rule: String,
    /// SMT-LIB: `unsat` means that removing the rule changes no verdict.
    pub text: String,
}

/// For each rule, in order: does removing it change a verdict?
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
    };
    let mut numbered = Vec::new();
    for direction in Direction::BOTH {
        let (mut all, wide) = groups(&algebra, settings, direction);
        all.push(wide);
        for group in all {
            numbered.extend(of_group(&context, &group));
        }
    }
    numbered.sort_by_key(|(id, _)| *id);
    numbered.into_iter().map(|(_, question)| question).collect()
}

fn of_group(context: &Context<'_>, group: &Group) -> Vec<(policyc_ir::RuleId, Question)> {
    let (frame, encoded) = encode(context, group, true);
    let question = |id: &policyc_ir::RuleId| {
        let rule = context.rules.rule(*id)?;
        let near = Near::new(context.algebra, *id, rule, &BTreeSet::new());
        let term = removal(&frame, &encoded, context, *id, &near);
        let rule = context.rules.name(*id);
        let about = [
            format!("Is there a flow that is judged otherwise without `{rule}`?"),
            "unsat: removing the rule changes no verdict.".to_owned(),
        ];
        let text = smtlib::print(&frame.script, &[term], &about);
        Some((*id, Question { rule, text }))
    };
    group.own.iter().filter_map(question).collect()
}
