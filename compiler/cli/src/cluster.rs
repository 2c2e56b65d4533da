//! Cluster settings: the defaults of a release, then a file, then options.

use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::label::filter::Filter;
use policyc_ir::rule::Kind;
use policyc_ir::settings::{Enforcement, Settings, Version};

use crate::args::{Cluster, Enforce, Localhost};
use crate::exit::Error;
use crate::input;

/// Helm values and ConfigMaps as lists of settings.
mod file;
/// The settings that change what policies mean, with their names and effects.
mod keys;
/// Selectors that questions about all possible flows would get wrong in a cluster.
mod questions;
/// What files and options make of the settings.
#[cfg(test)]
mod tests;
/// Policies of kinds that the cluster does not watch.
mod unwatched;

pub(crate) use questions::beyond;
pub(crate) use unwatched::unwatched;

/// The settings that options and their file stand for, and what is wrong with the file.
///
/// # Errors
/// A file that cannot be read, or an option that is wrong by itself.
pub(crate) fn settings(
    args: &Cluster,
    sources: &mut SourceMap,
) -> Result<(Settings, Vec<Diagnostic>), Error> {
    let version = args.cilium_version.unwrap_or(Version::DEFAULT);
    let (oldest, newest) = (Version::OLDEST, Version::NEWEST);
    if !(oldest..=newest).contains(&version) {
        let message = format!("`--cilium-version {version}`: only {oldest} to {newest} are known");
        return Err(Error::usage(message));
    }
    let mut settings = Settings::of(version);
    let mut faults = Vec::new();
    if let Some(path) = &args.cluster_config {
        let source = input::read(path, sources)?;
        faults = file::apply(&source, &mut settings);
    }
    options(args, &mut settings)?;
    Ok((settings, faults))
}

fn options(args: &Cluster, settings: &mut Settings) -> Result<(), Error> {
    if let Some(mode) = args.enable_policy {
        settings.enforcement = match mode {
            Enforce::Default => Enforcement::Default,
            Enforce::Always => Enforcement::Always,
            Enforce::Never => Enforcement::Never,
        };
    }
    if let Some(mode) = args.allow_localhost {
        settings.allow_localhost = !matches!(mode, Localhost::Policy);
    }
    for (given, setting) in [
        (args.host_firewall, &mut settings.host_firewall),
        (
            args.non_default_deny_policies,
            &mut settings.non_default_deny,
        ),
        (
            args.policy_default_local_cluster,
            &mut settings.default_local_cluster,
        ),
        (
            args.node_selector_labels,
            &mut settings.node_selector_labels,
        ),
        (args.extended_ip_protocols, &mut settings.extended_protocols),
        (args.l7_proxy, &mut settings.l7_proxy),
        (args.icmp_rules, &mut settings.icmp_rules),
    ] {
        *setting = given.unwrap_or(*setting);
    }
    if let Some(name) = &args.cluster_name {
        let fault = |reason| Error::usage(format!("`--cluster-name {name}`: {reason}"));
        keys::cluster_name(settings, name).map_err(fault)?;
    }
    if let Some(text) = &args.labels {
        let filter = Filter::parse(text);
        settings.labels = filter.map_err(|error| Error::usage(format!("`--labels`: {error}")))?;
    }
    match args.cluster_network_policies {
        Some(true) => drop(settings.unwatched.remove(&Kind::Kcnp)),
        Some(false) => drop(settings.unwatched.insert(Kind::Kcnp)),
        None => {}
    }
    Ok(())
}
