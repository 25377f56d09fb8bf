//! PHP in a plain form: comments out, pieces of text joined, escapes and `chr()` read, lower case; which bytes are text is remembered.

/// Longest arguments of a call that are looked at, in bytes.
const LONGEST: usize = 4_000;
/// Longest number in `chr()`, in digits.
const DIGITS: usize = 5;

/// Code in its plain form.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) text: Vec<u8>,
    /// Of each byte: it lies inside of a text in quotes.
    quoted: Vec<bool>,
}

impl Plain {
    /// Reads a file: what is outside of `<? ?>` is left out.
    pub(super) fn of(content: &[u8]) -> Self {
        let mut plain = Self::default();
        let mut rest = content;
        while let Some(at) = memchr::memmem::find(rest, b"<?") {
            let code = rest.get(at + 2..).unwrap_or_default();
            if code.starts_with(b"xml") {
                rest = code;
                continue;
            }
            rest = plain.read(code);
        }
        if plain.text.is_empty() {
            plain.read(content);
        }
        plain
    }

    /// Whether the byte at this place is in a text in quotes.
    pub(super) fn is_text(&self, at: usize) -> bool {
        self.quoted.get(at).copied().unwrap_or(false)
    }

    /// Functions one by one, and what is outside of them: a variable has its meaning in one of them.
    pub(super) fn scopes(&self) -> Vec<Self> {
        let starts = memchr::memmem::find_iter(&self.text, b"function ").filter(|at| !self.is_text(*at));
        let mut ends: Vec<usize> = std::iter::once(0).chain(starts).collect();
        ends.push(self.text.len());
        let part = |from: usize, to: usize| Self {
            text: self.text.get(from..to).unwrap_or_default().to_vec(),
            quoted: self.quoted.get(from..to).unwrap_or_default().to_vec(),
        };
        ends.windows(2).filter_map(|pair| Some(part(*pair.first()?, *pair.last()?))).collect()
    }

    fn push(&mut self, byte: u8, quoted: bool) {
        self.text.push(byte.to_ascii_lowercase());
        self.quoted.push(quoted);
    }

    /// Reads code up to `?>`; gives what follows.
    fn read<'a>(&mut self, code: &'a [u8]) -> &'a [u8] {
        let mut at = 0;
        while let Some(byte) = code.get(at).copied() {
            let rest = code.get(at..).unwrap_or_default();
            if rest.starts_with(b"?>") {
                self.push(b';', false);
                return rest.get(2..).unwrap_or_default();
            }
            at += match byte {
                b'#' if rest.get(1) != Some(&b'[') => line(rest),
                b'/' if rest.starts_with(b"//") => line(rest),
                b'/' if rest.starts_with(b"/*") => memchr::memmem::find(rest, b"*/").map_or(rest.len(), |end| end + 2),
                b'\'' | b'"' => self.quote(rest, byte),
                b'.' => self.joint(rest),
                b'c' | b'C' => self.character(rest),
                byte if byte.is_ascii_whitespace() => {
                    // One space between words, none elsewhere.
                    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80;
                    let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                    if self.text.last().copied().is_some_and(word) && rest.get(blank).copied().is_some_and(word) {
                        self.push(b' ', false);
                    }
                    blank
                }
                byte => {
                    self.push(byte, false);
                    1
                }
            };
        }
        &[]
    }

    /// A text in quotes, with its escapes read; it is written in single ones.
    fn quote(&mut self, rest: &[u8], mark: u8) -> usize {
        self.push(b'\'', true);
        let mut at = 1;
        while let Some(byte) = rest.get(at).copied() {
            let left = rest.get(at..).unwrap_or_default();
            match byte {
                byte if byte == mark => {
                    at += 1;
                    break;
                }
                b'\\' => {
                    let (read, length) = escape(left, mark);
                    self.push(read, true);
                    at += length;
                }
                byte => {
                    self.push(byte, true);
                    at += 1;
                }
            }
        }
        self.push(b'\'', true);
        at
    }

    /// A dot between two texts joins them.
    fn joint(&mut self, rest: &[u8]) -> usize {
        let blank = rest.get(1..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let next = rest.get(1 + blank..).unwrap_or_default();
        let ends_text = self.text.last() == Some(&b'\'') && self.quoted.last() == Some(&true);
        let mut second = Self::default();
        let taken = match next.first() {
            Some(mark @ (b'\'' | b'"')) if ends_text => second.quote(next, *mark),
            Some(b'c' | b'C') if ends_text => second.character(next),
            _ => 0,
        };
        if taken == 0 || second.text.first() != Some(&b'\'') {
            self.push(b'.', false);
            return 1;
        }
        self.text.pop();
        self.quoted.pop();
        self.text.extend(second.text.iter().skip(1));
        self.quoted.extend(second.quoted.iter().skip(1));
        1 + blank + taken
    }

    /// `chr(101)` is a text of one letter; any other word with a c is itself.
    fn character(&mut self, rest: &[u8]) -> usize {
        let inside = rest.get(..4).filter(|word| word.eq_ignore_ascii_case(b"chr(")).and_then(|_| rest.get(4..));
        let digits = inside.map_or(0, |inside| inside.iter().take(DIGITS).take_while(|byte| byte.is_ascii_digit()).count());
        let number = rest.get(4..4 + digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
        let word = self.text.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        match number {
            Some(number) if !word && rest.get(4 + digits) == Some(&b')') => {
                for byte in [b'\'', (number % 256) as u8, b'\''] {
                    self.push(byte, true);
                }
                digits + 5
            }
            _ => {
                self.push(rest.first().copied().unwrap_or(b'c'), false);
                1
            }
        }
    }
}

/// A comment to the end of its line, or of the code.
fn line(rest: &[u8]) -> usize {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    memchr::memmem::find(rest.get(..end).unwrap_or_default(), b"?>").unwrap_or(end)
}

/// An escape and its length; a quote inside of a text becomes a blank, so that the plain form has the marks of texts alone.
fn escape(rest: &[u8], mark: u8) -> (u8, usize) {
    let number = |from: usize, most: usize, radix: u32| {
        let digits = rest.get(from..).unwrap_or_default().iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let text = std::str::from_utf8(rest.get(from..from + digits).unwrap_or_default()).ok();
        text.and_then(|text| u32::from_str_radix(text, radix).ok()).map(|number| ((number % 256) as u8, from + digits))
    };
    match rest.get(1) {
        Some(b'x') if mark == b'"' => number(2, 2, 16).unwrap_or((b'\\', 1)),
        Some(b'0'..=b'7') if mark == b'"' => number(1, 3, 8).unwrap_or((b'\\', 1)),
        Some(b'\'' | b'"') => (b' ', 2),
        Some(b'\\') => (b'\\', 2),
        _ => (b'\\', 1),
    }
}

/// What stands between this parenthesis and its other half, at most 4,000 bytes; parentheses in texts do not count.
pub(super) fn arguments(text: &[u8], open: usize) -> &[u8] {
    let all = text.get(open..).unwrap_or_default();
    let all = all.get(..LONGEST).unwrap_or(all);
    let (mut depth, mut quoted) = (0usize, false);
    for (at, byte) in all.iter().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return all.get(1..at).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    all.get(1..).unwrap_or_default()
}

fn words(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text.get(at..)?.iter().position(in_word)?;
        let length = text.get(start..)?.iter().take_while(|byte| in_word(byte)).count();
        at = start + length;
        Some((at, text.get(start..at)?))
    })
}

/// The variables that are named in this part.
pub(super) fn variables(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(text).map(|(_, word)| word).filter(|word| word.starts_with(b"$"))
}

/// The functions that are called in this part.
pub(super) fn calls(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(text).filter(|(end, word)| !word.starts_with(b"$") && text.get(*end) == Some(&b'(')).map(|(_, word)| word)
}
