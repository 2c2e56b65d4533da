//! Which kinds of peers there are, and their reserved labels.

use policyc_ir::IdentityId;
use policyc_ir::label::Labels;
use policyc_ir::universe::RESERVED;

/// A pod, or one of the parties without labels of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    /// A pod.
    pub(crate) const POD: Self = Self(0);
    /// The local node.
    pub(crate) const HOST: Self = Self(1);
    /// Addresses outside the cluster, in a cluster of one family only.
    pub(crate) const WORLD: Self = Self(2);
    /// A process that waits for its labels.
    pub(crate) const INIT: Self = Self(5);
    /// Another node.
    pub(crate) const NODE: Self = Self(6);
    /// Another node, which runs the API server.
    pub(crate) const NODE_API: Self = Self(7);
    /// An IPv4 address outside the cluster.
    pub(crate) const WORLD_V4: Self = Self(9);
    /// An IPv6 address outside the cluster.
    pub(crate) const WORLD_V6: Self = Self(10);
    /// The local node where it runs the API server.
    pub(crate) const HOST_API: Self = Self(11);
    /// An address that the datapath does not know yet.
    pub(crate) const UNKNOWN: Self = Self(12);

    /// An IPv4 address outside the cluster at which the API server listens.
    pub(crate) const API_V4: Self = Self(13);
    /// The same for IPv6.
    pub(crate) const API_V6: Self = Self(14);

    /// All but pods, in the order in which examples prefer them.
    pub(crate) const OTHERS: [Self; 14] = [
        Self::WORLD_V4,
        Self::WORLD_V6,
        Self::HOST,
        Self::NODE,
        Self::NODE_API,
        Self(8),
        Self(4),
        Self::INIT,
        Self(3),
        Self::HOST_API,
        Self::API_V4,
        Self::API_V6,
        Self::UNKNOWN,
        Self::WORLD,
    ];

    /// IPv4 addresses outside the cluster.
    pub(crate) const V4: [Self; 2] = [Self::WORLD_V4, Self::API_V4];

    /// IPv6 addresses outside the cluster.
    pub(crate) const V6: [Self; 2] = [Self::WORLD_V6, Self::API_V6];

    /// The local node.
    pub(crate) const HOSTS: [Self; 2] = [Self::HOST, Self::HOST_API];

    /// Other nodes, which have labels of their own.
    pub(crate) const NODES: [Self; 2] = [Self::NODE, Self::NODE_API];

    /// Kinds that are subjects of policy beside pods: health, init and ingress.
    pub(crate) const SUBJECTS: [Self; 3] = [Self(4), Self::INIT, Self(8)];

    /// The labels of a kind without labels of its own.
    pub(crate) fn labels(self) -> Labels {
        match self {
            Self::HOST_API => return Labels::reserved(&["host", "kube-apiserver"]),
            Self::API_V4 => return Labels::reserved(&["world-ipv4", "kube-apiserver"]),
            Self::API_V6 => return Labels::reserved(&["world-ipv6", "kube-apiserver"]),
            _ => {}
        }
        let row = usize::from(self.0)
            .checked_sub(1)
            .and_then(|at| RESERVED.get(at));
        row.map_or_else(Labels::default, |(_, names)| Labels::reserved(names))
    }

    /// The reserved identity that stands for it in a universe; addresses with a prefix of their own have others.
    pub(crate) fn identity(self) -> IdentityId {
        match self {
            Self::HOST_API => IdentityId::HOST,
            Self::UNKNOWN | Self::POD => IdentityId::UNKNOWN,
            Self::API_V4 => IdentityId::WORLD_V4,
            Self::API_V6 => IdentityId::WORLD_V6,
            Self(at) => IdentityId(u32::from(at)),
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::POD => "a pod",
            Self::HOST => "the local node",
            Self::HOST_API => "the local node, which runs the API server",
            Self::UNKNOWN => "an address that is not known yet",
            Self(3) => "an unmanaged pod",
            Self(4) => "the health endpoint",
            Self::INIT => "a pod that has no labels yet (init)",
            Self::NODE => "another node",
            Self::NODE_API => "a node that runs the API server",
            Self(8) => "the ingress proxy",
            Self::WORLD_V6 => "an IPv6 address outside the cluster",
            Self::API_V4 | Self::API_V6 => "an API server outside the cluster",
            _ => "an IPv4 address outside the cluster",
        }
    }

    /// As a member of a set of kinds.
    pub(crate) const fn bit(self) -> u16 {
        1 << self.0
    }
}
