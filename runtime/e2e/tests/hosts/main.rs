//! End to end: node policies, compiled and in force, against what the model expects of real traffic between a node, its
//! pods and a host outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

/// The node and the programs that are tested.
mod node;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use policy_abi::proto;
use policyd_e2e::packet::{self, Ip, SYN};
use policyd_e2e::topology::within;
use policyd_e2e::traffic::{Flow, Observed, PATIENCE, Protocol, send_frame};
use serde_json::{Value, json};

use node::{Node, PORTS, Party};

use Party::{Client, Node as Own, Outside, Uplink, Web};

/// Pods in default deny, except for port 9090 from one another; the client is left alone.
const PODS: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '9090'}]}]}]}
";

/// The node is reached from outside on port 8080 and by `web` on 9090; it reaches others on 5353, and pods on 8080.
const NODES: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nodes}
spec:
  nodeSelector: {}
  ingress:
  - {fromEntities: [world], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}
  - {fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '9090', protocol: TCP}]}]}
  egress:
  - {toEntities: [world], toPorts: [{ports: [{port: '5353', protocol: UDP}]}]}
  - {toEndpoints: [{matchLabels: {app: web}}, {matchLabels: {app: client}}], toPorts: [{ports: [{port: '8080'}]}]}
";

fn policies(nodes: &str) -> String {
    format!("{PODS}---{nodes}")
}

/// Who asks whom.
const PAIRS: [(Party, Party); 10] = [
    (Outside, Own),
    (Outside, Uplink),
    (Uplink, Outside),
    (Web, Own),
    (Client, Own),
    (Client, Uplink),
    (Own, Web),
    (Own, Client),
    (Client, Outside),
    (Outside, Client),
];

/// A flow, and what both ends say to it.
struct Case {
    from: Party,
    to: Party,
    flow: Flow,
    questions: Vec<Value>,
}

fn cases(node: &Node) -> Vec<Case> {
    let ways = PORTS
        .iter()
        .flat_map(|port| [(Protocol::Tcp, *port), (Protocol::Udp, *port)]);
    let ways: Vec<_> = ways.chain([(Protocol::Icmp, 0)]).collect();
    let mut cases = Vec::new();
    for (from, to) in PAIRS {
        for v4 in [true, false] {
            for (protocol, port) in &ways {
                cases.extend(case(node, (from, to), v4, *protocol, *port));
            }
        }
    }
    cases
}

fn case(
    node: &Node,
    (from, to): (Party, Party),
    v4: bool,
    protocol: Protocol,
    port: u16,
) -> Option<Case> {
    let address = node.address(to, v4);
    let namespace = node.namespace(from);
    let flow = match protocol {
        Protocol::Tcp => Flow::tcp(namespace, address, port),
        // A server on all addresses answers from the one that is next to the asker.
        Protocol::Udp if matches!((from, to), (Outside, Own) | (Client | Web, Own | Uplink)) => {
            return None;
        }
        Protocol::Udp => Flow::udp(namespace, address, port),
        Protocol::Icmp => Flow::icmp(namespace, address),
    };
    let (name, port) = match (protocol, v4) {
        (Protocol::Tcp, _) => ("TCP", port),
        (Protocol::Udp, _) => ("UDP", port),
        (Protocol::Icmp, true) => ("ICMP", 8),
        (Protocol::Icmp, false) => ("ICMPv6", 128),
    };
    let ask = |direction: &str, subject: Party, peer: Party| {
        let subject = match subject {
            Web => "shop/web",
            Client => "shop/client",
            Own | Uplink => "host",
            Outside => return None,
        };
        // The inventory knows one address of the node.
        let peer = if peer == Uplink { Own } else { peer };
        let peer = format!("ip:{}", node.address(peer, v4));
        Some(json!({
            "direction": direction, "subject": subject, "peer": peer, "protocol": name, "port": port
        }))
    };
    let questions = [ask("egress", from, to), ask("ingress", to, from)];
    Some(Case {
        from,
        to,
        flow,
        questions: questions.into_iter().flatten().collect(),
    })
}

/// Tries every flow and compares with what the model says. Returns how many were answered.
fn compare(node: &Node) -> (usize, usize) {
    let cases = cases(node);
    let questions: Vec<Value> = cases
        .iter()
        .flat_map(|case| case.questions.clone())
        .collect();
    let mut answers = node.ask(&questions).into_iter();
    let (mut answered, mut silent) = (0, 0);
    for case in &cases {
        let said: Vec<bool> = answers.by_ref().take(case.questions.len()).collect();
        let wanted = if said.iter().all(|allowed| *allowed) {
            answered += 1;
            Observed::Answered
        } else {
            silent += 1;
            Observed::Silent
        };
        let what = format!("{:?} to {:?}: {:?}", case.from, case.to, case.flow);
        see(&case.flow, wanted, &what);
    }
    (answered, silent)
}

/// On a busy machine an answer may take longer than a single try waits.
#[track_caller]
fn see(flow: &Flow, wanted: Observed, what: &str) {
    if wanted == Observed::Answered {
        flow.observe_until(wanted).unwrap();
    } else {
        assert_eq!(flow.observe().unwrap(), wanted, "{what}");
    }
}

#[track_caller]
fn expect(node: &Node, (from, to): (Party, Party), port: u16, wanted: Observed) {
    for v4 in [true, false] {
        let flow = Flow::tcp(node.namespace(from), node.address(to, v4), port);
        see(&flow, wanted, &format!("{flow:?}"));
    }
}

#[test]
fn traffic_is_what_the_model_says() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.compile(&policies(NODES), 1);
    node.enforce();
    assert_eq!(compare(&node), (52, 96));
    let status = node.status();
    let wanted = json!({
        "name": "node-a", "identity": 1, "audit": false,
        "devices": [{"interface": "pod2", "attached": true}],
    });
    assert_eq!(status["node"], wanted);
    assert_eq!(status["endpoints"].as_array().unwrap().len(), 2);
    assert!(
        node.doctor().contains("in force at pod2"),
        "{}",
        node.doctor()
    );
    let forwarded = &status["reasons"]["egress"]["unjudged"]["packets"];
    assert!(forwarded.as_u64().unwrap() > 0, "{forwarded}");
    let events = node.events();
    let has = |direction: &str, reason: &str, key: &str, value: &str| {
        let mut all = events.iter();
        all.any(|event| {
            event["direction"] == direction && event["reason"] == reason && event[key] == value
        })
    };
    assert!(has("to-node", "default-deny", "node", "node-a"));
    assert!(has("from-node", "default-deny", "node", "node-a"));
    assert!(has("to-node", "allowed", "node", "node-a"));
    // Of the client, only the node's policy wants to know.
    assert!(has("from-pod", "default-deny", "by", "node"));
    // The same again on a kernel without tcx, over what is there.
    node.detach();
    assert!(node.links().is_empty());
    expect(&node, (Outside, Own), 80, Observed::Answered);
    node.enforce_without_tcx();
    assert_eq!(node.links().len(), 6);
    compare(&node);
}

/// A session that is open, one exchange at a time.
struct Session(TcpStream);

impl Session {
    fn open(node: &Node, (from, to): (Party, Party), v4: bool, port: u16) -> Self {
        let address: IpAddr = node.address(to, v4);
        let connect = || TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
        let stream = within(node.namespace(from), connect).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        Self(stream)
    }

    /// Whether what is sent comes back.
    fn goes_on(&mut self) -> bool {
        let mut answer = [0; 4];
        let exchange = self.0.write_all(b"ping");
        exchange
            .and_then(|()| self.0.read_exact(&mut answer))
            .is_ok()
    }
}

/// Sessions from before go on if the policy would have let them in, through replacements too; the node is left alone once
/// no policy applies to it.
#[test]
fn sessions_outlive_what_allows_them() {
    policyd_e2e::require_root!();
    let node = Node::new();
    let open = |pair, port| [true, false].map(|v4| Session::open(&node, pair, v4, port));
    let mut remote = open((Outside, Own), 8080);
    let mut denied = open((Outside, Own), 80);
    let mut forwarded = open((Client, Outside), 80);
    let mut inside = open((Web, Own), 9090);
    let mut check = |denied_goes_on: bool| {
        for session in remote.iter_mut().chain(&mut forwarded).chain(&mut inside) {
            assert!(session.goes_on());
        }
        for session in &mut denied {
            assert_eq!(session.goes_on(), denied_goes_on);
        }
    };
    check(true);
    node.compile(&policies(NODES), 1);
    node.enforce();
    check(false);
    node.compile(&policies(&NODES.replace("name: nodes", "name: others")), 2);
    node.enforce();
    check(false);
    let more = NODES.replacen("'8080', protocol: TCP", "'80', protocol: TCP", 1);
    node.compile(&policies(&more), 3);
    node.enforce();
    assert!(forwarded.iter_mut().all(Session::goes_on));
    assert!(!remote[0].goes_on() && !remote[1].goes_on());
    expect(&node, (Outside, Own), 80, Observed::Answered);
    expect(&node, (Outside, Own), 8080, Observed::Silent);
    node.compile(PODS, 4);
    node.enforce();
    assert_eq!(node.status()["node"], Value::Null);
    assert_eq!(
        node.links(),
        ["pod0-from", "pod0-to", "pod1-from", "pod1-to"]
    );
    expect(&node, (Outside, Own), 8080, Observed::Answered);
    expect(&node, (Client, Own), 8080, Observed::Answered);
    expect(&node, (Outside, Web), 8080, Observed::Silent);
}

/// The daemon keeps up with the node's addresses and its device.
#[test]
fn nodes_change_under_their_policy() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.compile(&policies(NODES), 1);
    let mut daemon = node.start();
    daemon.wait_for("policies apply to node `node-a` itself: enforced at pod2");
    daemon.wait_for("generation 1 in force");
    let fresh: IpAddr = "192.0.2.77".parse().unwrap();
    node.ip("addr add 192.0.2.77/32 dev lo");
    daemon.wait_for("generation 2 in force");
    let outside = node.namespace(Outside);
    for (port, wanted) in [(8080, Observed::Answered), (80, Observed::Silent)] {
        let flow = Flow::tcp(outside, fresh, port);
        assert_eq!(flow.observe().unwrap(), wanted, "{flow:?}");
    }
    drop(daemon);
    // What is in force does not need the daemon.
    expect(&node, (Outside, Uplink), 80, Observed::Silent);
    let daemon = node.start();
    drop(daemon);
    expect(&node, (Outside, Uplink), 80, Observed::Silent);
}

#[test]
fn switched_off_is_refused_and_audit_lets_pass() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.configure("enforcement = 'off'");
    node.compile(&policies(NODES), 1);
    let refusal = node.refusal();
    assert!(refusal.contains("`host.enforcement` is `off`"), "{refusal}");
    assert!(node.links().is_empty());
    // Without policies for the node, the switch is of no importance.
    node.compile(PODS, 2);
    node.enforce();
    expect(&node, (Outside, Own), 80, Observed::Answered);
    node.configure("audit = true");
    node.compile(&policies(NODES), 3);
    node.enforce();
    expect(&node, (Outside, Own), 80, Observed::Answered);
    assert_eq!(node.status()["node"]["audit"], true);
    let audited = &node.status()["reasons"]["ingress"]["audited"]["packets"];
    assert!(audited.as_u64().unwrap() > 0);
    node.configure("devices = ['pod2']");
    node.enforce();
    expect(&node, (Outside, Own), 80, Observed::Silent);
}

/// Frames that only have a priority tag are frames without a VLAN: the kernel takes what is in them, so it is judged.
#[test]
fn priority_tags_are_no_way_around() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.compile(&policies(NODES), 1);
    node.enforce();
    let count = |reason: &str| {
        let status = node.status();
        let packets = &status["reasons"]["ingress"][reason]["packets"];
        packets.as_u64().unwrap()
    };
    for v4 in [true, false] {
        let (from, to) = (node.address(Outside, v4), node.address(Own, v4));
        let frame = Ip::new(from, to, proto::TCP).frame(&packet::tcp(40_000, 80, SYN));
        for (tag, reason) in [
            (&[0x81, 0, 0xa0, 0][..], "default-deny"),
            (&[0x81, 0, 0xa0, 0, 0x81, 0, 0, 0], "unknown-l3"),
            (&[0x81, 0, 0xa0, 5], "unjudged"),
        ] {
            let mut tagged = frame.clone();
            tagged[..6].copy_from_slice(&[0xff; 6]);
            tagged.splice(12..12, tag.iter().copied());
            let before = count(reason);
            send_frame(node.namespace(Outside), &tagged, 0).unwrap();
            assert!(count(reason) > before, "{reason}: {tag:x?}");
        }
    }
}
