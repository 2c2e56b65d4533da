//! Ports and protocols.

use policyc_ir::settings::Settings;

use super::{ccnp, cnp, pin, pin_with, settings, web};

fn on(ports: &str) -> String {
    web(&format!("ingress: [{{toPorts: [{{ports: [{ports}]}}]}}]"))
}

#[test]
fn numbers_are_read_as_go_reads_them_and_names_by_their_form() {
    pin(
        &on("{port: \"010\", protocol: TCP}"),
        &[("web <- db TCP/8", "allow"), ("web <- db TCP/10", "deny")],
    );
    pin(
        &on("{port: \"1_0\", protocol: TCP}"),
        &[("web <- db TCP/10", "allow")],
    );
    pin(
        &on("{port: \"0x50\", protocol: TCP}"),
        &[("web <- db TCP/80", "deny")],
    );
}

#[test]
fn port_zero_is_every_port_of_the_protocol_whatever_its_end() {
    pin(
        &on("{port: \"0\", endPort: 9, protocol: TCP}"),
        &[
            ("web <- db TCP/65535", "allow"),
            ("web <- db UDP/9", "deny"),
        ],
    );
}

#[test]
fn an_end_below_the_port_is_no_end() {
    pin(
        &on("{port: \"80\", endPort: 79, protocol: TCP}"),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- db TCP/79", "deny"),
            ("web <- db TCP/81", "deny"),
        ],
    );
}

#[test]
fn any_is_tcp_udp_and_sctp_and_nothing_else() {
    pin(
        &on("{port: \"0\"}"),
        &[
            ("web <- db TCP/1", "allow"),
            ("web <- db UDP/1", "allow"),
            ("web <- db SCTP/1", "allow"),
            ("web <- db ICMP/8", "deny"),
            ("web <- db 47/0", "deny"),
        ],
    );
}

#[test]
fn without_ports_every_protocol_is_meant() {
    pin(
        &web("ingress: [{fromEndpoints: [{}]}]"),
        &[("web <- db ICMP/8", "allow"), ("web <- db 47/0", "allow")],
    );
}

#[test]
fn elements_without_ports_allow_nothing() {
    for nothing in ["toPorts: [{}]", "toPorts: [{ports: []}]", "icmps: [{}]"] {
        pin(
            &web(&format!("ingress: [{{fromEndpoints: [{{}}], {nothing}}}]")),
            &[("web <- db TCP/80", "deny")],
        );
    }
    pin(
        &web("ingress: [{fromEndpoints: [{}], toPorts: [], icmps: []}]"),
        &[("web <- db TCP/80", "allow")],
    );
}

#[test]
fn a_name_is_the_subjects_own_port_on_ingress() {
    // The pod declares the name twice: the last one counts.
    pin(
        &on("{port: HTTP, protocol: TCP}"),
        &[
            ("web <- db TCP/8081", "allow"),
            ("web <- db TCP/8080", "deny"),
        ],
    );
    pin(
        &on("{port: http, protocol: UDP}"),
        &[("web <- db UDP/8081", "deny")],
    );
    let deny = web(
        "enableDefaultDeny: {ingress: false}, ingressDeny: [{toPorts: [{ports: [{port: sql}]}]}]",
    );
    pin(&deny, &[("web <- db TCP/5432", "allow")]);
}

#[test]
fn a_name_with_an_end_is_a_range_from_its_number() {
    pin(
        &on("{port: http, endPort: 8083, protocol: TCP}"),
        &[
            ("web <- db TCP/8081", "allow"),
            ("web <- db TCP/8083", "allow"),
            ("web <- db TCP/8080", "deny"),
            ("web <- db TCP/8084", "deny"),
        ],
    );
}

#[test]
fn a_name_is_each_peers_own_port_on_egress() {
    let to = |name: &str| {
        ccnp(
            "a",
            &format!(
                "endpointSelector: {{matchLabels: {{app: web}}}}, egress: [{{toPorts: [{{ports: [{{port: {name}, protocol: TCP}}]}}]}}]"
            ),
        )
    };
    pin(
        &to("http"),
        &[
            ("web -> db TCP/80", "allow"),
            ("web -> bank/twin-1 TCP/80", "allow"),
            ("web -> web TCP/8081", "allow"),
            ("web -> ip:192.0.2.9 TCP/80", "deny"),
            ("web -> unknown TCP/80", "deny"),
        ],
    );
    // Pods with the same labels disagree.
    pin(
        &to("admin"),
        &[
            ("web -> bank/twin-1 TCP/9000", "deny"),
            ("web -> bank/twin-2 TCP/9001", "deny"),
        ],
    );
}

#[test]
fn icmp_type_zero_is_every_type() {
    let field = |field: &str| {
        web(&format!(
            "ingress: [{{icmps: [{{fields: [{{{field}}}]}}]}}]"
        ))
    };
    pin(
        &field("type: 8"),
        &[
            ("web <- db ICMP/8", "allow"),
            ("web <- db ICMP/0", "deny"),
            ("web <- db ICMPv6/8", "deny"),
        ],
    );
    pin(
        &field("type: EchoReply"),
        &[
            ("web <- db ICMP/0", "allow"),
            ("web <- db ICMP/13", "allow"),
            ("web <- db ICMPv6/129", "deny"),
        ],
    );
    pin(
        &field("type: EchoReply, family: IPv6"),
        &[
            ("web <- db ICMPv6/129", "allow"),
            ("web <- db ICMPv6/128", "deny"),
        ],
    );
    let deny =
        web("enableDefaultDeny: {ingress: false}, ingressDeny: [{icmps: [{fields: [{type: 0}]}]}]");
    pin(
        &deny,
        &[
            ("web <- db ICMP/8", "deny by rule"),
            ("web <- db TCP/8", "allow"),
        ],
    );
}

#[test]
fn protocols_without_ports_need_their_switch() {
    let extended = Settings {
        extended_protocols: true,
        ..settings()
    };
    let policy = cnp(
        "a",
        "endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: \"0\", protocol: GRE}]}]}]",
    );
    pin_with(
        &extended,
        &policy,
        &[("web <- db 47/0", "allow"), ("web <- db 50/0", "deny")],
    );
}

#[test]
fn network_policies_take_numbers_in_quotes_as_numbers() {
    let policy = |port: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: np, namespace: shop}}\nspec: {{podSelector: {{}}, ingress: [{{ports: [{port}]}}]}}\n"
        )
    };
    pin(
        &policy("{port: 80}"),
        &[("web <- db TCP/80", "allow"), ("web <- db UDP/80", "deny")],
    );
    pin(
        &policy("{protocol: UDP}"),
        &[("web <- db UDP/80", "allow"), ("web <- db TCP/80", "deny")],
    );
    pin(
        &policy("{port: 80, endPort: 90}"),
        &[("web <- db TCP/85", "allow")],
    );
    pin(&policy("{port: http}"), &[("web <- db TCP/8081", "allow")]);
}
