//! Which object a document is.

use policyc_diag::{Diagnostic, Span, codes};

use super::table::Table;
use super::{Context, Field, Reader, cilium, inventory, meta, netpol};
use crate::Parsed;
use crate::ast::inventory::Object as Kept;
use crate::ast::{Document, Meta, Object, Text};
use crate::tree::{Node, Value};

/// What a kind is decoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cnp,
    Ccnp,
    Netpol,
    CidrGroup,
    Namespace,
    Node,
    Pod,
    Workload,
    CronJob,
    Service,
    Slice,
    Endpoints,
    ConfigMap,
}

/// Kinds, and the API versions under which they are what we think.
const KINDS: &[(&str, &[&str], Kind)] = &[
    ("CiliumNetworkPolicy", &["cilium.io/v2"], Kind::Cnp),
    (
        "CiliumClusterwideNetworkPolicy",
        &["cilium.io/v2"],
        Kind::Ccnp,
    ),
    ("NetworkPolicy", &["networking.k8s.io/v1"], Kind::Netpol),
    (
        "CiliumCIDRGroup",
        &["cilium.io/v2", "cilium.io/v2alpha1"],
        Kind::CidrGroup,
    ),
    ("Namespace", &["v1"], Kind::Namespace),
    ("Node", &["v1"], Kind::Node),
    ("Pod", &["v1"], Kind::Pod),
    ("Service", &["v1"], Kind::Service),
    ("Endpoints", &["v1"], Kind::Endpoints),
    ("ConfigMap", &["v1"], Kind::ConfigMap),
    ("EndpointSlice", &["discovery.k8s.io/v1"], Kind::Slice),
    ("Deployment", &["apps/v1"], Kind::Workload),
    ("StatefulSet", &["apps/v1"], Kind::Workload),
    ("DaemonSet", &["apps/v1"], Kind::Workload),
    ("ReplicaSet", &["apps/v1"], Kind::Workload),
    ("Job", &["batch/v1"], Kind::Workload),
    ("CronJob", &["batch/v1"], Kind::CronJob),
];

impl Kind {
    /// Kinds whose every word counts; another API version of them is a fault, not another tool's object.
    fn is_policy(self) -> bool {
        matches!(
            self,
            Self::Cnp | Self::Ccnp | Self::Netpol | Self::CidrGroup
        )
    }

    fn reader(self) -> Reader {
        match self {
            Self::Cnp | Self::Ccnp | Self::CidrGroup => Reader::Schema,
            Self::Netpol => Reader::Server,
            _ => Reader::Inventory,
        }
    }
}

/// Kind and API version that a list gives to items which do not say theirs.
#[derive(Clone, Copy)]
struct Defaults<'a> {
    kind: Option<&'a Text>,
    version: Option<&'a Text>,
}

/// Decodes a document into one object, or those of a list.
pub(crate) fn document(root: &Node<'_>, text: &str, base: u32, index: usize, parsed: &mut Parsed) {
    let cx = Context {
        reader: Reader::Server,
        text,
        base,
        diagnostics: Vec::new(),
    };
    item(
        root,
        index,
        Defaults {
            kind: None,
            version: None,
        },
        cx,
        parsed,
    );
}

fn item(
    root: &Node<'_>,
    index: usize,
    defaults: Defaults<'_>,
    mut cx: Context<'_>,
    parsed: &mut Parsed,
) {
    let Some(mut table) = Table::open(root, Field::new("document"), &mut cx) else {
        parsed.diagnostics.append(&mut cx.diagnostics);
        return;
    };
    let kind = table
        .optional::<Text>("kind", &mut cx)
        .or_else(|| defaults.kind.cloned());
    let version = table
        .optional::<Text>("apiVersion", &mut cx)
        .or_else(|| defaults.version.cloned());
    absent(&table, kind.as_ref(), version.as_ref(), &mut cx);
    let Some(kind) = kind else {
        parsed.diagnostics.append(&mut cx.diagnostics);
        return;
    };
    if kind.ends_with("List")
        && let Some(Value::Sequence(items)) = table.hidden("items").map(|node| &node.value)
    {
        let single = kind
            .value
            .strip_suffix("List")
            .filter(|kind| !kind.is_empty());
        let single = single.map(|single| Text::new(single.to_owned(), kind.span));
        let defaults = Defaults {
            kind: single.as_ref(),
            version: single.as_ref().and(version.as_ref()),
        };
        parsed.diagnostics.append(&mut cx.diagnostics);
        for node in &**items {
            let cx = Context {
                reader: Reader::Server,
                text: cx.text,
                base: cx.base,
                diagnostics: Vec::new(),
            };
            item(node, index, defaults, cx, parsed);
        }
        return;
    }
    let (meta, object) = object(table, root, &kind, version.as_ref(), &mut cx);
    let sound = cx.diagnostics.is_empty();
    parsed.diagnostics.append(&mut cx.diagnostics);
    parsed.documents.push(Document {
        span: root.span,
        index,
        kind,
        meta,
        object,
        sound,
    });
}

/// Reports a missing `kind` or `apiVersion`.
fn absent(
    table: &Table<'_, '_>,
    kind: Option<&Text>,
    version: Option<&Text>,
    cx: &mut Context<'_>,
) {
    if !cx.diagnostics.is_empty() {
        return;
    }
    for (name, found) in [("kind", kind), ("apiVersion", version)] {
        if found.is_none() {
            let help = match (
                name,
                KINDS
                    .iter()
                    .find(|(known, ..)| kind.is_some_and(|kind| kind.value == *known)),
            ) {
                ("apiVersion", Some((_, [first, ..], _))) => {
                    Some(format!("add `apiVersion: {first}`"))
                }
                _ => None,
            };
            let start = Span {
                end: table.span.start.saturating_add(1),
                ..table.span
            };
            let message = format!("the document has no `{name}`");
            let label = "every Kubernetes object says its kind and API version";
            cx.fault(codes::MISSING_FIELD, message, start, label)
                .help
                .extend(help);
        }
    }
}

fn object(
    mut table: Table<'_, '_>,
    root: &Node<'_>,
    kind: &Text,
    version: Option<&Text>,
    cx: &mut Context<'_>,
) -> (Meta, Object) {
    let known = KINDS.iter().find(|(name, ..)| *name == kind.value);
    let (versions, known) = match known {
        Some((_, versions, known)) => (*versions, *known),
        None => {
            return (
                lenient_meta(&mut table, root, cx),
                Object::Inventory(Kept::Other),
            );
        }
    };
    if let Some(version) = version.filter(|version| !versions.contains(&version.value.as_str())) {
        if !known.is_policy() {
            return (
                lenient_meta(&mut table, root, cx),
                Object::Inventory(Kept::Other),
            );
        }
        wrong_version(kind, version, versions, cx);
    }
    cx.reader = known.reader();
    let node = table.raw("metadata").filter(|node| !node.is_null());
    let meta = node
        .and_then(|node| meta::meta(node, cx))
        .unwrap_or_else(|| empty_meta(root));
    let object = match known {
        Kind::Cnp => Object::CiliumNetworkPolicy(cilium::policy(&mut table, cx)),
        Kind::Ccnp => Object::CiliumClusterwideNetworkPolicy(cilium::policy(&mut table, cx)),
        Kind::Netpol => {
            let spec = table.node("spec", cx, "a mapping");
            Object::NetworkPolicy(netpol::policy(spec, cx))
        }
        Kind::CidrGroup => Object::CidrGroup(inventory::cidr_group(&mut table, cx)),
        kept => Object::Inventory(inventory_object(kept, &mut table, &meta, cx)),
    };
    table.ignore(&["status"]);
    table.finish(cx);
    (meta, object)
}

fn inventory_object(
    kind: Kind,
    table: &mut Table<'_, '_>,
    meta: &Meta,
    cx: &mut Context<'_>,
) -> Kept {
    match kind {
        Kind::Namespace => Kept::Namespace,
        Kind::Node => Kept::Node(inventory::node(table, cx)),
        Kind::Pod => Kept::Pod(inventory::pod(table, cx)),
        Kind::Workload => Kept::Workload(inventory::workload(table, cx)),
        Kind::CronJob => Kept::Workload(inventory::cron_job(table, cx)),
        Kind::Service => Kept::Service(inventory::service(table, cx)),
        Kind::Slice => Kept::Backends(inventory::slice(table, meta, cx)),
        Kind::Endpoints => Kept::Backends(inventory::endpoints(table, meta, cx)),
        Kind::ConfigMap => Kept::ConfigMap(inventory::config_map(table, cx)),
        Kind::Cnp | Kind::Ccnp | Kind::Netpol | Kind::CidrGroup => Kept::Other,
    }
}

fn wrong_version(kind: &Text, version: &Text, versions: &[&str], cx: &mut Context<'_>) {
    let message = format!("`{}` is no API version of `{}`", version.value, kind.value);
    let help = format!("write `apiVersion: {}`", versions.first().unwrap_or(&""));
    cx.fault(
        codes::UNKNOWN_KIND,
        message,
        version.span,
        "no such version",
    )
    .help
    .push(help);
}

/// What can be read of the metadata of an object that nobody needs; its faults are its owner's.
fn lenient_meta(table: &mut Table<'_, '_>, root: &Node<'_>, cx: &mut Context<'_>) -> Meta {
    cx.reader = Reader::Inventory;
    let kept: Vec<Diagnostic> = std::mem::take(&mut cx.diagnostics);
    let node = table.raw("metadata").filter(|node| !node.is_null());
    let meta = node.and_then(|node| meta::meta(node, cx));
    cx.diagnostics = kept;
    meta.unwrap_or_else(|| empty_meta(root))
}

fn empty_meta(root: &Node<'_>) -> Meta {
    let span = Span {
        end: root.span.start.saturating_add(1),
        ..root.span
    };
    Meta {
        span,
        name: None,
        namespace: None,
        labels: Vec::new(),
    }
}
