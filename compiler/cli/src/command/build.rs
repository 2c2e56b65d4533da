//! `policyc build`: policies and an inventory into a signed bundle.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use policy_bundle::{Bundle, Contents, SigningKey, Trust, keys, write};
use policyc_diag::{Diagnostic, codes};
use policyc_ir::cidr::Cidr;
use policyc_ir::model::Model;
use policyc_ir::policy::Reading;
use policyc_ir::resolve::Resolved;
use policyc_ir::{frontend, lint};
use policyc_lower::{Image, Target};
use serde_json::json;

use super::{emit, inspect, prove};
use crate::args::{self, Build, FailOn, Stage, TextOrJson};
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{input, object, output};

/// The policy maps of Cilium's agent.
mod maps;

/// Bytes of a key file at most.
const KEY_BYTES: u64 = 64 << 10;

pub(crate) fn run(args: &Build) -> Result<Exit, Error> {
    let key = signing_key(args)?;
    let mut target = target(args)?;
    let policies = args.policies.all();
    let mut front = pipeline::front(
        &policies,
        &args.inventory.objects,
        &args.cluster,
        Reading::Strict,
    )?;
    let settings = front.settings.clone();
    if args.without_proxy && args.target == args::Target::Tables {
        // What a DNS proxy has learned elsewhere is nothing that a bundle may allow for good.
        front.inventory.dns.clear();
    }
    if let Some(stage) = args.emit
        && let Some(text) = emit::front(
            &front,
            &settings,
            || front.universe_of_bundle(&settings, args.node.as_deref()),
            stage,
        )
    {
        output::print(&text);
        output::findings_aside(front.diagnostics.clone(), &front.sources);
        let exit = output::exit_of(&front.diagnostics, FailOn::Warning);
        return Ok(front.exit(exit));
    }
    if front.has_errors() {
        let found = std::mem::take(&mut front.diagnostics);
        let exit = output::findings(found, &front.sources, args.format, FailOn::Warning);
        return Ok(front.exit(exit));
    }
    if !front.has_inventory {
        return Err(Error::usage(
            "a bundle needs an inventory: give Kubernetes objects with `--inventory`",
        ));
    }
    known_node(&front, args.node.as_deref())?;
    if args.target == args::Target::CiliumLpm {
        return Ok(maps::print(args, &front));
    }
    target.pod_ranges.extend(front.inventory.pod_ranges());
    target.extended_protocols = settings.extended_protocols;
    if !settings.sctp {
        front.diagnostics.push(sctp_dropped());
    }
    if !settings.host_firewall {
        let found = host_firewall_off(&front);
        front.diagnostics.extend(found);
    }
    let universe = front.universe_of_bundle(&settings, args.node.as_deref());
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &settings);
    front
        .diagnostics
        .extend(policyc_lower::warnings(&model, &target));
    target.services = frontend::frontends(&front.inventory, &universe, &target.pod_ranges);
    front
        .diagnostics
        .extend(lint::mixed(&model, &target.services, args.node.as_deref()));
    let image =
        policyc_lower::lower(&model, &target).and_then(|image| fits(&image).map(|()| image));
    let image = match image {
        Ok(image) => image,
        Err(faults) => {
            front.diagnostics.extend(faults);
            return Ok(output::findings(
                front.diagnostics,
                &front.sources,
                args.format,
                FailOn::Warning,
            ));
        }
    };
    if args.emit == Some(Stage::Lower) {
        output::print(&policyc_lower::print(&model, &image));
        return Ok(Exit::Clean);
    }
    let mut summary = summary(&front, &image, args);
    let manifest = manifest(&front, &image);
    let mut contents =
        policyc_lower::contents(&model, image, &front.sources, args.revision, manifest);
    if args.prove {
        match prove::certify(&mut contents, &front, &universe, &target)? {
            Ok(proof) => summary.push_str(&prove::summary(&proof)),
            Err(faults) => {
                front.diagnostics.extend(faults);
                return Ok(output::findings(
                    front.diagnostics,
                    &front.sources,
                    args.format,
                    FailOn::Warning,
                ));
            }
        }
    }
    finish(args, &contents, key.as_ref(), &summary)?;
    let found = std::mem::take(&mut front.diagnostics);
    output::findings_aside(found.clone(), &front.sources);
    Ok(output::exit_of(&found, FailOn::Error))
}

fn sctp_dropped() -> Diagnostic {
    Diagnostic::new(codes::SETTING_BESIDE, "this cluster drops all SCTP")
        .note("`policyd` judges SCTP by the policies, as the tables say")
        .help("set `enable-sctp` where policies speak of SCTP")
}

fn host_firewall_off(front: &Front) -> Option<Diagnostic> {
    let mut rules = front.rules.iter().map(|(_, rule)| rule);
    let of_nodes = rules.find(|rule| rule.subject.node)?;
    let diagnostic = Diagnostic::new(
        codes::SETTING_BESIDE,
        "this cluster's host firewall is off, so nothing is enforced on nodes",
    )
    .label(of_nodes.origin.subject, "selects nodes")
    .help("set `enable-host-firewall` where node policies shall be enforced");
    Some(diagnostic)
}

/// Encodes, opens what was encoded with the reader that the node uses, and writes it in one step.
fn finish(
    args: &Build,
    contents: &Contents,
    key: Option<&SigningKey>,
    summary: &str,
) -> Result<(), Error> {
    let bytes = write::encode(contents, key).map_err(|error| Error::usage(error.to_string()))?;
    let trusted: Vec<_> = key.map(SigningKey::verifying_key).into_iter().collect();
    let trust = if trusted.is_empty() {
        Trust::AllowUnsigned
    } else {
        Trust::Keys(&trusted)
    };
    let bundle = Bundle::open(&bytes, &trust).map_err(|error| Error::usage(error.to_string()))?;
    if args.emit == Some(Stage::Bundle) {
        output::print(&inspect::text(&bundle, TextOrJson::Human));
        return Ok(());
    }
    replace(&args.output, &bytes)?;
    output::print(summary);
    Ok(())
}

/// Writes beside the file and renames, so that a reader sees the old bundle or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| {
            // Nothing more can be done for a file that could not be written.
            let _ = std::fs::remove_file(&beside);
            Error::usage(format!("cannot write `{}`: {error}", path.display()))
        })
}

fn signing_key(args: &Build) -> Result<Option<SigningKey>, Error> {
    let Some(path) = &args.key else {
        // What is only printed needs no key.
        let printed = args.emit.is_some() || args.target == args::Target::CiliumLpm;
        if args.unsigned || printed {
            return Ok(None);
        }
        return Err(Error::usage(
            "no key to sign with: give one with `--key` (`policyc keygen` makes one), or say `--unsigned`",
        ));
    };
    let text = key_text(path)?;
    keys::parse_private(&text)
        .map(Some)
        .map_err(|error| Error::usage(format!("`{}`: {error}", path.display())))
}

/// The text of a key file.
pub(super) fn key_text(path: &Path) -> Result<String, Error> {
    let bytes = input::read_bytes(path, KEY_BYTES)?;
    String::from_utf8(bytes).map_err(|_| {
        Error::usage(format!(
            "`{}` is not text, but keys are PEM files",
            path.display()
        ))
    })
}

fn target(args: &Build) -> Result<Target, Error> {
    let parse = |text: &String| {
        Cidr::parse(text).ok_or_else(|| Error::usage(format!("`{text}` is no address range")))
    };
    let pod_ranges = args.pod_cidrs.iter().map(parse).collect::<Result<_, _>>()?;
    Ok(Target {
        node: args.node.clone(),
        pod_ranges,
        without_proxy: args.without_proxy,
        ..Target::default()
    })
}

fn known_node(front: &Front, wanted: Option<&str>) -> Result<(), Error> {
    let Some(wanted) = wanted else { return Ok(()) };
    let mut names = front.inventory.nodes.iter().map(|node| &*node.name);
    if names.clone().any(|name| name == wanted) {
        return Ok(());
    }
    let hint =
        policyc_diag::suggest::did_you_mean(wanted, &mut names).map(|hint| format!("; {hint}"));
    Err(Error::usage(format!(
        "the inventory has no node `{wanted}`{}",
        hint.unwrap_or_default()
    )))
}

fn fits(image: &Image) -> Result<(), Vec<Diagnostic>> {
    object::fits(image).map_err(|fault| vec![fault])
}

fn summary(front: &Front, image: &Image, args: &Build) -> String {
    let sizes = &image.sizes;
    let nodes = match image.hosts() {
        0 => String::new(),
        nodes => format!(", {nodes} nodes with policies"),
    };
    format!(
        "{}: {} policies, {} rules, {} pods{}, {} identities, {} addresses of services, {} tables in {} KiB, {} answers compared with the model\n",
        args.output.display(),
        front.policies.policies().len(),
        front.rules.rules().len(),
        image.pods(),
        nodes,
        sizes.identities,
        sizes.services,
        sizes.images,
        sizes.bytes.div_ceil(1024),
        sizes.checked,
    )
}

/// For people who look into a bundle; no program relies on it.
fn manifest(front: &Front, image: &Image) -> String {
    json!({
        "compiler": format!("policyc {}", env!("CARGO_PKG_VERSION")),
        "policies": front.policies.policies().iter().map(|policy| policy.info.to_string()).collect::<Vec<_>>(),
        "rules": front.rules.rules().len(),
        "pods": image.pods(),
        "nodes_with_policies": image.hosts(),
        "answers_compared": image.sizes.checked,
    })
    .to_string()
}
