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
    /// An IPv4 address outside the cluster.
    pub(crate) const WORLD_V4: Self = Self(9);
    /// An IPv6 address outside the cluster.
    pub(crate) const WORLD_V6: Self = Self(10);
    /// The local node where it runs the API server.
    pub(crate) const HOST_API: Self = Self(11);
    /// An address that the datapath does not know yet.
    pub(crate) const UNKNOWN: Self = Self(12);

    /// All but pods, in the order in which examples prefer them.
    pub(crate) const OTHERS: [Self; 12] = [
        Self::WORLD_V4,
        Self::WORLD_V6,
        Self::HOST,
        Self(6),
        Self(7),
        Self(8),
        Self(4),
        Self::INIT,
        Self(3),
        Self::HOST_API,
        Self::UNKNOWN,
        Self::WORLD,
    ];

    /// Kinds that are subjects of policy beside pods: health, init and ingress.
    pub(crate) const SUBJECTS: [Self; 3] = [Self(4), Self::INIT, Self(8)];

    /// The labels of a kind without labels of its own.
    pub(crate) fn labels(self) -> Labels {
        if self == Self::HOST_API {
            return Labels::reserved(&["host", "kube-apiserver"]);
        }
        let row = usize::from(self.0)
            .checked_sub(1)
            .and_then(|at| RESERVED.get(at));
        row.map_or_else(Labels::default, |(_, names)| Labels::reserved(names))
    }

    /// The identity that stands for it in a universe.
    pub(crate) fn identity(self) -> IdentityId {
        match self {
            Self::HOST_API => IdentityId::HOST,
            Self::UNKNOWN | Self::POD => IdentityId::UNKNOWN,
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
            Self(6) => "another node",
            Self(7) => "a node that runs the API server",
            Self(8) => "the ingress proxy",
            Self::WORLD_V6 => "an IPv6 address outside the cluster",
            _ => "an IPv4 address outside the cluster",
        }
    }

    /// As a member of a set of kinds.
    pub(crate) const fn bit(self) -> u16 {
        1 << self.0
    }
}
