//! Nodes that policies of their own apply to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[expect(dead_code, reason = "nothing is signed here")]
mod common;

use policy_bundle::write::{self, EncodeError, encode};
use policy_bundle::{Bundle, Contents, Kind, OpenError, Trust};

/// The sample with a policy for both of its nodes.
fn with_hosts() -> Contents {
    let mut contents = common::contents();
    let images = [&contents.endpoints[0], &contents.endpoints[1]].map(|pod| pod.ingress);
    let host = |node| write::Host {
        node,
        identity: 1,
        ingress: images[0],
        egress: images[1],
    };
    contents.hosts = vec![host(1), host(0)];
    contents
}

#[test]
fn hosts_come_back_in_order_and_must_be_understood() {
    let contents = with_hosts();
    let file = encode(&contents, None).unwrap();
    let bundle = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    let found: Vec<_> = bundle.hosts().map(|host| (host.name, host.node)).collect();
    assert_eq!(found, [("node-a", 0), ("node-b", 1)]);
    let host = bundle.hosts().next().unwrap();
    assert_eq!(
        (host.identity, host.ingress),
        (1, contents.hosts[1].ingress)
    );
    assert_eq!(host.egress, contents.hosts[1].egress);
    let section = |bundle: &Bundle<'_>| {
        let mut sections = bundle.sections().iter();
        sections.any(|one| one.kind == Some(Kind::Hosts))
    };
    assert!(section(&bundle));
    // Who does not know the section must refuse the bundle: its row in the table says so.
    let rows = file[192..].chunks(64);
    let mut rows = rows.filter(|row| row[..4] == (Kind::Hosts as u32).to_le_bytes());
    assert_eq!(rows.next().unwrap()[4..8], [1, 0, 0, 0]);
    // Without policies for nodes there is none, and older readers need not know it.
    let file = encode(&common::contents(), None).unwrap();
    let plain = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    assert!(!section(&plain) && plain.hosts().len() == 0);
}

#[test]
fn hosts_are_checked() {
    let kind = Kind::Hosts;
    let refused = |edit: fn(&mut Vec<write::Host>)| {
        let mut contents = with_hosts();
        edit(&mut contents.hosts);
        match encode(&contents, None) {
            Err(EncodeError::Refused(error)) => error,
            _ => panic!("accepted"),
        }
    };
    assert_eq!(
        refused(|hosts| hosts[0].node = 0),
        OpenError::RecordOrder { kind, row: 1 }
    );
    assert_eq!(
        refused(|hosts| hosts[0].node = 2),
        OpenError::Node { kind, row: 1 }
    );
    assert_eq!(
        refused(|hosts| hosts[1].identity = 4),
        OpenError::Identity { kind, row: 0 }
    );
    // `node-a` has an address, which is the host to it.
    assert_eq!(
        refused(|hosts| hosts[1].identity = 2),
        OpenError::Identity { kind, row: 0 }
    );
    assert_eq!(
        refused(|hosts| hosts[1].ingress += 4),
        OpenError::Image { kind, row: 0 }
    );
    assert_eq!(
        refused(|hosts| hosts[0].egress = 0),
        OpenError::Image { kind, row: 1 }
    );
}
