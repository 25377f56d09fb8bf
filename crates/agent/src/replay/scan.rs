//! A walk over JSON exactly as we print it: no blanks, no escapes in keys. It finds where values begin and end and
//! nothing more; whoever takes a value out reads it, or knows its text already.

/// A place in a text. Every step gives `None` where the text is not as we print it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where it stands, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What lies ahead.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What lies between two places passed.
    pub(super) fn between(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// Steps over this text.
    pub(super) fn eat(&mut self, expected: &str) -> Option<()> {
        let ahead = self.text.as_bytes().get(self.at..)?;
        ahead.starts_with(expected.as_bytes()).then(|| self.at += expected.len())
    }

    /// Steps over a string and gives what stands between its quotes, escapes and all.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.eat("\"")?;
        let from = self.at;
        self.end_of_string()?;
        Some(self.between(from, self.at - 1))
    }

    /// Steps over a key with its colon.
    pub(super) fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?;
        self.eat(":")?;
        (!key.contains('\\')).then_some(key)
    }

    /// Steps over any value and gives its text.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let from = self.at;
        match self.byte()? {
            b'"' => drop(self.string()?),
            b'{' | b'[' => self.end_of_group()?,
            _ => {
                let ahead = self.text.as_bytes().get(self.at..)?;
                self.at += ahead.iter().position(|byte| matches!(byte, b',' | b'}' | b']'))?;
            }
        }
        Some(self.between(from, self.at))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// From behind the opening quote to behind the closing one.
    fn end_of_string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        loop {
            self.at += bytes.get(self.at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if bytes.get(self.at) == Some(&b'"') {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    /// From an opening bracket to behind its closing one.
    fn end_of_group(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let byte = self.byte()?;
            self.at += 1;
            match byte {
                b'"' => self.end_of_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return Some(()),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
    }
}
