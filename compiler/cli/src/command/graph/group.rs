//! What is drawn as one.

use std::collections::{BTreeMap, BTreeSet};

use policyc_ir::IdentityId;
use policyc_ir::reach::Party;
use policyc_ir::universe::{Endpoint, RESERVED, Universe};

use crate::args::GroupBy;

/// Letters of generated names: without vowels, so that no words come about.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Pods.
    Pods,
    /// The local node.
    Host,
    /// Addresses of the internet.
    Internet,
    /// Other addresses: of other nodes, or private ones.
    Outside,
}

impl Kind {
    /// Lower-case name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Host => "host",
            Self::Internet => "internet",
            Self::Outside => "outside",
        }
    }
}

/// What makes parties one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// For pods, their namespace.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// The keys of parties.
pub(super) struct Keys<'a> {
    universe: &'a Universe,
    by: GroupBy,
    /// Names that controllers of several kinds of pods would share.
    shared: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(universe: &'a Universe, by: GroupBy) -> Self {
        let mut owners: BTreeMap<(&str, &str), BTreeSet<IdentityId>> = BTreeMap::new();
        for endpoint in universe.endpoints() {
            let (namespace, name) = parts(endpoint);
            let owner = owners.entry((namespace, workload(name))).or_default();
            owner.insert(endpoint.identity);
        }
        owners.retain(|_, identities| identities.len() > 1);
        Self {
            universe,
            by,
            shared: owners.into_keys().collect(),
        }
    }

    /// The group of a party; `internet` as its class has it.
    pub(super) fn of(&self, party: Party, internet: bool) -> Key {
        match party {
            Party::Endpoint(id) => match self.universe.endpoint(id) {
                Some(endpoint) if !endpoint.host => self.of_pod(endpoint),
                _ => Key {
                    kind: Kind::Host,
                    namespace: None,
                    name: "host".to_owned(),
                },
            },
            Party::Outside(id) => self.of_outside(id, internet),
        }
    }

    fn of_pod(&self, endpoint: &Endpoint) -> Key {
        let (namespace, pod) = parts(endpoint);
        let name = match self.by {
            GroupBy::Pod => pod,
            GroupBy::Workload if self.shared.contains(&(namespace, workload(pod))) => pod,
            GroupBy::Workload => workload(pod),
            GroupBy::Namespace => "",
        };
        Key {
            kind: Kind::Pods,
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    fn of_outside(&self, id: IdentityId, internet: bool) -> Key {
        let kind = if internet {
            Kind::Internet
        } else {
            Kind::Outside
        };
        let name = match self.by {
            GroupBy::Namespace if internet => "internet".to_owned(),
            GroupBy::Namespace => "outside".to_owned(),
            _ => self.outside_name(id),
        };
        Key {
            kind,
            namespace: None,
            name,
        }
    }

    fn outside_name(&self, id: IdentityId) -> String {
        let reserved = id.index().checked_sub(1).and_then(|at| RESERVED.get(at));
        if let Some((name, _)) = reserved {
            return (*name).to_owned();
        }
        let Some(identity) = self.universe.identity(id) else {
            return "unknown".to_owned();
        };
        match (identity.names.first(), identity.cidr) {
            (Some(name), Some(cidr)) => format!("{name} ({cidr})"),
            (None, Some(cidr)) => cidr.to_string(),
            (Some(name), None) => name.to_string(),
            (None, None) => format!("nodes of identity {}", id.index()),
        }
    }
}

/// Namespace and name of an endpoint.
fn parts(endpoint: &Endpoint) -> (&str, &str) {
    endpoint
        .name
        .split_once('/')
        .unwrap_or(("", &endpoint.name))
}

/// A pod's name without what its controller appended.
fn workload(pod: &str) -> &str {
    let generated = |text: &str| text.chars().all(|letter| GENERATED.contains(letter));
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if last.len() == 5 && generated(last) {
        // Deployments put the hash of the template before it.
        return match rest.rsplit_once('-') {
            Some((name, hash)) if (8..=10).contains(&hash.len()) && generated(hash) => name,
            _ => rest,
        };
    }
    let ordinal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if ordinal { rest } else { pod }
}

#[cfg(test)]
mod tests {
    use super::workload;

    #[test]
    fn workloads_are_named_as_their_controllers_are() {
        for (pod, wanted) in [
            ("api-7d4b9c8f6d-x2klp", "api"),
            ("node-agent-x2klp", "node-agent"),
            ("db-0", "db"),
            ("db-12", "db"),
            ("batch", "batch"),
            ("shop-cache", "shop-cache"),
            ("a-b-c", "a-b-c"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(workload(pod), wanted, "{pod}");
        }
    }
}
