//! Server names of TLS clients.

/// Whether a pattern of `serverNames` matches a name: in lower case and as a whole. `*` alone is any name, `**` one
/// label or more, any other `*` any number of letters, digits, `-` and `_` within a label (proxy: `SniPattern`).
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let lower = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let (pattern, name) = (lower(pattern), lower(name));
    if pattern.bytes().all(|byte| byte == b'*') {
        return !name.is_empty();
    }
    let pattern: Vec<_> = pattern.split('.').collect();
    let name: Vec<_> = name.split('.').collect();
    labels(&pattern, &name)
}

/// Label by label; a `**` takes as few labels as the rest lets it. Names have at most 127 labels.
fn labels(pattern: &[&str], name: &[&str]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut many: Option<(usize, usize)> = None;
    while let Some(label) = name.get(pos) {
        match pattern.get(at) {
            Some(&"**") if !label.is_empty() => {
                many = Some((at, pos));
                at += 1;
                pos += 1;
            }
            Some(one) if *one != "**" && crate::fqdn::label_matches(one, label) => {
                at += 1;
                pos += 1;
            }
            _ => match many {
                Some((star, taken)) => {
                    many = Some((star, taken + 1));
                    at = star + 1;
                    pos = taken + 2;
                }
                None => return false,
            },
        }
    }
    at == pattern.len()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_follow_the_proxy() {
        for (pattern, name, wanted) in [
            ("a.example.com", "A.example.com", true),
            ("a.example.com", "b.example.com", false),
            ("*", "x.y.z", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("a.**.com", "a.b.c.com", true),
            ("a.**.com", "a.com", false),
            ("**.a.**.b", "x.a.a.y.b", true),
            ("api-*.example.com", "api-1.example.com", true),
            ("example.com", "example.com.org", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} on {name}");
        }
    }
}
