//! Scalars and lists.

use policyc_diag::{Span, Spanned};

use super::{Context, Decode, Field};
use crate::ast::{List, Text, cilium::IcmpType, netpol::PortValue};
use crate::tree::{Node, Scalar, Value};

impl Decode for Text {
    const EXPECTED: &'static str = "a string";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        if let Value::Scalar(Scalar::Text(text)) = &node.value {
            return Some(Self::new(text.clone().into_owned(), node.span));
        }
        cx.wrong_type(node, field, Self::EXPECTED);
        None
    }
}

impl Decode for Spanned<i64> {
    const EXPECTED: &'static str = "a number";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        if let Some(value) = integer(node) {
            return Some(Self::new(value, node.span));
        }
        let number = matches!(node.value, Value::Scalar(Scalar::Float(_)));
        cx.wrong_type(
            node,
            field,
            if number { "an integer" } else { Self::EXPECTED },
        );
        None
    }
}

impl Decode for Spanned<bool> {
    const EXPECTED: &'static str = "a boolean";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        if let Value::Scalar(Scalar::Bool(value)) = node.value {
            return Some(Self::new(value, node.span));
        }
        cx.wrong_type(node, field, Self::EXPECTED);
        None
    }
}

impl Decode for Spanned<IcmpType> {
    const EXPECTED: &'static str = "an integer or a string";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        either(node, field, cx, IcmpType::Number, IcmpType::Name)
    }
}

impl Decode for Spanned<PortValue> {
    const EXPECTED: &'static str = "an integer or a string";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        either(node, field, cx, PortValue::Number, PortValue::Name)
    }
}

/// A number or text, whichever it is.
fn either<T>(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    number: impl Fn(i64) -> T,
    name: impl Fn(String) -> T,
) -> Option<Spanned<T>>
where
    Spanned<T>: Decode,
{
    let value = match &node.value {
        Value::Scalar(Scalar::Text(text)) => Some(name(text.clone().into_owned())),
        _ => integer(node).map(number),
    };
    if value.is_none() {
        cx.wrong_type(node, field, Spanned::<T>::EXPECTED);
    }
    value.map(|value| Spanned::new(value, node.span))
}

/// An element of which only the place is kept.
impl Decode for Span {
    const EXPECTED: &'static str = "a value";

    fn decode(node: &Node<'_>, _: Field<'_>, _: &mut Context<'_>) -> Option<Self> {
        Some(node.span)
    }
}

impl<T: Decode> Decode for List<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        list(node, field, cx, T::decode)
    }
}

/// Reads a list whose elements need more than [`Decode`] knows. Elements that cannot be read are left out.
pub(super) fn list<T>(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    read: impl Fn(&Node<'_>, Field<'_>, &mut Context<'_>) -> Option<T>,
) -> Option<List<T>> {
    let Value::Sequence(nodes) = &node.value else {
        cx.wrong_type(node, field, "a list");
        return None;
    };
    let mut items = Vec::with_capacity(nodes.len());
    for element in &**nodes {
        items.extend(read(element, field.element(), cx));
    }
    Some(List {
        span: node.span,
        items,
    })
}

/// An integer, or a number without a fraction, which JSON does not tell apart from one.
fn integer(node: &Node<'_>) -> Option<i64> {
    match node.value {
        Value::Scalar(Scalar::Int(value)) => Some(value),
        Value::Scalar(Scalar::Float(value)) if value.fract() == 0.0 && value.abs() < 1e15 =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and below 2⁵³, checked above"
            )]
            Some(value as i64)
        }
        _ => None,
    }
}
