//! Bundles as lowering makes them are proved; damaged ones are not, whatever was damaged.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// Random clusters, settings and policies.
#[path = "../../ir/tests/oracle/generate.rs"]
#[expect(dead_code, reason = "what is drawn here is not asked about flows")]
mod generate;

/// One small cluster, its bundle, and ways to damage it.
mod shop;

use policy_abi::arena::record;
use policy_bundle::write;
use policy_bundle::{Bundle, Trust};
use policyc_ir::settings::Settings;
use policyc_prove::Proof;
use policyc_prove::certificate::{self, Standing};
use proptest::test_runner::{Config, TestRunner};

use shop::{Built, Place};

#[test]
fn random_bundles_are_proved() {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases / 16,
        failure_persistence: None,
        ..Config::default()
    });
    let proved = std::cell::Cell::new(0);
    let ran = runner.run(&generate::lowerable(), |case| {
        let built = Built::new(&case.policies, &case.cluster.yaml(), case.settings);
        if let Some(contents) = built.contents() {
            let proof = built.prove(&contents).unwrap();
            assert_eq!(proof.solved, proof.tables);
            proved.set(proved.get() + proof.comparisons);
        }
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    assert!(proved.get() > 8_000, "only {}", proved.get());
}

#[test]
fn the_extent_of_a_proof_is_what_there_is() {
    let built = Built::shop();
    let contents = built.contents().unwrap();
    let proof = built.prove(&contents).unwrap();
    let Proof {
        endpoints,
        tables,
        groups,
        comparisons,
        solved,
        regions,
    } = proof;
    assert_eq!((endpoints, solved), (3, tables));
    assert!(
        groups > tables && comparisons > groups * 256 && regions > 10,
        "{proof:?}"
    );
}

/// Every entry of every class page and every cell, changed to something that decides otherwise.
#[test]
fn every_damaged_entry_is_found() {
    let built = Built::shop();
    let contents = built.contents().unwrap();
    let places = shop::places(&contents);
    for kind in [Place::Peer, Place::Port, Place::Cell] {
        let of_kind: Vec<_> = places.iter().filter(|(one, ..)| *one == kind).collect();
        // Pages of ports have many entries that are alike.
        let step = (of_kind.len() / 200).max(1);
        let mut found = 0;
        for (_, at, value) in of_kind.iter().step_by(step) {
            let mut damaged = contents.clone();
            damaged.arena[*at..*at + 2].copy_from_slice(&value.to_le_bytes());
            shop::renew_bits(&mut damaged);
            // A page is shared by tables, and some may not have the class; such a bundle cannot be opened.
            if write::encode(&damaged, None).is_err() {
                continue;
            }
            found += 1;
            let faults = built.prove(&damaged).unwrap_err();
            let what = format!("{kind:?} at {at}: {faults:?}");
            assert!(faults[0].contains("gress of `shop/"), "{what}");
            let of_service = faults[0].contains(" is not decided as its backends are ");
            assert!(of_service || faults[0].contains("the policies "), "{what}");
            // The solver comes to the same.
            assert!(
                !faults.iter().any(|fault| fault.contains("solver")),
                "{what}"
            );
        }
        assert!(found > 10, "{kind:?}: only {found}");
    }
}

#[test]
fn damaged_records_are_found() {
    let built = Built::shop();
    let contents = built.contents().unwrap();
    let records = shop::records(&contents);
    for at in records.skip(1) {
        let mut other_rule = contents.clone();
        let field = at + record::RULE as usize;
        let rule = u32::from_le_bytes(contents.arena[field..field + 4].try_into().unwrap());
        let changed = u32::from(rule == 0);
        other_rule.arena[field..field + 4].copy_from_slice(&changed.to_le_bytes());
        let faults = built.prove(&other_rule).unwrap_err();
        assert!(faults[0].contains("gress of `shop/"), "{faults:?}");

        // Another authentication or another text for logs is another answer.
        let mut asks = contents.clone();
        let (auth, cookie) = (record::AUTH as usize, record::COOKIE as usize);
        if asks.arena[at] == record::ALLOW {
            asks.arena[at + auth] = record::AUTH_REQUIRED - asks.arena[at + auth];
            shop::renew_bits(&mut asks);
            let faults = built.prove(&asks).unwrap_err();
            let wanted = contents.arena[at + auth] == record::AUTH_REQUIRED;
            let means = if wanted {
                "the policies demand authentication"
            } else {
                "the tables demand authentication"
            };
            assert!(faults[0].contains(means), "{faults:?}");
        }
        let mut logs = contents.clone();
        logs.arena[at + cookie] = 1 - logs.arena[at + cookie];
        let faults = built.prove(&logs).unwrap_err();
        let of_service = faults[0].contains(" is not decided as its backends are ");
        assert!(
            of_service || faults[0].contains("with another log text"),
            "{faults:?}"
        );

        // A drop that demands authentication could not be opened.
        if contents.arena[at + auth] != record::AUTH_NONE {
            continue;
        }
        let mut turned = contents.clone();
        let denied = turned.arena[at] == record::DENY;
        turned.arena[at] = u8::from(denied);
        let asking = std::mem::take(&mut turned.arena[at + auth]) != 0;
        turned.arena[at + 1] = if denied { 0 } else { 4 };
        shop::renew_bits(&mut turned);
        let faults = built.prove(&turned).unwrap_err();
        if faults[0].contains(" is not decided as its backends are ") {
            continue;
        }
        let (says, means) = if denied {
            ("allow", "deny")
        } else if asking {
            ("deny", "demand authentication for")
        } else {
            ("deny", "allow")
        };
        assert!(
            faults[0].contains(&format!("the tables {says} it")),
            "{faults:?}"
        );
        assert!(
            faults[0].contains(&format!("the policies {means} it")),
            "{faults:?}"
        );
    }
}

#[test]
fn damaged_addresses_are_found() {
    let built = Built::shop();
    let contents = built.contents().unwrap();
    let mut hosts = 0;
    for at in 0..contents.ipcache.len() {
        let mut other = contents.clone();
        let entry = &mut other.ipcache[at];
        entry.identity = if entry.identity == 2 { 1 } else { 2 };
        let named = entry.address.to_string();
        let faults = built.prove(&other).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(&named)),
            "{faults:?}"
        );

        let mut missing = contents.clone();
        missing.ipcache.remove(at);
        built.prove(&missing).unwrap_err();

        // What a node takes its own address for.
        if contents.ipcache[at].node.is_some() {
            let mut own = contents.clone();
            own.ipcache[at].own = Some(2);
            let faults = built.prove(&own).unwrap_err();
            assert!(
                faults.iter().any(|fault| fault.contains("no host")),
                "{faults:?}"
            );
            hosts += 1;
        }
    }
    assert!(hosts > 0);
    let mut more = contents.clone();
    let pod = more
        .endpoints
        .iter()
        .find(|pod| pod.name == "shop/web")
        .unwrap();
    let mut entry = more.ipcache[0];
    (entry.address, entry.prefix_len) = ("198.51.100.7".parse().unwrap(), 32);
    (entry.identity, entry.node) = (pod.identity, None);
    more.ipcache.push(entry);
    let faults = built.prove(&more).unwrap_err();
    assert!(faults[0].contains("address 198.51.100.7 "), "{faults:?}");
    assert!(faults[0].contains("is outside the cluster"), "{faults:?}");
}

type Damage = fn(&mut write::Contents);

#[test]
fn damaged_lists_are_found() {
    let built = Built::shop();
    let contents = built.contents().unwrap();
    let damages: [(&str, Damage); 8] = [
        ("gress of `shop/", |it| {
            let pod = &mut it.endpoints[0];
            std::mem::swap(&mut pod.egress, &mut pod.ingress);
        }),
        ("has identity", |it| it.endpoints[0].identity = 2),
        ("other addresses", |it| it.endpoints[0].ipv4 = None),
        ("other addresses", |it| it.endpoints[0].node = None),
        ("is missing", |it| _ = it.endpoints.pop()),
        ("no pod `shop/zzz`", |it| {
            it.endpoints[2].name = "shop/zzz".to_owned();
        }),
        ("other rules", |it| it.rules.swap(0, 1)),
        ("other nodes", |it| it.nodes[0] = "n9".to_owned()),
    ];
    for (wanted, damage) in damages {
        let mut damaged = contents.clone();
        damage(&mut damaged);
        let faults = built.prove(&damaged).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{wanted}: {faults:?}"
        );
    }
    let mut host = contents;
    host.host_identity = 2;
    assert!(built.prove(&host).unwrap_err()[0].contains("the host's"));
}

#[test]
fn damaged_nodes_are_found() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: nodes}\nspec: {nodeSelector: {matchLabels: {pool: edge}}, ingress: [{fromEntities: [cluster]}]}\n";
    let cluster = shop::CLUSTER.replace("name: n2}", "name: n2, labels: {pool: edge}}");
    let settings = Settings {
        host_firewall: true,
        ..shop::settings()
    };
    let built = Built::new(&[policy.to_owned()], &cluster, settings);
    let contents = built.contents().unwrap();
    assert_eq!(
        contents
            .hosts
            .iter()
            .map(|host| host.node)
            .collect::<Vec<_>>(),
        [1]
    );
    let proof = built.prove(&contents).unwrap();
    assert_eq!(proof.endpoints, 4);
    let damages: [(&str, Damage); 4] = [
        ("gress of `n2`", |it| {
            let host = &mut it.hosts[0];
            std::mem::swap(&mut host.egress, &mut host.ingress);
        }),
        ("node `n2` is missing", |it| it.hosts.clear()),
        ("no policy applies to node `n1`", |it| it.hosts[0].node = 0),
        ("node `n2` has identity 6", |it| {
            // Where the bundle knows addresses of the node, no reader would have it.
            it.ipcache.iter_mut().for_each(|entry| entry.node = None);
            it.hosts[0].identity = 6;
        }),
    ];
    for (wanted, damage) in damages {
        let mut damaged = contents.clone();
        damage(&mut damaged);
        let faults = built.prove(&damaged).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{wanted}: {faults:?}"
        );
    }
}

/// Nobody has a name as long as none was learned.
#[test]
fn rules_beyond_tables_are_not_proved() {
    let names = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: names, namespace: shop}\nspec: {endpointSelector: {}, egress: [{toFQDNs: [{matchName: example.com}]}]}\n";
    let policies = [names.to_owned()];
    let built = Built::new(&policies, shop::CLUSTER, shop::settings());
    built.prove(&built.contents().unwrap()).unwrap();
    let learned = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: dns-cache}\ndata: {example.com: 203.0.113.7}\n";
    let cluster = format!("{}{learned}", shop::CLUSTER);
    let built = Built::new(&policies, &cluster, shop::settings());
    let faults = built.prove(&built.contents().unwrap()).unwrap_err();
    assert!(
        faults[0].contains("selects peers that no table can hold"),
        "{faults:?}"
    );
}

/// Of what overlaps, HTTP comes before server names, and the listener with the lower priority before the other.
const PROXIED: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: api}}]
    toPorts: [{ports: [{port: \"5432\", protocol: TCP}], rules: {http: [{method: GET}]}}]
  - toPorts: [{ports: [{port: \"5400\", endPort: 5500, protocol: TCP}], serverNames: [db.example]}]
  - toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]
  egress:
  - toEntities: [world]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}], listener: {envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: out}, name: slow, priority: 9}}]
  - toCIDR: [0.0.0.0/0]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}], listener: {envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: out}, name: fast, priority: 8}}]
";

#[test]
fn damaged_redirects_are_found() {
    let built = Built::new(&[PROXIED.to_owned()], shop::CLUSTER, shop::settings());
    let contents = built.contents().unwrap();
    let mut proxies = contents.proxies.clone();
    proxies.sort_unstable();
    // Everybody whom `slow` is for may be served by `fast` as well, but for IPv6.
    let names = ["http", "listener /out/fast", "listener /out/slow", "tls"];
    assert_eq!(proxies, names);
    built.prove(&contents).unwrap();
    let records = shop::records(&contents);
    let redirects = records.filter(|at| contents.arena[*at] == record::REDIRECT);
    let mut damaged = 0;
    for at in redirects {
        let mut other = contents.clone();
        let proxy = &mut other.arena[at + record::PROXY as usize];
        *proxy = if *proxy == 1 { 2 } else { 1 };
        let faults = built.prove(&other).unwrap_err();
        assert!(
            faults[0].contains("the policies ask another proxy about it"),
            "{faults:?}"
        );

        let mut open = contents.clone();
        open.arena[at..at + 2].copy_from_slice(&[record::ALLOW, 0]);
        open.arena[at + record::PROXY as usize] = 0;
        shop::renew_bits(&mut open);
        let faults = built.prove(&open).unwrap_err();
        assert!(faults[0].contains("the tables allow it"), "{faults:?}");
        damaged += 1;
    }
    assert!(damaged >= 4, "only {damaged}");
    // A record cannot name a proxy by another name than the policies have.
    let mut renamed = contents.clone();
    renamed.proxies.swap(0, 1);
    built.prove(&renamed).unwrap_err();
}

#[test]
fn a_certificate_of_other_tables_shows() {
    let built = Built::shop();
    let mut contents = built.contents().unwrap();
    let standing = |contents: &write::Contents| {
        let bytes = write::encode(contents, None).unwrap();
        let bundle = Bundle::open(&bytes, &Trust::AllowUnsigned).unwrap();
        certificate::standing(&bundle)
    };
    assert_eq!(standing(&contents), Standing::Absent);
    let proof = built.prove(&contents).unwrap();
    contents.certificate = Some(Built::certificate(&contents, &proof));
    let Standing::Matches(found) = standing(&contents) else {
        panic!("{:?}", standing(&contents));
    };
    assert_eq!(found.proof, proof);
    assert!(found.solver.starts_with("Z3 ") && found.prover.starts_with("policyc-prove "));
    let at = shop::records(&contents).nth(1).unwrap() + record::RULE as usize;
    let rule = &mut contents.arena[at..at + 4];
    let other = if rule == [0xff; 4] { 0 } else { u32::MAX };
    rule.copy_from_slice(&other.to_le_bytes());
    contents.ipcache.pop();
    let differs = ["arena", "ipcache"].map(str::to_owned).to_vec();
    assert_eq!(standing(&contents), Standing::Differs(differs));
    contents.certificate = Some("{\"schema\":2}".to_owned());
    assert_eq!(standing(&contents), Standing::Unreadable);
}
