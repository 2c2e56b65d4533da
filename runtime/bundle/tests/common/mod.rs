//! A sample bundle for the tests.

use std::net::{Ipv4Addr, Ipv6Addr};

use policy_bundle::write::{Endpoint, Ipcache, Rule};
use policy_bundle::{Contents, SigningKey};

pub(crate) mod arena;

/// A key that is the same in every run.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Two pods on two nodes: `shop/web` lets `shop/client` in on TCP 80, everything else is dropped.
pub(crate) fn contents() -> Contents {
    let (arena, images) = arena::build(4, &[&[(2, 6, 80)], &[]]);
    Contents {
        revision: 3,
        manifest: r#"{"tool":"test"}"#.to_owned(),
        arena,
        ipcache: ipcache(),
        endpoints: vec![
            endpoint("shop/web", 1, 3, images[0], images[1]),
            endpoint("shop/client", 2, 2, images[1], images[0]),
        ],
        rules: vec![Rule {
            key: "shop/web#0".to_owned(),
            name: "cnp shop/web ingress[0]".to_owned(),
            file: "web.yaml".to_owned(),
            line: 12,
        }],
        identities: ["unknown", "host", "app=client", "app=web"]
            .map(str::to_owned)
            .to_vec(),
        nodes: vec!["node-a".to_owned(), "node-b".to_owned()],
        host_identity: 1,
        certificate: None,
        logs: Vec::new(),
        proxies: Vec::new(),
        hosts: Vec::new(),
    }
}

fn ipcache() -> Vec<Ipcache> {
    let entry = |address, prefix_len, identity, node| Ipcache {
        address,
        prefix_len,
        identity,
        node,
        own: None,
    };
    vec![
        entry("fd00::1".parse().unwrap(), 128, 3, None),
        entry("10.0.0.2".parse().unwrap(), 32, 2, None),
        entry("10.0.0.1".parse().unwrap(), 32, 3, None),
        entry("10.0.0.0".parse().unwrap(), 8, 0, None),
        entry("192.0.2.1".parse().unwrap(), 32, 0, Some(0)),
    ]
}

fn endpoint(name: &str, last: u8, identity: u32, ingress: u32, egress: u32) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        node: Some(0),
        ipv4: Some(Ipv4Addr::new(10, 0, 0, last)),
        ipv6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last))),
        identity,
        ingress,
        egress,
    }
}
