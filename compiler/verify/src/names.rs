//! Sets of DNS names that patterns select: which pattern implies which, and a name that some select and others do not.
//!
//! Patterns are small automata over the bytes of a name. Names are searched breadth first, so examples are short, and
//! have no empty label.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use policyc_ir::fqdn::Fqdn;

/// Steps of one search.
const LIMIT: usize = 20_000;

/// What a search for a name found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A name.
    Name(Arc<str>),
    /// There is none.
    None,
    /// The search was given up.
    TooLarge,
}

/// Pairs of which the first selects no name that the second does not select.
pub(crate) fn implied(all: &BTreeSet<Fqdn>) -> Vec<(&Fqdn, &Fqdn)> {
    let mut pairs = Vec::new();
    for one in all {
        // Few patterns select a given name, so this leaves few for the search.
        let sample = match name_of(one, &[]) {
            Found::Name(name) => Some(name),
            Found::None | Found::TooLarge => None,
        };
        let Some(sample) = sample else { continue };
        for another in all {
            if another != one && another.matches(&sample) && name_of(one, &[another]) == Found::None
            {
                pairs.push((one, another));
            }
        }
    }
    pairs
}

/// A name that one selects and none of the others.
pub(crate) fn name_of(one: &Fqdn, others: &[&Fqdn]) -> Found {
    let automata: Vec<Automaton> = std::iter::once(one)
        .chain(others.iter().copied())
        .map(Automaton::new)
        .collect();
    let alphabet = alphabet(&automata);
    let start = State {
        label_open: false,
        sets: automata.iter().map(Automaton::start).collect(),
    };
    let mut known = BTreeMap::from([(start.clone(), None)]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        if state.label_open && state.is_wanted(&automata) {
            return Found::Name(spell(&known, &state));
        }
        for byte in &alphabet {
            let Some(next) = state.step(&automata, *byte) else {
                continue;
            };
            if known.len() >= LIMIT {
                return Found::TooLarge;
            }
            if !known.contains_key(&next) {
                known.insert(next.clone(), Some((state.clone(), *byte)));
                queue.push_back(next);
            }
        }
    }
    Found::None
}

/// The bytes that lead to a state.
fn spell(known: &BTreeMap<State, Option<(State, u8)>>, state: &State) -> Arc<str> {
    let mut bytes = Vec::new();
    let mut at = state;
    while let Some(Some((before, byte))) = known.get(at) {
        bytes.push(*byte);
        at = before;
    }
    bytes.reverse();
    String::from_utf8_lossy(&bytes).into()
}

/// Where each automaton is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    /// Whether the label at hand has a byte: only then may a name end, or a dot follow.
    label_open: bool,
    sets: Vec<BTreeSet<usize>>,
}

impl State {
    fn step(&self, automata: &[Automaton], byte: u8) -> Option<Self> {
        if byte == b'.' && !self.label_open {
            return None;
        }
        let pairs = self.sets.iter().zip(automata);
        let sets: Vec<_> = pairs
            .map(|(set, automaton)| automaton.step(set, byte))
            .collect();
        let alive = sets.first().is_some_and(|set| !set.is_empty());
        alive.then_some(Self {
            label_open: byte != b'.',
            sets,
        })
    }

    fn is_wanted(&self, automata: &[Automaton]) -> bool {
        let mut accepted = self
            .sets
            .iter()
            .zip(automata)
            .map(|(set, automaton)| set.iter().any(|at| automaton.accepts(*at)));
        accepted.next() == Some(true) && !accepted.any(|accepted| accepted)
    }
}

/// One position of an automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// This byte comes next.
    Byte(u8),
    /// Any number of bytes of a label.
    Star,
    /// At least one byte of a label; the next place is [`Self::InLabels`].
    Labels,
    /// More bytes of the label, or a dot and another label.
    InLabels,
    /// Any bytes.
    Anything,
    /// The end of a name.
    End,
}

/// A name, a pattern, or both as alternatives.
#[derive(Clone, Debug)]
struct Automaton {
    places: Vec<Place>,
    starts: Vec<usize>,
}

impl Automaton {
    fn new(fqdn: &Fqdn) -> Self {
        let mut places = Vec::new();
        let mut starts = Vec::new();
        if let Some(name) = &fqdn.name {
            starts.push(places.len());
            places.extend(canonical(name).bytes().map(Place::Byte));
            places.push(Place::End);
        }
        if let Some(pattern) = &fqdn.pattern {
            starts.push(places.len());
            read_pattern(canonical(pattern).as_bytes(), &mut places);
            places.push(Place::End);
        }
        Self { places, starts }
    }

    fn start(&self) -> BTreeSet<usize> {
        let mut set = BTreeSet::new();
        for at in &self.starts {
            self.enter(*at, &mut set);
        }
        set
    }

    /// Adds a place and those reached from it without a byte.
    fn enter(&self, at: usize, set: &mut BTreeSet<usize>) {
        let mut at = at;
        while set.insert(at) {
            match self.places.get(at) {
                Some(Place::Star | Place::InLabels | Place::Anything) => at += 1,
                _ => return,
            }
        }
    }

    fn step(&self, set: &BTreeSet<usize>, byte: u8) -> BTreeSet<usize> {
        let in_label = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let mut next = BTreeSet::new();
        for at in set {
            let to = match self.places.get(*at) {
                Some(Place::Byte(wanted)) => (*wanted == byte).then_some(at + 1),
                Some(Place::Labels) => in_label.then_some(at + 1),
                Some(Place::InLabels) if byte == b'.' => Some(at - 1),
                Some(Place::Star | Place::InLabels) => in_label.then_some(*at),
                Some(Place::Anything) => Some(*at),
                Some(Place::End) | None => None,
            };
            if let Some(to) = to {
                self.enter(to, &mut next);
            }
        }
        next
    }

    fn accepts(&self, at: usize) -> bool {
        self.places.get(at) == Some(&Place::End)
    }
}

/// Reads a pattern (Cilium's matchpattern): stars alone are every name, leading `**.` is one label or more, and any
/// other run of stars stays within a label.
fn read_pattern(pattern: &[u8], places: &mut Vec<Place>) {
    if !pattern.is_empty() && pattern.iter().all(|byte| *byte == b'*') {
        places.push(Place::Anything);
        return;
    }
    let leading = pattern.iter().take_while(|byte| **byte == b'*').count();
    let rest = match pattern.get(leading..) {
        Some(rest) if leading >= 2 && rest.first() == Some(&b'.') => {
            places.extend([Place::Labels, Place::InLabels]);
            rest
        }
        _ => pattern,
    };
    for byte in rest {
        match byte {
            b'*' if places.last() == Some(&Place::Star) => {}
            b'*' => places.push(Place::Star),
            other => places.push(Place::Byte(*other)),
        }
    }
}

/// Bytes that some automaton tells apart, and of those that none does one for labels and one outside of them.
fn alphabet(automata: &[Automaton]) -> Vec<u8> {
    let places = automata.iter().flat_map(|automaton| &automaton.places);
    let named: BTreeSet<u8> = places
        .filter_map(|place| match place {
            Place::Byte(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    let labels = (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_");
    let fresh = labels.into_iter().find(|byte| !named.contains(byte));
    let known: Vec<u8> = named.into_iter().filter(|byte| *byte != b'.').collect();
    let mut all: Vec<u8> = fresh.into_iter().chain(known).collect();
    all.extend([b'.', b'!']);
    all
}

fn canonical(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Fqdn {
        Fqdn::new(None, Some(text))
    }

    #[test]
    fn patterns_imply_others_only_where_every_name_of_theirs_is_selected() {
        let name = Fqdn::new(Some("a.example.com"), None);
        for (one, another, wanted) in [
            (&name, &pattern("*.example.com"), true),
            (&name, &pattern("*.Example.com."), true),
            (&name, &pattern("b*.example.com"), false),
            (&pattern("*.example.com"), &name, false),
            (&pattern("*.example.com"), &pattern("**.example.com"), true),
            (&pattern("**.example.com"), &pattern("*.example.com"), false),
            (&pattern("a*.example.com"), &pattern("*.example.com"), true),
            (&pattern("*.example.com"), &pattern("*"), true),
            (&pattern("*"), &pattern("**.com"), false),
        ] {
            let all = BTreeSet::from([one.clone(), another.clone()]);
            let found = implied(&all).contains(&(one, another));
            assert_eq!(found, wanted, "{one} ⊆ {another}");
        }
    }

    #[test]
    fn a_name_may_have_to_avoid_several_patterns_at_once() {
        let (one, left, right) = (pattern("*.io"), pattern("a*.io"), pattern("*a.io"));
        let Found::Name(name) = name_of(&one, &[&left, &right]) else {
            panic!("a name exists");
        };
        assert!(one.matches(&name) && !left.matches(&name) && !right.matches(&name));
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop_oneof![Just("*"), Just("**"), Just("a"), Just("b"), Just(".")],
            1..6,
        )
        .prop_map(|parts| parts.concat().trim_end_matches('.').to_owned())
        .prop_filter("some pattern", |text| !text.is_empty())
    }

    proptest! {
        /// The automata agree with the model's matching on every short name.
        #[test]
        fn names_are_found_exactly_where_the_model_selects(one in text(), other in text()) {
            let (one, other) = (pattern(&one), pattern(&other));
            let wanted = |name: &str| one.matches(name) && !other.matches(name);
            match name_of(&one, &[&other]) {
                Found::Name(name) => prop_assert!(wanted(&name), "{name}"),
                Found::TooLarge => prop_assert!(false, "such patterns are small"),
                Found::None => {
                    let mut names = vec![String::new()];
                    for _ in 0..5 {
                        names = names.iter().flat_map(|name| {
                            ["", "a", "b", "c", "."].map(|end| format!("{name}{end}"))
                        }).collect();
                        names.sort();
                        names.dedup();
                    }
                    let proper = |name: &&String| name.split('.').all(|label| !label.is_empty());
                    let missed = names.iter().filter(proper).find(|name| wanted(name));
                    prop_assert_eq!(missed, None);
                }
            }
        }
    }
}
