//! Block style, as people write it.

use std::fmt::Write as _;

use serde_json::Value;

/// Documents of a file. Keys stand in alphabetical order, so the text depends on the values alone.
pub(super) fn documents(documents: &[Value]) -> String {
    let mut out = String::new();
    for document in documents {
        out.push_str("---");
        block(document, 0, &mut out);
        out.push('\n');
    }
    out
}

/// A value below or beside what introduces it.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            for (key, value) in fields {
                line(indent, out);
                out.push_str(&scalar(key));
                out.push(':');
                block(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                line(indent, out);
                out.push('-');
                // The first field stands beside the dash.
                let mut inner = String::new();
                block(item, indent + 2, &mut inner);
                out.push(' ');
                out.push_str(inner.trim_start());
            }
        }
        Value::String(text) => _ = write!(out, " {}", scalar(text)),
        // The rest looks as it does in JSON.
        other => _ = write!(out, " {other}"),
    }
}

fn line(indent: usize, out: &mut String) {
    _ = write!(out, "\n{:indent$}", "");
}

/// Words stand as they are; whatever could be read as something else is quoted.
fn scalar(text: &str) -> String {
    const OTHER: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let word = starts && text.bytes().all(plain) && !OTHER.contains(&text.to_lowercase().as_str());
    if word {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_values_are_indented_and_doubtful_words_quoted() {
        let value = json!({"b": [{"x": 1, "y": {}}, [], "on"], "a": {"c.d/e": "80", "f": ""}});
        let wanted = "---\na:\n  c.d/e: \"80\"\n  f: \"\"\nb:\n  - x: 1\n    \"y\": {}\n  - []\n  - \"on\"\n";
        assert_eq!(documents(&[value]), wanted);
    }
}
