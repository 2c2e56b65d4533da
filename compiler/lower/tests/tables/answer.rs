//! What tables and the model say.

use policy_abi::arena::{Read, record};
use policy_abi::lookup;
use policyc_ir::l7::Auth;
use policyc_ir::model::{Flow, Model};
use policyc_lower::Image;

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) auth: u8,
    pub(crate) rule: Option<u32>,
    pub(crate) log: Vec<String>,
    pub(crate) proxy: Option<String>,
}

impl Answer {
    /// Whether the datapath lets it pass.
    pub(crate) fn passes(&self) -> bool {
        self.allowed && self.auth == record::AUTH_NONE && self.proxy.is_none()
    }
}

/// What the tables say.
pub(crate) fn answer(image: &Image, table: u32, flow: &Flow) -> Answer {
    let arena = image.arena.as_slice();
    let verdict = lookup::verdict(arena, table, flow.peer.0, flow.protocol.0, flow.port);
    let at = lookup::record_at(arena, verdict.record);
    assert_eq!(verdict.passes, lookup::passes(arena, at), "{flow:?}");
    let rule = arena.u32(at + record::RULE);
    let log = match arena.u32(at + record::COOKIE) {
        0 => Vec::new(),
        cookie => image.logs[cookie as usize - 1]
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    let proxy = arena.u32(at + record::PROXY).checked_sub(1);
    Answer {
        allowed: lookup::action(arena, at) != record::DENY,
        auth: lookup::auth(arena, at),
        rule: (rule != record::NO_RULE).then_some(rule),
        log,
        proxy: proxy.map(|index| image.proxies[index as usize].clone()),
    }
}

/// What the model says.
pub(crate) fn wanted(model: &Model<'_>, flow: &Flow) -> Answer {
    let verdict = model.eval(flow);
    let auth = match verdict.auth.map(|demand| demand.mode) {
        None | Some(Auth::Disabled) => record::AUTH_NONE,
        Some(Auth::Required) => record::AUTH_REQUIRED,
        Some(Auth::AlwaysFail) => record::AUTH_ALWAYS_FAIL,
    };
    let mut log: Vec<String> = Vec::new();
    for id in &verdict.rules {
        let text = model.resolved.rules.rule(*id).unwrap().log.clone();
        log.extend(
            text.map(|text| text.to_string())
                .filter(|text| !log.contains(text)),
        );
    }
    Answer {
        allowed: verdict.allowed,
        auth,
        rule: verdict.rules.first().map(|rule| rule.0),
        log,
        proxy: verdict
            .redirect
            .map(|redirect| match &redirect.l7.listener {
                Some(listener) => format!("listener {}", listener.name),
                None => redirect.parser.name().to_owned(),
            }),
    }
}
