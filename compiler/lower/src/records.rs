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
    /// [`record::DENY`] or [`record::ALLOW`].
    pub(crate) action: u8,
    /// Why.
    pub(crate) cause: Cause,
    /// The first deciding rule, [`record::NO_RULE`] if none decided.
    pub(crate) rule: u32,
    /// The authentication demanded, 0 for none. The datapath drops until it is given, and nothing gives it.
    pub(crate) auth: u8,
    /// `log.value` of the deciding rules, each once, one a line.
    pub(crate) log: String,
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
        }
    }

    /// Whether the datapath lets pass what it says this of.
    pub(crate) fn passes(&self) -> bool {
        self.action == record::ALLOW && self.auth == record::AUTH_NONE
    }

    /// The record of a verdict. An allow that waits for a proxy's word is none.
    pub(crate) fn new(model: &Model<'_>, verdict: &Verdict) -> Self {
        let cause = match verdict.reason {
            Reason::Rule(Action::Deny) => Cause::PolicyDeny,
            Reason::DefaultDeny | Reason::Conflict | Reason::Rule(Action::Pass) => {
                Cause::DefaultDeny
            }
            Reason::Rule(Action::Allow) | Reason::NotEnforced | Reason::Localhost => Cause::Allowed,
        };
        let rule = verdict.rules.first();
        let is_allowed = verdict.allowed && verdict.redirect.is_none();
        let mode = verdict
            .auth
            .filter(|_| is_allowed)
            .map(|demand| demand.mode);
        Self {
            action: if is_allowed {
                record::ALLOW
            } else {
                record::DENY
            },
            cause: if is_allowed == verdict.allowed {
                cause
            } else {
                Cause::InvalidTables
            },
            rule: rule.map_or(record::NO_RULE, |rule| rule.0),
            auth: mode.map_or(record::AUTH_NONE, auth),
            log: log(model, verdict),
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
    list: Vec<(Record, u32)>,
    known: BTreeMap<Record, u16>,
    logs: Vec<String>,
    cookies: BTreeMap<String, u32>,
}

impl Records {
    /// Record 0 alone.
    pub(crate) fn new() -> Self {
        Self {
            list: vec![(Record::drop(Cause::InvalidTables), 0)],
            known: BTreeMap::new(),
            logs: Vec::new(),
            cookies: BTreeMap::new(),
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
        let cookie = self.cookie(&record.log);
        self.list.push((record.clone(), cookie));
        self.known.insert(record.clone(), number);
        Some(number)
    }

    /// The cookie of a text: its position among the texts, from 1; 0 for none.
    fn cookie(&mut self, log: &str) -> u32 {
        if log.is_empty() {
            return 0;
        }
        if let Some(cookie) = self.cookies.get(log) {
            return *cookie;
        }
        self.logs.push(log.to_owned());
        // There are at most as many as records.
        let cookie = u32::try_from(self.logs.len()).unwrap_or(u32::MAX);
        self.cookies.insert(log.to_owned(), cookie);
        cookie
    }

    /// The records as the datapath reads them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = self.list.iter().flat_map(|(one, cookie)| {
            let mut bytes = vec![0; record::BYTES as usize];
            for (at, field) in [
                (record::ACTION, vec![one.action]),
                (record::REASON, vec![one.cause as u8]),
                (record::AUTH, vec![one.auth]),
                (record::RULE, one.rule.to_le_bytes().to_vec()),
                (record::COOKIE, cookie.to_le_bytes().to_vec()),
            ] {
                if let Some(slot) = bytes.get_mut(at as usize..at as usize + field.len()) {
                    slot.copy_from_slice(&field);
                }
            }
            bytes
        });
        bytes.collect()
    }

    /// The texts in the order of their cookies.
    pub(crate) fn into_logs(self) -> Vec<String> {
        self.logs
    }
}
