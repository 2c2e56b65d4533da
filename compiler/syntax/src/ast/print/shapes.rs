//! How each structure of the tree is shown.

use policyc_diag::Spanned;

use super::{Printer, Show};
use crate::ast::cilium::{
    Authentication, Aws, CidrRule, DefaultDeny, Egress, Fqdn, Generic, Group, HeaderMatch, Http,
    IcmpField, IcmpRule, IcmpType, Ingress, Kafka, L7, Listener, Port, PortRule, Rule, Secret,
    Service, ServiceName, ServiceSelector, Tls,
};
use crate::ast::{Requirement, Selector, inventory, kcnp, netpol};

/// Shows a structure: its name and place, then its fields under the names they have in YAML.
macro_rules! shapes {
    ($($type:path { $($field:ident $name:literal,)* })*) => {$(
        impl Show for $type {
            fn show(&self, name: &str, printer: &mut Printer<'_>) {
                printer.line(name, "", Some(self.span));
                printer.inside(|printer| { $(self.$field.show($name, printer);)* });
            }
        }
    )*};
}

/// The same for structures without a place.
macro_rules! placeless {
    ($($type:path { $($field:ident $name:literal,)* })*) => {$(
        impl Show for $type {
            fn show(&self, name: &str, printer: &mut Printer<'_>) {
                printer.line(name, "", None);
                printer.inside(|printer| { $(self.$field.show($name, printer);)* });
            }
        }
    )*};
}

shapes! {
    Selector {
        match_labels "matchLabels",
        match_expressions "matchExpressions",
    }
    Requirement {
        key "key",
        operator "operator",
        values "values",
    }
    Rule {
        endpoint_selector "endpointSelector",
        node_selector "nodeSelector",
        ingress "ingress",
        ingress_deny "ingressDeny",
        egress "egress",
        egress_deny "egressDeny",
        enable_default_deny "enableDefaultDeny",
        description "description",
        labels "labels",
        log "log.value",
    }
    DefaultDeny {
        ingress "ingress",
        egress "egress",
    }
    Ingress {
        from_endpoints "fromEndpoints",
        from_nodes "fromNodes",
        from_entities "fromEntities",
        from_cidr "fromCIDR",
        from_cidr_set "fromCIDRSet",
        from_groups "fromGroups",
        from_requires "fromRequires",
        to_ports "toPorts",
        icmps "icmps",
        authentication "authentication",
    }
    Egress {
        to_endpoints "toEndpoints",
        to_nodes "toNodes",
        to_entities "toEntities",
        to_cidr "toCIDR",
        to_cidr_set "toCIDRSet",
        to_services "toServices",
        to_groups "toGroups",
        to_requires "toRequires",
        to_fqdns "toFQDNs",
        to_ports "toPorts",
        icmps "icmps",
        authentication "authentication",
    }
    CidrRule {
        cidr "cidr",
        group_ref "cidrGroupRef",
        group_selector "cidrGroupSelector",
        except "except",
    }
    Group {
        aws "aws",
    }
    Aws {
        labels "labels",
        region "region",
        ids "securityGroupsIds",
        names "securityGroupsNames",
    }
    Service {
        by_name "k8sService",
        by_selector "k8sServiceSelector",
    }
    ServiceName {
        name "serviceName",
        namespace "namespace",
    }
    ServiceSelector {
        selector "selector",
        namespace "namespace",
    }
    Fqdn {
        match_name "matchName",
        match_pattern "matchPattern",
    }
    PortRule {
        ports "ports",
        rules "rules",
        server_names "serverNames",
        listener "listener",
        terminating_tls "terminatingTLS",
        originating_tls "originatingTLS",
    }
    Port {
        port "port",
        end_port "endPort",
        protocol "protocol",
    }
    L7 {
        http "http",
        dns "dns",
        kafka "kafka",
        l7proto "l7proto",
        l7 "l7",
    }
    Kafka {
        role "role",
        api_key "apiKey",
        api_version "apiVersion",
        client_id "clientID",
        topic "topic",
    }
    Generic {
        pairs "pairs",
    }
    Http {
        path "path",
        method "method",
        host "host",
        headers "headers",
        header_matches "headerMatches",
    }
    HeaderMatch {
        mismatch "mismatch",
        name "name",
        value "value",
        secret "secret",
    }
    Secret {
        namespace "namespace",
        name "name",
    }
    Listener {
        config_kind "envoyConfig.kind",
        config_name "envoyConfig.name",
        name "name",
        priority "priority",
    }
    Tls {
        secret "secret",
        trusted_ca "trustedCA",
        certificate "certificate",
        private_key "privateKey",
    }
    IcmpRule {
        fields "fields",
    }
    IcmpField {
        family "family",
        kind "type",
    }
    Authentication {
        mode "mode",
    }
    netpol::Rule {
        peers "peers",
        ports "ports",
    }
    netpol::Peer {
        pod_selector "podSelector",
        namespace_selector "namespaceSelector",
        ip_block "ipBlock",
    }
    netpol::IpBlock {
        cidr "cidr",
        except "except",
    }
    netpol::Port {
        port "port",
        end_port "endPort",
        protocol "protocol",
    }
    kcnp::Subject {
        namespaces "namespaces",
        pods "pods",
    }
    kcnp::Pods {
        namespace_selector "namespaceSelector",
        pod_selector "podSelector",
    }
    kcnp::Rule {
        name "name",
        action "action",
        peers "peers",
        protocols "protocols",
    }
    kcnp::Peer {
        namespaces "namespaces",
        pods "pods",
        nodes "nodes",
        networks "networks",
        domain_names "domainNames",
    }
    kcnp::Protocol {
        tcp "tcp",
        udp "udp",
        sctp "sctp",
        named_port "destinationNamedPort",
    }
    kcnp::Transport {
        port "destinationPort",
    }
    kcnp::Port {
        number "number",
        range "range",
    }
    kcnp::Range {
        start "start",
        end "end",
    }
}

placeless! {
    inventory::Node {
        addresses "addresses",
        pod_cidrs "podCIDRs",
    }
    inventory::Pod {
        node "nodeName",
        host_network "hostNetwork",
        service_account "serviceAccountName",
        addresses "addresses",
        phase "phase",
        ports "ports",
    }
    inventory::ContainerPort {
        name "name",
        number "containerPort",
        protocol "protocol",
    }
    inventory::Workload {
        labels "labels",
        pod "pod",
    }
    inventory::Service {
        selector "selector",
        addresses "addresses",
        ports "ports",
    }
    inventory::ServicePort {
        name "name",
        port "port",
        protocol "protocol",
    }
    inventory::Backends {
        service "service",
        addresses "addresses",
        ports "ports",
    }
    kcnp::Policy {
        tier "tier",
        priority "priority",
        subject "subject",
        ingress "ingress",
        egress "egress",
    }
    netpol::Policy {
        pod_selector "podSelector",
        policy_types "policyTypes",
        ingress "ingress",
        egress "egress",
    }
}

impl Show for Spanned<IcmpType> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        let value = match &self.value {
            IcmpType::Number(number) => number.to_string(),
            IcmpType::Name(text) => format!("{text:?}"),
        };
        printer.line(name, &value, Some(self.span));
    }
}

impl Show for Spanned<netpol::PortValue> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        let value = match &self.value {
            netpol::PortValue::Number(number) => number.to_string(),
            netpol::PortValue::Name(text) => format!("{text:?}"),
        };
        printer.line(name, &value, Some(self.span));
    }
}
