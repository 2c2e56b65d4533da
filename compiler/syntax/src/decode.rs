//! From the YAML tree to the typed tree.

/// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
mod cilium;
/// Which object a document is.
mod document;
/// The objects of an inventory.
mod inventory;
/// ClusterNetworkPolicy.
mod kcnp;
/// `metadata`, selectors and lists of labels.
mod meta;
/// NetworkPolicy.
mod netpol;
/// Layer 4 and layer 7 parts of Cilium's rules.
mod ports;
/// Scalars and lists.
mod scalar;
/// A mapping being decoded.
mod table;

pub(crate) use document::{Outer, document};
use table::Table;

use policyc_diag::{Code, Diagnostic, Span, codes};

use crate::stream::Slice;
use crate::tree::Node;

/// Who reads the object, which decides what is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A custom resource: its schema refuses null.
    Schema,
    /// A type built into the API server: null is absent.
    Server,
    /// This tool: only what it reads can be wrong.
    Inventory,
}

/// What is known while a document is decoded.
struct Context<'t> {
    reader: Reader,
    /// The text, to quote what was written.
    slice: Slice<'t>,
    diagnostics: Vec<Diagnostic>,
}

/// The name under which a value stands, for messages.
#[derive(Clone, Copy, Debug)]
struct Field<'a> {
    name: &'a str,
    element: bool,
}

/// A type that a value can be decoded into.
trait Decode: Sized {
    /// Reads a value; faults go to the context, and what is readable is returned.
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self>;

    /// What it takes, with its article.
    const EXPECTED: &'static str = "a mapping";
}

impl<'a> Field<'a> {
    const fn new(name: &'a str) -> Self {
        Self {
            name,
            element: false,
        }
    }

    const fn element(self) -> Self {
        Self {
            element: true,
            ..self
        }
    }
}

impl std::fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}`{}`",
            if self.element { "an element of " } else { "" },
            self.name
        )
    }
}

impl Context<'_> {
    /// Reports a fault of the object. In an inventory every fault has one code.
    fn fault(
        &mut self,
        code: Code,
        message: String,
        span: Span,
        label: impl Into<String>,
    ) -> &mut Diagnostic {
        let code = if self.reader == Reader::Inventory {
            codes::INVALID_INVENTORY
        } else {
            code
        };
        self.diagnostics
            .push(Diagnostic::new(code, message).label(span, label));
        let last = self.diagnostics.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the element was pushed just above")]
        &mut self.diagnostics[last]
    }

    /// Reports a value of the wrong type; `expected` comes with its article.
    fn wrong_type(&mut self, node: &Node<'_>, field: Field<'_>, expected: &str) {
        let found = node.describe();
        let help = self.mend(node, field, expected);
        let message = format!("{field} takes {expected}, not {found}");
        let fault = self.fault(
            codes::WRONG_TYPE,
            message,
            node.span,
            format!("this is {found}"),
        );
        fault.help.extend(help);
    }

    /// How to turn the value into what is expected, where that is plain.
    fn mend(&self, node: &Node<'_>, field: Field<'_>, expected: &str) -> Option<String> {
        let written = self.written(node.span);
        match (expected, node.describe()) {
            (_, "null") => Some(format!("leave `{}` out, or give it a value", field.name)),
            ("a string", "a boolean" | "a number") if written.len() <= 64 => {
                Some(format!("quote it: `\"{written}\"`"))
            }
            ("a number" | "a boolean", "a string") => Some("write it without quotes".to_owned()),
            ("a list", _) => Some(format!(
                "write `{}` as a list, each element after a `-`",
                field.name
            )),
            _ => None,
        }
    }

    fn written(&self, span: Span) -> &str {
        let at = |byte: u32| byte.saturating_sub(self.slice.base) as usize;
        self.slice
            .text
            .get(at(span.start)..at(span.end))
            .unwrap_or("")
    }
}
