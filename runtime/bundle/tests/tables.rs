//! The check of policy tables: what it accepts, no lookup can leave.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "tables of a test are small"
)]

#[path = "common/arena.rs"]
mod arena;

use std::cell::Cell;

use policy_abi::arena::{Read, header, image, record};
use policy_abi::lookup;
use policy_abi::reason::Reason;
use policy_bundle::tables::{TablesError, check};
use proptest::prelude::*;

use arena::{DEFAULT_DENY, FIRST_RULE, build};

fn sample() -> (Vec<u8>, Vec<u32>) {
    build(70, &[&[(2, 6, 80), (65, 17, 53)], &[]])
}

fn set32(bytes: &mut [u8], at: u32, value: u32) {
    bytes[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn sample_is_sound_and_decides() {
    let (tables, images) = sample();
    let shape = check(&tables).unwrap();
    assert_eq!((shape.identities, shape.images, shape.rules), (70, 2, 2));
    assert!(images.iter().all(|image| shape.is_image(*image)));
    assert!(
        !shape.is_image(images[0] + 4)
            && !shape.is_image(images[1] + image::BYTES)
            && !shape.is_image(0)
    );
    let verdict = |identity, protocol, port| {
        let found = lookup::verdict(&tables[..], images[0], identity, protocol, port);
        assert_eq!(found.passes, found.record >= u32::from(FIRST_RULE));
        found.record
    };
    assert_eq!(verdict(2, 6, 80), u32::from(FIRST_RULE));
    assert_eq!(verdict(65, 17, 53), u32::from(FIRST_RULE) + 1);
    assert_eq!(verdict(2, 6, 81), u32::from(DEFAULT_DENY));
    assert_eq!(verdict(3, 6, 80), u32::from(DEFAULT_DENY));
    assert_eq!(verdict(70, 6, 80), 0);
}

/// Why tables with one word changed are refused.
fn refusal_of(tables: &[u8], at: u32, value: u32) -> TablesError {
    let mut tables = tables.to_vec();
    set32(&mut tables, at, value);
    check(&tables).unwrap_err()
}

fn in_first(error: TablesError) -> TablesError {
    TablesError::Image {
        image: 0,
        error: Box::new(error),
    }
}

#[test]
fn each_fault_has_its_name() {
    let (tables, images) = sample();
    let refusal = |at, value| refusal_of(&tables, at, value);
    let records = tables.u32(header::RECORDS_AT);
    assert_eq!(refusal(header::MAGIC, 1), TablesError::Magic);
    assert_eq!(refusal(header::ABI, 9), TablesError::Abi { found: 9 });
    assert_eq!(
        refusal(header::USED, 64),
        TablesError::Used {
            stated: 64,
            found: tables.len()
        }
    );
    assert_eq!(refusal(header::FLAGS, 1 << 9), TablesError::Flags);
    assert_eq!(refusal(header::IDENTITIES, 0), TablesError::NoIdentities);
    assert_eq!(refusal(header::RECORDS, u32::MAX), TablesError::Records);
    assert_eq!(
        refusal(header::RECORDS, 0),
        TablesError::RecordCount { found: 0 }
    );
    assert_eq!(refusal(header::IMAGES, u32::MAX), TablesError::Images);
    assert_eq!(refusal(header::IMAGES_AT, 66), TablesError::Images);
    assert_eq!(refusal(records, 1), TablesError::FirstRecord);
    assert_eq!(
        refusal(records + record::BYTES, 3),
        TablesError::Action { record: 1 }
    );
    assert_eq!(
        refusal(records + record::BYTES, 0xff00),
        TablesError::Reason { record: 1 }
    );
    assert_eq!(
        refusal(records + record::BYTES, 1 | 0x400),
        TablesError::Reason { record: 1 }
    );
    // Authentication goes with an allow only, and a proxy with a redirect.
    let (deny, allow) = (records + record::BYTES, records + 2 * record::BYTES);
    let auth = u32::from(record::AUTH_REQUIRED) << 16;
    assert_eq!(
        refusal(deny, tables.u32(deny) | auth),
        TablesError::Auth { record: 1 }
    );
    assert_eq!(
        refusal(allow, tables.u32(allow) | 3 << 16),
        TablesError::Auth { record: 2 }
    );
    // What passes needs no other reason than that it is allowed.
    assert_eq!(
        refusal(
            allow,
            u32::from_le_bytes([1, Reason::Essential as u8, 0, 0])
        ),
        TablesError::Reason { record: 2 }
    );
    assert_eq!(
        refusal(allow + record::PROXY, 1),
        TablesError::Proxy { record: 2 }
    );
    let mut asking = tables.clone();
    set32(&mut asking, allow, tables.u32(allow) | auth);
    set32(&mut asking, allow + record::COOKIE, 7);
    let passes = tables.u32(images[0] + image::PASSES);
    assert_eq!(
        check(&asking).unwrap_err(),
        in_first(TablesError::Passes),
        "what asks for authentication does not pass"
    );
    set32(&mut asking, passes, tables.u32(passes) ^ 1 << 7);
    assert_eq!(check(&asking).unwrap().logs, 7);
    assert_eq!(
        check(&tables[..60]).unwrap_err(),
        TablesError::Length { found: 60 }
    );
}

#[test]
fn redirects_name_a_proxy() {
    let (tables, _) = sample();
    let deny = tables.u32(header::RECORDS_AT) + record::BYTES;
    let to_proxy = |action, reason: Reason, auth, proxy| {
        let mut tables = tables.clone();
        let word = u32::from_le_bytes([action, reason as u8, auth, 0]);
        set32(&mut tables, deny, word);
        set32(&mut tables, deny + record::PROXY, proxy);
        check(&tables).map(|shape| shape.proxies)
    };
    let none = record::AUTH_NONE;
    let redirect = record::REDIRECT;
    assert_eq!(to_proxy(redirect, Reason::NoProxy, none, 4), Ok(4));
    let wrong = Err(TablesError::Proxy { record: 1 });
    assert_eq!(to_proxy(redirect, Reason::NoProxy, none, 0), wrong);
    assert_eq!(to_proxy(record::DENY, Reason::DefaultDeny, none, 4), wrong);
    let wrong = Err(TablesError::Reason { record: 1 });
    assert_eq!(to_proxy(redirect, Reason::DefaultDeny, none, 4), wrong);
    assert_eq!(to_proxy(redirect, Reason::Allowed, none, 4), wrong);
    assert_eq!(to_proxy(record::DENY, Reason::NoProxy, none, 0), wrong);
    assert_eq!(
        to_proxy(redirect, Reason::NoProxy, record::AUTH_REQUIRED, 4),
        Err(TablesError::Auth { record: 1 })
    );
}

#[test]
fn each_fault_of_an_image_has_its_name() {
    let (tables, images) = sample();
    let refusal = |at, value| refusal_of(&tables, at, value);
    let directory = tables.u32(images[0] + image::PEER_DIR);
    let (window, key) = (tables.u32(directory), tables.u32(directory + 4));
    let used = tables.len() as u32;
    assert_eq!(
        refusal(directory, used - 252),
        in_first(TablesError::Bounds { at: used - 252 })
    );
    assert_eq!(
        refusal(directory + 4, key & !0xffff | 0x46),
        in_first(TablesError::PeerClass)
    );
    // An entry of the group's own; with another tag it is nobody's, and not looked at.
    assert_eq!(
        refusal(window + 63 * 4, key & !0xffff | 0x46),
        in_first(TablesError::PeerClass)
    );
    let mut other = tables.clone();
    set32(&mut other, window + 63 * 4, 0xffff_ffff);
    assert!(check(&other).is_ok());
    assert_eq!(
        refusal(images[0] + image::PEER_DIR, 0),
        in_first(TablesError::Bounds { at: 0 })
    );
    assert_eq!(
        refusal(images[0] + image::L4_DIR, u32::MAX - 3),
        in_first(TablesError::Bounds { at: u32::MAX - 3 })
    );
    assert_eq!(
        refusal(images[0] + image::CELLS, 65),
        in_first(TablesError::Bounds { at: 65 })
    );
    assert_eq!(
        refusal(images[0] + image::PEER_CLASSES, 69),
        in_first(TablesError::PeerClass)
    );
    assert_eq!(
        refusal(images[0] + image::L4_CLASSES, 2),
        in_first(TablesError::L4Class)
    );
    assert_eq!(
        refusal(tables.u32(images[0] + image::CELLS), u32::MAX),
        in_first(TablesError::Cell)
    );
    assert_eq!(
        refusal(images[0] + image::PASSES, 66),
        in_first(TablesError::Bounds { at: 66 })
    );
    let passes = tables.u32(images[0] + image::PASSES);
    // A bit that lets pass what is denied, one that denies what passes, and one of no cell.
    let (last, count) = (passes + 70 * 3 / 32 * 4, 70 * 3 % 32);
    for (at, bit) in [(passes, 1), (passes, 1 << 7), (last, 1 << count)] {
        assert_eq!(
            refusal(at, tables.u32(at) ^ bit),
            in_first(TablesError::Passes)
        );
    }
}

/// Many images over many overlapping directories, all in bounds.
#[test]
fn work_is_bounded() {
    let (mut tables, images) = build(100_000, &[&[], &[]]);
    let directory = tables.u32(images[0] + image::PEER_DIR);
    let (window, key) = (tables.u32(directory), tables.u32(directory + 4));
    let directories = tables.len() as u32;
    let count = 60_000;
    (0..count).for_each(|_| tables.extend([window, key].map(u32::to_le_bytes).concat()));
    let images_at = tables.len() as u32;
    let template = tables[images[0] as usize..][..image::BYTES as usize].to_vec();
    for index in 0..count - 1_000 {
        tables.extend(&template);
        set32(
            &mut tables,
            images_at + index * image::BYTES,
            directories + index * 8,
        );
    }
    let used = tables.len() as u32;
    set32(&mut tables, header::USED, used);
    set32(&mut tables, header::IMAGES_AT, images_at);
    set32(&mut tables, header::IMAGES, count - 1_000);
    assert!(
        matches!(check(&tables), Err(TablesError::Image { error, .. }) if *error == TablesError::Overlap)
    );
}

/// Reads like the map and remembers whether a read left the tables.
struct Watched<'a>(&'a [u8], Cell<bool>);

impl Read for Watched<'_> {
    fn u16(&self, at: u32) -> u16 {
        if at as usize + 2 > self.0.len() || !at.is_multiple_of(2) {
            self.1.set(true);
        }
        self.0.u16(at)
    }

    fn u32(&self, at: u32) -> u32 {
        if at as usize + 4 > self.0.len() || !at.is_multiple_of(4) {
            self.1.set(true);
        }
        self.0.u32(at)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn accepted_tables_are_never_left(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        probes in prop::collection::vec((0..2_usize, any::<u32>(), 0..80_u32, any::<u8>(), any::<u16>()), 16)
    ) {
        let (mut tables, _) = sample();
        // The header, records and images are where a wrong byte matters most.
        for (at, value) in &edits {
            tables[at.index(400)] = *value;
        }
        if let Ok(shape) = check(&tables) {
            let images: Vec<u32> = shape.image_offsets().collect();
            let watched = Watched(&tables, Cell::new(false));
            for (image, wild, identity, protocol, port) in probes {
                let Some(image) = images.get(image) else { continue };
                for identity in [wild, identity] {
                    let found = lookup::verdict(&watched, *image, identity, protocol, port);
                    prop_assert!(found.record < shape.records);
                    let at = lookup::record_at(&watched, found.record);
                    prop_assert_eq!(found.passes, lookup::passes(&watched, at));
                }
            }
            prop_assert!(!watched.1.get());
        }
    }
}
