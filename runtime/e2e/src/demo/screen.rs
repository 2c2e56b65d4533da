//! What the reader sees.

use std::io::Write;

use super::Error;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Headings.
    Strong,
    /// Of less interest.
    Faint,
    /// As wished.
    Good,
    /// Not as wished.
    Bad,
}

/// Where the demo writes.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
    colour: bool,
    sections: u32,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, colour: bool) -> Self {
        Self {
            out,
            colour,
            sections: 0,
        }
    }

    /// Starts a section.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), Error> {
        self.sections += 1;
        let text = self.paint(Look::Strong, &format!("{}. {text}", self.sections));
        writeln!(self.out, "\n{text}\n")?;
        Ok(())
    }

    /// A line of the demo's own.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.out, "{text}")?;
        // Seen at once, also through a pipe: the next step may take its time.
        self.out.flush()?;
        Ok(())
    }

    /// An empty line.
    pub(super) fn blank(&mut self) -> Result<(), Error> {
        self.say("")
    }

    /// What a program was asked.
    pub(super) fn command(&mut self, line: &str) -> Result<(), Error> {
        let line = self.paint(Look::Strong, &format!("$ {line}"));
        self.say(&line)
    }

    /// What a program said.
    pub(super) fn quote<'t>(
        &mut self,
        lines: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), Error> {
        for line in lines {
            writeln!(self.out, "{}", format!("  {line}").trim_end())?;
        }
        self.blank()
    }

    /// The text as it should look here.
    pub(super) fn paint(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Strong => 1,
            Look::Faint => 2,
            Look::Good => 32,
            Look::Bad => 31,
        };
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(colour: bool) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, colour);
        screen.heading("Check").unwrap();
        screen.heading("Build").unwrap();
        screen.quote(["a", ""]).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(written(false), "\n1. Check\n\n\n2. Build\n\n  a\n\n\n");
    }

    #[test]
    fn colours_are_reset() {
        assert!(written(true).starts_with("\n\u{1b}[1m1. Check\u{1b}[0m\n"));
    }
}
