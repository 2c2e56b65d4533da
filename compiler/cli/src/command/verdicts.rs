//! `policyc verdicts`: flows in, verdicts out, one JSON line each.

use std::collections::BTreeSet;

use policyc_diag::Diagnostic;
use policyc_diag::{FileId, SourceMap, Span, codes};
use policyc_ir::l7::Auth;
use policyc_ir::model::request::{Answer, Http, Request};
use policyc_ir::model::{Demand, Flow, Model, Reason, Verdict};
use policyc_ir::policy::Reading;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction};
use policyc_ir::universe::Universe;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Verdicts;
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{input, l7, output, party};

/// A question as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    id: Value,
    direction: String,
    subject: String,
    peer: String,
    protocol: String,
    port: u16,
    /// What is asked once connected; the answer then says whether a proxy lets it through.
    request: Option<Asked>,
}

/// A request at layer 7 as written: `{"http": {…}}`, `{"dns": "name"}` or `{"tls": "server name"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Asked {
    Http(AskedHttp),
    Dns(String),
    Tls(Option<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedHttp {
    method: String,
    path: String,
    host: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    server_name: Option<String>,
}

impl Asked {
    fn request(&self) -> Request {
        match self {
            Self::Dns(name) => Request::Dns(name.clone()),
            Self::Tls(name) => Request::Tls(name.clone()),
            Self::Http(http) => Request::Http(Http {
                method: http.method.clone(),
                path: http.path.clone(),
                host: http.host.clone(),
                headers: http.headers.clone(),
                server_name: http.server_name.clone(),
            }),
        }
    }
}

pub(crate) fn run(args: &Verdicts) -> Result<Exit, Error> {
    let policies = args.policies.all();
    let mut front = pipeline::front(
        &policies,
        &args.inventory.objects,
        &args.cluster,
        Reading::Cilium,
    )?;
    let settings = front.settings.clone();
    let flows = input::read(&args.flows, &mut front.sources)?;
    let rejected = rejected(&front);
    output::findings_aside(front.diagnostics.clone(), &front.sources);
    if !front.settled {
        output::complain("no verdicts: the cluster's settings could not be understood");
        return Ok(Exit::Usage);
    }
    if front
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.code == codes::NOT_SUPPORTED)
    {
        output::complain(
            "no verdicts: some policies cannot be compiled yet, so every answer could be wrong",
        );
        return Ok(Exit::Undecided);
    }
    let lines = flows.text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let questions: Vec<_> = lines.map(|(at, line)| (at, read(line))).collect();
    let mut universe = front.universe(&settings, args.node.as_deref());
    let asked = questions.iter().filter_map(|(_, read)| read.as_ref().ok());
    party::add_names(&mut universe, &front, asked.map(|question| &*question.peer));
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &settings);
    let answers: Vec<_> = questions
        .par_iter()
        .map(|(at, question)| answer(&model, &front, *at, question))
        .collect();
    let mut exit = Exit::Clean;
    for line in rejected {
        output::print(&format!("{line}\n"));
    }
    let mut out = String::new();
    for answer in answers {
        match answer {
            Ok(value) => out.push_str(&value.to_string()),
            Err((id, message)) => {
                exit = Exit::Usage;
                let value = json!({"id": id, "verdict": "error", "error": message});
                out.push_str(&value.to_string());
            }
        }
        out.push('\n');
    }
    output::print(&out);
    Ok(exit)
}

/// A line for each policy that is left out because Cilium would reject it.
fn rejected(front: &Front) -> Vec<Value> {
    let at_fault = |span: Span| {
        let errors = front
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error());
        errors
            .filter(|diagnostic| {
                diagnostic
                    .span()
                    .is_some_and(|inner| pipeline::within(inner, span))
            })
            .collect::<Vec<_>>()
    };
    let admitted: BTreeSet<_> = front.policies.policies().iter().map(place).collect();
    let lines = front.documents.iter().filter_map(|document| {
        let name = document.meta.name.as_ref();
        if name.is_some_and(|name| admitted.contains(&(name.span.file, name.span.start))) {
            return None;
        }
        let errors = at_fault(document.span);
        let first: &Diagnostic = errors.first()?;
        let text =
            |text: &Option<policyc_syntax::ast::Text>| text.as_ref().map(|text| text.value.clone());
        Some(json!({"rejected": {
            "kind": document.kind.value,
            "namespace": text(&document.meta.namespace),
            "name": text(&document.meta.name),
            "code": first.code.entry().number,
            "error": first.message,
        }}))
    });
    lines.collect()
}

/// Where an admitted policy's name stands.
fn place(policy: &policyc_ir::policy::Policy) -> (FileId, u32) {
    (policy.info.span.file, policy.info.span.start)
}

fn read(line: &str) -> Result<Question, String> {
    serde_json::from_str(line).map_err(|error| format!("not a flow: {error}"))
}

fn answer(
    model: &Model<'_>,
    front: &Front,
    at: usize,
    question: &Result<Question, String>,
) -> Result<Value, (Value, String)> {
    let place = |message: String| {
        format!(
            "{}: line {}: {message}",
            codes::INVALID_FLOW.entry().number,
            at + 1
        )
    };
    let question = question
        .as_ref()
        .map_err(|message| (Value::Null, place(message.clone())))?;
    let id = question.id.clone();
    let flow =
        flow(model.universe(), front, question).map_err(|message| (id.clone(), place(message)))?;
    let mut answer = render(&model.eval(&flow), &id, model, &front.sources);
    if let (Some(asked), Some(object)) = (&question.request, answer.as_object_mut()) {
        let request = match model.request(&flow, &asked.request()) {
            Answer::Passed => "passed".to_owned(),
            Answer::Refused => "refused".to_owned(),
            Answer::Unknown(what) => format!("unknown: {what}"),
        };
        object.insert("request".to_owned(), request.into());
    }
    Ok(answer)
}

fn flow(universe: &Universe, front: &Front, question: &Question) -> Result<Flow, String> {
    let direction = match question.direction.as_str() {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        other => {
            return Err(format!(
                "`{other}` is no direction, only `ingress` and `egress` are"
            ));
        }
    };
    let protocol = Protocol::parse(&question.protocol)
        .or_else(|| question.protocol.parse().ok().map(Protocol));
    let protocol = protocol.ok_or_else(|| format!("`{}` is no protocol", question.protocol))?;
    Ok(Flow {
        subject: party::subject(universe, front, &question.subject)?,
        direction,
        peer: party::peer(universe, front, &question.peer)?,
        protocol,
        port: question.port,
    })
}

fn render(verdict: &Verdict, id: &Value, model: &Model<'_>, sources: &SourceMap) -> Value {
    let rules = model.resolved.rules;
    let matched = verdict.rules.iter().filter_map(|id| {
        let span = rules.rule(*id)?.origin.span;
        let line = sources.place(span.file, span.start).line;
        Some(json!({"rule": rules.name(*id), "file": sources.name(span.file), "line": line}))
    });
    let outcome = match (&verdict.reason, verdict.allowed, &verdict.redirect) {
        (Reason::Conflict, ..) => "error",
        (_, false, _) => "deny",
        (_, true, None) => "allow",
        (_, true, Some(_)) => "redirect",
    };
    let mut value = json!({
        "id": id,
        "verdict": outcome,
        "enforced": verdict.enforced,
        "auth": verdict.auth.map(demand).unwrap_or_default(),
        "derived_from": matched.collect::<Vec<_>>(),
    });
    let reason = match verdict.reason {
        Reason::Rule(Action::Deny) => Some("policy".into()),
        Reason::DefaultDeny => Some("default".into()),
        _ => None,
    };
    let redirect = verdict.redirect.as_ref();
    let l7 = redirect.map(|redirect| l7::redirect(redirect));
    if let Some(object) = value.as_object_mut() {
        let more = [("deny_reason", reason), ("l7", l7)];
        let more = more
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        object.extend(more);
    }
    value
}

/// Empty if the mode is spoken of only to demand nothing.
fn demand(demand: Demand) -> String {
    match (demand.mode, demand.derived) {
        (Auth::Disabled, _) => String::new(),
        (mode, true) => format!("{} (derived)", mode.name()),
        (mode, false) => mode.name().to_owned(),
    }
}
