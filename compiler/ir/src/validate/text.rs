//! Forms of names and labels that Kubernetes prescribes.

/// A part of a DNS name: at most 63 lower-case letters, digits and inner hyphens.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_part(text)
}

/// A DNS name in lower case, at most 253 bytes.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A label value: empty, or at most 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

/// A label key: a name like a value's, not empty, with an optional DNS prefix before a `/`.
pub fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

fn is_label_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().copied().all(inner)
        && ends(bytes.first())
        && ends(bytes.last())
}

/// Text for a message: long text is cut.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_follow_kubernetes() {
        let long = "a".repeat(64);
        for (text, dns, key, value) in [
            ("app", true, true, true),
            ("a.b-c", true, true, true),
            ("App_1", false, true, true),
            ("", false, false, true),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a..b", false, true, true),
            ("k8s.io/name", false, true, false),
            ("K8s.io/name", false, false, false),
            ("a/b/c", false, false, false),
            ("a/", false, false, false),
            ("ä", false, false, false),
            (&long, true, false, false),
        ] {
            assert_eq!(
                (is_dns_name(text), is_label_key(text), is_label_value(text)),
                (dns, key, value),
                "{text}"
            );
        }
        assert!(!is_dns_label(&long) && is_dns_label(&long[..63]) && !is_dns_label("a.b"));
        assert!(!is_dns_name(&"a.".repeat(127)) && is_dns_name(&format!("{}a", "a.".repeat(126))));
    }
}
