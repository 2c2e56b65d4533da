//! Every form of a statement, and what is said of those at fault.

use policyc_diag::SourceMap;
use policyc_diag::render::{Format, Style, render};
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> (Vec<Statement>, String) {
    let mut sources = SourceMap::new();
    let source = sources.add("intents", text);
    let (statements, faults) = parse(&source);
    for statement in &statements {
        if let Statement::Intent(intent) = statement {
            assert_eq!(sources.text(intent.text.span), intent.text.value);
        }
    }
    let shown = render(Format::Plain, &faults, &sources, Style::default());
    (statements, shown)
}

fn statement(text: &str) -> Statement {
    let (mut statements, faults) = read(text);
    assert_eq!((statements.len(), faults.as_str()), (1, ""), "{text}");
    statements.remove(0)
}

fn one(text: &str) -> Intent {
    match statement(text) {
        Statement::Intent(intent) => *intent,
        other => panic!("{text}: {other:?}"),
    }
}

fn guard(text: &str) -> Guard {
    match statement(text) {
        Statement::Guard(guard) => *guard,
        other => panic!("{text}: {other:?}"),
    }
}

/// The parties of an end, and those left out.
fn parties(end: &End) -> (Vec<Party>, Vec<Party>) {
    let values = |list: &[policyc_diag::Spanned<Party>]| {
        let list = list.iter().map(|party| party.value.clone());
        list.collect()
    };
    (values(&end.parties), values(&end.except))
}

fn only(end: &End) -> Party {
    let (mut parties, except) = parties(end);
    assert_eq!((parties.len(), except.len()), (1, 0));
    parties.remove(0)
}

fn requirement(key: &str, test: Test, values: &[&str]) -> Requirement {
    Requirement {
        key: key.to_owned(),
        test,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn named(names: &[&str]) -> Scope {
    let names = names.iter().map(|name| (*name).to_owned());
    Scope::Named(names.collect())
}

#[test]
fn every_form_of_labels_is_read() {
    let intent = one(
        "  deny from k8s:app=web, tier in (a, b),!old,zone!=x,run notin (y),here in namespace shop to any on tcp/80, udp # why",
    );
    let wanted = Party::Pods {
        requirements: vec![
            requirement("k8s:app", Test::In, &["web"]),
            requirement("tier", Test::In, &["a", "b"]),
            requirement("old", Test::Absent, &[]),
            requirement("zone", Test::NotIn, &["x"]),
            requirement("run", Test::NotIn, &["y"]),
            requirement("here", Test::Exists, &[]),
        ],
        scope: Some(named(&["shop"])),
    };
    assert_eq!(only(&intent.from.value), wanted);
    assert_eq!(only(&intent.to.value), Party::Any);
    let services = intent.services.unwrap().value;
    let parts: Vec<_> = services
        .list
        .iter()
        .map(|one| (one.protocol.as_str(), one.ports.as_deref()))
        .collect();
    assert_eq!(parts, [("tcp", Some("80")), ("udp", None)]);
    assert!(!services.except);
}

#[test]
fn keywords_are_labels_where_they_are_compared() {
    for (text, key) in [
        ("world=1", "world"),
        ("any in (x)", "any"),
        ("entity!=x", "entity"),
        ("on=1", "on"),
        ("pods=1", "pods"),
        ("group in (a)", "group"),
        ("internet=yes", "internet"),
        ("must=1", "must"),
    ] {
        let intent = one(&format!("deny from {text} to world"));
        let Party::Pods { requirements, .. } = only(&intent.from.value) else {
            panic!("{text} is a label");
        };
        assert_eq!(requirements[0].key, key);
        assert_eq!(only(&intent.to.value), Party::Entity("world".to_owned()));
    }
}

#[test]
fn every_form_of_a_party_is_read() {
    let pods = |requirements: &[Requirement], scope| Party::Pods {
        requirements: requirements.to_vec(),
        scope,
    };
    let web = requirement("app", Test::In, &["web"]);
    let labelled = Some(Scope::Labelled(vec![requirement("team", Test::In, &["x"])]));
    for (text, wanted) in [
        ("any in namespace a", pods(&[], Some(named(&["a"])))),
        ("pods", pods(&[], None)),
        ("pods in a", pods(&[], Some(named(&["a"])))),
        (
            "pods app=web in shop",
            pods(std::slice::from_ref(&web), Some(named(&["shop"]))),
        ),
        (
            "app=web in namespaces (a, b)",
            pods(std::slice::from_ref(&web), Some(named(&["a", "b"]))),
        ),
        (
            "app=web in namespaces labelled team=x",
            pods(&[web], labelled),
        ),
        (
            "group",
            pods(&[requirement("group", Test::Exists, &[])], None),
        ),
        ("group frontends", Party::Group("frontends".to_owned())),
        ("the internet", Party::Internet),
        ("internet", Party::Internet),
        ("dns *.example.com", Party::Dns("*.example.com".to_owned())),
        (
            "cidr 2001:db8::/32",
            Party::Cidr("2001:db8::/32".to_owned()),
        ),
        ("entity health", Party::Entity("health".to_owned())),
    ] {
        for intent in [
            one(&format!("deny from host to {text} on any/53")),
            one(&format!("host must not reach {text} in inventory")),
        ] {
            assert_eq!(only(&intent.to.value), wanted, "{text}");
        }
        assert_eq!(
            only(&one(&format!("{text} may reach host")).from.value),
            wanted
        );
    }
    let intent = one("a or b in x except c or d=1 must reach any except world");
    let has = |key: &str| requirement(key, Test::Exists, &[]);
    let wanted = vec![
        pods(&[has("a")], None),
        pods(&[has("b")], Some(named(&["x"]))),
    ];
    assert_eq!(parties(&intent.from.value).0, wanted);
    assert_eq!(parties(&intent.from.value).1.len(), 2);
    let world = Party::Entity("world".to_owned());
    assert_eq!(parties(&intent.to.value), (vec![Party::Any], vec![world]));
}

#[test]
fn every_claim_is_read() {
    for (text, claim) in [
        ("deny from a to b", Claim::Never),
        ("a must not reach b", Claim::Never),
        ("a must never reach b", Claim::Never),
        ("a may not reach b", Claim::Never),
        ("allow from a to b", Claim::Must),
        ("a must reach b", Claim::Must),
        ("a may reach b", Claim::May),
        ("only a may reach b", Claim::OnlyFrom),
        ("nobody but a may reach b", Claim::OnlyFrom),
        ("a may reach only b", Claim::OnlyTo),
    ] {
        let intent = one(text);
        assert_eq!((intent.claim, intent.fails), (claim, false), "{text}");
        let intent = one(&format!("expect failure: {text}"));
        assert_eq!((intent.claim, intent.fails), (claim, true), "{text}");
    }
}

#[test]
fn every_qualifier_is_read() {
    let intent = one(
        "a may reach b on all but tcp/80 with http GET /x/* host *.shop:80 through at most 3 hops in inventory",
    );
    assert!(intent.services.unwrap().value.except && intent.inventory.is_some());
    assert_eq!(intent.hops.unwrap().value, Hops::AtMost(3));
    let http = Request::Http {
        method: "GET".to_owned(),
        path: Some("/x/*".to_owned()),
        host: Some("*.shop:80".to_owned()),
    };
    assert_eq!(intent.request.unwrap().value, http);
    for (text, wanted) in [
        ("with dns *.a.io", Request::Dns("*.a.io".to_owned())),
        ("with tls a.io", Request::Tls("a.io".to_owned())),
    ] {
        let intent = one(&format!("a may reach b on udp {text}"));
        assert_eq!(intent.request.unwrap().value, wanted);
    }
    let intent = one("a must not reach b through any number of hops in inventory");
    assert_eq!(intent.hops.unwrap().value, Hops::Any);
}

#[test]
fn every_guard_is_read() {
    let one = guard(
        "guard tenant-a: policies in namespace a may not allow from the internet to pods in a on tcp/22",
    );
    assert_eq!((one.name.as_str(), one.only), ("tenant-a", false));
    assert_eq!(one.act.value, Act::Allow);
    let namespaces = Some((false, vec!["a".to_owned()]));
    assert_eq!(one.authors.namespaces, namespaces);
    assert!(one.from.is_some() && one.to.is_some() && one.services.is_some());
    let two = guard("guard b: cluster-wide policies may only select pods in namespaces (a, b)");
    assert_eq!((two.only, two.act.value), (true, Act::Select));
    assert!(two.authors.clusterwide && two.authors.namespaces.is_none());
    let three = guard("guard c: policies not in namespaces (x, y) may not deny");
    let namespaces = Some((true, vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!(three.authors.namespaces, namespaces);
    assert_eq!(three.act.value, Act::Deny);
    let four = guard("guard d: policies may only allow to dns *.example.com on tcp/443");
    assert!(four.only && four.from.is_none() && four.to.is_some());
}

#[test]
fn groups_are_read() {
    let Statement::Group(group) = statement("group web = app=web in shop or app=edge") else {
        panic!("a group");
    };
    assert_eq!(group.name.value, "web");
    assert_eq!(group.end.parties.len(), 2);
}

#[test]
fn faults_say_what_was_expected_and_where() {
    let text = "deny form any to world
deny from app=web on tcp
deny from to world
deny from app=web to app in (a,b on tcp
deny from any to any on tcp/
block from any to world
deyn from any to world
deny from any to world at noon
deny from cidr ten to world
app=web must raech app=api
app=web shall reach app=api
onyl app=web may reach app=api
only app=web must reach app=api
grup web = app=web
group web app=web
group from = app=web
expect falure: a must reach b
a must reach b with htp GET /
a must reach b with http GET orders
a must not reach b through at most zero hops
a must not reach b through at most 0 hops
a must not reach b through at most 99999999999 hops
a must reach b in the inventory
guard x: polices may not deny
guard x: policies in a may not deny
guard x: policies may not alow from world
guard policies may not deny
any in namespaces (a, b may reach c
app=web,
app=web must reach
";
    let (statements, faults) = read(text);
    assert_eq!(statements, []);
    insta::assert_snapshot!(faults);
}

#[test]
fn hostile_lines_end_in_a_fault_each() {
    let many = format!("deny from {}x to any", "a,".repeat(1000));
    assert_eq!(read(&many).1, "");
    let deep = format!("deny from {} to any", "(".repeat(3000));
    assert!(read(&deep).1.contains("E0110"));
    let long = format!("deny from {}x to any", "a,".repeat(5000));
    assert!(read(&long).1.contains("E0106"));
    let lines = "deny from any to any\n".repeat(STATEMENTS + 5);
    let (statements, faults) = read(&lines);
    assert_eq!(statements.len(), STATEMENTS);
    assert_eq!(faults.matches("E0106").count(), 1);
}

/// Pieces of statements, so that many texts get far into the grammar.
fn piece() -> impl Strategy<Value = String> {
    let words = "deny allow from to on or except must may not never reach only nobody but group guard expect failure : \
                 with through any number of at most 3 hops in namespace namespaces inventory policies select \
                 cluster-wide all but cidr entity dns pods labelled http tls host the internet world = != ( ) , / ! a \
                 app=web tcp/80 10.0.0.0/8 GET /x * \u{e9} # \t";
    let words: Vec<&str> = words.split(' ').collect();
    prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
    ]
}

proptest! {
    #[test]
    fn no_text_is_too_much(pieces in prop::collection::vec(piece(), 0..24)) {
        let text = pieces.join(" ");
        let mut sources = SourceMap::new();
        let source = sources.add("intents", text.as_str());
        let (statements, faults) = parse(&source);
        prop_assert!(statements.len() + faults.len() <= text.lines().count());
        for label in faults.iter().flat_map(|fault| &fault.labels) {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            prop_assert!(source.text.get(start..end).is_some(), "a span off the text");
        }
    }
}
