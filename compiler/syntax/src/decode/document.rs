//! Which object a document is.

use policyc_diag::{Diagnostic, codes};

use super::table::Table;
use super::{Context, Field, Reader, cilium, inventory, kcnp, meta, netpol};
use crate::Parsed;
use crate::ast::inventory::Object as Kept;
use crate::ast::{Document, Meta, Object, Text};
use crate::stream::Slice;
use crate::tree::{Node, Value, limits};

/// What a kind is decoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cnp,
    Ccnp,
    Netpol,
    Kcnp,
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
        "ClusterNetworkPolicy",
        &["policy.networking.k8s.io/v1alpha2"],
        Kind::Kcnp,
    ),
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
            Self::Cnp | Self::Ccnp | Self::Netpol | Self::Kcnp | Self::CidrGroup
        )
    }

    fn reader(self) -> Reader {
        match self {
            Self::Cnp | Self::Ccnp | Self::Kcnp | Self::CidrGroup => Reader::Schema,
            Self::Netpol => Reader::Server,
            _ => Reader::Inventory,
        }
    }
}

/// What surrounds an object.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    /// Position of the document in its file.
    pub(crate) index: usize,
    /// Whether all of the document's text could be read.
    pub(crate) whole: bool,
    /// Kind that a list gives to items which do not say theirs.
    kind: Option<&'a Text>,
    /// API version likewise.
    version: Option<&'a Text>,
}

impl Outer<'_> {
    /// A document of a file.
    pub(crate) const fn new(index: usize, whole: bool) -> Self {
        Self {
            index,
            whole,
            kind: None,
            version: None,
        }
    }
}

/// Decodes a document into one object, or those of a list.
pub(crate) fn document(root: &Node<'_>, slice: &Slice<'_>, outer: Outer<'_>, parsed: &mut Parsed) {
    let mut cx = Context {
        reader: Reader::Server,
        slice: *slice,
        diagnostics: Vec::new(),
    };
    if matches!(root.value, Value::Mapping(_)) {
        item(root, outer, &mut cx, parsed);
    } else {
        let found = root.describe();
        let message = format!("a document must be a Kubernetes object, not {found}");
        cx.fault(
            codes::WRONG_TYPE,
            message,
            root.span,
            format!("this is {found}"),
        );
    }
    if cx.diagnostics.len() > limits::FAULTS {
        cx.diagnostics.truncate(limits::FAULTS);
        let message = format!("the document has more than {} faults", limits::FAULTS);
        let fault = Diagnostic::new(codes::INPUT_LIMIT, message);
        cx.diagnostics
            .push(fault.label(root.span, "only the first are shown"));
    }
    parsed.diagnostics.append(&mut cx.diagnostics);
}

fn item(root: &Node<'_>, outer: Outer<'_>, cx: &mut Context<'_>, parsed: &mut Parsed) {
    let before = cx.diagnostics.len();
    cx.reader = Reader::Server;
    let Some(mut table) = Table::open(root, Field::new("items").element(), cx) else {
        return;
    };
    let kind = table
        .optional::<Text>("kind", cx)
        .or_else(|| outer.kind.cloned());
    let version = table
        .optional::<Text>("apiVersion", cx)
        .or_else(|| outer.version.cloned());
    if cx.diagnostics.len() == before {
        absent(&table, kind.as_ref(), version.as_ref(), cx);
    }
    let Some(kind) = kind else { return };
    if kind.ends_with("List")
        && let Some(Value::Sequence(items)) = table.hidden("items").map(|node| &node.value)
    {
        let single = kind
            .value
            .strip_suffix("List")
            .filter(|kind| !kind.is_empty());
        let single = single.map(|single| Text::new(single.to_owned(), kind.span));
        let version = single.as_ref().and(version.as_ref());
        let outer = Outer {
            kind: single.as_ref(),
            version,
            ..outer
        };
        items.iter().for_each(|node| item(node, outer, cx, parsed));
        return;
    }
    let (meta, object) = object(table, &kind, version.as_ref(), cx);
    let mut faults = cx.diagnostics.iter().skip(before);
    let sound = outer.whole && faults.len() == 0;
    let prunable = outer.whole && faults.all(|fault| fault.code == codes::UNKNOWN_FIELD);
    parsed.documents.push(Document {
        span: root.span,
        index: outer.index,
        kind,
        meta,
        object,
        sound,
        prunable,
    });
}

/// Reports a missing `kind` or `apiVersion`.
fn absent(
    table: &Table<'_, '_>,
    kind: Option<&Text>,
    version: Option<&Text>,
    cx: &mut Context<'_>,
) {
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
            let message = format!("the document has no `{name}`");
            let label = "every Kubernetes object says its kind and API version";
            cx.fault(codes::MISSING_FIELD, message, table.start(), label)
                .help
                .extend(help);
        }
    }
}

fn object(
    mut table: Table<'_, '_>,
    kind: &Text,
    version: Option<&Text>,
    cx: &mut Context<'_>,
) -> (Meta, Object) {
    let known = KINDS.iter().find(|(name, ..)| *name == kind.value);
    let (versions, known) = match known {
        Some((_, versions, known)) => (*versions, *known),
        None => {
            return (lenient_meta(&mut table, cx), Object::Inventory(Kept::Other));
        }
    };
    if let Some(version) = version.filter(|version| !versions.contains(&version.value.as_str())) {
        if !known.is_policy() {
            return (lenient_meta(&mut table, cx), Object::Inventory(Kept::Other));
        }
        wrong_version(kind, version, versions, cx);
    }
    cx.reader = known.reader();
    let node = table.raw("metadata").filter(|node| !node.is_null());
    let meta = node
        .and_then(|node| meta::meta(node, cx))
        .unwrap_or_else(|| empty_meta(&table));
    let object = match known {
        Kind::Cnp => Object::CiliumNetworkPolicy(cilium::policy(&mut table, cx)),
        Kind::Ccnp => Object::CiliumClusterwideNetworkPolicy(cilium::policy(&mut table, cx)),
        Kind::Netpol => {
            let spec = table.node("spec", cx, "a mapping");
            Object::NetworkPolicy(netpol::policy(spec, cx))
        }
        Kind::Kcnp => Object::ClusterNetworkPolicy(kcnp::policy(&mut table, cx)),
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
        Kind::Cnp | Kind::Ccnp | Kind::Netpol | Kind::Kcnp | Kind::CidrGroup => Kept::Other,
    }
}

fn wrong_version(kind: &Text, version: &Text, versions: &[&str], cx: &mut Context<'_>) {
    let shown: String = version.chars().take(64).collect();
    let message = format!("`{shown}` is no API version of `{}`", kind.value);
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
fn lenient_meta(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Meta {
    cx.reader = Reader::Inventory;
    let kept: Vec<Diagnostic> = std::mem::take(&mut cx.diagnostics);
    let node = table.raw("metadata").filter(|node| !node.is_null());
    let meta = node.and_then(|node| meta::meta(node, cx));
    cx.diagnostics = kept;
    meta.unwrap_or_else(|| empty_meta(table))
}

fn empty_meta(table: &Table<'_, '_>) -> Meta {
    Meta {
        span: table.start(),
        name: None,
        namespace: None,
        labels: Vec::new(),
    }
}
