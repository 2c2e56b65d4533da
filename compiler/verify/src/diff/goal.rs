//! What is asked about each kind of change.

use super::What;
use super::question::Question;
use crate::term::Term;

/// "Some flow changes in this way", and what must be certain of the subjects or flows of a region.
pub(super) fn goal(question: &Question, what: What) -> (Term, Term) {
    let (old, new) = (&question.old, &question.new);
    let opposite = |from: &Term, to: &Term| from.clone().negate().and(to.clone());
    let judged = || question.judged();
    // What no rule speaks of changes with default deny: subjects are named once for all of it.
    let opens = judged().and(opposite(&new.enforced, &old.enforced));
    let isolates = judged().and(opposite(&old.enforced, &new.enforced));
    let about = || judged().and(question.about.clone());
    let allowed = about().and(opposite(&old.passes, &new.passes));
    let denied = about().and(opposite(&new.passes, &old.passes));
    let opened = opens.clone().and(old.matched.clone().negate());
    let isolated = isolates.clone().and(new.matched.clone().negate());
    match what {
        What::Opened => (allowed.and(opened), opens),
        What::Isolated => (denied.and(isolated), isolates),
        What::Allowed => {
            let rest = allowed.clone().and(opened.negate());
            (rest, allowed)
        }
        What::Denied => {
            let rest = denied.clone().and(isolated.negate());
            (rest, denied)
        }
        What::Broken => {
            let broken = opposite(&old.conflict, &new.conflict).and(question.scope.clone());
            (broken.clone(), broken)
        }
        What::Mended => {
            let mended = opposite(&new.conflict, &old.conflict).and(question.scope.clone());
            (mended.clone(), mended)
        }
        What::Terms => (Term::Const(false), Term::Const(false)),
    }
}
