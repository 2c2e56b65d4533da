//! Syntax of the regular expressions that Cilium takes: RE2, as Go reads it.
//!
//! This only answers whether an expression would compile. It runs without recursion, so that its depth is bounded by
//! [`DEPTH`] alone.

use std::fmt;

/// Character classes, and escapes inside and outside of them.
mod class;

/// Levels of groups; Go refuses more.
const DEPTH: usize = 1000;
/// How often an expression may repeat its innermost part by counted repetition; Go refuses more.
const REPEAT: u32 = 1000;

/// Why an expression does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte of the expression.
    pub at: usize,
    reason: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}", self.reason, self.at + 1)
    }
}

impl std::error::Error for SyntaxError {}

/// Whether an expression compiles.
///
/// ```
/// use policyc_ir::validate::regex;
/// assert!(regex::check("/api/v[0-9]+(/.*)?").is_ok());
/// assert!(regex::check("/api/(?!private).*").is_err());
/// ```
pub fn check(text: &str) -> Result<(), SyntaxError> {
    let mut parser = Parser {
        text,
        at: 0,
        open: Vec::new(),
        last: Last::Nothing,
        widest: 1,
    };
    while parser.peek().is_some() {
        parser.item()?;
    }
    if parser.open.is_empty() {
        Ok(())
    } else {
        Err(parser.error("a group is not closed"))
    }
}

/// What stands before the place being read.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// Nothing that can be repeated.
    Nothing,
    /// Something that counted repetition already repeats so often.
    Part(u32),
    /// A repetition, which cannot be repeated again.
    Repetition,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// For each open group, the count of what stood before it.
    open: Vec<u32>,
    last: Last,
    /// The highest count within the group being read.
    widest: u32,
}

impl Parser<'_> {
    fn item(&mut self) -> Result<(), SyntaxError> {
        let Some(first) = self.peek() else {
            return Ok(());
        };
        match first {
            '(' => self.group(),
            ')' => self.close(),
            '|' => {
                self.bump();
                self.last = Last::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => {
                self.bump();
                self.repeat(1)
            }
            '{' => match self.counts()? {
                Some(count) => self.repeat(count),
                None => self.literal(),
            },
            '[' => {
                self.class()?;
                self.part()
            }
            '\\' => {
                self.escape()?;
                self.part()
            }
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<(), SyntaxError> {
        self.bump();
        self.part()
    }

    #[expect(clippy::unnecessary_wraps, reason = "keeps the arms of `item` alike")]
    fn part(&mut self) -> Result<(), SyntaxError> {
        self.last = Last::Part(1);
        Ok(())
    }

    /// `(`, with flags or a name.
    fn group(&mut self) -> Result<(), SyntaxError> {
        self.bump();
        if self.eat("?P<") || self.eat("?<") {
            self.name()?;
        } else if self.eat("?") && self.flags()? {
            // `(?i)` sets flags and groups nothing.
            self.last = Last::Nothing;
            return Ok(());
        }
        if self.open.len() >= DEPTH {
            return Err(self.error("groups are nested too deep"));
        }
        self.open.push(self.widest);
        (self.widest, self.last) = (1, Last::Nothing);
        Ok(())
    }

    fn name(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let end = rest.find('>').unwrap_or(0);
        let name = rest.get(..end).unwrap_or("");
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(self.error(
                "a group's name is not closed, or has characters other than letters and digits",
            ));
        }
        self.at += end + 1;
        Ok(())
    }

    /// The flags after `(?`; whether they end the group.
    fn flags(&mut self) -> Result<bool, SyntaxError> {
        let (mut negative, mut any) = (false, false);
        loop {
            match self.bump() {
                Some('i' | 'm' | 's' | 'U') => any = true,
                Some('-') if !negative => (negative, any) = (true, false),
                Some(end @ (':' | ')')) if any || !negative => return Ok(end == ')'),
                _ => {
                    return Err(self.error(
                        "this kind of group (lookaround and the like) does not exist in RE2",
                    ));
                }
            }
        }
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let Some(outer) = self.open.pop() else {
            return Err(self.error("`)` closes no group"));
        };
        self.bump();
        self.last = Last::Part(self.widest);
        self.widest = self.widest.max(outer);
        Ok(())
    }

    fn repeat(&mut self, count: u32) -> Result<(), SyntaxError> {
        let inner = match self.last {
            Last::Nothing => return Err(self.error("nothing stands before a repetition")),
            Last::Repetition => return Err(self.error("a repetition is repeated")),
            Last::Part(inner) => inner,
        };
        let total = inner.saturating_mul(count.max(1));
        if total > REPEAT {
            return Err(self.error("a repetition is counted beyond 1000"));
        }
        self.widest = self.widest.max(total);
        self.eat("?");
        self.last = Last::Repetition;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; anything else in braces is plain text.
    fn counts(&mut self) -> Result<Option<u32>, SyntaxError> {
        let rest = self.rest();
        let Some(body) = rest
            .get(1..)
            .and_then(|rest| rest.split_once('}'))
            .map(|(body, _)| body)
        else {
            return Ok(None);
        };
        let (low, high) = body
            .split_once(',')
            .map_or((body, None), |(low, high)| (low, Some(high)));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits && (text.len() == 1 || !text.starts_with('0'));
            plain.then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let Some(least) = number(low) else {
            return Ok(None);
        };
        let most = match high {
            None | Some("") => least,
            Some(high) => match number(high) {
                Some(most) => most,
                None => return Ok(None),
            },
        };
        if least > REPEAT || most > REPEAT || least > most {
            return Err(self.error("a repetition's counts are out of order or beyond 1000"));
        }
        self.at += body.len() + 2;
        Ok(Some(most))
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError {
            at: self.at.min(self.text.len()),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn accepts_what_re2_compiles() {
        for text in [
            "",
            "/",
            "/api/v[0-9]+",
            "GET|POST",
            "(?i)get",
            "(?i:a)b",
            "(?P<n>a)",
            "(?<n>a)",
            "a*?",
            "a{2,3}?",
            "a{,3}",
            "a{x",
            "{",
            "a{1000}",
            "[]a]",
            "[^]a]",
            "[a-]",
            "[[:alpha:]_]",
            "[[:^digit:]]",
            "[[x]",
            r"\d+\s\W",
            r"[\d\]]",
            r"\pL\p{Greek}\P{^Lu}",
            r"\x41\x{10FFFF}\012\07",
            r"(\Qa(b\E)?",
            r"\Q(",
            r"\.\-\/\_",
            "^$",
            "^*",
            "a||b",
            "()",
            "(a|)*",
            "é+",
            r"(?s-i).",
            "x{0}",
            "[*]",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_what_re2_does_not_compile() {
        for text in [
            "(",
            ")",
            "a)",
            "*",
            "+a",
            "a**",
            "a+*",
            "a|*",
            "(*)",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?>a)",
            "(?P=n)",
            "(?P<>a)",
            "(?P<n",
            "(?",
            "(?i",
            "[",
            "[a",
            "[]",
            "[z-a]",
            "[[:nope:]]",
            r"\",
            r"\1",
            r"\8",
            r"\k",
            r"\C",
            r"\xZ",
            r"\x{",
            r"\x{110000}",
            r"\p",
            r"\pX",
            r"\p{",
            r"[\b]",
            "a{1001}",
            "a{2,1}",
            "(a{100}){100}",
            "(?i)*",
            r"\Z",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check(&"(".repeat(100_000)).is_err());
    }
}
