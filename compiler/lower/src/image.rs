//! What lowering makes.

use policy_bundle::write::Ipcache;

/// Tables, addresses and endpoints of a target.
#[derive(Clone, Debug)]
pub struct Image {
    /// The tables.
    pub arena: Vec<u8>,
    /// Addresses to identity indexes.
    pub ipcache: Vec<Ipcache>,
    /// What records say for logs, in the order of their cookies from 1.
    pub logs: Vec<String>,
    /// Proxies that records redirect to, in the order of their numbers from 1.
    pub proxies: Vec<String>,
    /// Names of the identities behind those of the universe, in order: addresses of services.
    pub services: Vec<String>,
    /// Endpoints and their tables, in the model's order.
    pub endpoints: Vec<Bound>,
    /// How large everything is.
    pub sizes: Sizes,
}

impl Image {
    /// How many pods there are.
    pub fn pods(&self) -> usize {
        self.endpoints.len() - self.hosts()
    }

    /// How many nodes there are that policies of their own apply to.
    pub fn hosts(&self) -> usize {
        self.endpoints.iter().filter(|bound| bound.host).count()
    }
}

/// An endpoint and its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The endpoint in the model's universe.
    pub endpoint: policyc_ir::EndpointId,
    /// Whether it is a node.
    pub host: bool,
    /// Byte offset of the image for traffic to it.
    pub ingress: u32,
    /// Byte offset of the image for traffic from it.
    pub egress: u32,
}

/// How large an image is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Distinct images (one per distinct policy and direction).
    pub images: u32,
    /// Distinct verdict records.
    pub records: u32,
    /// Identities of the universe.
    pub identities: u32,
    /// Addresses of services, which have identity indexes behind those.
    pub services: u32,
    /// Bytes of all tables.
    pub bytes: u32,
    /// Cells that were compared with the model.
    pub checked: u64,
}
