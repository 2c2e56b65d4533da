//! Services whose backends a policy tells apart.

use std::collections::BTreeMap;
use std::fmt;

use policyc_diag::{Diagnostic, codes};

use crate::frontend::{Backends, Frontend, Nodes};
use crate::ids::{EndpointId, IdentityId};
use crate::l7::Auth;
use crate::model::{Enforced, Flow, Model, Verdict};
use crate::port::Protocol;
use crate::rule::Direction;

/// One finding for each port of a service that some pod may reach at one backend and not at another. `node`: the one
/// whose pods are asked about; all if `None`.
///
/// Pods with the same policy are one, as in the tables: a node behind a service is the host to some of them and a remote
/// node to others. Cost: only ports with several kinds of backends are asked about, once for each policy.
pub fn mixed(model: &Model<'_>, frontends: &[Frontend], node: Option<&str>) -> Vec<Diagnostic> {
    let subjects = subjects(model, node);
    let mut found: BTreeMap<(&str, u16, Protocol), Diagnostic> = BTreeMap::new();
    for frontend in frontends {
        for ((protocol, port), backends) in &frontend.ports {
            let key = (&*frontend.service, *port, *protocol);
            let of_node = backends.iter().any(|backend| backend.node.is_some());
            if (backends.len() < 2 && !of_node) || found.contains_key(&key) {
                continue;
            }
            let parted = subjects.values().find_map(|(subject, nodes)| {
                Some((
                    *subject,
                    parted(model, (*subject, nodes), *protocol, backends)?,
                ))
            });
            if let Some((subject, parted)) = parted {
                let diagnostic = finding(model, frontend, (*protocol, *port), subject, parted);
                found.insert(key, diagnostic);
            }
        }
    }
    found.into_values().collect()
}

/// For each policy towards peers: a pod that has it, and the nodes of all that do.
fn subjects<'a>(
    model: &'a Model<'_>,
    node: Option<&str>,
) -> BTreeMap<&'a Enforced, (EndpointId, Nodes)> {
    let universe = model.universe();
    let mut subjects: BTreeMap<_, (EndpointId, Nodes)> = BTreeMap::new();
    for (at, endpoint) in universe.endpoints().iter().enumerate() {
        let name = endpoint
            .node
            .and_then(|at| universe.nodes().get(at.index()));
        let here = node.is_none_or(|wanted| name.is_some_and(|name| &**name == wanted));
        let id = EndpointId::at(at);
        if let Some(policy) = model.policy_of(id).filter(|_| here && !endpoint.host) {
            let subject = subjects.entry(&policy.egress);
            let (_, nodes) = subject.or_insert_with(|| (id, Nodes::new()));
            nodes.insert(endpoint.node);
        }
    }
    subjects
}

/// Where packets go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    On,
    Proxy(String),
    Nowhere,
}

impl Way {
    /// What is allowed on a condition goes nowhere: nothing here meets it.
    fn of(verdict: &Verdict) -> Self {
        let asks = verdict
            .auth
            .is_some_and(|demand| demand.mode != Auth::Disabled);
        let proxy = verdict
            .redirect
            .as_ref()
            .and_then(|redirect| redirect.l7.proxy());
        match proxy {
            _ if !verdict.allowed => Self::Nowhere,
            Some(proxy) => Self::Proxy(proxy),
            None if asks => Self::Nowhere,
            None => Self::On,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("allowed"),
            Self::Nowhere => f.write_str("denied"),
            Self::Proxy(proxy) => write!(f, "left to the {proxy} proxy"),
        }
    }
}

/// Two backends whose packets go different ways.
type Parted = [(Way, (IdentityId, u16)); 2];

fn parted(
    model: &Model<'_>,
    (subject, nodes): (EndpointId, &Nodes),
    protocol: Protocol,
    backends: &Backends,
) -> Option<Parted> {
    let seen = backends.iter().flat_map(|backend| backend.seen_from(nodes));
    let mut seen = seen.map(|(peer, port)| {
        let flow = Flow {
            subject,
            direction: Direction::Egress,
            peer,
            protocol,
            port,
        };
        (Way::of(&model.eval(&flow)), (peer, port))
    });
    let first = seen.next()?;
    let other = seen.find(|(way, _)| *way != first.0)?;
    // What passes comes first.
    Some(if first.0 < other.0 {
        [first, other]
    } else {
        [other, first]
    })
}

fn finding(
    model: &Model<'_>,
    frontend: &Frontend,
    (protocol, port): (Protocol, u16),
    subject: EndpointId,
    [(way, one), (other_way, other)]: Parted,
) -> Diagnostic {
    let universe = model.universe();
    let who = universe.endpoint(subject).map_or("", |one| &*one.name);
    let message = format!(
        "`{who}` may reach some backends of service `{}` at port {port}/{protocol}, and others not{}",
        frontend.service,
        if other_way == Way::Nowhere {
            ""
        } else {
            " in the same way"
        }
    );
    let says = |(identity, port): (IdentityId, u16)| {
        let labels = match universe.identity(identity) {
            Some(one) if identity != IdentityId::UNKNOWN => match one.cidr {
                Some(cidr) => format!("`{cidr}`"),
                None => format!("`{}`", one.labels),
            },
            _ => "an address that pods get and no known pod has".to_owned(),
        };
        format!("{labels} at port {port}")
    };
    let mut diagnostic = Diagnostic::new(codes::MIXED_SERVICE, message);
    if let Some(span) = frontend.span {
        diagnostic = diagnostic.label(span, "this service");
    }
    diagnostic
        .note(format!("{way}: {}; {other_way}: {}", says(one), says(other)))
        .note("Cilium decides by the backend that is chosen for each connection; policyd sees a packet before that choice, so it drops all of them")
        .help("let the policy speak of all pods behind the service alike, or make two services of it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::frontends;
    use crate::inventory::{Inventory, cluster};
    use crate::normalise;
    use crate::policy::PolicySet;
    use crate::resolve::Resolved;
    use crate::settings::Settings;

    /// A service of one node, and a pod on either.
    const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.77.0.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
spec: {podCIDRs: [10.77.1.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
spec: {nodeName: node-a}
status: {phase: Running, podIPs: [{ip: 10.77.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: b}}
spec: {nodeName: node-b}
status: {phase: Running, podIPs: [{ip: 10.77.1.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{port: 443}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: node, namespace: shop}
subsets: [{addresses: [{ip: 192.168.0.1}], ports: [{port: 6443}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nodes, namespace: shop}
spec: {endpointSelector: {}, egress: [{toEntities: [remote-node]}]}
";

    /// A table that pods of both nodes share cannot tell a node from the host, so the service is dropped for both.
    #[test]
    fn nodes_are_told_apart_where_no_table_is_shared() {
        let source = policyc_diag::SourceMap::new().add("cluster.yaml", CLUSTER);
        let documents = policyc_syntax::parse(&source).documents;
        let settings = Settings::default();
        let (inventory, _) = Inventory::read(&documents);
        let (policies, faults) = PolicySet::admit(&documents, &settings);
        assert!(faults.is_empty(), "{faults:?}");
        let rules = normalise::normalise(&policies, &inventory, &settings);
        let universe = cluster(&inventory, &rules, &settings);
        let resolved = Resolved::new(&rules, &universe);
        let model = Model::build(&resolved, &settings);
        let all = frontends(&inventory, &universe, &inventory.pod_ranges());
        let found = |node| mixed(&model, &all, node).len();
        assert_eq!(found(None), 1);
        assert_eq!(found(Some("node-a")), 0, "the host, which is denied");
        assert_eq!(found(Some("node-b")), 0, "a remote node, which is allowed");
    }
}
