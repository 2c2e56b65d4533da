//! Random policies.

use std::fmt::Write as _;

use policyd_e2e::numbers::Numbers;

/// Whom rules speak of: labels, entities, prefixes of the host outside, or everybody.
const PEERS: [(&str, &str); 9] = [
    ("Endpoints", "[{matchLabels: {app: web}}]"),
    ("Endpoints", "[{matchLabels: {app: api}}]"),
    ("Endpoints", "[{matchLabels: {version: one}}]"),
    (
        "Endpoints",
        "[{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}]",
    ),
    ("Entities", "[cluster]"),
    ("Entities", "[world]"),
    ("Entities", "[all]"),
    ("CIDR", "[198.51.100.0/24, '2001:db8:b::/48']"),
    ("", ""),
];
const SUBJECTS: [&str; 6] = ["web", "web", "api", "api", "client", "db"];
/// On what.
const PORTS: [&str; 7] = [
    "",
    "",
    "toPorts: [{ports: [{port: '8080', protocol: TCP}]}]",
    "toPorts: [{ports: [{port: '80', endPort: 8999, protocol: TCP}]}]",
    "toPorts: [{ports: [{port: '5353', protocol: UDP}, {port: '9090'}]}]",
    "toPorts: [{ports: [{port: '8080'}, {port: '5353'}]}]",
    "icmps: [{fields: [{type: 8, family: IPv4}, {type: 128, family: IPv6}]}]",
];

/// What only a proxy may let through.
const PROXIED: [&str; 2] = [
    "toPorts: [{ports: [{port: '8080', protocol: TCP}], rules: {http: [{method: GET}]}}]",
    "toPorts: [{ports: [{port: '9090', protocol: TCP}], serverNames: [db.example]}]",
];

/// Policies of one round. One pod may always reach one kind of backends of a service and not the other, and another
/// lets in whoever is outside or known.
pub(crate) fn policies(numbers: &mut Numbers) -> String {
    let mut out = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: picky, namespace: shop}\n\
        spec:\n  endpointSelector: {matchLabels: {app: picky}}\n  egress:\n  - toEndpoints: [{matchLabels: {version: one}}]\n\
        \x20 - toEndpoints: [{matchLabels: {app: web}}]\n    toPorts: [{ports: [{port: '8080', protocol: TCP}]}]\n\
        ---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: known, namespace: shop}\n\
        spec: {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEntities: [world, cluster]}]}\n"
        .to_owned();
    for at in 0..6 {
        let subject = numbers.choose(&SUBJECTS);
        let mut rules = String::new();
        for _ in 0..=numbers.below::<u64>(2) {
            // Allows more often than denies, or there would be little to see.
            let deny = if numbers.once_in(4) { "Deny" } else { "" };
            let (direction, side) = *numbers.choose(&[("ingress", "from"), ("egress", "to")]);
            let section = format!("{direction}{deny}");
            if rules.contains(&format!("  {section}:")) {
                continue;
            }
            let (kind, peers) = numbers.choose(&PEERS);
            let ports = if deny.is_empty() && numbers.once_in(4) {
                numbers.choose(&PROXIED)
            } else {
                numbers.choose(&PORTS)
            };
            let mut members = Vec::new();
            if !kind.is_empty() {
                members.push(format!("{side}{kind}: {peers}"));
            }
            if !ports.is_empty() {
                members.push((*ports).to_owned());
            }
            _ = writeln!(rules, "  {section}: [{{{}}}]", members.join(", "));
        }
        _ = write!(
            out,
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p{at}, namespace: shop}}\nspec:\n  \
             endpointSelector: {{matchLabels: {{app: {subject}}}}}\n{rules}"
        );
    }
    out
}
