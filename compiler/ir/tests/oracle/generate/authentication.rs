//! Policies that demand authentication of overlapping peers and ports: which demand holds depends on all of them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A cluster-wide policy; `@NAME` is to be replaced.
pub(super) fn policy() -> impl Strategy<Value = String> {
    let subject = select(vec!["{}", "{matchLabels: {app: a}}"]);
    let entries = || vec(entry(), 1..4).prop_map(|list| list.join(", "));
    (subject, entries(), option::of(entries())).prop_map(|(subject, ingress, egress)| {
        let mut spec = vec![
            format!("endpointSelector: {subject}"),
            format!("ingress: [{}]", ingress.replace('@', "from")),
        ];
        spec.extend(egress.map(|list| format!("egress: [{}]", list.replace('@', "to"))));
        let spec = spec.join(", ");
        format!("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: @NAME}}\nspec: {{{spec}}}\n")
    })
}

fn entry() -> impl Strategy<Value = String> {
    let peers = select(vec![
        "@Endpoints: [{}]",
        "@Endpoints: [{matchLabels: {app: a}}]",
        "@Entities: [all, cluster]",
        "@Entities: [world, host]",
        "@CIDR: [10.0.0.0/8]",
    ]);
    let ports = select(vec![
        "{port: \"8\", endPort: 8080, protocol: TCP}",
        "{port: \"80\", endPort: 90}",
        "{port: \"80\", protocol: TCP}",
        "{port: \"0\", protocol: TCP}",
        "{port: http, protocol: TCP}",
    ]);
    let modes = select(vec!["required", "disabled", "test-always-fail"]);
    (
        option::weighted(0.7, peers),
        option::weighted(0.7, ports),
        option::weighted(0.5, modes),
    )
        .prop_map(|(peers, ports, mode)| {
            let members = [
                peers.map(str::to_owned),
                ports.map(|ports| format!("toPorts: [{{ports: [{ports}]}}]")),
                mode.map(|mode| format!("authentication: {{mode: {mode}}}")),
            ];
            let members: Vec<_> = members.into_iter().flatten().collect();
            format!("{{{}}}", members.join(", "))
        })
}
