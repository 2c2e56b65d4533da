//! Names of pods, rules and identities: those of the bundle in force.

use policy_abi::endpoint::NODE_INDEX;
use policy_abi::event::Event;
use policy_bundle::{Bundle, Trust};

use crate::failure::Failure;
use crate::maps::Maps;
use crate::state::State;

/// A rule as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: u32,
}

/// Names of one generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    generation: u64,
    pods: Vec<String>,
    nodes: Vec<String>,
    rules: Vec<Rule>,
    identities: Vec<String>,
    logs: Vec<String>,
}

impl Table {
    pub(super) fn pod(&self, event: &Event) -> Option<&str> {
        self.pods.get(event.endpoint as usize).map(String::as_str)
    }

    /// The node, if the event is about what it sends or gets itself.
    pub(super) fn node(&self, event: &Event) -> Option<&str> {
        let index = event.endpoint.checked_sub(NODE_INDEX)?;
        self.nodes.get(index as usize).map(String::as_str)
    }

    pub(super) fn rule(&self, event: &Event) -> Option<&Rule> {
        self.rules.get(event.rule as usize)
    }

    /// What the rules that decided say for logs.
    pub(super) fn log(&self, event: &Event) -> Vec<&str> {
        let index = event.cookie.checked_sub(1);
        let text = index.and_then(|index| self.logs.get(index as usize));
        text.map_or_else(Vec::new, |text| text.lines().collect())
    }

    pub(super) fn identity(&self, event: &Event) -> Option<&str> {
        self.identities
            .get(event.identity as usize)
            .map(String::as_str)
    }
}

/// The names last needed.
#[derive(Debug)]
pub(super) struct Names {
    state: State,
    table: Table,
}

impl Names {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            table: Table::default(),
        }
    }

    /// Names for an event, `None` if it is of a generation that is no longer in force.
    pub(super) fn of(&mut self, event: &Event, maps: &Maps) -> Result<Option<&Table>, Failure> {
        if self.table.generation != event.generation {
            let control = maps.control()?;
            if control.generation != event.generation {
                return Ok(None);
            }
            self.table = self.load(control.generation, &control.digest)?;
        }
        Ok(Some(&self.table))
    }

    /// The copy of the bundle needs no signature: the kernel vouches for its digest. Without a copy there are no names.
    fn load(&self, generation: u64, digest: &[u8; 32]) -> Result<Table, Failure> {
        let bytes = self.state.bundle()?.unwrap_or_default();
        let bundle = Bundle::open(&bytes, &Trust::DoNotCheckSignature).ok();
        let Some(bundle) = bundle.filter(|bundle| bundle.digest() == *digest) else {
            return Ok(Table {
                generation,
                ..Table::default()
            });
        };
        let rule = |rule: policy_bundle::Rule<'_>| Rule {
            key: rule.key.to_owned(),
            name: rule.name.to_owned(),
            file: rule.file.to_owned(),
            line: rule.line,
        };
        Ok(Table {
            generation,
            pods: bundle.endpoints().map(|pod| pod.name.to_owned()).collect(),
            nodes: bundle.nodes().map(str::to_owned).collect(),
            rules: bundle.rules().map(rule).collect(),
            identities: bundle.identities().map(str::to_owned).collect(),
            logs: bundle.logs().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_a_position_among_the_log_texts() {
        let table = Table {
            logs: vec!["one".to_owned(), "two\nthree".to_owned()],
            ..Table::default()
        };
        let mut event = Event::from_bytes(&[0; policy_abi::event::BYTES]).unwrap();
        let mut log = |cookie| {
            event.cookie = cookie;
            table.log(&event).join(", ")
        };
        assert_eq!(
            [log(0), log(1), log(2), log(3)],
            ["", "one", "two, three", ""]
        );
    }
}
