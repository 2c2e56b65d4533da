//! What the certificate says.

use policy_bundle::Bundle;
use policyc_prove::certificate::{Standing, standing};
use serde_json::{Value, json};

use crate::command::prove::extent;

/// What is wrong with the certificate, if there is one.
pub(super) fn complaint(bundle: &Bundle<'_>) -> Option<String> {
    match standing(bundle) {
        Standing::Absent | Standing::Matches(_) => None,
        Standing::Unreadable => Some("the certificate cannot be read".to_owned()),
        Standing::Differs(sections) => Some(format!(
            "the certificate is not about this bundle: {} differ",
            sections.join(", ")
        )),
    }
}

/// A line for people.
pub(super) fn line(bundle: &Bundle<'_>) -> String {
    match standing(bundle) {
        Standing::Absent => "none".to_owned(),
        Standing::Matches(found) => {
            format!(
                "{} ({}, {})",
                extent(&found.proof),
                found.prover,
                found.solver
            )
        }
        Standing::Unreadable | Standing::Differs(_) => complaint(bundle).unwrap_or_default(),
    }
}

/// The certificate as it stands in the bundle, and whether it is about this bundle; null if there is none.
pub(super) fn value(bundle: &Bundle<'_>) -> Value {
    let Some(text) = bundle.certificate() else {
        return Value::Null;
    };
    json!({
        "matches": matches!(standing(bundle), Standing::Matches(_)),
        "text": serde_json::from_str::<Value>(text).unwrap_or(Value::Null),
    })
}
