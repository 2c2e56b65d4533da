//! Character classes, and escapes inside and outside of them.

use super::{Parser, SyntaxError};

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

impl Parser<'_> {
    /// An escape outside a class.
    pub(super) fn escape(&mut self) -> Result<(), SyntaxError> {
        if self.eat(r"\Q") {
            let rest = self.rest();
            self.at += rest.find(r"\E").map_or(rest.len(), |at| at + 2);
            return Ok(());
        }
        if [r"\A", r"\b", r"\B", r"\z"]
            .iter()
            .any(|known| self.eat(known))
            || self.set()?
        {
            return Ok(());
        }
        self.character().map(drop)
    }

    /// `[…]`.
    pub(super) fn class(&mut self) -> Result<(), SyntaxError> {
        self.bump();
        self.eat("^");
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if self.peek().is_none() {
                return Err(self.error("a class is not closed"));
            }
            if self.posix()? || self.set()? {
                continue;
            }
            let low = self.character()?;
            let ranged = self.rest().starts_with('-')
                && !self.rest().starts_with("-]")
                && self.rest().len() > 1;
            if ranged {
                self.bump();
                if self.character()? < low {
                    return Err(self.error("a range ends before it starts"));
                }
            }
        }
        Ok(())
    }

    /// `[:name:]` inside a class.
    fn posix(&mut self) -> Result<bool, SyntaxError> {
        let Some(rest) = self.rest().strip_prefix("[:") else {
            return Ok(false);
        };
        let Some((name, _)) = rest.split_once(":]") else {
            return Ok(false);
        };
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(self.error("an unknown class between `[:` and `:]`"));
        }
        self.at += name.len() + 4;
        Ok(true)
    }

    /// `\d` and the like, and Unicode classes. Names of scripts are not looked up.
    fn set(&mut self) -> Result<bool, SyntaxError> {
        if [r"\d", r"\D", r"\s", r"\S", r"\w", r"\W"]
            .iter()
            .any(|known| self.eat(known))
        {
            return Ok(true);
        }
        if !self.eat(r"\p") && !self.eat(r"\P") {
            return Ok(false);
        }
        if !self.eat("{") {
            let general = matches!(self.bump(), Some('C' | 'L' | 'M' | 'N' | 'P' | 'S' | 'Z'));
            return if general {
                Ok(true)
            } else {
                Err(self.error("an unknown Unicode class"))
            };
        }
        let rest = self.rest();
        let end = rest.find('}').unwrap_or(0);
        let name = rest.get(..end).unwrap_or("");
        let name = name.strip_prefix('^').unwrap_or(name);
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(self.error("an unknown Unicode class"));
        }
        self.at += end + 1;
        Ok(true)
    }

    /// One character, escaped or not.
    fn character(&mut self) -> Result<u32, SyntaxError> {
        let Some(first) = self.bump() else {
            return Err(self.error("a character is missing"));
        };
        if first != '\\' {
            return Ok(first.into());
        }
        let Some(escaped) = self.bump() else {
            return Err(self.error("nothing follows a `\\`"));
        };
        match escaped {
            'a' => Ok(7),
            'f' => Ok(12),
            'n' => Ok(10),
            'r' => Ok(13),
            't' => Ok(9),
            'v' => Ok(11),
            'x' => self.hexadecimal(),
            '0'..='7' => self.octal(escaped),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(other.into()),
            _ => Err(self.error("an unknown escape")),
        }
    }

    /// Up to three digits. A single one other than 0 would be a reference to a group, which RE2 does not have.
    fn octal(&mut self, first: char) -> Result<u32, SyntaxError> {
        let mut value = first.to_digit(8).unwrap_or(0);
        let mut more = 0;
        while let (true, Some(digit)) = (more < 2, self.peek().and_then(|next| next.to_digit(8))) {
            value = value * 8 + digit;
            more += 1;
            self.bump();
        }
        if more == 0 && first != '0' {
            return Err(self.error("references to groups do not exist in RE2"));
        }
        Ok(value)
    }

    fn hexadecimal(&mut self) -> Result<u32, SyntaxError> {
        let rest = self.rest();
        let (digits, length) = match rest.strip_prefix('{') {
            Some(body) => body
                .split_once('}')
                .map_or(("", 0), |(digits, _)| (digits, digits.len() + 2)),
            None => (rest.get(..2).unwrap_or(""), 2),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|value| plain && *value <= u32::from(char::MAX));
        self.at += if value.is_some() { length } else { 0 };
        value.ok_or_else(|| self.error("`\\x` needs two hexadecimal digits, or some in braces"))
    }
}
