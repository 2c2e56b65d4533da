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

fn with<T>(
    contents: &Contents,
    config: &Config,
    use_it: impl FnOnce(Result<Plan<'_>, Failure>) -> T,
) -> T {
    let file = encode(contents, Some(&common::key())).unwrap();
    let bundle = Bundle::open(&file, &Trust::AllowUnsigned).unwrap();
    use_it(Plan::new(&bundle, config, &ifindex))
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
