//! From statements as written to intents and guards.

use std::collections::BTreeMap;

use policyc_diag::{Diagnostic, Span, Spanned, codes, suggest};
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{Key, NAMESPACE, NAMESPACE_LABELS, Source};
use policyc_ir::selector::{Operator, Requirement, Selector};
use policyc_syntax::grammar::intent::{self as written, Hops, Party, Scope, Statement};

use super::end::{End, Parties};
use super::request::Asked;
use super::service::{self, Wanted};
use super::{Claim, Intent, Place};
use crate::guard::{Act, Authors, Guard};

/// Parties of one end, groups spelt out; more are refused.
const PARTIES_MAX: usize = 256;

/// What files of statements say.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    /// Who must, may and must not reach whom.
    pub intents: Vec<Intent>,
    /// What policies may not say.
    pub guards: Vec<Guard>,
}

/// Reads statements in order: every one that can be understood, and the faults of the others.
pub fn read(statements: &[Statement]) -> (Statements, Vec<Diagnostic>) {
    let mut reader = Reader {
        later: names(statements),
        ..Reader::default()
    };
    let mut read = Statements::default();
    for statement in statements {
        match statement {
            Statement::Group(group) => reader.group(group),
            Statement::Intent(intent) => read.intents.extend(reader.intent(intent)),
            Statement::Guard(guard) => read.guards.extend(reader.guard(guard)),
        }
    }
    (read, reader.faults)
}

/// The names of all groups, wherever they are defined.
fn names(statements: &[Statement]) -> BTreeMap<String, Span> {
    let groups = statements.iter().rev().filter_map(|one| match one {
        Statement::Group(group) => Some((group.name.value.clone(), group.name.span)),
        _ => None,
    });
    groups.collect()
}

/// Reads statements, given the groups before them.
#[derive(Debug, Default)]
struct Reader {
    /// Where each was defined and whom it stands for; `None` if that cannot be understood.
    groups: BTreeMap<String, (Span, Option<Vec<Parties>>)>,
    later: BTreeMap<String, Span>,
    faults: Vec<Diagnostic>,
}

impl Reader {
    /// Remembers a group.
    fn group(&mut self, group: &written::Group) {
        let name = &group.name;
        if let Some((first, _)) = self.groups.get(&name.value) {
            let message = format!("the group `{}` is defined twice", name.value);
            let fault = Diagnostic::new(codes::INTENT_GROUP, message)
                .label(name.span, "defined again")
                .label(*first, "defined here first");
            self.faults.push(fault);
            return;
        }
        if let [except, ..] = group.end.value.except.as_slice() {
            let message = format!("the group `{}` has exceptions", name.value);
            let fault = Diagnostic::new(codes::INTENT_GROUP, message)
                .label(except.span, "a group lists parties")
                .help("say `except` where the group is used");
            self.faults.push(fault);
        }
        let parties = self.parties(&group.end.value.parties);
        self.groups.insert(name.value.clone(), (name.span, parties));
    }

    fn intent(&mut self, written: &written::Intent) -> Option<Intent> {
        let before = self.faults.len();
        let from = self.end(&written.from);
        let to = self.end(&written.to);
        let services = self.services(written.services.as_ref());
        self.only_possible(written);
        let place = self.place(written);
        let request = written.request.as_ref().and_then(|request| {
            let read = Asked::read(&request.value, request.span);
            read.map_err(|fault| self.faults.push(fault)).ok()
        });
        if self.faults.len() > before {
            return None;
        }
        let (from, to) = (from?, to?);
        let everyone_but = |end: End| End {
            parties: vec![Parties::Everyone],
            except: end.parties,
            span: end.span,
        };
        let (claim, from, to) = match written.claim {
            written::Claim::Never => (Claim::Never, from, to),
            written::Claim::Must => (Claim::Must, from, to),
            written::Claim::May => (Claim::May, from, to),
            written::Claim::OnlyFrom => (Claim::Never, everyone_but(from), to),
            written::Claim::OnlyTo => (Claim::Never, from, everyone_but(to)),
        };
        Some(Intent {
            text: written.text.value.as_str().into(),
            span: written.text.span,
            claim,
            fails: written.fails,
            from,
            to,
            services: services?,
            request,
            place,
        })
    }

    fn guard(&mut self, written: &written::Guard) -> Option<Guard> {
        let before = self.faults.len();
        let from = written.from.as_ref().map(|end| self.end(end));
        let to = written.to.as_ref().map(|end| self.end(end));
        let services = self.services(written.services.as_ref());
        let says = from.is_some() || to.is_some() || written.services.is_some();
        let act = match written.act.value {
            written::Act::Allow => Act::Allow,
            written::Act::Deny => Act::Deny,
            written::Act::Pass => Act::Pass,
            written::Act::Select => Act::Select,
        };
        if !says && (written.only || act == Act::Allow) {
            let message = "a guard that does not say what may not be allowed";
            let fault = Diagnostic::new(codes::INTENT_SYNTAX, message)
                .label(written.act.span, "expected `from …`, `to …` or `on …`")
                .help("every policy allows or selects something, so say whom");
            self.faults.push(fault);
        }
        if self.faults.len() > before {
            return None;
        }
        let whole = |end: Option<Option<End>>| match end {
            None => Some(None),
            Some(end) => end.map(Some),
        };
        Some(Guard {
            text: written.text.value.as_str().into(),
            name: written.name.as_str().into(),
            span: written.text.span,
            authors: Authors {
                clusterwide: written.authors.clusterwide,
                namespaces: written.authors.namespaces.clone(),
            },
            only: written.only,
            act,
            from: whole(from)?,
            to: whole(to)?,
            services: services?,
        })
    }

    /// Among whom. Paths among possible pods are refused: through a pod that nobody runs nearly everything is reached.
    fn place(&mut self, written: &written::Intent) -> Place {
        let hops = match (&written.hops, written.inventory) {
            (None, None) => return Place::Possible,
            (None, Some(_)) => 1,
            (Some(hops), None) => {
                let message = "paths are looked for in an inventory only";
                let fault = Diagnostic::new(codes::INTENT_INVENTORY, message)
                    .label(
                        hops.span,
                        "nearly all possible pods are connected through some other",
                    )
                    .help("add `in inventory`");
                self.faults.push(fault);
                1
            }
            (Some(hops), Some(_)) => match hops.value {
                Hops::AtMost(hops) => hops,
                Hops::Any => u32::MAX,
            },
        };
        Place::Inventory { hops }
    }

    /// What `only` cannot be said with.
    fn only_possible(&mut self, written: &written::Intent) {
        let end = match written.claim {
            written::Claim::OnlyFrom => &written.from,
            written::Claim::OnlyTo => &written.to,
            _ => return,
        };
        if let [except, ..] = end.value.except.as_slice() {
            let message = "`only` and `except` together are hard to read";
            let fault = Diagnostic::new(codes::INTENT_SYNTAX, message)
                .label(except.span, "an exception from the only ones")
                .help("list those who may, or make two statements of it");
            self.faults.push(fault);
        }
    }

    fn end(&mut self, written: &Spanned<written::End>) -> Option<End> {
        let parties = self.parties(&written.value.parties);
        let except = self.parties(&written.value.except);
        Some(End {
            parties: parties?,
            except: except?,
            span: written.span,
        })
    }

    /// All parties, groups spelt out.
    fn parties(&mut self, written: &[Spanned<Party>]) -> Option<Vec<Parties>> {
        let mut all = Vec::new();
        let mut sound = true;
        for party in written {
            match self.party(party) {
                Ok(parties) => all.extend(parties),
                Err(fault) => {
                    self.faults.extend(fault);
                    sound = false;
                }
            }
        }
        if all.len() > PARTIES_MAX {
            let message = format!("an end stands for more than {PARTIES_MAX} parties");
            let span = written.first().map(|party| party.span);
            let fault = Diagnostic::new(codes::INPUT_LIMIT, message);
            self.faults.push(match span {
                Some(span) => fault.label(span, "too many groups of groups"),
                None => fault,
            });
            sound = false;
        }
        sound.then_some(all)
    }

    /// One party; an error without a fault is one that has been told of.
    fn party(&self, written: &Spanned<Party>) -> Result<Vec<Parties>, Option<Diagnostic>> {
        let span = written.span;
        let one = match &written.value {
            Party::Any => Parties::Any,
            Party::Internet => Parties::Internet,
            Party::Entity(name) => Parties::entity(name, span)?,
            Party::Cidr(text) => Parties::cidr(text, span)?,
            Party::Dns(text) if text.contains('*') => Parties::Dns(Fqdn::new(None, Some(text))),
            Party::Dns(text) => Parties::Dns(Fqdn::new(Some(text), None)),
            Party::Pods {
                requirements,
                scope,
            } => Parties::Pods(selector(requirements, scope.as_ref())),
            Party::Group(name) => return self.named(name, span),
        };
        Ok(vec![one])
    }

    fn named(&self, name: &str, span: Span) -> Result<Vec<Parties>, Option<Diagnostic>> {
        if let Some((_, parties)) = self.groups.get(name) {
            return parties.clone().ok_or(None);
        }
        if let Some(later) = self.later.get(name) {
            let message = format!("the group `{name}` is used before it is defined");
            return Err(Some(
                Diagnostic::new(codes::INTENT_GROUP, message)
                    .label(span, "used here")
                    .label(*later, "defined here")
                    .help("define it above its first use"),
            ));
        }
        let message = format!("there is no group `{name}`");
        let known = self.later.keys().map(String::as_str);
        let help = suggest::did_you_mean(name, known)
            .unwrap_or_else(|| format!("define it with `group {name} = …`"));
        Err(Some(
            Diagnostic::new(codes::INTENT_GROUP, message)
                .label(span, "not defined")
                .help(help),
        ))
    }

    fn services(&mut self, written: Option<&Spanned<written::Services>>) -> Option<Wanted> {
        let Some(written) = written else {
            return Some(Wanted::default());
        };
        let mut wanted = Wanted {
            each: Vec::new(),
            except: written.value.except,
        };
        let mut sound = true;
        for one in &written.value.list {
            match service::service(&one.protocol, one.ports.as_deref(), one.span) {
                Ok(l4) => wanted.each.push(l4),
                Err(fault) => {
                    self.faults.push(fault);
                    sound = false;
                }
            }
        }
        sound.then_some(wanted)
    }
}

/// Pods by label, in some namespaces or in all. Keys are written as in policies, `k8s:app` or `app`.
pub(crate) fn selector(requirements: &[written::Requirement], scope: Option<&Scope>) -> Selector {
    let mut asked: Vec<_> = requirements
        .iter()
        .map(|one| requirement(one, ""))
        .collect();
    match scope {
        Some(Scope::Named(names)) => {
            let names = names.iter().map(|name| name.as_str().into()).collect();
            let key = Key::new(Source::K8s, NAMESPACE);
            asked.push(Requirement::new(key, Operator::In(names)));
        }
        Some(Scope::Labelled(labels)) => {
            asked.extend(labels.iter().map(|one| requirement(one, NAMESPACE_LABELS)));
        }
        None => {}
    }
    Selector::new(asked)
}

fn requirement(written: &written::Requirement, prefix: &str) -> Requirement {
    let values = written.values.iter().map(|value| value.as_str().into());
    let operator = match written.test {
        written::Test::In => Operator::In(values.collect()),
        written::Test::NotIn => Operator::NotIn(values.collect()),
        written::Test::Exists => Operator::Exists,
        written::Test::Absent => Operator::DoesNotExist,
    };
    Requirement::new(Key::parse(&format!("{prefix}{}", written.key)), operator)
}
