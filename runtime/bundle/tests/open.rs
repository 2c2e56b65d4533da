//! Opening: what is written comes back, and nothing else is accepted.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::sync::LazyLock;

use policy_abi::arena::{Read as _, header, record};
use policy_bundle::write::{self, EncodeError, encode};
use policy_bundle::{BYTES_MAX, Bundle, Kind, OpenError, SigningKey, Trust, keys};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use common::{contents, key};

const HEADER: usize = 128;
const BODY_AT: usize = 192;

static SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| encode(&contents(), Some(&key())).unwrap());

fn signed() -> Vec<u8> {
    SIGNED.clone()
}

/// Puts the body's digest right again and signs, so that checks behind the signature are reached.
fn resign(mut file: Vec<u8>) -> Vec<u8> {
    use ed25519_dalek::Signer;
    let total = file.len() as u64;
    file[32..40].copy_from_slice(&total.to_le_bytes());
    let body = Sha256::digest(&file[BODY_AT..]);
    file[48..80].copy_from_slice(&body);
    let signature = key().sign(&Sha256::digest(&file[..HEADER])).to_bytes();
    file[HEADER..BODY_AT].copy_from_slice(&signature);
    file
}

/// Offset of the table row of a section.
fn row(file: &[u8], kind: Kind) -> usize {
    let rows = u32::from_le_bytes(file[24..28].try_into().unwrap()) as usize;
    (0..rows)
        .map(|index| BODY_AT + index * 64)
        .find(|at| u32::from_le_bytes(file[*at..at + 4].try_into().unwrap()) == kind as u32)
        .unwrap()
}

/// Changes a section and puts every digest right again.
fn change(kind: Kind, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut file = signed();
    let row = row(&file, kind);
    let field =
        |at: usize| u64::from_le_bytes(file[row + at..row + at + 8].try_into().unwrap()) as usize;
    let (start, length) = (field(8), field(16));
    edit(&mut file[start..start + length]);
    let digest = Sha256::digest(&file[start..start + length]);
    file[row + 32..row + 64].copy_from_slice(&digest);
    resign(file)
}

fn refusal(file: &[u8]) -> OpenError {
    Bundle::open(file, &Trust::Keys(&[key().verifying_key()])).unwrap_err()
}

#[test]
fn what_is_written_comes_back() {
    let file = signed();
    let keys = [key().verifying_key()];
    let bundle = Bundle::open(&file, &Trust::Keys(&keys)).unwrap();
    let contents = contents();
    assert_eq!(bundle.revision(), 3);
    assert_eq!(bundle.signer(), Some(keys::id(&keys[0])));
    assert_eq!(bundle.manifest(), contents.manifest);
    assert_eq!(bundle.arena(), contents.arena);
    assert_eq!(bundle.host_identity(), 1);
    assert_eq!(bundle.certificate(), None);
    assert_eq!(bundle.identities().collect::<Vec<_>>(), contents.identities);
    assert_eq!(bundle.nodes().collect::<Vec<_>>(), contents.nodes);
    let mut ipcache = contents.ipcache.clone();
    ipcache.sort_by_key(|entry| (entry.address, entry.prefix_len));
    assert_eq!(bundle.ipcache().collect::<Vec<_>>(), ipcache);
    let rule = bundle.rules().next().unwrap();
    assert_eq!(
        (rule.key, rule.name, rule.file, rule.line),
        ("shop/web#0", "cnp shop/web ingress[0]", "web.yaml", 12)
    );
    assert_eq!(
        bundle
            .endpoints()
            .map(|endpoint| endpoint.name)
            .collect::<Vec<_>>(),
        ["shop/client", "shop/web"]
    );
    let (index, web) = bundle.endpoint("shop/web").unwrap();
    let original = &contents.endpoints[0];
    assert_eq!(
        (index, web.identity, web.node),
        (1, original.identity, original.node)
    );
    assert_eq!((web.ipv4, web.ipv6), (original.ipv4, original.ipv6));
    assert_eq!(
        (web.ingress, web.egress),
        (original.ingress, original.egress)
    );
    assert_eq!(bundle.endpoint("shop/nobody"), None);
}

#[test]
fn order_of_entries_does_not_matter() {
    let mut other = contents();
    other.ipcache.reverse();
    other.endpoints.reverse();
    assert_eq!(encode(&other, Some(&key())).unwrap(), signed());
    assert_eq!(encode(&contents(), Some(&key())).unwrap(), signed());
}

/// The bytes of format version 1. If this fails, the format has changed: old bundles would be misread.
#[test]
fn format_is_pinned() {
    let digest: Vec<String> = Sha256::digest(signed())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        digest.concat(),
        "5bd7d495e5cbe9415d27e1e4c6026271d577d525762a7a4934012299bbb2c641"
    );
}

#[test]
fn trust_is_demanded() {
    let unsigned = encode(&contents(), None).unwrap();
    assert_eq!(refusal(&unsigned), OpenError::Unsigned);
    assert_eq!(
        Bundle::open(&unsigned, &Trust::AllowUnsigned)
            .unwrap()
            .signer(),
        None
    );
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let id = keys::id(&stranger.verifying_key());
    assert_eq!(
        refusal(&encode(&contents(), Some(&stranger)).unwrap()),
        OpenError::UnknownKey { id }
    );
    assert!(Bundle::open(&signed(), &Trust::Keys(&[])).is_err());
}

#[test]
fn versions_and_sizes_are_checked_before_the_signature() {
    let altered = |at: usize, value: u8| {
        let mut file = signed();
        file[at] = value;
        refusal(&file)
    };
    assert_eq!(altered(0, 0), OpenError::Magic);
    assert_eq!(altered(8, 2), OpenError::Format { found: 2 });
    assert_eq!(altered(12, 9), OpenError::Abi { found: 9 });
    assert_eq!(altered(16, 2), OpenError::Runtime { needed: 2 });
    assert_eq!(altered(20, 3), OpenError::HeaderFlags);
    assert_eq!(altered(40, 4), OpenError::Signature);
    assert_eq!(altered(BODY_AT + 5000, 99), OpenError::BodyDigest);
    assert_eq!(
        refusal(&vec![0; BYTES_MAX + 1]),
        OpenError::TooLong {
            found: BYTES_MAX + 1
        }
    );
    assert_eq!(refusal(&[]), OpenError::TooShort);
}

#[test]
fn section_table_is_checked() {
    let edit = |kind: Kind, at: usize, bytes: &[u8]| {
        let mut file = signed();
        let row = row(&file, kind);
        file[row + at..row + at + bytes.len()].copy_from_slice(bytes);
        refusal(&resign(file))
    };
    let nodes = Kind::Nodes as u32;
    assert_eq!(
        edit(Kind::Nodes, 0, &[200]),
        OpenError::UnknownRequired { kind: 200 }
    );
    assert_eq!(
        edit(Kind::Nodes, 0, &[200, 0, 0, 0, 0]),
        OpenError::Missing { kind: Kind::Nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 0, &[8]),
        OpenError::SectionOrder { kind: 8 }
    );
    assert_eq!(
        edit(Kind::Nodes, 4, &[3]),
        OpenError::SectionFlags { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 8, &[1]),
        OpenError::SectionAlignment { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 8, &[0, 0]),
        OpenError::SectionOverlap { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 11, &[1]),
        OpenError::SectionOutOfBounds { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 16, &[255; 8]),
        OpenError::SectionOutOfBounds { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 32, &[0, 0]),
        OpenError::SectionDigest { kind: nodes }
    );
    assert_eq!(
        edit(Kind::Nodes, 24, &[9]),
        OpenError::RecordLength { kind: Kind::Nodes }
    );
    let mut longer = signed();
    longer.push(0);
    assert_eq!(refusal(&resign(longer)), OpenError::TrailingBytes);
}

#[test]
fn records_are_checked() {
    let ipcache = Kind::Ipcache;
    let set = |kind, at: usize, value: u8| refusal(&change(kind, |bytes| bytes[at] = value));
    assert_eq!(
        set(ipcache, 25, 33),
        OpenError::Address {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 1, 1),
        OpenError::Address {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 24, 5),
        OpenError::Address {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 16, 4),
        OpenError::Identity {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 20, 2),
        OpenError::Node {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 31, 2),
        OpenError::Reserved {
            kind: ipcache,
            row: 0
        }
    );
    assert_eq!(
        set(ipcache, 32 + 3, 9),
        OpenError::RecordOrder {
            kind: ipcache,
            row: 2
        }
    );
    assert_eq!(
        set(Kind::Endpoints, 16, 1),
        OpenError::Image {
            kind: Kind::Endpoints,
            row: 0
        }
    );
    assert_eq!(
        set(Kind::Endpoints, 12, 4),
        OpenError::Identity {
            kind: Kind::Endpoints,
            row: 0
        }
    );
    assert_eq!(
        set(Kind::Endpoints, 24, 1),
        OpenError::Reserved {
            kind: Kind::Endpoints,
            row: 0
        }
    );
    assert_eq!(
        set(Kind::Rules, 6, 255),
        OpenError::Text {
            kind: Kind::Rules,
            row: 0
        }
    );
    assert_eq!(
        set(Kind::Settings, 0, 4),
        OpenError::Identity {
            kind: Kind::Settings,
            row: 0
        }
    );
    assert_eq!(
        set(Kind::Strings, 0, 255),
        OpenError::Utf8 {
            kind: Kind::Strings
        }
    );
    assert!(matches!(set(Kind::Arena, 0, 0), OpenError::Tables(_)));
}

/// Proxies are there if a record names them.
#[test]
fn proxies_come_back() {
    let mut contents = contents();
    let deny = (contents.arena.u32(header::RECORDS_AT) + record::BYTES) as usize;
    let reason = policy_abi::reason::Reason::NoProxy as u8;
    contents.arena[deny..deny + 2].copy_from_slice(&[record::REDIRECT, reason]);
    contents.arena[deny + record::PROXY as usize] = 2;
    contents.proxies = vec!["dns".to_owned(), "listener a/b/c".to_owned()];
    let file = encode(&contents, None).unwrap();
    let bundle = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    assert_eq!(bundle.proxies().collect::<Vec<_>>(), contents.proxies);

    contents.proxies.pop();
    let needed = OpenError::ProxyCount {
        found: 1,
        needed: 2,
    };
    assert_eq!(encode(&contents, None), Err(EncodeError::Refused(needed)));
}

/// Texts for logs are there if a record names them; a node's own address may be something else on it.
#[test]
fn log_texts_and_own_identities_come_back() {
    let mut contents = contents();
    let records = contents.arena.u32(header::RECORDS_AT);
    let cookie = (records + 2 * record::BYTES + record::COOKIE) as usize;
    contents.arena[cookie] = 2;
    contents.logs = vec!["one".to_owned(), "two\nthree".to_owned()];
    contents.ipcache[4].own = Some(2);
    let file = encode(&contents, None).unwrap();
    let bundle = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    assert_eq!(bundle.logs().collect::<Vec<_>>(), contents.logs);
    let own = bundle.ipcache().find_map(|entry| entry.own);
    assert_eq!(own, Some(2));

    let refused = |contents: &write::Contents| match encode(contents, None) {
        Err(EncodeError::Refused(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut fewer = contents.clone();
    fewer.logs.pop();
    assert_eq!(
        refused(&fewer),
        OpenError::LogCount {
            found: 1,
            needed: 2
        }
    );
    let mut pods = contents.clone();
    pods.ipcache[1].own = Some(2);
    let kind = Kind::Ipcache;
    assert!(matches!(refused(&pods), OpenError::Reserved { kind: it, .. } if it == kind));
    let mut beyond = contents;
    beyond.ipcache[4].own = Some(4);
    assert!(matches!(refused(&beyond), OpenError::Identity { kind: it, .. } if it == kind));
}

#[test]
fn contradicting_contents_are_not_written() {
    let mut twice = contents();
    twice.ipcache.push(write::Ipcache {
        identity: 1,
        ..twice.ipcache[0]
    });
    assert!(matches!(
        encode(&twice, None),
        Err(EncodeError::TwiceInIpcache { .. })
    ));
    let mut twice = contents();
    twice.endpoints.push(twice.endpoints[0].clone());
    assert!(matches!(
        encode(&twice, None),
        Err(EncodeError::TwiceInEndpoints { .. })
    ));
    let mut missing = contents();
    missing.rules.clear();
    let refused = Err(EncodeError::Refused(OpenError::RuleCount {
        found: 0,
        needed: 1,
    }));
    assert_eq!(encode(&missing, None), refused);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_flipped_bit_is_refused(bit in any::<prop::sample::Index>()) {
        let mut file = signed();
        let bit = bit.index(file.len() * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Bundle::open(&file, &Trust::Keys(&[key().verifying_key()])).is_err());
    }

    #[test]
    fn any_truncation_is_refused(length in any::<prop::sample::Index>()) {
        let file = signed();
        let cut = &file[..length.index(file.len())];
        prop_assert!(Bundle::open(cut, &Trust::Keys(&[key().verifying_key()])).is_err());
        prop_assert!(Bundle::open(cut, &Trust::AllowUnsigned).is_err());
    }

    #[test]
    fn noise_behind_a_valid_signature_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut file = signed();
        let length = file.len() - BODY_AT;
        for (at, value) in edits {
            file[BODY_AT + at.index(length)] = value;
        }
        let file = resign(file);
        if let Ok(bundle) = Bundle::open(&file, &Trust::Keys(&[key().verifying_key()])) {
            prop_assert_eq!(bundle.identities().len(), bundle.shape().identities as usize);
        }
    }
}
