//! One text of each kind that expressions tell apart.
//!
//! The automata of all expressions walk the same text side by side. Where they stand together when it ends says which of
//! them match, so every combination that there is shows up, each with a shortest text.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, nfa::thompson};

/// Combinations of states that are walked at most.
const STATES_MAX: usize = 20_000;
/// Bytes of states that one automaton may keep.
const CACHE_BYTES: usize = 4 << 20;
/// Bytes of a compiled expression.
const EXPRESSION_BYTES: usize = 1 << 20;

/// Bytes that texts are made of, the most readable first.
fn alphabet() -> impl Iterator<Item = u8> {
    let letters = (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9');
    let signs = (b'!'..=b'~').filter(|byte| !byte.is_ascii_alphanumeric());
    letters.chain(signs)
}

/// A shortest text for each choice of `others` that match some text which all of `own` match.
///
/// # Errors
/// Why there are too many, or why an expression cannot be read.
pub(super) fn atoms(
    own: &[&str],
    others: &BTreeSet<String>,
    limit: usize,
) -> Result<Vec<String>, String> {
    let all = own.iter().copied().chain(others.iter().map(String::as_str));
    let automata: Result<Vec<_>, _> = all.map(Automaton::new).collect();
    let mut automata = automata?;
    let start: Option<Vec<_>> = automata.iter_mut().map(Automaton::start).collect();
    let start = start.ok_or_else(too_large)?;
    let mut known: BTreeMap<Vec<LazyStateID>, String> = BTreeMap::new();
    let mut found: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    let mut queue = VecDeque::from([start.clone()]);
    known.insert(start, String::new());
    while let Some(states) = queue.pop_front() {
        let text = known.get(&states).cloned().unwrap_or_default();
        let matched = step(&mut automata, &states, Automaton::ends)?;
        let meant = matched.iter().take(own.len()).all(|matched| *matched);
        if meant && !text.is_empty() {
            found.entry(matched).or_insert_with(|| text.clone());
        }
        if found.len() > limit {
            return Err(too_large());
        }
        for byte in alphabet() {
            let next = step(&mut automata, &states, |one, at| one.next(at, byte))?;
            let dead = next.iter().take(own.len()).any(LazyStateID::is_dead);
            if dead || known.contains_key(&next) {
                continue;
            }
            if known.len() >= STATES_MAX {
                return Err(too_large());
            }
            known.insert(next.clone(), format!("{text}{}", char::from(byte)));
            queue.push_back(next);
        }
    }
    Ok(found.into_values().collect())
}

fn too_large() -> String {
    "the requests that rules tell apart are too many".to_owned()
}

fn step<T>(
    automata: &mut [Automaton],
    states: &[LazyStateID],
    one: impl Fn(&mut Automaton, LazyStateID) -> Option<T>,
) -> Result<Vec<T>, String> {
    let each = automata.iter_mut().zip(states);
    let all: Option<Vec<_>> = each.map(|(automaton, at)| one(automaton, *at)).collect();
    all.ok_or_else(too_large)
}

struct Automaton {
    dfa: DFA,
    cache: Cache,
}

impl Automaton {
    /// Of an expression that has to match a text as a whole.
    fn new(expression: &str) -> Result<Self, String> {
        let config = Config::new()
            .cache_capacity(CACHE_BYTES)
            .minimum_cache_clear_count(Some(0));
        let compiler = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(EXPRESSION_BYTES));
        let dfa = DFA::builder()
            .configure(config)
            .thompson(compiler)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(&format!("^(?:{expression})$"));
        let dfa = dfa.map_err(|_| format!("what `{expression}` matches is not known here"))?;
        let cache = dfa.create_cache();
        Ok(Self { dfa, cache })
    }

    fn start(&mut self) -> Option<LazyStateID> {
        let config = start::Config::new().anchored(Anchored::Yes);
        self.dfa.start_state(&mut self.cache, &config).ok()
    }

    fn next(&mut self, at: LazyStateID, byte: u8) -> Option<LazyStateID> {
        self.dfa.next_state(&mut self.cache, at, byte).ok()
    }

    /// Whether a text that leads to a state is matched.
    fn ends(&mut self, at: LazyStateID) -> Option<bool> {
        let end = self.dfa.next_eoi_state(&mut self.cache, at).ok()?;
        Some(end.is_match())
    }
}

/// A text as an expression for itself.
pub(super) fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text in which `*` stands for anything.
pub(super) fn glob(text: &str) -> String {
    let parts: Vec<_> = text.split('*').map(literal).collect();
    parts.join(".*")
}

/// A name in which `*` stands for part of a label, `**` for one label or more, and `*` alone for every name.
pub(super) fn labels(pattern: &str) -> String {
    const LABEL: &str = "[-_a-z0-9]";
    let lower = pattern.to_ascii_lowercase();
    let many = format!(r"{LABEL}+(?:\.{LABEL}+)*");
    if lower.bytes().all(|byte| byte == b'*') {
        return many;
    }
    let labels = lower.split('.').map(|label| match label {
        "**" => many.clone(),
        label => {
            let parts: Vec<_> = label.split('*').map(literal).collect();
            parts.join(&format!("{LABEL}*"))
        }
    });
    labels.collect::<Vec<_>>().join(r"\.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(own: &str, others: &[&str]) -> Vec<String> {
        let others = others.iter().map(|one| (*one).to_owned()).collect();
        let mut found = atoms(&[own, ".*"], &others, 64).unwrap();
        found.sort();
        found
    }

    #[test]
    fn every_combination_has_a_text() {
        assert_eq!(found(&glob("/orders/*"), &[]), ["/orders/"]);
        let texts = found(&glob("/orders/*"), &["/orders/[0-9]+", "/orders/.*"]);
        assert_eq!(texts, ["/orders/", "/orders/0"]);
        assert_eq!(found("GET", &["GET|POST", "PUT"]), ["GET"]);
        assert_eq!(
            found("[A-Z]+", &["GET|POST", "P.*"]),
            ["A", "GET", "P", "POST"]
        );
        assert_eq!(found(&glob("/a"), &["/b"]), ["/a"]);
    }

    #[test]
    fn stars_in_names_stay_within_labels() {
        let others = ["**.a.io", "b*.a.io"].map(labels).into();
        let mut names = atoms(&[&labels("*.a.io"), &labels("**")], &others, 64).unwrap();
        names.sort();
        assert_eq!(names, ["a.a.io", "b.a.io"]);
        assert_eq!(found(&labels("**"), &[&labels("a.io")]), ["a", "a.io"]);
    }

    #[test]
    fn too_much_is_left_undecided() {
        let others: BTreeSet<String> = (0..40).map(|at| format!(".*a.{{{at}}}")).collect();
        assert!(atoms(&[".*"], &others, 64).is_err());
        assert!(atoms(&["("], &BTreeSet::new(), 64).is_err());
        assert!(atoms(&["a"], &BTreeSet::from(["(a{900}){900}".to_owned()]), 64).is_err());
    }
}
