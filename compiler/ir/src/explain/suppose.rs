//! Small universes in which changed flows are asked.

use std::sync::Arc;

use crate::model::{Flow, Model};
use crate::port::{Ports, Protocol};
use crate::resolve::Resolved;
use crate::rule::{Direction, Services};
use crate::settings::Settings;
use crate::universe::{Endpoint, Identity, NamedPorts, Universe};

/// The number of a named port at the flow's destination.
pub(super) fn named(
    model: &Model<'_>,
    flow: &Flow,
    name: &Arc<str>,
    protocol: Protocol,
) -> Option<u16> {
    match flow.direction {
        Direction::Ingress => {
            let subject = model.universe().endpoint(flow.subject)?;
            subject.ports.get(&(name.clone(), protocol)).copied()
        }
        Direction::Egress => model.universe().named_port(flow.peer, name, protocol),
    }
}

/// Whether a flow would be allowed if the peer were another, by a universe that holds the subject and that peer alone.
pub(super) fn allowed(
    model: &Model<'_>,
    flow: &Flow,
    peer: &Identity,
    settings: &Settings,
) -> bool {
    let Some(subject) = model.universe().endpoint(flow.subject) else {
        return false;
    };
    let mut universe = Universe::of(settings);
    let own = model.universe().identity(subject.identity).cloned();
    let identity = universe.add_identity(own.unwrap_or_default());
    let subject = universe.add_endpoint(Endpoint {
        identity,
        node: None,
        addresses: Vec::new(),
        ..subject.clone()
    });
    let peer = universe.add_identity(peer.clone());
    // The peer's own names for ports, by an endpoint that is asked nothing itself.
    universe.add_endpoint(Endpoint {
        name: "peer".into(),
        identity: peer,
        labels: crate::label::Labels::default(),
        host: false,
        node: None,
        addresses: Vec::new(),
        ports: peer_ports(model, flow),
    });
    let resolved = Resolved::new(model.resolved.rules, &universe);
    let flow = Flow {
        subject,
        peer,
        ..*flow
    };
    Model::build(&resolved, settings).eval(&flow).allowed
}

/// Numbers of the peer's named ports, as far as the subject's rules name them.
fn peer_ports(model: &Model<'_>, flow: &Flow) -> NamedPorts {
    let rules = model.resolved.rules_of(flow.subject).iter();
    let rules = rules.filter_map(|id| model.resolved.rules.rule(*id));
    let services = rules.flat_map(|rule| match &rule.services {
        Services::Of(list) => list.as_slice(),
        Services::All => &[],
    });
    let names = services.filter_map(|l4| match &l4.ports {
        Ports::Named(name, _) => Some((name, l4.protocol)),
        _ => None,
    });
    let universe = model.universe();
    let numbers = names.filter_map(|(name, protocol)| {
        let number = universe.named_port(flow.peer, name, protocol)?;
        Some(((name.clone(), protocol), number))
    });
    numbers.collect()
}
