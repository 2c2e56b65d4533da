//! `policyc trace`: one flow, every rule's part in it, and what little would change the answer.

use policyc_diag::codes;
use policyc_ir::explain::{self, Report};
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::model::{Flow, Model};
use policyc_ir::policy::Reading;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::universe::Universe;

use crate::args::{TextOrJson, Trace};
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{output, party};

/// What would have to be different, in words.
mod changes;
/// Senders, receivers, and who a rule is about, in words.
mod ends;
/// For people.
mod human;
/// For programs.
mod json;
/// Rules and verdicts in words.
mod words;

/// One end of the flow.
struct Party {
    /// As written.
    name: String,
    /// What its rules are found by, if it is a pod of the inventory or the local node.
    endpoint: Option<EndpointId>,
    identity: IdentityId,
}

/// One direction, from the side of the end whose policy is asked.
struct Side<'a> {
    subject: &'a Party,
    flow: Flow,
    report: Report,
}

/// What there is to tell.
struct Told<'a> {
    front: &'a Front,
    model: &'a Model<'a>,
    from: &'a Party,
    to: &'a Party,
    protocol: Protocol,
    port: u16,
    /// Whether the datapath carries the protocol at all.
    carried: bool,
    sides: &'a [Side<'a>],
}

impl Told<'_> {
    fn allowed(&self) -> bool {
        self.carried && self.sides.iter().all(|side| side.report.verdict.allowed)
    }
}

pub(crate) fn run(args: &Trace) -> Result<Exit, Error> {
    let policies = args.policies.all();
    let front = pipeline::front(
        &policies,
        &args.inventory.objects,
        &args.cluster,
        Reading::Cilium,
    )?;
    output::findings_aside(front.diagnostics.clone(), &front.sources);
    if !front.settled {
        output::complain("no answer: the cluster's settings could not be understood");
        return Ok(Exit::Usage);
    }
    let refused = |diagnostic: &policyc_diag::Diagnostic| diagnostic.code == codes::NOT_SUPPORTED;
    if front.diagnostics.iter().any(refused) {
        output::complain("no answer: some policies cannot be compiled yet, so it could be wrong");
        return Ok(Exit::Undecided);
    }
    let mut universe = front.universe(&front.settings, args.node.as_deref());
    party::add_names(&mut universe, &front, [&*args.from, &*args.to].into_iter());
    let (from, to) = (
        party(&universe, &front, &args.from)?,
        party(&universe, &front, &args.to)?,
    );
    let (protocol, port) = service(args, &universe, &to)?;
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &front.settings);
    let sides = sides(&model, &front, (&from, &to), (protocol, port));
    if sides.is_empty() {
        let message = format!(
            "neither `{}` nor `{}` is a pod of the inventory or the local node, so no policy is asked",
            args.from, args.to
        );
        return Err(Error::usage(message));
    }
    let told = Told {
        carried: front.settings.carries(protocol),
        front: &front,
        model: &model,
        from: &from,
        to: &to,
        protocol,
        port,
        sides: &sides,
    };
    output::print(&match args.format {
        TextOrJson::Human => human::text(&told),
        TextOrJson::Json => format!("{:#}\n", json::value(&told)),
    });
    Ok(if told.allowed() {
        Exit::Clean
    } else {
        Exit::Findings
    })
}

/// The sender's egress and the receiver's ingress, as far as each has policy.
fn sides<'a>(
    model: &Model<'_>,
    front: &Front,
    (from, to): (&'a Party, &'a Party),
    (protocol, port): (Protocol, u16),
) -> Vec<Side<'a>> {
    let ends = [
        (from, to, Direction::Egress),
        (to, from, Direction::Ingress),
    ];
    let side = |(subject, peer, direction): (&'a Party, &Party, Direction)| {
        let flow = Flow {
            subject: subject.endpoint?,
            direction,
            peer: peer.identity,
            protocol,
            port,
        };
        let report = explain::explain(model, &flow, &front.settings);
        Some(Side {
            subject,
            flow,
            report,
        })
    };
    ends.into_iter().filter_map(side).collect()
}

fn party(universe: &Universe, front: &Front, name: &str) -> Result<Party, Error> {
    let identity = party::peer(universe, front, name).map_err(Error::usage)?;
    let address = name
        .strip_prefix("ip:")
        .and_then(|address| address.parse().ok());
    let by_address = address.and_then(|address| {
        let at = universe
            .endpoints()
            .iter()
            .position(|endpoint| endpoint.addresses.contains(&address))?;
        Some(EndpointId::at(at))
    });
    // Whatever is the local node has the policy of the host: the node itself, and pods on its network.
    let host = (identity == IdentityId::HOST)
        .then(|| universe.find("host"))
        .flatten();
    Ok(Party {
        name: name.to_owned(),
        endpoint: host.or(by_address).or_else(|| universe.find(name)),
        identity,
    })
}

/// Protocol and port from `--port 53/udp`, `--protocol`, or both if they agree.
fn service(args: &Trace, universe: &Universe, to: &Party) -> Result<(Protocol, u16), Error> {
    let (port, suffix) = match args
        .port
        .as_deref()
        .map(|port| (port, port.split_once('/')))
    {
        Some((_, Some((port, protocol)))) => (Some(port), Some(protocol)),
        Some((port, None)) => (Some(port), None),
        None => (None, None),
    };
    let read = |text: &str| {
        let protocol = Protocol::parse(text).or_else(|| text.parse().ok().map(Protocol));
        protocol.ok_or_else(|| Error::usage(format!("`{text}` is no protocol")))
    };
    let suffix = suffix.map(read).transpose()?;
    let named = args.protocol.as_deref().map(read).transpose()?;
    if suffix.is_some_and(|suffix| named.is_some_and(|named| named != suffix)) {
        return Err(Error::usage("`--port` and `--protocol` name two protocols"));
    }
    let protocol = suffix.or(named).unwrap_or(Protocol::TCP);
    let Some(port) = port else {
        if protocol.has_ports() {
            return Err(Error::usage(format!(
                "flows of {protocol} have a port: give it with `--port`"
            )));
        }
        if protocol.is_icmp() {
            return Err(Error::usage(
                "ICMP messages have a type: give it with `--port`, such as 8 for an echo request",
            ));
        }
        return Ok((protocol, 0));
    };
    if !protocol.has_ports() && !protocol.is_icmp() {
        return Err(Error::usage(format!("flows of {protocol} have no port")));
    }
    if let Ok(number) = port.parse() {
        return Ok((protocol, number));
    }
    let receiver = to.endpoint.and_then(|id| universe.endpoint(id));
    let number = receiver.and_then(|endpoint| endpoint.ports.get(&(port.into(), protocol)));
    match number {
        Some(number) => Ok((protocol, *number)),
        None => Err(Error::usage(format!(
            "`{port}` is neither a port number nor a name that `{}` gives a port of {protocol}",
            to.name
        ))),
    }
}
