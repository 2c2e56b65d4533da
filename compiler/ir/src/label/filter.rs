//! Which labels exist for policy.
//!
//! Cilium leaves labels that change often, or that say nothing of a workload, out of identities: a selector on such a
//! label finds it on nobody. What is left out is decided by the start of a label's key (Cilium's labelsfilter):
//! patterns include or exclude; a label stays if no pattern excludes it, or if one includes more of its key than the
//! shortest exclusion covers. As soon as the user includes anything, what no pattern includes is left out.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::{Key, Source};
use crate::validate::regex as syntax;

/// Patterns that Cilium always has, before those of the user.
mod defaults;

/// Patterns of one filter at most; each is asked about each key.
pub const PATTERNS: usize = 1000;
/// Bytes of a compiled expression at most.
const COMPILED: usize = 1 << 20;

/// A filter: Cilium's own patterns, then the user's.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As written in `labels`; two filters of one text are the same.
    written: Arc<str>,
    patterns: Arc<[Pattern]>,
    /// Whether labels that no pattern includes are left out.
    whitelist: bool,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Filter {}

/// A pattern of the user.
#[derive(Clone, Debug)]
struct Pattern {
    /// The source of labels it is about; all if `None`.
    source: Option<Source>,
    excludes: bool,
    expression: Regex,
}

/// Why the text of a filter is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFilter {
    /// Byte of the text at which the pattern stands.
    pub at: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label pattern `{}`: {}", self.pattern, self.reason)
    }
}

impl std::error::Error for InvalidFilter {}

impl Filter {
    /// Reads the setting `labels`: patterns with blanks between, each `[source:][!]expression`, where `!` excludes.
    ///
    /// # Errors
    /// The first pattern that Cilium would refuse, or would read as something that its author cannot have meant.
    ///
    /// ```
    /// use policyc_ir::label::{Key, Source, filter::Filter};
    /// let filter = Filter::parse(r"k8s:!commit k8s:!team\.example\.com/build").unwrap();
    /// assert!(filter.keeps(&Key::new(Source::K8s, "app")));
    /// assert!(!filter.keeps(&Key::new(Source::K8s, "commit-hash")));
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let mut patterns = Vec::new();
        for word in text.split_whitespace() {
            // Words are parts of `text`, so the distance of their addresses is their place in it.
            let at = word.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
            let fault = |reason: String| InvalidFilter {
                at,
                pattern: word.to_owned(),
                reason,
            };
            if patterns.len() >= PATTERNS {
                return Err(fault(format!("there are more than {PATTERNS} patterns")));
            }
            patterns.push(Pattern::parse(word).map_err(fault)?);
        }
        Ok(Self {
            written: patterns_text(text),
            whitelist: patterns.iter().any(|pattern| !pattern.excludes),
            patterns: patterns.into(),
        })
    }

    /// Whether it is Cilium's own, without patterns of the user.
    pub fn is_default(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a label of this key is part of identities.
    pub fn keeps(&self, key: &Key) -> bool {
        let mut seen = defaults::covered(key);
        let own = self.patterns.iter().filter(|pattern| pattern.is_about(key));
        for pattern in own {
            seen.add(pattern.excludes, pattern.covers(&key.name));
        }
        // An expression that matches nothing of a key has length 0, which counts as no match.
        (!self.whitelist && seen.excluded == 0) || seen.included > seen.excluded
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// How much of a key patterns cover, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Covered {
    /// Longest inclusion.
    included: usize,
    /// Shortest exclusion, 0 if there is none.
    excluded: usize,
}

impl Covered {
    fn add(&mut self, excludes: bool, length: usize) {
        if !excludes {
            self.included = self.included.max(length);
        } else if self.excluded == 0 || (length > 0 && length < self.excluded) {
            self.excluded = length;
        }
    }
}

impl Pattern {
    fn parse(word: &str) -> Result<Self, String> {
        let (source, rest) = match word.split_once(':') {
            Some((source, rest)) => (Some(source), rest),
            None => (None, word),
        };
        if let Some(source) = source.and_then(|source| source.strip_prefix('!')) {
            return Err(format!(
                "the `!` stands behind the source: `{source}:!{rest}`"
            ));
        }
        let (excludes, expression) = match rest.strip_prefix('!') {
            Some(expression) => (true, expression),
            None => (false, rest),
        };
        if rest.is_empty() {
            return Err("there is no expression behind the source".to_owned());
        }
        if split_by_comma(expression) {
            return Err("patterns are separated by blanks, not by commas".to_owned());
        }
        syntax::check(expression).map_err(|error| error.to_string())?;
        // Keys are ASCII, and so are the classes of the expressions.
        let expression = RegexBuilder::new(expression)
            .unicode(false)
            .size_limit(COMPILED)
            .build()
            .map_err(|_| "the expression is too large, or names classes beyond ASCII".to_owned())?;
        Ok(Self {
            source: source
                .filter(|source| !source.is_empty())
                .map(Source::parse),
            excludes,
            expression,
        })
    }

    fn is_about(&self, key: &Key) -> bool {
        self.source
            .as_ref()
            .is_none_or(|source| *source == key.source)
    }

    /// Bytes of the key that the first match covers, if it is at the start.
    fn covers(&self, key: &str) -> usize {
        let found = self.expression.find(key.as_bytes());
        found
            .filter(|found| found.start() == 0)
            .map_or(0, |found| found.end())
    }
}

/// The patterns with single blanks between.
fn patterns_text(text: &str) -> Arc<str> {
    text.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// Whether a comma stands outside of braces and brackets: no key has one, so it was meant to separate.
fn split_by_comma(expression: &str) -> bool {
    let mut depth = 0_u32;
    let mut escaped = false;
    for byte in expression.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Whether a pod's label of this key is part of its identity under Cilium's own filter.
pub fn keeps(key: &str) -> bool {
    Filter::default().keeps(&Key::new(Source::K8s, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(filter: &Filter, key: &str) -> bool {
        filter.keeps(&Key::new(Source::K8s, key))
    }

    #[test]
    fn exclusions_of_the_user_add_to_the_defaults() {
        let filter = Filter::parse("k8s:!commit !build[0-9]+").unwrap();
        for key in ["app", "build", "my-commit", "io.kubernetes.pod.namespace"] {
            assert!(kept(&filter, key), "{key}");
        }
        for key in ["commit", "commit-hash", "build7", "pod-template-hash"] {
            assert!(!kept(&filter, key), "{key}");
        }
    }

    #[test]
    fn an_inclusion_makes_it_a_whitelist() {
        let filter = Filter::parse("k8s:app$ k8s:team").unwrap();
        for key in [
            "app",
            "team",
            "teams",
            "io.kubernetes.pod.namespace",
            "app.kubernetes.io/name",
        ] {
            assert!(kept(&filter, key), "{key}");
        }
        for key in ["application", "role", "kubernetes.io/os"] {
            assert!(!kept(&filter, key), "{key}");
        }
        assert!(filter.keeps(&Key::new(Source::Reserved, "host")));
    }

    #[test]
    fn the_longer_inclusion_wins_over_the_shorter_exclusion() {
        let filter = Filter::parse("!foo foo.bar").unwrap();
        assert!(kept(&filter, "foo.bar"));
        assert!(!kept(&filter, "foo.baz"));
        // Of equal length the exclusion wins; the shortest exclusion counts.
        assert!(!kept(&Filter::parse("!foo foo").unwrap(), "foo"));
        assert!(kept(&Filter::parse("!foo.bar !f foo").unwrap(), "foo.bar"));
        // It takes more than a default inclusion to bring a default exclusion back.
        assert!(kept(
            &Filter::parse(r"k8s:kubernetes\.io/os").unwrap(),
            "kubernetes.io/os"
        ));
    }

    #[test]
    fn only_the_start_of_a_key_and_its_source_count() {
        let filter = Filter::parse("!secret node:!zone !x*").unwrap();
        assert!(kept(&filter, "top-secret"));
        assert!(kept(&filter, "zone"));
        assert!(!filter.keeps(&Key::new(Source::Node, "zone")));
        // `x*` matches the empty start of every key, which excludes nothing.
        assert!(kept(&filter, "app"));
        assert!(!kept(&filter, "xx"));
    }

    #[test]
    fn parse_refuses_what_cannot_be_meant() {
        let reason = |text: &str| Filter::parse(text).unwrap_err().reason;
        assert_eq!(
            reason("!k8s:foo"),
            "the `!` stands behind the source: `k8s:!foo`"
        );
        assert!(reason("k8s:app,k8s:role").contains("blanks"));
        assert!(reason("k8s:").contains("no expression"));
        assert!(reason("(").contains("not closed"));
        assert!(reason("a(?=b)").contains("at character"));
        assert_eq!(Filter::parse("app  k8s:(").unwrap_err().at, 5);
        assert!(Filter::parse(&"!a ".repeat(PATTERNS + 1)).is_err());
        assert!(Filter::parse(r"!a{1,2}[,]").is_ok());
    }

    #[test]
    fn filters_are_equal_if_their_texts_are() {
        assert_eq!(Filter::parse("  ").unwrap(), Filter::default());
        assert_eq!(
            Filter::parse("a  b").unwrap(),
            Filter::parse("a b").unwrap()
        );
        assert_ne!(Filter::parse("a").unwrap(), Filter::default());
        assert_eq!(Filter::parse("a  !b").unwrap().to_string(), "a !b");
    }
}
