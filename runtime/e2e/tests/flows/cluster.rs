//! The cluster: pods, a host outside, four services, and kube-proxy's part in nftables.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use policyd_e2e::topology::{NODE_IPV4, NODE_IPV6, Topology, within};

/// Where servers listen, behind services and without.
pub(crate) const TCP: [u16; 3] = [80, 8080, 9090];
pub(crate) const UDP: u16 = 5353;

/// Somebody with an interface of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    /// As in the inventory; the host outside has none.
    pub(crate) name: &'static str,
    pub(crate) labels: &'static str,
    last: u8,
}

const fn pod(name: &'static str, labels: &'static str, last: u8) -> Party {
    Party { name, labels, last }
}

/// The pods; the two behind `api` differ in a label.
pub(crate) const PODS: [Party; 7] = [
    pod("web-0", "app: web", 10),
    pod("web-1", "app: web", 11),
    pod("api-0", "app: api, version: one", 12),
    pod("api-1", "app: api, version: two", 13),
    pod("client-0", "app: client", 14),
    pod("picky-0", "app: picky", 15),
    pod("db-0", "app: db", 16),
];
/// Where the host outside stands among the interfaces.
pub(crate) const OUTSIDE: usize = PODS.len();
/// Where a pod stands that is in no inventory.
pub(crate) const STRANGER: usize = PODS.len() + 1;

/// Address of a party.
pub(crate) fn address(party: usize, v4: bool) -> IpAddr {
    let last = match PODS.get(party) {
        Some(pod) => pod.last,
        None => 99,
    };
    let (net4, net6) = if party == OUTSIDE {
        ([198, 51, 100], [0x2001, 0xdb8, 0xb])
    } else {
        ([10, 77, 1], [0xfd77, 1, 0])
    };
    if v4 {
        Ipv4Addr::new(net4[0], net4[1], net4[2], last).into()
    } else {
        Ipv6Addr::new(net6[0], net6[1], net6[2], 0, 0, 0, 0, last.into()).into()
    }
}

/// Addresses for the topology, the host outside and the stranger last.
pub(crate) fn addresses() -> Vec<(Ipv4Addr, Ipv6Addr)> {
    let both = |party| match (address(party, true), address(party, false)) {
        (IpAddr::V4(v4), IpAddr::V6(v6)) => (v4, v6),
        _ => unreachable!("one of each family"),
    };
    (0..=STRANGER).map(both).collect()
}

/// What the four services are to a pod whose policy may tell backends apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// All backends have the same labels.
    Uniform,
    /// They differ.
    Mixed,
    /// No address of its own: pods ask for those of its backends.
    Headless,
    /// No backends.
    Empty,
}

/// A service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    last: u8,
    /// Positions of its backends.
    pub(crate) backends: &'static [usize],
}

/// TCP port 80 leads to 8080, UDP port 53 to 5353.
pub(crate) const SERVICES: [Service; 4] = [
    Service {
        name: "web",
        kind: Kind::Uniform,
        last: 1,
        backends: &[0, 1],
    },
    Service {
        name: "api",
        kind: Kind::Mixed,
        last: 2,
        backends: &[2, 3],
    },
    Service {
        name: "db",
        kind: Kind::Headless,
        last: 0,
        backends: &[6],
    },
    Service {
        name: "empty",
        kind: Kind::Empty,
        last: 4,
        backends: &[],
    },
];
/// Ports of services, and of what stands behind them.
pub(crate) const TCP_PORT: (u16, u16) = (80, 8080);
pub(crate) const UDP_PORT: (u16, u16) = (53, UDP);

impl Service {
    /// Its own address; a headless one has none.
    pub(crate) fn address(&self, v4: bool) -> Option<IpAddr> {
        let own = if v4 {
            IpAddr::from(Ipv4Addr::new(10, 96, 0, self.last))
        } else {
            Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, self.last.into()).into()
        };
        (self.kind != Kind::Headless).then_some(own)
    }
}

/// The inventory, without the stranger.
pub(crate) fn inventory() -> String {
    let mut out = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\napiVersion: v1\nkind: Node\n\
         metadata: {{name: node-a}}\nspec: {{podCIDRs: [10.77.1.0/24, 'fd77:1::/64']}}\n\
         status: {{addresses: [{{type: InternalIP, address: {NODE_IPV4}}}, {{type: InternalIP, address: '{NODE_IPV6}'}}]}}\n"
    );
    for (at, Party { name, labels, .. }) in PODS.iter().enumerate() {
        let (v4, v6) = (address(at, true), address(at, false));
        _ = write!(
            out,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\n\
             spec: {{nodeName: node-a}}\nstatus: {{phase: Running, podIPs: [{{ip: {v4}}}, {{ip: '{v6}'}}]}}\n"
        );
    }
    for service in &SERVICES {
        let addresses = match (service.address(true), service.address(false)) {
            (Some(v4), Some(v6)) => format!("clusterIPs: [{v4}, '{v6}']"),
            _ => "clusterIP: None".to_owned(),
        };
        let name = service.name;
        _ = write!(
            out,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{addresses}, \
             ports: [{{name: tcp, port: {}}}, {{name: udp, port: {}, protocol: UDP}}]}}\n",
            TCP_PORT.0, UDP_PORT.0
        );
        for v4 in [true, false] {
            let backends = service.backends.iter();
            let backends = backends.map(|at| format!("{{addresses: ['{}']}}", address(*at, v4)));
            _ = write!(
                out,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {name}-{v4}, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                 ports: [{{name: tcp, port: {}}}, {{name: udp, port: {}, protocol: UDP}}]\nendpoints: [{}]\n",
                TCP_PORT.1,
                UDP_PORT.1,
                backends.collect::<Vec<_>>().join(", ")
            );
        }
    }
    out
}

/// Puts backends in the place of services as packets enter the node, as kube-proxy does.
pub(crate) fn translate(topology: &Topology) -> io::Result<()> {
    let mut rules = String::new();
    for service in &SERVICES {
        for v4 in [true, false] {
            let Some(own) = service.address(v4) else {
                continue;
            };
            let ip = if v4 { "ip" } else { "ip6" };
            if service.backends.is_empty() {
                _ = writeln!(rules, "{ip} daddr {own} reject");
                continue;
            }
            for (protocol, (port, target)) in [("tcp", TCP_PORT), ("udp", UDP_PORT)] {
                let backends = service.backends.iter().enumerate();
                let backends = backends
                    .map(|(number, at)| format!("{number} : {} . {target}", address(*at, v4)));
                let backends: Vec<_> = backends.collect();
                _ = writeln!(
                    rules,
                    "{ip} daddr {own} {protocol} dport {port} dnat {ip} to numgen inc mod {} map {{ {} }}",
                    backends.len(),
                    backends.join(", ")
                );
            }
        }
    }
    let table = format!(
        "table inet services {{\nchain pre {{\ntype nat hook prerouting priority dstnat;\n{rules}}}\n}}\n"
    );
    within(&topology.node, || nft(&table))
}

fn nft(text: &str) -> io::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    nft.stdin
        .take()
        .ok_or_else(|| io::Error::other("no pipe"))?
        .write_all(text.as_bytes())?;
    if nft.wait()?.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("nft refused:\n{text}")))
    }
}
