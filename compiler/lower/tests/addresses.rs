//! Which identity an address has: full-length addresses first, then the longest prefix, and of several sources for one
//! address the one that Cilium prefers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// Random clusters, settings and policies.
#[path = "../../ir/tests/oracle/generate.rs"]
#[expect(dead_code, reason = "addresses are drawn here, not pods")]
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_bundle::write::Ipcache;
use policyc_diag::SourceMap;
use policyc_ir::cidr::Cidr;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::label::{Key, Source};
use policyc_ir::model::Model;
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::resolve::Resolved;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_lower::{Target, lower};
use policyc_syntax::ast::Document;
use proptest::test_runner::{Config, TestRunner};

/// What single addresses and prefixes hold, as two maps like those of the datapath.
struct Maps {
    hosts: BTreeMap<IpAddr, Ipcache>,
    prefixes: BTreeMap<(u8, IpAddr), Ipcache>,
}

impl Maps {
    fn new(entries: &[Ipcache]) -> Self {
        let full = |entry: &&Ipcache| entry.prefix_len == bits(entry.address);
        let hosts = entries.iter().filter(full);
        let prefixes = entries.iter().filter(|entry| !full(entry));
        let key = |entry: &Ipcache| (entry.prefix_len, entry.address);
        Self {
            hosts: hosts.map(|entry| (entry.address, *entry)).collect(),
            prefixes: prefixes.map(|entry| (key(entry), *entry)).collect(),
        }
    }

    /// The exact hash, then the trie: its longest match.
    fn find(&self, address: IpAddr) -> Option<Ipcache> {
        let found = self.hosts.get(&address).copied();
        found.or_else(|| {
            let lengths = (0..bits(address)).rev();
            let mut prefixes = lengths.map(|len| (len, masked(address, len)));
            prefixes.find_map(|key| self.prefixes.get(&key).copied())
        })
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let parsed = files
        .iter()
        .map(|file| policyc_syntax::parse(&sources.add("file", file.as_str())));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

/// The universe of a cluster and its addresses as lowering gives them.
fn addresses(
    policies: &[String],
    cluster: String,
    settings: &Settings,
    ranges: &[&str],
) -> Option<(Universe, Vec<Ipcache>)> {
    let (policies, _) = PolicySet::admit(&parse(policies), settings);
    let (inventory, _) = Inventory::read(&parse(&[cluster]));
    let rules = normalise::normalise(&policies, &inventory, settings);
    let universe = inventory::cluster(&inventory, &rules, settings);
    let target = Target {
        pod_ranges: ranges.iter().map(|one| Cidr::parse(one).unwrap()).collect(),
        without_proxy: true,
        ..Target::default()
    };
    let ipcache = {
        let resolved = Resolved::new(&rules, &universe);
        lower(&Model::build(&resolved, settings), &target)
            .ok()?
            .ipcache
    };
    Some((universe, ipcache))
}

/// Every address beside a bound of any prefix, in random clusters: two maps find what the longest of all entries says.
#[test]
fn two_maps_find_the_longest_match() {
    let asked = std::cell::Cell::new(0_usize);
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases / 4,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&generate::lowerable(), |mut case| {
        case.policies.retain(|text| !text.contains("nodeSelector"));
        let cluster = case.cluster.yaml();
        let ranges = ["10.77.0.0/16"];
        let Some((_, entries)) = addresses(&case.policies, cluster, &case.settings, &ranges) else {
            return Ok(());
        };
        let maps = Maps::new(&entries);
        for address in entries.iter().flat_map(around) {
            let holding = entries.iter().filter(|entry| {
                let cidr = Cidr::new(entry.address, entry.prefix_len).unwrap();
                cidr.contains(address)
            });
            let longest = holding.max_by_key(|entry| entry.prefix_len).copied();
            assert_eq!(maps.find(address), longest, "{address}");
            asked.set(asked.get() + 1);
        }
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    assert!(asked.get() > 500, "only {}", asked.get());
}

/// The first and last address of a prefix and their neighbours outside.
fn around(entry: &Ipcache) -> Vec<IpAddr> {
    match entry.address {
        IpAddr::V4(first) => {
            let first = first.to_bits();
            let rest = u32::MAX
                .checked_shr(u32::from(entry.prefix_len))
                .unwrap_or(0);
            let last = first | rest;
            let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            all.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
                .to_vec()
        }
        IpAddr::V6(first) => {
            let first = first.to_bits();
            let rest = u128::MAX
                .checked_shr(u32::from(entry.prefix_len))
                .unwrap_or(0);
            let last = first | rest;
            let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            all.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
                .to_vec()
        }
    }
}

/// Pods, nodes and an API server, whose addresses policies, groups and DNS answers name as well.
const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n0, labels: {zone: a}}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}, {type: InternalIP, address: \"fd00:18::2\"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n0}
status: {phase: Running, podIPs: [{ip: 10.77.0.5}, {ip: \"fd00:77::5\"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [172.18.0.3, 198.51.100.1]}]
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: g0}
spec: {externalCIDRs: [10.77.0.5/32, 172.18.0.2/32, 203.0.113.7/32, 203.0.113.0/24]}
";

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: all, namespace: shop}
spec:
  endpointSelector: {}
  egress:
  - toCIDR: [10.77.0.5/32, \"fd00:77::5/128\", 172.18.0.2/32, \"fd00:18::2/128\", 172.18.0.3/32, 203.0.113.7/32, 203.0.112.0/20, 198.51.100.1/32, 198.51.100.0/24, 10.0.0.0/8, 10.77.0.9/32, \"2001:db8::7/128\", \"2001:db8::/32\"]
  - toCIDRSet: [{cidrGroupRef: g0}]
";

/// A pod's and a node's own address keep their owner, whatever else names them; an API server outside is of the world
/// and both; a prefix inside another is the longer one; an unknown pod's address is unknown whatever policies name.
#[test]
fn of_several_sources_the_owner_wins() {
    let ranges = ["10.77.0.0/16", "fd00:77::/64"];
    let policy = [POLICY.to_owned()];
    let settings = Settings::default();
    let built = addresses(&policy, CLUSTER.to_owned(), &settings, &ranges);
    let (universe, entries) = built.unwrap();
    let maps = Maps::new(&entries);
    let find = |address: &str| maps.find(address.parse().unwrap()).unwrap();
    let labels = |address: &str| {
        let identity = &universe.identities()[find(address).identity as usize];
        let reserved = identity.labels.iter();
        let reserved = reserved.filter(|(key, _)| key.source == Source::Reserved);
        let reserved: Vec<_> = reserved.map(|(key, _)| key.name.to_string()).collect();
        (reserved, identity.cidr.map(|cidr| cidr.to_string()))
    };
    let web = universe
        .endpoint(universe.find("shop/web").unwrap())
        .unwrap();
    for own in ["10.77.0.5", "fd00:77::5"] {
        assert_eq!(find(own).identity, web.identity.0, "{own}");
    }
    for (address, wanted, node) in [
        ("172.18.0.2", &["remote-node"][..], 0),
        ("fd00:18::2", &["remote-node"], 0),
        ("172.18.0.3", &["kube-apiserver", "remote-node"], 1),
    ] {
        let (reserved, cidr) = labels(address);
        assert_eq!(
            (reserved.as_slice(), cidr),
            (&names(wanted)[..], None),
            "{address}"
        );
        assert_eq!(find(address).node, Some(node), "{address}");
        let own = find(address).own.map_or(1, |own| own as usize);
        let own = &universe.identities()[own].labels;
        assert!(own.get(&Key::new(Source::Reserved, "host")).is_some());
        let api = own.get(&Key::new(Source::Reserved, "kube-apiserver"));
        assert_eq!(api.is_some(), node == 1, "{address}");
    }
    for (address, wanted, cidr) in [
        (
            "198.51.100.1",
            &["kube-apiserver", "world-ipv4"][..],
            "198.51.100.1/32",
        ),
        ("198.51.100.2", &["world-ipv4"], "198.51.100.0/24"),
        ("203.0.113.7", &["world-ipv4"], "203.0.113.7/32"),
        ("203.0.113.8", &["world-ipv4"], "203.0.113.0/24"),
        ("203.0.114.1", &["world-ipv4"], "203.0.112.0/20"),
        ("10.1.1.1", &["world-ipv4"], "10.0.0.0/8"),
        ("192.0.2.1", &["world-ipv4"], "0.0.0.0/0"),
        ("2001:db8::7", &["world-ipv6"], "2001:db8::7/128"),
        ("2001:db8::8", &["world-ipv6"], "2001:db8::/32"),
        ("3fff::1", &["world-ipv6"], "::/0"),
    ] {
        let wanted = (names(wanted), Some(cidr.to_owned()));
        assert_eq!(labels(address), wanted, "{address}");
        assert_eq!(find(address).node, None);
    }
    for unknown in ["10.77.0.6", "10.77.0.9", "fd00:77::6"] {
        assert_eq!(find(unknown).identity, 0, "{unknown}");
    }
    let distinct: BTreeSet<_> = entries
        .iter()
        .map(|one| (one.address, one.prefix_len))
        .collect();
    assert_eq!(distinct.len(), entries.len());
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
