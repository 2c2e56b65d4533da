//! Namespaces and traffic, with and without the datapath in between.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Instant;

use policy_abi::arena::record;
use policy_abi::endpoint;
use policy_abi::proto;
use policy_abi::reason::Reason;
use policyd_e2e::arena::{Arena, Image};
use policyd_e2e::datapath::{Datapath, Direction};
use policyd_e2e::packet::{self, Ip, SYN};
use policyd_e2e::topology::{POD_INTERFACE, Topology, ensure_bpffs, within};
use policyd_e2e::traffic::{Flow, Observed, PATIENCE, Servers, observe_all, send_frame};

const OPEN: u16 = 80;
const SHUT: u16 = 81;

fn servers(topology: &Topology) -> Vec<Servers> {
    topology
        .pods
        .iter()
        .map(|pod| Servers::start(&pod.namespace, &[OPEN, SHUT]).unwrap())
        .collect()
}

/// Everything from every pod to every pod.
fn flows(topology: &Topology) -> Vec<Flow> {
    let mut flows = Vec::new();
    for from in &topology.pods {
        for to in &topology.pods {
            for address in [IpAddr::V4(to.ipv4), IpAddr::V6(to.ipv6)] {
                for port in [OPEN, SHUT] {
                    flows.push(Flow::tcp(&from.namespace, address, port));
                    flows.push(Flow::udp(&from.namespace, address, port));
                }
                flows.push(Flow::icmp(&from.namespace, address));
            }
        }
    }
    flows
}

#[test]
fn everything_answers_without_a_policy() {
    policyd_e2e::require_root!();
    let topology = Topology::new(3).unwrap();
    let _servers = servers(&topology);
    let flows = flows(&topology);
    assert_eq!(flows.len(), 90);
    for (flow, observed) in flows.iter().zip(observe_all(&flows)) {
        assert_eq!(observed.unwrap(), Observed::Answered, "{flow:?}");
    }
}

#[test]
fn closed_ports_refuse() {
    policyd_e2e::require_root!();
    let topology = Topology::new(2).unwrap();
    for to in [
        IpAddr::V4(topology.pods[1].ipv4),
        IpAddr::V6(topology.pods[1].ipv6),
    ] {
        for flow in [Flow::tcp, Flow::udp] {
            let flow = flow(&topology.pods[0].namespace, to, OPEN);
            assert_eq!(flow.observe().unwrap(), Observed::Refused, "{flow:?}");
        }
    }
}

#[test]
fn topologies_leave_nothing_behind() {
    policyd_e2e::require_root!();
    let topology = Topology::new(1).unwrap();
    let names = [topology.node.clone(), topology.pods[0].namespace.clone()];
    assert!(names.iter().all(|name| within(name, || Ok(())).is_ok()));
    drop(topology);
    assert!(names.iter().all(|name| within(name, || Ok(())).is_err()));
}

#[test]
fn bpffs_is_there() {
    policyd_e2e::require_root!();
    let path = ensure_bpffs().unwrap();
    let probe = path.join(format!("probe-{}", std::process::id()));
    std::fs::create_dir(&probe).unwrap();
    // What tells it from an ordinary folder.
    assert!(std::fs::write(probe.join("file"), b"x").is_err());
    std::fs::remove_dir(&probe).unwrap();
}

/// Tables by which pod 0 may ask pod 1 on [`OPEN`] and for an echo; nothing else.
fn tables(topology: &Topology) -> Arena {
    let records = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::DENY, Reason::DefaultDeny, 0),
    ];
    let only = |port: u16| {
        let mut row = vec![0; 65_536];
        row[usize::from(port)] = 1;
        row
    };
    let ports: BTreeMap<_, _> = [
        (proto::TCP, OPEN),
        (proto::UDP, OPEN),
        (proto::ICMP, 8),
        (proto::ICMPV6, 128),
    ]
    .map(|(protocol, port)| (proto::slot(protocol), only(port)))
    .into();
    // Identity of pod n is n + 1; the peer of the image has class 1.
    let image = |peer: usize| {
        let mut peers = vec![0; 1 + topology.pods.len()];
        peers[peer + 1] = 1;
        Image {
            peers,
            ports: ports.clone(),
            cells: vec![vec![2, 2], vec![2, 1]],
        }
    };
    let nothing = Image {
        peers: vec![0; 1 + topology.pods.len()],
        ports: BTreeMap::new(),
        cells: vec![vec![2]],
    };
    let images = [nothing, image(1), image(0)];
    let identities = u32::try_from(topology.pods.len()).unwrap() + 1;
    let policies = [(0, 1), (2, 0), (0, 0)];
    topology.pods.iter().zip(policies).fold(
        Arena::new(identities, 0, &records, &images),
        |arena, (pod, (ingress, egress))| {
            arena.with_endpoint(
                pod.ifindex,
                (Some(pod.ipv4), Some(pod.ipv6)),
                ingress,
                egress,
            )
        },
    )
}

/// A datapath in front of all pods of a topology.
fn enforce(topology: &Topology) -> Datapath {
    let mut datapath = Datapath::load().unwrap();
    for (identity, pod) in (1..).zip(&topology.pods) {
        datapath.learn(1, pod.ipv4.into(), identity).unwrap();
        datapath.learn(1, pod.ipv6.into(), identity).unwrap();
    }
    datapath.install(1, &tables(topology)).unwrap();
    datapath.attach(topology).unwrap();
    datapath
}

#[test]
fn only_what_is_allowed_answers() {
    policyd_e2e::require_root!();
    let topology = Topology::new(3).unwrap();
    let _servers = servers(&topology);
    let datapath = enforce(&topology);
    let flows = flows(&topology);
    let mut answered = 0;
    for (flow, observed) in flows.iter().zip(observe_all(&flows)) {
        let [first, second, _] = topology.pods.as_slice() else {
            panic!("three pods")
        };
        // A pod's traffic with itself does not leave it.
        let own = topology.pods.iter().any(|pod| {
            pod.namespace == flow.from
                && [IpAddr::V4(pod.ipv4), IpAddr::V6(pod.ipv6)].contains(&flow.to)
        });
        let to_second = flow.to == second.ipv4 || flow.to == second.ipv6;
        let allowed = flow.from == first.namespace && to_second && flow.port != SHUT;
        let expected = if own || allowed {
            Observed::Answered
        } else {
            Observed::Silent
        };
        assert_eq!(observed.unwrap(), expected, "{flow:?}");
        answered += u32::from(allowed);
    }
    assert_eq!(answered, 6, "TCP, UDP and ICMP, in both families");
    let drops = datapath.reasons(Direction::Egress).unwrap()[Reason::DefaultDeny as usize];
    assert!(drops >= 48, "{drops} drops of 54 refused flows");
}

/// A pod that may be answered is told what was dropped, and its kernel believes it: checksums included.
#[test]
fn denied_packets_are_answered_if_asked_for() {
    policyd_e2e::require_root!();
    let topology = Topology::new(3).unwrap();
    let _servers = servers(&topology);
    let mut datapath = enforce(&topology);
    let [first, second, third] = topology.pods.as_slice() else {
        panic!("three pods")
    };
    let mut tables = tables(&topology);
    tables.set_endpoint_flags(third.ifindex, endpoint::REJECT);
    datapath.install(1, &tables).unwrap();
    for address in [IpAddr::V4(second.ipv4), IpAddr::V6(second.ipv6)] {
        for (from, expected) in [(third, Observed::Refused), (first, Observed::Silent)] {
            let flow = Flow::udp(&from.namespace, address, SHUT);
            assert_eq!(flow.observe().unwrap(), expected, "{flow:?}");
        }
        // Nobody is told what became of an echo, or of packets on their way to a pod.
        let echo = Flow::icmp(&third.namespace, address);
        assert_eq!(echo.observe().unwrap(), Observed::Silent);
    }
    let to_third = Flow::tcp(&topology.node, third.ipv4, SHUT);
    assert_eq!(to_third.observe().unwrap(), Observed::Silent);
    // The kernel heeds an answer that comes while a socket is still connecting only at the next try.
    let before = icmp_errors(&third.namespace);
    let flow = Flow::tcp(&third.namespace, second.ipv4, SHUT);
    assert_ne!(flow.observe().unwrap(), Observed::Answered);
    assert!(icmp_errors(&third.namespace) > before);
    // Answers are few: a flood of packets is not answered by a flood.
    within(&third.namespace, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        (0..2_000).try_for_each(|_| socket.send_to(b"x", (second.ipv4, SHUT)).map(drop))
    })
    .unwrap();
    let received = icmp_errors(&third.namespace);
    assert!((1..=1_000).contains(&received), "{received}");
}

/// ICMP messages "destination unreachable" that a namespace has received.
fn icmp_errors(namespace: &str) -> u64 {
    let text = within(namespace, || {
        std::fs::read_to_string("/proc/thread-self/net/snmp")
    })
    .unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "InDestUnreachs").unwrap();
    value.parse().unwrap()
}

/// Datagrams longer than the interface's limit travel in fragments, there and back.
#[test]
fn fragments_travel() {
    policyd_e2e::require_root!();
    let topology = Topology::new(3).unwrap();
    let _servers = servers(&topology);
    let datapath = enforce(&topology);
    let exchange = |to: IpAddr, port| {
        within(&topology.pods[0].namespace, || {
            let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }
                .parse()
                .map_err(io::Error::other)?;
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send_to(&[7; 5000], SocketAddr::new(to, port))?;
            let mut buffer = [0; 8192];
            Ok(socket.recv(&mut buffer).ok())
        })
    };
    for to in [
        IpAddr::V4(topology.pods[1].ipv4),
        IpAddr::V6(topology.pods[1].ipv6),
    ] {
        assert_eq!(exchange(to, OPEN).unwrap(), Some(5000));
        assert_eq!(exchange(to, SHUT).unwrap(), None);
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        let reasons = datapath.reasons(direction).unwrap();
        assert_eq!(reasons[Reason::LostFragment as usize], 0);
        assert_eq!(reasons[Reason::Malformed as usize], 0);
    }
    let replies = datapath.reasons(Direction::Egress).unwrap()[Reason::Reply as usize];
    assert!(replies >= 8, "{replies} fragments of two replies");
}

/// Frames that no IP stack sends, from a pod that does not need one.
#[test]
fn broken_frames_stop_at_the_interface() {
    policyd_e2e::require_root!();
    let topology = Topology::new(2).unwrap();
    let datapath = enforce(&topology);
    let [first, second] = topology.pods.as_slice() else {
        panic!("two pods")
    };
    // To everybody, so that the host takes the frame for its own.
    let send = |mut frame: Vec<u8>| {
        frame[..6].copy_from_slice(&[0xff; 6]);
        send_frame(&first.namespace, &frame, 0).unwrap();
    };
    let addresses: [(IpAddr, IpAddr); 2] = [
        (first.ipv4.into(), second.ipv4.into()),
        (first.ipv6.into(), second.ipv6.into()),
    ];
    let mut expected = 0;
    for (from, to) in addresses {
        let whole = Ip::new(from, to, proto::TCP).frame(&packet::tcp(40_000, OPEN, SYN));
        let header = if from.is_ipv4() { 34 } else { 54 };
        for length in 15..header {
            send(whole[..length].to_vec());
            expected += 1;
        }
        // A tag that the kernel takes off before the program sees the packet.
        let tag = [0x81, 0x00, 0x00, 0x07];
        send([&whole[..12], &tag, &whole[12..]].concat());
    }
    let count = || datapath.reasons(Direction::Egress).unwrap();
    let start = Instant::now();
    while count()[Reason::Malformed as usize] < expected && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(count()[Reason::Malformed as usize], expected);
    assert_eq!(count()[Reason::UnknownL3 as usize], 2);
    assert_eq!(count()[Reason::Allowed as usize], 0);
}

/// Headers need not lie in a packet's first piece: wherever it is cut, the same is read.
#[test]
fn scattered_frames_are_judged_alike() {
    policyd_e2e::require_root!();
    let topology = Topology::new(2).unwrap();
    let datapath = enforce(&topology);
    let [first, second] = topology.pods.as_slice() else {
        panic!("two pods")
    };
    for (namespace, interface) in [
        (&first.namespace, POD_INTERFACE),
        (&topology.node, &first.interface),
    ] {
        let arguments = [
            "-n", namespace, "link", "set", "dev", interface, "mtu", "9000",
        ];
        assert!(
            Command::new("ip")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }
    let addresses: [(IpAddr, IpAddr); 2] = [
        (first.ipv4.into(), second.ipv4.into()),
        (first.ipv6.into(), second.ipv6.into()),
    ];
    let mut sent = 0;
    for (from, to) in addresses {
        for cut in 14..=100 {
            for port in [OPEN, SHUT] {
                let payload = [packet::tcp(40_000, port, SYN), vec![0; 5000]].concat();
                let mut frame = Ip::new(from, to, proto::TCP).frame(&payload);
                frame[..6].copy_from_slice(&[0xff; 6]);
                send_frame(&first.namespace, &frame, cut).unwrap();
            }
            sent += 1;
        }
    }
    let count = || datapath.reasons(Direction::Egress).unwrap();
    let start = Instant::now();
    while count()[Reason::DefaultDeny as usize] < sent && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(count()[Reason::DefaultDeny as usize], sent);
    assert_eq!(count()[Reason::Allowed as usize], sent);
    assert_eq!(count()[Reason::Malformed as usize], 0);
}
