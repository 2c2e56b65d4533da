//! Tests of the plan and the endpoint table.

use policy_abi::arena::Read;
use policy_abi::{endpoint, lookup};
use policy_bundle::write::encode;
use policy_bundle::{Contents, Trust};

use super::sample as common;
use super::*;

fn config(endpoints: &str) -> Config {
    Config::parse(&format!("node = 'node-a'\n{endpoints}")).unwrap()
}

fn endpoint_of(interface: &str, pod: &str) -> String {
    format!("[[endpoint]]\ninterface='{interface}'\npod='{pod}'\n")
}

/// Interfaces `v1`, `v2`, … have the indexes 1, 2, ….
fn ifindex(name: &str) -> Option<u32> {
    name.strip_prefix('v')?.parse().ok()
}

/// `v1` leads elsewhere, `v2` has the address that the bundle knows of the node, `tun` none.
fn local() -> Local {
    let kinds = [
        ("lo", Kind::Loopback),
        ("v1", Kind::Ethernet),
        ("v2", Kind::Ethernet),
        ("v3", Kind::Ethernet),
        ("tun", Kind::Other),
    ];
    let addresses = [
        ("lo", "127.0.0.1"),
        ("lo", "192.0.2.1"),
        ("v2", "192.0.2.1"),
        ("v3", "192.0.2.7"),
        ("v3", "10.0.0.1"),
        ("tun", "198.51.100.1"),
    ];
    let address = |(name, address): (&str, &str)| (name.to_owned(), address.parse().unwrap());
    Local {
        kinds: kinds.map(|(name, kind)| (name.to_owned(), kind)).into(),
        addresses: addresses.map(address).into(),
        by_default: ["v1".to_owned()].into(),
    }
}

fn with<T>(
    contents: &Contents,
    config: &Config,
    use_it: impl FnOnce(Result<Plan<'_>, Failure>) -> T,
) -> T {
    let file = encode(contents, Some(&common::key())).unwrap();
    let bundle = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    use_it(Plan::new(&bundle, config, &ifindex, &|| Ok(local())))
}

fn refusal(contents: &Contents, config: &Config) -> Failure {
    with(contents, config, |plan| plan.unwrap_err())
}

#[test]
fn modes_of_pods_are_in_the_arena() {
    let contents = common::contents();
    let text = endpoint_of("v7", "shop/web") + "audit = true\n" + &endpoint_of("v2", "shop/client");
    let audited = config(&text);
    let answered = Config {
        deny_response: DenyResponse::Icmp,
        ..audited.clone()
    };
    for (config, every) in [(audited, 0), (answered, endpoint::REJECT)] {
        with(&contents, &config, |plan| {
            let arena = plan.unwrap().arena().unwrap();
            let modes = [7, 2].map(|ifindex| {
                let at = endpoint::find(&arena[..], ifindex);
                arena.u32(at + endpoint::FLAGS) & (endpoint::AUDIT | endpoint::REJECT)
            });
            assert_eq!(modes, [endpoint::AUDIT | every, every]);
        });
    }
}

#[test]
fn configured_pods_are_found_in_the_arena() {
    let contents = common::contents();
    let config = config(&(endpoint_of("v7", "shop/web") + &endpoint_of("v2", "shop/client")));
    with(&contents, &config, |plan| {
        let plan = plan.unwrap();
        plan.require_interfaces().unwrap();
        let arena = plan.arena().unwrap();
        assert_eq!(&arena[..contents.arena.len()], contents.arena);
        let at = endpoint::find(&arena[..], 7);
        assert_ne!(at, 0);
        let field = |offset| arena.u32(at + offset);
        assert_eq!(
            field(endpoint::FLAGS),
            endpoint::HAS_IPV4 | endpoint::HAS_IPV6
        );
        assert_eq!((field(endpoint::IDENTITY), field(endpoint::INDEX)), (3, 1));
        assert_eq!(field(endpoint::IPV4).to_le_bytes(), [10, 0, 0, 1]);
        assert_eq!(arena[(at + endpoint::IPV6) as usize], 0xfd);
        assert_eq!(endpoint::find(&arena[..], 3), 0);
        let verdict = |image, port| lookup::verdict(&arena[..], field(image), 2, 6, port).record;
        assert_eq!(
            verdict(endpoint::INGRESS, 80),
            u32::from(common::arena::FIRST_RULE)
        );
        assert_eq!(
            verdict(endpoint::INGRESS, 81),
            u32::from(common::arena::DEFAULT_DENY)
        );
        assert_eq!(
            verdict(endpoint::EGRESS, 80),
            u32::from(common::arena::DEFAULT_DENY)
        );
    });
}

#[test]
fn only_this_nodes_addresses_are_the_host() {
    let contents = common::contents();
    let values = |node: &str| {
        let config = Config::parse(&format!("node = '{node}'")).unwrap();
        with(&contents, &config, |plan| {
            let addresses = plan.unwrap().addresses;
            assert_eq!((addresses.hosts.len(), addresses.prefixes.len()), (4, 1));
            let node_address = [&[192, 0, 2, 1][..], &[0; 12], &[4, 0, 0, 0, 0, 0, 0, 0]].concat();
            let found = addresses
                .hosts
                .iter()
                .find(|host| host.host_key(0) == node_address);
            found.unwrap().value()
        })
    };
    assert_eq!(values("node-a"), [1, 0, 0, 0]);
    assert_eq!(values("node-b"), [0, 0, 0, 0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let contents = common::contents();
    let stranger = refusal(&contents, &config(&endpoint_of("v1", "shop/nobody")));
    assert_eq!(
        stranger.to_string(),
        "pod `shop/nobody` is not in the bundle"
    );
    assert_eq!(stranger.cause().exit_code(), 1);
    let elsewhere = Config::parse("node = 'node-z'").unwrap();
    assert_eq!(
        refusal(&contents, &elsewhere).to_string(),
        "node `node-z` is not in the bundle"
    );
    let other = Config::parse(&format!(
        "node = 'node-b'\n{}",
        endpoint_of("v1", "shop/web")
    ))
    .unwrap();
    assert!(
        refusal(&contents, &other)
            .to_string()
            .contains("is on node `node-a`")
    );
    let mut homeless = contents.clone();
    (homeless.endpoints[0].ipv4, homeless.endpoints[0].ipv6) = (None, None);
    assert!(
        refusal(&homeless, &config(&endpoint_of("v1", "shop/web")))
            .to_string()
            .contains("has no address")
    );
}

#[test]
fn missing_interfaces_are_named() {
    let config = config(&(endpoint_of("v1", "shop/web") + &endpoint_of("gone", "shop/client")));
    with(&common::contents(), &config, |plan| {
        let plan = plan.unwrap();
        let failure = plan.require_interfaces().unwrap_err();
        assert_eq!(
            failure.to_string(),
            "interface `gone` of pod `shop/client` does not exist"
        );
        assert_eq!(plan.attachments.len(), 1);
        let text = plan.to_string();
        assert!(
            text.contains("attach    v1 (1) to shop/web: 10.0.0.1 fd00::1, identity 3 `app=web`"),
            "{text}"
        );
        assert!(text.contains("wait      gone for shop/client"), "{text}");
    });
}

#[test]
fn crowded_tables_are_found_or_refused() {
    let mut contents = common::contents();
    let template = contents.endpoints[0].clone();
    contents.endpoints = (1..=1024)
        .map(|n| policy_bundle::write::Endpoint {
            name: format!("a/p{n}"),
            ..template.clone()
        })
        .collect();
    let endpoints: String = (1..=1024)
        .map(|n| endpoint_of(&format!("v{n}"), &format!("a/p{n}")))
        .collect();
    with(&contents, &config(&endpoints), |plan| {
        let arena = plan.unwrap().arena().unwrap();
        assert!((1..=1024).all(|ifindex| endpoint::find(&arena[..], ifindex) != 0));
    });
    let colliding: Vec<u32> = (1..)
        .filter(|ifindex| endpoint::home(*ifindex) == 5)
        .take(17)
        .collect();
    let endpoints: String = colliding
        .iter()
        .enumerate()
        .map(|(n, ifindex)| endpoint_of(&format!("v{ifindex}"), &format!("a/p{}", n + 1)))
        .collect();
    with(&contents, &config(&endpoints), |plan| {
        assert!(
            plan.unwrap()
                .arena()
                .unwrap_err()
                .to_string()
                .contains("too many interface indexes collide")
        );
    });
}

/// The sample's node `node-a` with a policy of its own.
fn with_host() -> Contents {
    let mut contents = common::contents();
    let web = contents.endpoints[0].clone();
    contents.hosts = vec![policy_bundle::write::Host {
        node: 0,
        identity: 1,
        ingress: web.ingress,
        egress: web.egress,
    }];
    contents
}

fn names(plan: &Plan<'_>) -> Vec<String> {
    plan.devices().map(|one| one.interface.clone()).collect()
}

#[test]
fn nodes_without_policies_are_left_alone() {
    let contents = with_host();
    let other = Config {
        node: "node-b".to_owned(),
        ..config("")
    };
    for (contents, config) in [(common::contents(), config("")), (contents, other)] {
        with(&contents, &config, |plan| {
            let plan = plan.unwrap();
            assert_eq!((plan.host.clone(), plan.spots().count()), (None, 0));
            let arena = plan.arena().unwrap();
            assert_eq!(endpoint::find(&arena[..], endpoint::NODE), 0);
        });
    }
}

#[test]
fn devices_are_found_or_named() {
    let contents = with_host();
    with(&contents, &config(""), |plan| {
        let plan = plan.unwrap();
        assert_eq!(names(&plan), ["v1", "v2"]);
        assert_eq!(plan.spots().count(), 4);
    });
    // The interface of a pod is no device of the node's, whatever it is used for besides.
    with(&contents, &config(&endpoint_of("v1", "shop/web")), |plan| {
        assert_eq!(names(&plan.unwrap()), ["v2"]);
    });
    let named = |list: &str| config(&format!("[host]\ndevices = {list}\n"));
    with(&contents, &named("['v9', 'v3']"), |plan| {
        assert_eq!(names(&plan.unwrap()), ["v3", "v9"]);
    });
    with(&contents, &named("['gone']"), |plan| {
        let plan = plan.unwrap();
        assert_eq!(plan.spots().count(), 0);
        let failure = plan.require_interfaces().unwrap_err();
        assert!(failure.to_string().contains("device `gone`"), "{failure}");
    });
    let failure = refusal(&contents, &named("['tun']"));
    assert!(failure.to_string().contains("Ethernet header"), "{failure}");
    let both = endpoint_of("v1", "shop/web") + &endpoint_of("v2", "shop/client");
    let failure = refusal(&contents, &config(&both));
    assert!(
        failure.to_string().contains("none of its devices"),
        "{failure}"
    );
}

#[test]
fn switched_off_means_refused() {
    let off = config("[host]\nenforcement = 'off'\n");
    let failure = refusal(&with_host(), &off);
    assert_eq!(failure.cause().exit_code(), 1);
    assert!(failure.to_string().contains("`host.enforcement` is `off`"));
    with(&common::contents(), &off, |plan| {
        assert!(plan.unwrap().host.is_none());
    });
}

#[test]
fn the_node_has_a_slot_and_all_its_addresses() {
    let mut contents = with_host();
    // Another node's address that this one has taken over.
    contents.ipcache.push(policy_bundle::write::Ipcache {
        address: "192.0.2.7".parse().unwrap(),
        prefix_len: 32,
        identity: 2,
        node: Some(1),
        own: None,
    });
    let config = config("[host]\naudit = true\n");
    with(&contents, &config, |plan| {
        let plan = plan.unwrap();
        let arena = plan.arena().unwrap();
        let at = endpoint::find(&arena[..], endpoint::NODE);
        let field = |offset| arena.u32(at + offset);
        assert_eq!(field(endpoint::IDENTITY), 1);
        assert_eq!(field(endpoint::FLAGS), endpoint::AUDIT);
        assert_eq!(field(endpoint::INDEX), endpoint::NODE_INDEX);
        assert_eq!(field(endpoint::INGRESS), contents.hosts[0].ingress);
        assert_eq!(field(endpoint::EGRESS), contents.hosts[0].egress);
        let hosts = &plan.addresses.hosts;
        let identity = |address: [u8; 4]| {
            let mut found = hosts.iter().filter(|one| one.host_key(0)[..4] == address);
            let identity = found.next().map(Address::value);
            assert!(found.next().is_none(), "{address:?} is there twice");
            identity.map(u32::from_ne_bytes)
        };
        assert_eq!(identity([192, 0, 2, 1]), Some(1));
        assert_eq!(identity([192, 0, 2, 7]), Some(1));
        assert_eq!(identity([127, 0, 0, 1]), None);
        // What the bundle says of an address counts more: this one is a pod's.
        assert_eq!(identity([10, 0, 0, 1]), Some(3));
        let text = plan.to_string();
        assert!(
            text.contains("attach    v2 (2) to node node-a: identity 1"),
            "{text}"
        );
    });
}
