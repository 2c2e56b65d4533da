//! DNS names and the patterns that select them.

use std::fmt;
use std::sync::Arc;

/// `matchName` and/or `matchPattern` as written: case, blanks around it and a final dot do not count in matching.
///
/// `toFQDNs` has exactly one of them; a DNS rule may have both, and either lets a name through.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn {
    /// The whole name.
    pub name: Option<Arc<str>>,
    /// A name with `*` in it.
    pub pattern: Option<Arc<str>>,
}

impl Fqdn {
    /// From texts as written; empty ones are the same as none.
    pub fn new(name: Option<&str>, pattern: Option<&str>) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        Self {
            name: name.and_then(some),
            pattern: pattern.and_then(some),
        }
    }

    /// Whether a name (in any case, with or without a final dot) is selected.
    pub fn matches(&self, name: &str) -> bool {
        let name = canonical(name);
        let by_name = self.name.as_ref().map(|own| canonical(own) == name);
        let pattern = self.pattern.as_ref().map(|pattern| canonical(pattern));
        by_name == Some(true) || pattern.is_some_and(|pattern| pattern_matches(&pattern, &name))
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.pattern) {
            (Some(name), Some(pattern)) => write!(f, "{name} or {pattern}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str("no name"),
        }
    }
}

/// A name as names are compared: in lower case and without a final dot.
pub(crate) fn canonical(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

/// Cilium's matchpattern: stars alone select every name; leading `**.` is one label or more; any other run of stars
/// is any number of letters, digits, `-` and `_` within a label.
fn pattern_matches(pattern: &str, name: &str) -> bool {
    if !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*') {
        return true;
    }
    let stars = pattern.bytes().take_while(|byte| *byte == b'*').count();
    let rest = pattern.get(stars..).unwrap_or_default();
    if stars >= 2 && rest.starts_with('.') {
        // Every dot of the name may be the one that ends the leading labels.
        let mut dots = name.match_indices('.');
        return dots.any(|(at, _)| {
            let (labels, tail) = name.split_at(at);
            labels
                .split('.')
                .all(|label| !label.is_empty() && in_label(label))
                && glob(rest.as_bytes(), tail.as_bytes())
        });
    }
    glob(pattern.as_bytes(), name.as_bytes())
}

/// Whether a label matches a pattern of literals and stars.
pub(crate) fn label_matches(pattern: &str, label: &str) -> bool {
    glob(pattern.as_bytes(), label.as_bytes())
}

fn in_label(text: &str) -> bool {
    text.bytes().all(is_label_byte)
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether a pattern of literals and stars matches a text as a whole. On a mismatch the last star takes one byte
/// more, so the cost is at most the product of the lengths, and both are at most 255.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while pos < text.len() {
        match (pattern.get(at), text.get(pos)) {
            (Some(b'*'), _) => {
                star = Some((at, pos));
                at += 1;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                at += 1;
                pos += 1;
            }
            _ => match star {
                Some((star_at, taken)) if text.get(taken).copied().is_some_and(is_label_byte) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    pos = taken + 1;
                }
                _ => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_as_cilium_documents() {
        for (pattern, name, wanted) in [
            ("*.cilium.io", "a.cilium.io", true),
            ("*.cilium.io", "cilium.io", false),
            ("*.cilium.io", "a.b.cilium.io", false),
            ("*cilium.io", "cilium.io", true),
            ("*cilium.io", "subcilium.io", true),
            ("*cilium.io", "sub.cilium.io", false),
            ("sub*.cilium.io", "sub.cilium.io", true),
            ("sub*.cilium.io", "sub1.cilium.io", true),
            ("sub*.cilium.io", "x.sub.cilium.io", false),
            ("**.cilium.io", "a.cilium.io", true),
            ("**.cilium.io", "a.b.cilium.io", true),
            ("**.cilium.io", "cilium.io", false),
            ("a.**.cilium.io", "a.b.cilium.io", true),
            ("a.**.cilium.io", "a.b.c.cilium.io", false),
            ("*", "any.name.at.all", true),
            ("***.", "any.name", true),
            ("*.A.example.COM.", "X.a.example.com", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxb.yyc", false),
            ("a*", "a", true),
        ] {
            let fqdn = Fqdn::new(None, Some(pattern));
            assert_eq!(fqdn.matches(name), wanted, "{pattern} on {name}");
        }
    }

    #[test]
    fn names_are_compared_whole() {
        let fqdn = Fqdn::new(Some("Example.com."), None);
        assert!(fqdn.matches("example.COM"));
        assert!(!fqdn.matches("a.example.com"));
        assert!(!Fqdn::default().matches("example.com"));
    }
}
