//! One small cluster, its bundle, and ways to damage it.

use policy_abi::arena::{self, Read, header, image, record};
use policy_abi::{lookup, proto};
use policy_bundle::{Bundle, Trust, write};
use policyc_diag::SourceMap;
use policyc_ir::cidr::Cidr;
use policyc_ir::frontend::frontends;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::Model;
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_lower::{Target, contents, lower};
use policyc_prove::{Proof, Sources, certificate, prove};
use policyc_syntax::ast::Document;
use policyc_verify::Limits;

/// Three pods on one of two nodes, and three services: of one kind of pods, of two, and of none.
pub(crate) const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.77.0.0/16}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDR: 10.78.0.0/16}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.77.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}
status: {phase: Running, podIPs: [{ip: 10.77.0.2}, {ip: \"fd00::2\"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n2}
status: {phase: Running, podIPs: [{ip: 10.78.0.3}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: db, port: 80}, {name: more, port: 81}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
ports: [{name: db, port: 5432}, {name: more, port: 5433}]
endpoints: [{addresses: [10.78.0.3]}]
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: both-1, namespace: shop, labels: {kubernetes.io/service-name: both}}
ports: [{port: 5432}]
endpoints: [{addresses: [10.78.0.3]}, {addresses: [10.77.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {clusterIP: 10.96.0.3, ports: [{port: 80}]}
";

const POLICIES: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  log: {value: api}
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    authentication: {mode: required}
    toPorts: [{ports: [{port: http, protocol: TCP}, {port: \"7000\", endPort: 7100, protocol: TCP}]}]
  - fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.128/25]}]
  ingressDeny:
  - toPorts: [{ports: [{port: \"7050\", protocol: TCP}]}]
  egress:
  - toEndpoints: [{matchLabels: {app: db}}]
    toPorts: [{ports: [{port: \"5432\", protocol: TCP}]}]
  - icmps: [{fields: [{type: 8, family: IPv4}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {}}]
    ports: [{port: http, protocol: TCP}]
";

/// What a bundle is made of.
pub(crate) struct Built {
    rules: RuleSet,
    inventory: Inventory,
    universe: Universe,
    settings: Settings,
    target: Target,
}

/// Settings that change nothing.
pub(crate) fn settings() -> Settings {
    Settings::default()
}

impl Built {
    pub(crate) fn shop() -> Self {
        Self::new(&[POLICIES.to_owned()], CLUSTER, settings())
    }

    pub(crate) fn new(policies: &[String], cluster: &str, settings: Settings) -> Self {
        let (policies, _) = PolicySet::admit(&parse(policies), &settings);
        let (inventory, _) = Inventory::read(&parse(&[cluster.to_owned()]));
        let rules = normalise::normalise(&policies, &inventory, &settings);
        let universe = inventory::cluster(&inventory, &rules, &settings);
        let mut target = Target {
            pod_ranges: vec![Cidr::parse("10.77.0.0/16").unwrap()],
            extended_protocols: settings.extended_protocols,
            without_proxy: true,
            ..Target::default()
        };
        target.pod_ranges.extend(inventory.pod_ranges());
        target.services = frontends(&inventory, &universe, &target.pod_ranges);
        Self {
            rules,
            inventory,
            universe,
            settings,
            target,
        }
    }

    /// What lowering makes of it, unless it is refused.
    pub(crate) fn contents(&self) -> Option<write::Contents> {
        let resolved = Resolved::new(&self.rules, &self.universe);
        let model = Model::build(&resolved, &self.settings);
        let image = lower(&model, &self.target).ok()?;
        Some(contents(&model, image, &SourceMap::new(), 1, String::new()))
    }

    /// Proves contents; differences as text.
    pub(crate) fn prove(&self, contents: &write::Contents) -> Result<Proof, Vec<String>> {
        let bytes = write::encode(contents, None).unwrap();
        let bundle = Bundle::open(&bytes, &Trust::AllowUnsigned).unwrap();
        let sources = Sources {
            rules: &self.rules,
            universe: &self.universe,
            inventory: &self.inventory,
            settings: &self.settings,
            node: None,
            pod_ranges: &self.target.pod_ranges,
            limits: Limits::default(),
        };
        let faults = prove(&bundle, &sources);
        faults.map_err(|all| all.into_iter().map(|one| one.message).collect())
    }

    pub(crate) fn certificate(contents: &write::Contents, proof: &Proof) -> String {
        let bytes = write::encode(contents, None).unwrap();
        let bundle = Bundle::open(&bytes, &Trust::AllowUnsigned).unwrap();
        certificate::text(&bundle, proof)
    }
}

fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let parsed = files
        .iter()
        .map(|file| policyc_syntax::parse(&sources.add("file", file.as_str())));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The class of an identity.
    Peer,
    /// The class of a port.
    Port,
    /// A verdict.
    Cell,
}

/// Gives every image bits of its own that agree with its cells, as only then can a bundle be opened.
pub(crate) fn renew_bits(contents: &mut write::Contents) {
    let old = contents.arena.clone();
    let old = old.as_slice();
    for number in 0..old.u32(header::IMAGES) {
        let at = old.u32(header::IMAGES_AT) + number * image::BYTES;
        let cells = old.u32(at + image::L4_CLASSES) * old.u32(at + image::PEER_CLASSES);
        let passes = |cell: u32| {
            let record = old.u16(old.u32(at + image::CELLS) + cell * 2);
            lookup::passes(old, lookup::record_at(old, record.into()))
        };
        let words = (0..cells).step_by(32).map(|first| {
            let bits = (first..cells.min(first + 32)).map(passes).map(u32::from);
            (0..).zip(bits).fold(0, |word, (at, bit)| word | bit << at)
        });
        let words: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        let end = u32::try_from(contents.arena.len()).unwrap();
        set(&mut contents.arena, at + image::PASSES, end);
        contents.arena.extend(words);
    }
    let used = u32::try_from(contents.arena.len()).unwrap();
    set(&mut contents.arena, header::USED, used);
}

fn set(arena: &mut [u8], at: u32, value: u32) {
    arena[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
}

/// Byte offsets of the records.
pub(crate) fn records(contents: &write::Contents) -> impl Iterator<Item = usize> + use<> {
    let arena = contents.arena.as_slice();
    let (at, count) = (arena.u32(header::RECORDS_AT), arena.u32(header::RECORDS));
    (0..count).map(move |number| (at + number * record::BYTES) as usize)
}

/// Entries that tables are made of, each with a value that makes some flow pass that did not, or the other way round.
pub(crate) fn places(contents: &write::Contents) -> Vec<(Place, usize, u16)> {
    let arena = contents.arena.as_slice();
    let images = contents.endpoints.iter();
    let images: std::collections::BTreeSet<_> =
        images.flat_map(|one| [one.ingress, one.egress]).collect();
    let record = |number: u16| {
        arena[(arena.u32(header::RECORDS_AT) + u32::from(number) * record::BYTES) as usize]
    };
    let mut places = Vec::new();
    for at in images {
        let (cells, row, rows) = (
            arena.u32(at + image::CELLS),
            arena.u32(at + image::L4_CLASSES),
            arena.u32(at + image::PEER_CLASSES),
        );
        let cell = |peer: u32, l4: u32| arena.u16(cells + (peer * row + l4) * 2);
        let passes = |peer: u32, l4: u32| record(cell(peer, l4));
        let classes = |row| (0..row).map(|class| u16::try_from(class).unwrap());
        for number in 0..arena.u32(header::IDENTITIES) {
            let group = arena.u32(at + image::PEER_DIR) + number / arena::PEER_PAGE * 8;
            let (window, key) = (arena.u32(group), arena.u32(group + 4));
            let exception = window + number % arena::PEER_PAGE * 4;
            let is_own = arena.u32(exception) >> 16 == key >> 16;
            let entry = if is_own { exception } else { group + 4 };
            let old = u32::from(arena.u16(entry));
            let other = classes(rows)
                .find(|new| (0..row).any(|l4| passes(old, l4) != passes((*new).into(), l4)));
            places.extend(other.map(|new| (Place::Peer, entry as usize, new)));
        }
        let slots: std::collections::BTreeSet<_> = (0..=u8::MAX).map(proto::slot).collect();
        for slot in slots {
            let directory = arena.u32(arena.u32(at + image::L4_DIR) + slot * 4);
            for port in 0..65_536 {
                let entry = arena.u32(directory + port / 256 * 4) + port % 256 * 2;
                let old = u32::from(arena.u16(entry));
                let other = classes(row).find(|new| {
                    (0..rows).any(|peer| passes(peer, old) != passes(peer, (*new).into()))
                });
                places.extend(other.map(|new| (Place::Port, entry as usize, new)));
            }
        }
        for entry in (0..row * rows).map(|cell| cells + cell * 2) {
            let old = record(arena.u16(entry));
            let other = (1..u16::try_from(arena.u32(header::RECORDS)).unwrap())
                .find(|new| record(*new) != old);
            places.extend(other.map(|new| (Place::Cell, entry as usize, new)));
        }
    }
    // Tables share pages.
    places.sort_unstable();
    places.dedup_by_key(|(_, at, _)| *at);
    places
}
