//! What is said about a proof in a bundle.
//!
//! A certificate names the digest of every section that it speaks of, so one that was made for other tables shows. It is
//! a record of what was checked, not a proof that can be checked without the policies; nothing is decided by it.

use std::fmt::Write as _;

use policy_bundle::{Bundle, Kind};
use policyc_verify::solver;
use serde_json::{Map, Value, json};

use crate::Proof;

/// The form of certificates that is written and read here.
const SCHEMA: u64 = 1;

/// Sections that are no part of what was proved.
const BESIDE: [Kind; 2] = [Kind::Manifest, Kind::Certificate];

/// The certificate of a proof about a bundle, as JSON. Equal bundles have equal ones.
pub fn text(bundle: &Bundle<'_>, proof: &Proof) -> String {
    json!({
        "schema": SCHEMA,
        "prover": format!("policyc-prove {}", env!("CARGO_PKG_VERSION")),
        "solver": solver::name(),
        "proved": {
            "endpoints": proof.endpoints,
            "tables": proof.tables,
            "groups": proof.groups,
            "comparisons": proof.comparisons,
            "solved": proof.solved,
            "regions": proof.regions,
        },
        "sections": digests(bundle),
    })
    .to_string()
}

/// Digests by section.
fn digests(bundle: &Bundle<'_>) -> Map<String, Value> {
    let spoken_of = bundle.sections().iter().filter_map(|section| {
        let kind = section.kind.filter(|kind| !BESIDE.contains(kind))?;
        Some((kind.name().to_owned(), hex(&section.digest).into()))
    });
    spoken_of.collect()
}

/// What a bundle's certificate is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Absent,
    /// It speaks of the tables that the bundle holds.
    Matches(Certificate),
    /// It was made for something else: these sections are not those it speaks of.
    Differs(Vec<String>),
    /// It cannot be read.
    Unreadable,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The program that compared.
    pub prover: String,
    /// The solver that was asked.
    pub solver: String,
    /// How much was compared.
    pub proof: Proof,
}

/// Reads a bundle's certificate and compares the digests in it with the bundle's sections.
pub fn standing(bundle: &Bundle<'_>) -> Standing {
    let Some(text) = bundle.certificate() else {
        return Standing::Absent;
    };
    let Some((certificate, sections)) = read(text) else {
        return Standing::Unreadable;
    };
    let own = digests(bundle);
    let names: std::collections::BTreeSet<_> = own.keys().chain(sections.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| own.get(*name) != sections.get(*name));
    let differ: Vec<String> = differ.cloned().collect();
    if differ.is_empty() {
        Standing::Matches(certificate)
    } else {
        Standing::Differs(differ)
    }
}

fn read(text: &str) -> Option<(Certificate, Map<String, Value>)> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("schema")?.as_u64()? != SCHEMA {
        return None;
    }
    let line = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let proved = value.get("proved")?;
    let count = |name: &str| proved.get(name)?.as_u64();
    let proof = Proof {
        endpoints: count("endpoints")?,
        tables: count("tables")?,
        groups: count("groups")?,
        comparisons: count("comparisons")?,
        solved: count("solved")?,
        regions: count("regions")?,
    };
    let certificate = Certificate {
        prover: line("prover")?,
        solver: line("solver")?,
        proof,
    };
    Some((certificate, value.get("sections")?.as_object()?.clone()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
