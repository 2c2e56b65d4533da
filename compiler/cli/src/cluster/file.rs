//! Helm values and ConfigMaps as lists of settings.

use policyc_diag::{Diagnostic, Source, Span, Spanned, codes};
use policyc_ir::settings::Settings;
use policyc_syntax::tree::{self, Entry, Node, Scalar, Value};

use super::keys::{self, Effect, Setting};

/// Keys that are misspelt.
mod misspelt;

/// Settings below which Helm values hold the agent's keys.
const EXTRA: &str = "extraConfig";

/// A setting as written.
struct Written {
    setting: &'static Setting,
    /// The key or path, as in the file.
    name: String,
    value: Spanned<String>,
}

/// What a file holds, and what is wrong with it.
#[derive(Default)]
struct Read {
    written: Vec<Written>,
    faults: Vec<Diagnostic>,
}

/// Takes the settings of a file.
pub(super) fn apply(source: &Source, settings: &mut Settings) -> Vec<Diagnostic> {
    let trees = tree::read(source);
    let mut read = Read {
        faults: trees.diagnostics,
        ..Read::default()
    };
    let roots: Vec<_> = trees.roots.iter().filter(|root| !root.is_null()).collect();
    match (config_map(&roots), roots.as_slice()) {
        (Some(data), _) => {
            keys::agent_defaults(settings);
            read.config_map(data);
        }
        (None, [root]) if entry(root, "kind").is_none() && entries(root).is_some() => {
            keys::helm_defaults(settings);
            read.helm(root);
        }
        (None, roots) if read.faults.is_empty() => {
            let span = roots
                .first()
                .map_or(Span::new(source.id, 0, 0), |root| root.span);
            let message = format!("`{}` holds no settings of a cluster", source.name);
            let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message).label(
                span,
                "neither Helm values nor the ConfigMap `cilium-config`",
            );
            read.faults.push(fault);
        }
        _ => {}
    }
    for written in &read.written {
        read.faults.extend(take(written, settings));
    }
    if !settings.ipv4 && !settings.ipv6 {
        let last = read
            .written
            .iter()
            .rev()
            .find(|written| matches!(written.setting.agent, "enable-ipv4" | "enable-ipv6"));
        let fault = Diagnostic::new(codes::CLUSTER_CONFIG, "a cluster needs IPv4 or IPv6");
        let span = last.map_or(Span::new(source.id, 0, 0), |written| written.value.span);
        read.faults
            .push(fault.label(span, "switches off the last family"));
    }
    read.faults
}

/// The data of the agent's ConfigMap: the one called `cilium-config`, or the only one.
fn config_map<'n, 's>(roots: &[&'n Node<'s>]) -> Option<&'n [Entry<'s>]> {
    let maps = || {
        roots
            .iter()
            .filter(|root| text(root, "kind") == Some("ConfigMap"))
    };
    let named = |root: &&&&Node<'_>| {
        entry(root, "metadata").and_then(|meta| text(&meta.value, "name")) == Some("cilium-config")
    };
    let only = || maps().next().filter(|_| maps().count() == 1);
    let map = maps().find(|root| named(&root)).or_else(only)?;
    Some(
        entry(map, "data")
            .and_then(|data| entries(&data.value))
            .unwrap_or(&[]),
    )
}

fn entries<'n, 's>(node: &'n Node<'s>) -> Option<&'n [Entry<'s>]> {
    match &node.value {
        Value::Mapping(entries) => Some(entries),
        _ => None,
    }
}

fn entry<'n, 's>(node: &'n Node<'s>, key: &str) -> Option<&'n Entry<'s>> {
    entries(node)?.iter().find(|entry| entry.key.value == key)
}

fn text<'n>(node: &'n Node<'_>, key: &str) -> Option<&'n str> {
    match &entry(node, key)?.value.value {
        Value::Scalar(Scalar::Text(text)) => Some(text),
        _ => None,
    }
}

impl Read {
    fn config_map(&mut self, data: &[Entry<'_>]) {
        for entry in data {
            if !matches!(entry.value.value, Value::Scalar(Scalar::Text(_))) {
                let message = format!("`{}` is {}", entry.key.value, entry.value.describe());
                let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message);
                let fault = fault.label(entry.value.span, "a ConfigMap holds strings");
                self.faults.push(fault.help("put the value in quotes"));
                continue;
            }
            self.agent_key(entry, &entry.key.value);
        }
    }

    fn helm(&mut self, root: &Node<'_>) {
        for setting in keys::ALL {
            if let Some(path) = setting.helm {
                self.helm_path(root, setting, path);
            }
        }
        let extra = entry(root, EXTRA).and_then(|extra| entries(&extra.value));
        for entry in extra.unwrap_or(&[]) {
            let path = format!("{EXTRA}.{}", entry.key.value);
            self.agent_key(entry, &path);
        }
        self.faults.extend(misspelt::helm(root));
    }

    fn helm_path(&mut self, root: &Node<'_>, setting: &'static Setting, path: &str) {
        let mut node = root;
        for part in path.split('.') {
            if entries(node).is_none() && !node.is_null() {
                let message = format!(
                    "`{path}` cannot be read: {} stands above it",
                    node.describe()
                );
                let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message);
                self.faults
                    .push(fault.label(node.span, "a mapping is needed here"));
                return;
            }
            let Some(entry) = entry(node, part) else {
                return;
            };
            node = &entry.value;
        }
        self.push(setting, path, node);
    }

    fn agent_key(&mut self, entry: &Entry<'_>, name: &str) {
        let key = &*entry.key.value;
        match keys::ALL.iter().find(|setting| setting.agent == key) {
            Some(setting) => self.push(setting, name, &entry.value),
            None => self.faults.extend(misspelt::agent(&entry.key)),
        }
    }

    /// Notes a value; null stands for the default, as in Helm.
    fn push(&mut self, setting: &'static Setting, name: &str, node: &Node<'_>) {
        if node.is_null() {
            return;
        }
        let Some(value) = flat(node) else {
            let message = format!("`{name}` cannot be {}", node.describe());
            let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message);
            self.faults
                .push(fault.label(node.span, "a single value is needed here"));
            return;
        };
        self.written.push(Written {
            setting,
            name: name.to_owned(),
            value: Spanned::new(value, node.span),
        });
    }
}

/// A value as the agent gets it: Helm joins lists by blanks.
fn flat(node: &Node<'_>) -> Option<String> {
    match &node.value {
        Value::Scalar(Scalar::Text(text)) => Some(text.to_string()),
        Value::Scalar(Scalar::Bool(value)) => Some(value.to_string()),
        Value::Scalar(Scalar::Int(value)) => Some(value.to_string()),
        Value::Scalar(Scalar::Float(value)) => Some(value.to_string()),
        Value::Scalar(Scalar::Null) => Some(String::new()),
        Value::Sequence(items) => {
            let single =
                |item: &Node<'_>| matches!(item.value, Value::Scalar(_)).then(|| flat(item));
            let items = items.iter().map(|item| single(item).flatten());
            items
                .collect::<Option<Vec<_>>>()
                .map(|items| items.join(" "))
        }
        Value::Mapping(_) => None,
    }
}

/// Puts a value into the settings, or says why it is none.
fn take(written: &Written, settings: &mut Settings) -> Option<Diagnostic> {
    let value = written.value.value.trim();
    match &written.setting.effect {
        Effect::Switch(set) => match boolean(value) {
            Some(on) => set(settings, on),
            None => {
                return Some(wrong(
                    written,
                    "is neither `true` nor `false`",
                    &["true", "false"],
                ));
            }
        },
        Effect::Beside(set, how) => match boolean(value) {
            Some(on) => {
                set(settings, on);
                return on.then(|| beside(written, how));
            }
            None => {
                return Some(wrong(
                    written,
                    "is neither `true` nor `false`",
                    &["true", "false"],
                ));
            }
        },
        Effect::Choice(words, set) => {
            match words
                .iter()
                .position(|word| word.eq_ignore_ascii_case(value))
            {
                Some(at) => set(settings, at),
                None => return Some(wrong(written, &one_of(words), words)),
            }
        }
        Effect::Text(set) => {
            if let Err(fault) = set(settings, &written.value.value) {
                return Some(wrong(written, &fault, &[]));
            }
        }
        Effect::Only(wanted, why) => {
            let same =
                value == *wanted || boolean(value).is_some_and(|on| boolean(wanted) == Some(on));
            return (!same).then(|| not_modelled(written, why));
        }
    }
    None
}

/// What the agent takes for a boolean.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("is none of {} and {last}", others.join(", "))
        }
        _ => format!("is not {}", quoted.join("")),
    }
}

fn wrong(written: &Written, reason: &str, words: &[&'static str]) -> Diagnostic {
    let value = written.value.value.trim();
    let message = format!("`{value}` is no value of `{}`", written.name);
    let hint = policyc_diag::suggest::did_you_mean(value, words.iter().copied());
    Diagnostic::new(codes::CLUSTER_CONFIG, message)
        .label(written.value.span, reason)
        .maybe_help(hint)
}

fn beside(written: &Written, how: &str) -> Diagnostic {
    let message = format!("`{}` decides beside policies", written.name);
    Diagnostic::new(codes::SETTING_BESIDE, message)
        .label(written.value.span, how)
        .note("all answers are those of the policies alone")
}

fn not_modelled(written: &Written, why: &str) -> Diagnostic {
    let value = written.value.value.trim();
    let message = format!("this tool does not model `{}: {value}`", written.name);
    Diagnostic::new(codes::SETTING_NOT_MODELLED, message)
        .label(written.value.span, why)
        .help("answers would be those of another cluster; leave the setting out if they will do")
}
