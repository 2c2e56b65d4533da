//! From the model to table images and bundle contents.
//!
//! ```text
//! Model ─classes→ Judged (per subject policy and direction) ─assemble→ arena bytes ─check→ Image ─emit→ Contents
//! ```
//!
//! **Invariant.** No syntax and no text of policies here: identities, rules and verdicts come from the model, and
//! every table is compared with [`policyc_ir::model::Model::judge`] before it leaves.

/// The arena: judged tables as bytes, equal parts stored once.
mod assemble;
/// Checks the bytes against the model, cell by cell.
mod check;
/// Partitions of peers and of layer 4 on which a verdict is constant.
mod classes;
/// What tables cost, and which rule makes most of it.
mod cost;
/// From an image to what a bundle holds.
mod emit;
/// What lowering makes.
mod image;
/// Addresses to identity indexes.
mod ipcache;
/// The entries of Cilium's own policy maps.
pub mod lpm;
/// Text form.
mod print;
/// Verdict records: what a cell of a table says.
mod records;
/// What the daemon does not enforce yet.
mod refuse;
/// Services as peers.
mod services;

use std::collections::BTreeMap;

use policyc_diag::{Diagnostic, codes};
use policyc_ir::cidr::Cidr;
use policyc_ir::frontend::{Frontend, Nodes};
use policyc_ir::ids::EndpointId;
use policyc_ir::model::{Enforced, Model};
use policyc_ir::rule::Direction;
use policyc_ir::universe::{Endpoint, NamedPorts};
use rayon::prelude::*;

pub use emit::contents;
pub use image::{Bound, Image, Sizes};
pub use print::print;
pub use refuse::warnings;

/// What to lower for.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Only endpoints of this node; all if `None`.
    pub node: Option<String>,
    /// Ranges that pods get addresses from: an address in them that is no known pod's is unknown, not world.
    pub pod_ranges: Vec<Cidr>,
    /// Whether protocols other than TCP, UDP, SCTP, ICMP and ICMPv6 are judged (`enable-extended-ip-protocols`).
    pub extended_protocols: bool,
    /// Addresses of services and what stands behind them.
    pub services: Vec<Frontend>,
    /// Whether rules that need a proxy are compiled although none runs: what they redirect is then dropped. Without it
    /// they are refused.
    pub without_proxy: bool,
}

/// Lowers a model to the tables the datapath reads.
///
/// # Errors
/// What cannot be enforced, tables beyond the limits of the maps, or (an internal fault) tables that decide
/// otherwise than the model.
pub fn lower(model: &Model<'_>, target: &Target) -> Result<Image, Vec<Diagnostic>> {
    refuse::refuse(model, target)?;
    let bound = bound_endpoints(model, target);
    let distinct = distinct(model, &bound);
    let judged: Vec<_> = distinct
        .keys
        .par_iter()
        .zip(&distinct.nodes)
        .map(|(key, nodes)| {
            let mut judged = classes::judge(model, key);
            services::extend(&mut judged, key, &target.services, nodes);
            judged
        })
        .collect();
    let mut image = assemble::assemble(model, target, &bound, &distinct.by_endpoint, &judged)
        .map_err(|error| limit(model, &error, &distinct, &judged))?;
    image.ipcache = ipcache::entries(model.universe(), target);
    let services = target.services.iter();
    let services = services.map(|one| format!("service:{},address:{}", one.service, one.address));
    image.services = services.collect();
    image.sizes.checked = check::check(model, &image, &distinct, &judged, &target.services)?;
    Ok(image)
}

/// One table to make: what applies in a direction, and the subject's named ports where they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key<'a> {
    pub(crate) direction: Direction,
    pub(crate) enforced: &'a Enforced,
    pub(crate) ports: &'a NamedPorts,
}

/// The distinct tables, and which two each endpoint uses (ingress, egress).
#[derive(Debug)]
pub(crate) struct Distinct<'a> {
    pub(crate) keys: Vec<Key<'a>>,
    pub(crate) by_endpoint: Vec<[usize; 2]>,
    /// The nodes that each is used on.
    pub(crate) nodes: Vec<Nodes>,
}

fn distinct<'a>(model: &'a Model<'_>, bound: &[EndpointId]) -> Distinct<'a> {
    static NO_PORTS: NamedPorts = NamedPorts::new();
    let mut known: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    let mut distinct = Distinct {
        keys: Vec::new(),
        by_endpoint: Vec::new(),
        nodes: Vec::new(),
    };
    for id in bound {
        let Some((endpoint, policy)) = model.universe().endpoint(*id).zip(model.policy_of(*id))
        else {
            continue;
        };
        let pair = Direction::BOTH.map(|direction| {
            let enforced = policy.direction(direction);
            let named = direction == Direction::Ingress && classes::names_ports(model, enforced);
            let key = Key {
                direction,
                enforced,
                ports: if named { &endpoint.ports } else { &NO_PORTS },
            };
            let at = *known.entry(key).or_insert_with(|| {
                distinct.keys.push(key);
                distinct.nodes.push(Nodes::new());
                distinct.keys.len() - 1
            });
            if let Some(nodes) = distinct.nodes.get_mut(at) {
                nodes.insert(endpoint.node);
            }
            at
        });
        distinct.by_endpoint.push(pair);
    }
    distinct
}

/// The pods of the target that run, which is those with an address, and the nodes of the target that are subjects of a
/// policy. What no policy speaks of is left alone on a node, where there is much that is none of a policy's business.
fn bound_endpoints(model: &Model<'_>, target: &Target) -> Vec<EndpointId> {
    let universe = model.universe();
    let wanted = |endpoint: &Endpoint| {
        let node = endpoint
            .node
            .and_then(|node| universe.nodes().get(node.index()));
        let here = target
            .node
            .as_deref()
            .is_none_or(|wanted| node.is_some_and(|name| &**name == wanted));
        here && if endpoint.host {
            endpoint.node.is_some()
        } else {
            !endpoint.addresses.is_empty()
        }
    };
    let is_subject = |endpoint: &Endpoint, id: EndpointId| {
        let policy = model.policy_of(id).filter(|_| endpoint.host);
        policy.is_none_or(|policy| {
            Direction::BOTH.into_iter().any(|direction| {
                let enforced = policy.direction(direction);
                enforced.default_deny || !enforced.rules.is_empty()
            })
        })
    };
    let all = universe.endpoints().iter().enumerate();
    all.filter(|(at, endpoint)| wanted(endpoint) && is_subject(endpoint, EndpointId::at(*at)))
        .map(|(at, _)| EndpointId::at(at))
        .collect()
}

/// The rule that costs most is where to begin; each rule that decides takes a verdict or two, so there no one is to blame.
fn limit(
    model: &Model<'_>,
    error: &assemble::LimitError,
    distinct: &Distinct<'_>,
    judged: &[classes::Judged],
) -> Vec<Diagnostic> {
    let dearest = match error {
        assemble::LimitError::Records => None,
        _ => cost::dearest(model, distinct, judged),
    };
    let mut diagnostic = Diagnostic::new(codes::TABLE_LIMIT, error.to_string())
        .help("build for one node with `--node`, or for fewer pods at a time");
    let rules = model.resolved.rules;
    if let Some(dearest) = dearest
        && let Some(rule) = rules.rule(dearest.rule)
    {
        let cost::Dearest { bytes, tables, .. } = dearest;
        let kib = bytes.div_ceil(1024);
        let label = format!("costs most: {kib} KiB in {tables} of the largest tables");
        diagnostic = diagnostic.label(rule.origin.span, label).note(format!(
            "the rule that costs most is `{}`",
            rules.name(dearest.rule)
        ));
    }
    vec![diagnostic]
}
