//! What is in force, read from the kernel: it works whether or not a daemon runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{self, Read, header, record};
use policy_abi::reason::{self, RECORDS_COUNTED};
use policy_abi::{ABI_VERSION, endpoint, lookup};
use policy_bundle::{Bundle, Trust};
use serde::Serialize;

use crate::attach::is_attached;
use crate::config::Config;
use crate::failure::Failure;
use crate::maps::Maps;
use crate::pins::{Pins, Side};
use crate::state::{State, hex};
use crate::sys::net;

/// The text for people.
mod human;
/// The node's own policy.
mod node;

pub use node::{DeviceStatus, NodeStatus};

/// What is in force.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of the datapath ABI.
    pub abi: u32,
    /// The generation, 0 if nothing is in force.
    pub generation: u64,
    /// Revision of the bundle in force.
    pub revision: u64,
    /// Digest of the bundle in force.
    pub digest: String,
    /// Whether the copy of the bundle is there, so that pods and rules can be named.
    pub bundle_known: bool,
    /// The node's own policy, `None` if none applies to it.
    pub node: Option<NodeStatus>,
    /// Pods.
    pub endpoints: Vec<EndpointStatus>,
    /// Addresses of services, none if the bundle is not known.
    pub services: Vec<ServiceStatus>,
    /// Proxies that the policies send flows to, none if the bundle is not known. None of them runs.
    pub proxies: Vec<String>,
    /// Rules with what the generation in force has counted.
    pub rules: Vec<RuleStatus>,
    /// Packets per reason since the maps were made.
    pub reasons: Reasons,
}

/// A pod.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    /// Its name, `None` if the bundle is not known.
    pub pod: Option<String>,
    /// Name of its interface, `None` if it is gone.
    pub interface: Option<String>,
    /// Index of its interface.
    pub ifindex: u32,
    /// Whether both programs are attached.
    pub attached: bool,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Its identity index.
    pub identity: u32,
    /// Whether it is in audit mode: what the policy would drop passes.
    pub audit: bool,
}

/// An address of a service, which is decided as the service's backends are.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
    /// "namespace/name".
    pub service: String,
    /// The address.
    pub address: String,
    /// Its identity index.
    pub identity: u32,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, link layer included.
    pub bytes: u64,
}

/// A rule that has decided about packets, or could.
#[derive(Clone, Debug, Serialize)]
pub struct RuleStatus {
    /// Index in the bundle.
    pub index: u32,
    /// Key that stays the same across compilations, empty if the bundle is not known.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// File it stands in.
    pub file: String,
    /// Line it starts at.
    pub line: u32,
    /// What it decided.
    #[serde(flatten)]
    pub count: Count,
}

/// Counters per reason, by direction as the pod or node sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reasons {
    /// Traffic to pods, and to the node at its devices.
    pub ingress: BTreeMap<&'static str, Count>,
    /// Traffic from pods, and from the node.
    pub egress: BTreeMap<&'static str, Count>,
}

impl Status {
    /// Reads what is pinned, `None` if nothing is.
    ///
    /// # Errors
    /// If something is pinned but cannot be read.
    pub fn read(config: &Config) -> Result<Option<Self>, Failure> {
        let pins = Pins::new(&config.pin_dir);
        let Some(maps) = Maps::open(&pins)? else {
            return Ok(None);
        };
        let control = maps.control()?;
        if control.generation == 0 {
            return Ok(None);
        }
        let fail =
            |error: std::io::Error| Failure::internal(format!("the maps cannot be read: {error}"));
        let arena = maps
            .arena
            .lookup(&control.slot().to_ne_bytes())
            .map_err(fail)?;
        let records = counts(
            &maps.records.entries().map_err(fail)?.values,
            maps.records.value_size(),
        );
        let reasons = counts(
            &maps.reasons.entries().map_err(fail)?.values,
            maps.reasons.value_size(),
        );
        let bytes = State::new(&config.state_dir).bundle()?.unwrap_or_default();
        let bundle = Bundle::open(&bytes, &Trust::DoNotCheckSignature).ok();
        // The kernel vouches for the digest, so the copy needs no signature.
        let bundle = bundle.filter(|bundle| bundle.digest() == control.digest);
        let first = control.slot() * RECORDS_COUNTED;
        Ok(Some(Self {
            abi: ABI_VERSION,
            generation: control.generation,
            revision: control.revision,
            digest: hex(&control.digest),
            bundle_known: bundle.is_some(),
            node: node::status(&arena, &pins, bundle.as_ref())?,
            endpoints: endpoints(&arena, &pins, bundle.as_ref()),
            services: services(bundle.as_ref()),
            proxies: proxies(bundle.as_ref()),
            rules: rules(
                &arena,
                records.get(first as usize..).unwrap_or_default(),
                bundle.as_ref(),
            ),
            reasons: by_reason(&reasons),
        }))
    }

    /// As one JSON object.
    ///
    /// # Errors
    /// Never in practice; all keys are strings.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self).map_err(Failure::internal)
    }
}

/// Sums of all CPUs, one per entry.
fn counts(values: &[u8], value_size: usize) -> Vec<Count> {
    let per_cpu = size_of::<policy_abi::reason::Counter>();
    values
        .chunks_exact(value_size.max(1))
        .map(|value| {
            value
                .chunks_exact(per_cpu)
                .fold(Count::default(), |sum, counter| Count {
                    packets: sum.packets.wrapping_add(u64_at(counter, 0)),
                    bytes: sum.bytes.wrapping_add(u64_at(counter, 8)),
                })
        })
        .collect()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |raw| u64::from_ne_bytes(*raw))
}

fn endpoints(tables: &[u8], pins: &Pins, bundle: Option<&Bundle<'_>>) -> Vec<EndpointStatus> {
    let names: Vec<&str> = bundle.map_or_else(Vec::new, |bundle| {
        bundle.endpoints().map(|pod| pod.name).collect()
    });
    let mut found: Vec<EndpointStatus> = (0..arena::ENDPOINT_SLOTS)
        .map(endpoint::at)
        .filter(|at| !matches!(tables.u32(at + endpoint::IFINDEX), 0 | endpoint::NODE))
        .map(|at| endpoint_status(tables, at, pins, &names))
        .collect();
    found.sort_by(|a, b| (&a.pod, a.ifindex).cmp(&(&b.pod, b.ifindex)));
    found
}

fn endpoint_status(tables: &[u8], at: u32, pins: &Pins, names: &[&str]) -> EndpointStatus {
    let field = |offset: u32| tables.u32(at + offset);
    let ifindex = field(endpoint::IFINDEX);
    let interface = net::name(ifindex);
    let is_on = |side| {
        interface
            .as_ref()
            .is_some_and(|name| is_attached(pins, name, ifindex, side))
    };
    let attached = Side::BOTH.into_iter().all(is_on);
    let words = [0, 4, 8, 12].map(|offset| field(endpoint::IPV6 + offset).to_le_bytes());
    let ipv6: [u8; 16] =
        std::array::from_fn(|index| words.as_flattened().get(index).copied().unwrap_or(0));
    let flags = field(endpoint::FLAGS);
    EndpointStatus {
        pod: names
            .get(field(endpoint::INDEX) as usize)
            .map(|name| (*name).to_owned()),
        interface,
        ifindex,
        attached,
        ipv4: (flags & endpoint::HAS_IPV4 != 0).then(|| field(endpoint::IPV4).to_le_bytes().into()),
        ipv6: (flags & endpoint::HAS_IPV6 != 0).then(|| ipv6.into()),
        identity: field(endpoint::IDENTITY),
        audit: flags & endpoint::AUDIT != 0,
    }
}

fn proxies(bundle: Option<&Bundle<'_>>) -> Vec<String> {
    let all = bundle.into_iter().flat_map(Bundle::proxies);
    all.map(str::to_owned).collect()
}

fn services(bundle: Option<&Bundle<'_>>) -> Vec<ServiceStatus> {
    let all = bundle.into_iter().flat_map(Bundle::services);
    let all = all.map(|service| ServiceStatus {
        service: service.name.to_owned(),
        address: service.address.to_owned(),
        identity: service.identity,
    });
    all.collect()
}

/// Records summed up by the rule that they name. Without a bundle, only rules that records name are known.
fn rules(tables: &[u8], counts: &[Count], bundle: Option<&Bundle<'_>>) -> Vec<RuleStatus> {
    let mut sums: BTreeMap<u32, Count> = BTreeMap::new();
    for (number, count) in (0..tables.u32(header::RECORDS)).zip(counts) {
        let rule = tables.u32(lookup::record_at(tables, number) + record::RULE);
        if rule != record::NO_RULE {
            let sum = sums.entry(rule).or_default();
            sum.packets = sum.packets.wrapping_add(count.packets);
            sum.bytes = sum.bytes.wrapping_add(count.bytes);
        }
    }
    let Some(bundle) = bundle else {
        let nameless = |(index, count)| RuleStatus {
            index,
            key: String::new(),
            name: String::new(),
            file: String::new(),
            line: 0,
            count,
        };
        return sums.into_iter().map(nameless).collect();
    };
    (0..)
        .zip(bundle.rules())
        .map(|(index, rule)| RuleStatus {
            index,
            key: rule.key.to_owned(),
            name: rule.name.to_owned(),
            file: rule.file.to_owned(),
            line: rule.line,
            count: sums.get(&index).copied().unwrap_or_default(),
        })
        .collect()
}

fn by_reason(counts: &[Count]) -> Reasons {
    let names = reason::ALL.iter().map(|(_, name)| *name);
    let egress = counts.get(reason::COUNT as usize..).unwrap_or_default();
    Reasons {
        ingress: names.clone().zip(counts.iter().copied()).collect(),
        egress: names.zip(egress.iter().copied()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_summed() {
        let words = [1_u64, 10, 2, 20, 3, 30, 4, 40];
        let values: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let count = |packets, bytes| Count { packets, bytes };
        assert_eq!(counts(&values, 32), [count(3, 30), count(7, 70)]);
        assert_eq!(counts(&[], 32), []);
    }

    #[test]
    fn directions_stay_apart() {
        let count = |packets| Count { packets, bytes: 0 };
        let all: Vec<Count> = (0..u64::from(2 * reason::COUNT)).map(count).collect();
        let reasons = by_reason(&all);
        assert_eq!(reasons.ingress["policy-deny"].packets, 3);
        assert_eq!(
            reasons.egress["policy-deny"].packets,
            3 + u64::from(reason::COUNT)
        );
    }
}
