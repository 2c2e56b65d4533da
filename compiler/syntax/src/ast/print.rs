//! The tree as text, for `--emit=parse` and snapshots: one line per value, each with its line and column.

/// How each structure of the tree is shown.
mod shapes;

use std::fmt::Write as _;

use policyc_diag::{SourceMap, Span, Spanned};

use super::{Document, List, Object, Text, inventory};

/// All documents, in order. The text is for people: it may gain fields.
pub fn print(documents: &[Document], sources: &SourceMap) -> String {
    let mut printer = Printer {
        sources,
        text: String::new(),
        depth: 0,
    };
    for document in documents {
        printer.document(document);
    }
    printer.text
}

/// A value that can be shown under a name.
trait Show {
    fn show(&self, name: &str, printer: &mut Printer<'_>);
}

struct Printer<'s> {
    sources: &'s SourceMap,
    text: String,
    depth: usize,
}

impl Printer<'_> {
    fn document(&mut self, document: &Document) {
        let Document {
            span,
            index,
            kind,
            meta,
            object,
            sound,
            prunable: _,
        } = document;
        let place = self.sources.place(span.file, span.start);
        let file = self.sources.name(span.file);
        let state = if *sound { "" } else { ", with faults" };
        // Writing to a string cannot fail.
        _ = writeln!(
            self.text,
            "{} at {file}:{}:{} (document {index}{state})",
            kind.value, place.line, place.column
        );
        self.inside(|printer| {
            meta.name.show("name", printer);
            meta.namespace.show("namespace", printer);
            meta.labels.show("labels", printer);
            printer.object(object);
        });
    }

    fn object(&mut self, object: &Object) {
        match object {
            Object::CiliumNetworkPolicy(policy)
            | Object::CiliumClusterwideNetworkPolicy(policy) => {
                policy.spec.show("spec", self);
                policy.specs.show("specs", self);
            }
            Object::NetworkPolicy(policy) => policy.show("spec", self),
            Object::ClusterNetworkPolicy(policy) => policy.show("spec", self),
            Object::CidrGroup(group) => group.cidrs.show("externalCIDRs", self),
            Object::Inventory(object) => self.inventory(object),
        }
    }

    fn inventory(&mut self, object: &inventory::Object) {
        use inventory::Object as Kept;
        match object {
            Kept::Namespace => {}
            Kept::Node(node) => node.show("node", self),
            Kept::Pod(pod) => pod.show("pod", self),
            Kept::Workload(workload) => workload.show("workload", self),
            Kept::Service(service) => service.show("service", self),
            Kept::Backends(backends) => backends.show("backends", self),
            Kept::ConfigMap(data) => data.show("data", self),
            Kept::Other => self.line("passed over", "", None),
        }
    }

    /// One line: a name, what it is, and where.
    fn line(&mut self, name: &str, value: &str, span: Option<Span>) {
        let indent = self.depth * 2;
        _ = write!(self.text, "{:indent$}{name}", "");
        if !value.is_empty() {
            _ = write!(self.text, ": {value}");
        }
        if let Some(span) = span {
            let place = self.sources.place(span.file, span.start);
            _ = write!(self.text, "  @{}:{}", place.line, place.column);
        }
        self.text.push('\n');
    }

    fn inside(&mut self, parts: impl FnOnce(&mut Self)) {
        self.depth += 1;
        parts(self);
        self.depth -= 1;
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        if let Some(value) = self {
            value.show(name, printer);
        }
    }
}

impl<T: Show> Show for List<T> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        let empty = if self.items.is_empty() { "[]" } else { "" };
        printer.line(name, empty, Some(self.span));
        printer.inside(|printer| self.items.iter().for_each(|item| item.show("-", printer)));
    }
}

/// A list without a place of its own: empty ones are not shown.
impl<T: Show> Show for Vec<T> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        if !self.is_empty() {
            printer.line(name, "", None);
            printer.inside(|printer| self.iter().for_each(|item| item.show("-", printer)));
        }
    }
}

impl Show for (Text, Text) {
    fn show(&self, _: &str, printer: &mut Printer<'_>) {
        self.1.show(&format!("{:?}", self.0.value), printer);
    }
}

impl Show for Text {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        printer.line(name, &format!("{:?}", self.value), Some(self.span));
    }
}

impl Show for Spanned<i64> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        printer.line(name, &self.value.to_string(), Some(self.span));
    }
}

impl Show for Spanned<bool> {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        printer.line(name, &self.value.to_string(), Some(self.span));
    }
}

impl Show for bool {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        printer.line(name, &self.to_string(), None);
    }
}

/// A value of which only the place was kept.
impl Show for Span {
    fn show(&self, name: &str, printer: &mut Printer<'_>) {
        printer.line(name, "…", Some(*self));
    }
}
