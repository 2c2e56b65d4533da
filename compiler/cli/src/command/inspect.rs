//! `policyc inspect`: what a bundle holds, after checking all of it.

use std::fmt::Write as _;

use policy_bundle::{BYTES_MAX, Bundle, Trust, VerifyingKey, keys};
use serde_json::{Value, json};

use super::build::key_text;
use crate::args::{Inspect, TextOrJson};
use crate::exit::{Error, Exit};
use crate::{input, output};

/// What the certificate says.
mod certificate;
/// How large the images are, and what they share.
mod images;

pub(crate) fn run(args: &Inspect) -> Result<Exit, Error> {
    let trusted = args.key.iter().map(|path| {
        let text = key_text(path)?;
        keys::parse_public(&text)
            .map_err(|error| Error::usage(format!("`{}`: {error}", path.display())))
    });
    let trusted: Vec<VerifyingKey> = trusted.collect::<Result<_, _>>()?;
    let bytes = input::read_bytes(&args.bundle, BYTES_MAX as u64)?;
    let trust = if trusted.is_empty() {
        Trust::DoNotCheckSignature
    } else {
        Trust::Keys(&trusted)
    };
    match Bundle::open(&bytes, &trust) {
        Ok(bundle) => {
            output::print(&text(&bundle, args.format));
            if let Some(complaint) = certificate::complaint(&bundle) {
                output::complain(&format!("`{}`: {complaint}", args.bundle.display()));
                return Ok(Exit::Findings);
            }
            if trusted.is_empty() && bundle.signer().is_some() {
                output::complain("the signature was not checked: give the public key with `--key`");
            }
            Ok(Exit::Clean)
        }
        Err(error) => {
            output::complain(&format!("`{}` is refused: {error}", args.bundle.display()));
            Ok(Exit::Findings)
        }
    }
}

/// A bundle as text or JSON.
pub(super) fn text(bundle: &Bundle<'_>, format: TextOrJson) -> String {
    match format {
        TextOrJson::Human => human(bundle),
        TextOrJson::Json => format!("{:#}\n", document(bundle)),
    }
}

fn human(bundle: &Bundle<'_>) -> String {
    let mut out = String::new();
    let shape = bundle.shape();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "revision {}", bundle.revision());
    let _ = writeln!(out, "digest   {}", hex(&bundle.digest()));
    let signer = bundle
        .signer()
        .map_or_else(|| "nobody".to_owned(), |key| format!("key {}", hex(&key)));
    let _ = writeln!(out, "signed   by {signer}");
    let _ = writeln!(
        out,
        "tables   {} bytes, {} images, {} records",
        bundle.arena().len(),
        shape.images,
        shape.records
    );
    let _ = writeln!(out, "images   {}", images::line(bundle));
    let _ = writeln!(out, "proof    {}", certificate::line(bundle));
    for section in bundle.sections() {
        let _ = writeln!(
            out,
            "section  {} {} bytes, digest {}",
            section.kind.map_or("unknown", policy_bundle::Kind::name),
            section.bytes.len(),
            hex(&section.digest)
        );
    }
    for (number, proxy) in (1..).zip(bundle.proxies()) {
        let _ = writeln!(out, "proxy    {number} {proxy}");
    }
    for endpoint in bundle.endpoints() {
        let addresses = [
            endpoint.ipv4.map(|ip| ip.to_string()),
            endpoint.ipv6.map(|ip| ip.to_string()),
        ];
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        let _ = writeln!(
            out,
            "pod      {} identity {} at {}",
            endpoint.name,
            endpoint.identity,
            addresses.join(" ")
        );
    }
    for host in bundle.hosts() {
        let _ = writeln!(out, "node     {} identity {}", host.name, host.identity);
    }
    for rule in bundle.rules() {
        let _ = writeln!(out, "rule     {} @ {}:{}", rule.name, rule.file, rule.line);
    }
    let _ = writeln!(
        out,
        "ipcache  {} entries, {} identities",
        bundle.ipcache().len(),
        bundle.identities().len()
    );
    out
}

fn document(bundle: &Bundle<'_>) -> Value {
    let endpoints = bundle.endpoints().map(|endpoint| {
        json!({
            "name": endpoint.name, "node": endpoint.node, "identity": endpoint.identity,
            "ipv4": endpoint.ipv4.map(|ip| ip.to_string()), "ipv6": endpoint.ipv6.map(|ip| ip.to_string()),
        })
    });
    let hosts = bundle
        .hosts()
        .map(|host| json!({"name": host.name, "node": host.node, "identity": host.identity}));
    let rules = bundle
        .rules()
        .map(|rule| json!({"name": rule.name, "file": rule.file, "line": rule.line}));
    let ipcache = bundle.ipcache().map(|entry| {
        json!({"prefix": format!("{}/{}", entry.address, entry.prefix_len), "identity": entry.identity, "node": entry.node, "own": entry.own})
    });
    let sections = bundle.sections().iter().map(|section| {
        json!({"name": section.kind.map_or("unknown", policy_bundle::Kind::name), "bytes": section.bytes.len(), "digest": hex(&section.digest)})
    });
    json!({
        "schema": 1,
        "revision": bundle.revision(),
        "digest": hex(&bundle.digest()),
        "signer": bundle.signer().map(|key| hex(&key)),
        "certificate": certificate::value(bundle),
        "images": images::value(bundle),
        "logs": bundle.logs().collect::<Vec<_>>(),
        "proxies": bundle.proxies().collect::<Vec<_>>(),
        "manifest": serde_json::from_str::<Value>(bundle.manifest()).unwrap_or(Value::Null),
        "endpoints": endpoints.collect::<Vec<_>>(),
        "hosts": hosts.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "identities": bundle.identities().collect::<Vec<_>>(),
        "nodes": bundle.nodes().collect::<Vec<_>>(),
        "ipcache": ipcache.collect::<Vec<_>>(),
        "sections": sections.collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
