//! Verdict records: what a cell of a table says.

use std::collections::BTreeMap;

use policy_abi::arena::record;
use policy_abi::reason::{RECORDS_COUNTED, Reason as Cause};
use policyc_ir::l7::Auth;
use policyc_ir::model::{Model, Reason, Verdict};
use policyc_ir::rule::Action;

/// What a record says of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// [`record::DENY`], [`record::ALLOW`] or [`record::REDIRECT`].
    pub(crate) action: u8,
    /// Why.
    pub(crate) cause: Cause,
    /// The first deciding rule, [`record::NO_RULE`] if none decided.
    pub(crate) rule: u32,
    /// The authentication demanded, 0 for none. The datapath drops until it is given, and nothing gives it.
    pub(crate) auth: u8,
    /// `log.value` of the deciding rules, each once, one a line.
    pub(crate) log: String,
    /// The proxy that has the last word; empty for none.
    pub(crate) proxy: String,
}

impl Record {
    /// A drop that no rule asks for.
    pub(crate) const fn drop(cause: Cause) -> Self {
        Self {
            action: record::DENY,
            cause,
            rule: record::NO_RULE,
            auth: record::AUTH_NONE,
            log: String::new(),
            proxy: String::new(),
        }
    }

    /// Whether the datapath lets pass what it says this of.
    pub(crate) fn passes(&self) -> bool {
        self.action == record::ALLOW && self.auth == record::AUTH_NONE
    }

    /// Whether nothing can make it pass.
    pub(crate) fn is_no(&self) -> bool {
        !self.passes() && self.action != record::REDIRECT
    }

    /// Whether packets of either go the same way: on, to the same proxy, or nowhere.
    pub(crate) fn goes_as(&self, other: &Self) -> bool {
        (self.passes(), &self.proxy) == (other.passes(), &other.proxy)
    }

    /// The record of a verdict.
    pub(crate) fn new(model: &Model<'_>, verdict: &Verdict) -> Self {
        let proxy = verdict
            .redirect
            .as_ref()
            .and_then(|redirect| redirect.l7.proxy());
        let (action, cause) = match verdict.reason {
            Reason::Rule(Action::Deny) => (record::DENY, Cause::PolicyDeny),
            Reason::DefaultDeny | Reason::Conflict | Reason::Rule(Action::Pass) => {
                (record::DENY, Cause::DefaultDeny)
            }
            Reason::Rule(Action::Allow) if proxy.is_some() => (record::REDIRECT, Cause::NoProxy),
            Reason::Rule(Action::Allow) | Reason::NotEnforced | Reason::Localhost => {
                (record::ALLOW, Cause::Allowed)
            }
        };
        let rule = verdict.rules.first();
        let mode = verdict
            .auth
            .filter(|_| action == record::ALLOW)
            .map(|demand| demand.mode);
        Self {
            action,
            cause,
            rule: rule.map_or(record::NO_RULE, |rule| rule.0),
            auth: mode.map_or(record::AUTH_NONE, auth),
            log: log(model, verdict),
            proxy: proxy.unwrap_or_default(),
        }
    }
}

/// The number of a mode.
const fn auth(mode: Auth) -> u8 {
    match mode {
        Auth::Disabled => record::AUTH_NONE,
        Auth::Required => record::AUTH_REQUIRED,
        Auth::AlwaysFail => record::AUTH_ALWAYS_FAIL,
    }
}

fn log(model: &Model<'_>, verdict: &Verdict) -> String {
    let rules = verdict.rules.iter();
    let rules = rules.filter_map(|id| model.resolved.rules.rule(*id));
    let mut lines: Vec<&str> = Vec::new();
    for line in rules.filter_map(|rule| rule.log.as_deref()) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Distinct verdict records; number 0 drops and is never given to a verdict.
pub(crate) struct Records {
    list: Vec<(Record, Named)>,
    known: BTreeMap<Record, u16>,
    pub(crate) logs: Texts,
    pub(crate) proxies: Texts,
}

/// The numbers of what a record names by text.
#[derive(Clone, Copy, Default)]
struct Named {
    cookie: u32,
    proxy: u32,
}

impl Records {
    /// Record 0 alone.
    pub(crate) fn new() -> Self {
        Self {
            list: vec![(Record::drop(Cause::InvalidTables), Named::default())],
            known: BTreeMap::new(),
            logs: Texts::default(),
            proxies: Texts::default(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of a record; `None` if there are too many.
    pub(crate) fn number(&mut self, record: &Record) -> Option<u16> {
        if let Some(number) = self.known.get(record) {
            return Some(*number);
        }
        let number = u16::try_from(self.list.len())
            .ok()
            .filter(|number| u32::from(*number) < RECORDS_COUNTED)?;
        let named = Named {
            cookie: self.logs.number(&record.log),
            proxy: self.proxies.number(&record.proxy),
        };
        self.list.push((record.clone(), named));
        self.known.insert(record.clone(), number);
        Some(number)
    }

    /// The records as the datapath reads them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = self.list.iter().flat_map(|(one, named)| {
            let mut bytes = vec![0; record::BYTES as usize];
            for (at, field) in [
                (record::ACTION, vec![one.action]),
                (record::REASON, vec![one.cause as u8]),
                (record::AUTH, vec![one.auth]),
                (record::RULE, one.rule.to_le_bytes().to_vec()),
                (record::COOKIE, named.cookie.to_le_bytes().to_vec()),
                (record::PROXY, named.proxy.to_le_bytes().to_vec()),
            ] {
                if let Some(slot) = bytes.get_mut(at as usize..at as usize + field.len()) {
                    slot.copy_from_slice(&field);
                }
            }
            bytes
        });
        bytes.collect()
    }
}

/// Texts, each with a number: its position from 1. The empty text has number 0.
#[derive(Default)]
pub(crate) struct Texts {
    list: Vec<String>,
    known: BTreeMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        self.list.push(text.to_owned());
        // There are at most as many as records.
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.known.insert(text.to_owned(), number);
        number
    }

    /// In the order of their numbers.
    pub(crate) fn into_list(self) -> Vec<String> {
        self.list
    }
}
