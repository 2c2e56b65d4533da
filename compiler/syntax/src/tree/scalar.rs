//! What an unquoted scalar means.
//!
//! Kubernetes' tools read YAML 1.1: `no` is a boolean and `010` is eight. A policy that says `env: no` reaches the
//! API server with a boolean label value, so this reader must see the same.

use std::borrow::Cow;

/// A scalar's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'s> {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, `yes`, `on` and the like.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction, an exponent, or too large for an integer.
    Float(f64),
    /// Text.
    Text(Cow<'s, str>),
}

impl<'s> Scalar<'s> {
    /// Reads an unquoted scalar.
    pub fn plain(text: Cow<'s, str>) -> Self {
        let Some(first) = text.bytes().next() else {
            return Self::Null;
        };
        match first {
            b'0'..=b'9' | b'+' | b'-' | b'.' => number(&text).unwrap_or(Self::Text(text)),
            b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => {
                word(&text).unwrap_or(Self::Text(text))
            }
            _ => Self::Text(text),
        }
    }

    /// What it is, with its article.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
        }
    }

    /// The text as a mapping's key; `None` for null.
    pub(crate) fn into_key(self) -> Option<Cow<'s, str>> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Self::Int(value) => Some(value.to_string().into()),
            Self::Float(value) => Some(value.to_string().into()),
            Self::Text(text) => Some(text),
        }
    }
}

fn word(text: &str) -> Option<Scalar<'static>> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Scalar::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Scalar::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Scalar::Bool(false))
        }
        _ => None,
    }
}

fn number(text: &str) -> Option<Scalar<'static>> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Some(Scalar::Float(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    // No number is this long, and text is often longer.
    if text.len() > 64 {
        return None;
    }
    let plain: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    integer(&plain).or_else(|| float(&plain))
}

fn integer(text: &str) -> Option<Scalar<'static>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = radix(digits);
    // `from_str_radix` takes a sign of its own.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -value } else { value };
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 64 bits a number is a float for Kubernetes too"
    )]
    Some(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int))
}

fn radix(digits: &str) -> (u32, &str) {
    let prefixes = [
        ("0x", 16),
        ("0X", 16),
        ("0o", 8),
        ("0O", 8),
        ("0b", 2),
        ("0B", 2),
    ];
    for (prefix, radix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return (radix, rest);
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    }
}

/// Digits with at most one point before the last of them, and an exponent with a sign.
fn float(text: &str) -> Option<Scalar<'static>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|rest| !rest.is_empty() && digits(rest))
    });
    if fraction.is_empty() || !digits(whole) || !digits(fraction) || !exponent_fits {
        return None;
    }
    text.parse().ok().map(Scalar::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_reads_what_kubernetes_reads() {
        let text = |text: &'static str| Scalar::Text(text.into());
        for (written, wanted) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("Null", Scalar::Null),
            ("nULL", text("nULL")),
            ("no", Scalar::Bool(false)),
            ("On", Scalar::Bool(true)),
            ("y", Scalar::Bool(true)),
            ("yEs", text("yEs")),
            ("0", Scalar::Int(0)),
            ("-7", Scalar::Int(-7)),
            ("+7", Scalar::Int(7)),
            ("0x1F", Scalar::Int(31)),
            ("0o17", Scalar::Int(15)),
            ("017", Scalar::Int(15)),
            ("0b101", Scalar::Int(5)),
            ("1_000", Scalar::Int(1000)),
            ("08", Scalar::Float(8.0)),
            ("1.5", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("1e+3", Scalar::Float(1000.0)),
            ("1e3", text("1e3")),
            ("1.", text("1.")),
            (
                "9223372036854775808",
                Scalar::Float(9_223_372_036_854_775_808.0),
            ),
            (".inf", Scalar::Float(f64::INFINITY)),
            ("10.0.0.0/8", text("10.0.0.0/8")),
            ("10.0.0.1", text("10.0.0.1")),
            ("80-90", text("80-90")),
            ("-", text("-")),
            ("--1", text("--1")),
            ("0x", text("0x")),
            ("2001-01-01", text("2001-01-01")),
        ] {
            assert_eq!(Scalar::plain(written.into()), wanted, "{written}");
        }
    }
}
