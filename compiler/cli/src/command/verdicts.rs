//! `policyc verdicts`: flows in, verdicts out, one JSON line each.

use std::net::IpAddr;

use policyc_diag::Diagnostic;
use policyc_diag::{SourceMap, Span, codes};
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::inventory::Pod;
use policyc_ir::model::{Flow, Model, Reason, Verdict};
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction};
use policyc_ir::universe::{RESERVED, Universe};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Verdicts;
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{input, output};

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
}

pub(crate) fn run(args: &Verdicts) -> Result<Exit, Error> {
    let policies = args.policies.all();
    let mut front = pipeline::front(&policies, &args.inventory.objects, &args.cluster)?;
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
    let universe = front.universe(&settings, args.node.as_deref());
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &settings);
    let lines: Vec<_> = flows
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let answers: Vec<_> = lines
        .par_iter()
        .map(|(at, line)| answer(&model, &front, *at, line))
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
    let lines = front.documents.iter().filter_map(|document| {
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

fn answer(
    model: &Model<'_>,
    front: &Front,
    at: usize,
    line: &str,
) -> Result<Value, (Value, String)> {
    let place = |message: String| {
        format!(
            "{}: line {}: {message}",
            codes::INVALID_FLOW.entry().number,
            at + 1
        )
    };
    let question: Question = serde_json::from_str(line)
        .map_err(|error| (Value::Null, place(format!("not a flow: {error}"))))?;
    let id = question.id.clone();
    let flow =
        flow(model.universe(), front, &question).map_err(|message| (id.clone(), place(message)))?;
    Ok(render(&model.eval(&flow), &id, model, &front.sources))
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
        subject: subject(universe, front, &question.subject)?,
        direction,
        peer: peer(universe, front, &question.peer)?,
        protocol,
        port: question.port,
    })
}

/// A pod by name, or the host; a pod on the host's network is the host.
fn subject(universe: &Universe, front: &Front, name: &str) -> Result<EndpointId, String> {
    if let Some(id) = universe.find(name) {
        return Ok(id);
    }
    match host_pod(front, name) {
        Some(_) => universe
            .find("host")
            .ok_or_else(|| "the inventory has no node".to_owned()),
        None => Err(format!("the inventory has no pod `{name}`")),
    }
}

/// The pod of a name, if it shares its node's network.
fn host_pod<'a>(front: &'a Front, name: &str) -> Option<&'a Pod> {
    let (namespace, pod) = name.split_once('/')?;
    let pod = front.inventory.pods.get(&(namespace.into(), pod.into()))?;
    pod.host_network.then_some(pod)
}

fn peer(universe: &Universe, front: &Front, name: &str) -> Result<IdentityId, String> {
    if let Some(address) = name.strip_prefix("ip:") {
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{address}` is no IP address"))?;
        return Ok(universe.identity_of(address));
    }
    if let Some(node) = name.strip_prefix("node:") {
        return node_identity(universe, front, node);
    }
    let entity = name.strip_prefix("entity:").unwrap_or(name);
    if let Some(id) = IdentityId::reserved(entity) {
        return Ok(id);
    }
    if let Some(id) = universe.find(name).and_then(|id| universe.endpoint(id)) {
        return Ok(id.identity);
    }
    match host_pod(front, name).map(|pod| pod.node.as_deref()) {
        Some(Some(node)) => node_identity(universe, front, node),
        Some(None) => Err(format!(
            "pod `{name}` is on its node's network, but has no node yet"
        )),
        None => {
            let known = RESERVED.iter().map(|(entity, _)| *entity);
            let hint =
                policyc_diag::suggest::did_you_mean(entity, known).map(|hint| format!("; {hint}"));
            Err(format!(
                "no pod, node, address or entity is called `{name}`{}",
                hint.unwrap_or_default()
            ))
        }
    }
}

fn node_identity(universe: &Universe, front: &Front, name: &str) -> Result<IdentityId, String> {
    let node = front
        .inventory
        .nodes
        .iter()
        .find(|node| &*node.name == name);
    let node = node.ok_or_else(|| format!("the inventory has no node `{name}`"))?;
    let local = universe
        .local_node()
        .and_then(|id| universe.nodes().get(id.index()));
    if local.is_some_and(|local| &**local == name) {
        return Ok(IdentityId::HOST);
    }
    let address = node.addresses.first();
    Ok(address.map_or(IdentityId::REMOTE_NODE, |address| {
        universe.identity_of(*address)
    }))
}

fn render(verdict: &Verdict, id: &Value, model: &Model<'_>, sources: &SourceMap) -> Value {
    let rules = model.resolved.rules;
    let matched: Vec<_> = verdict
        .rules
        .iter()
        .filter_map(|rule| {
            rules
                .rule(*rule)
                .map(|written| (rules.name(*rule), written.origin.span))
        })
        .map(|(name, span)| {
            let line = sources.place(span.file, span.start).line;
            json!({"rule": name, "file": sources.name(span.file), "line": line})
        })
        .collect();
    let mut value = json!({
        "id": id,
        "verdict": if verdict.allowed { "allow" } else { "deny" },
        "enforced": verdict.enforced,
        "auth": "",
        "derived_from": matched,
    });
    let reason = match verdict.reason {
        Reason::Rule(Action::Deny) => Some("policy"),
        Reason::DefaultDeny => Some("default"),
        _ => None,
    };
    if let (Some(reason), Some(object)) = (reason, value.as_object_mut()) {
        object.insert("deny_reason".to_owned(), reason.into());
    }
    value
}
