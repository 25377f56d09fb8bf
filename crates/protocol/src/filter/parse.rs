//! From the text of a filter to its terms: recursive descent over `or`, `and`, `not`, brackets and conditions.

use super::error::{FilterError, quoted};
use super::field::Field;
use super::glob::{Glob, Sign};
use super::needle::Needle;
use super::pattern::Pattern;
use super::{Condition, DEEPEST, LONGEST, MAX_CONDITIONS, Term};

/// The terms of a filter, and its conditions in the order in which they stand.
pub(super) fn parse(source: &str) -> Result<(Term, Vec<Condition>), FilterError> {
    if source.len() > LONGEST {
        return Err(FilterError::new(source, LONGEST, format!("it has more than {LONGEST} bytes"), "ask for less at once"));
    }
    let mut parser = Parser { source, at: 0, depth: 0, brackets: 0, conditions: Vec::new() };
    if source.trim_ascii().is_empty() {
        return parser.text(source, 0).map(|term| (term, parser.conditions));
    }
    let root = parser.any()?;
    match parser.peek() {
        None => Ok((root, parser.conditions)),
        Some(_) => Err(parser.wrong(format!("{} is unexpected here", quoted(parser.word())), JOIN)),
    }
}

const JOIN: &str = "join conditions with `and` or `or`, and write text with such words or signs as text:\"...\"";
const TEXT: &str = "conditions look like process.exe=/tmp/*, net.dst=10.0.0.0/8 or text:foo; write text:\"...\" for these words themselves";

/// Longest value with wildcards: matching takes at most this many steps for each byte of a text.
const MAX_GLOB: usize = 256;

struct Parser<'a> {
    source: &'a str,
    at: usize,
    /// How many `not`s and brackets are open.
    depth: usize,
    /// How many brackets are open.
    brackets: usize,
    conditions: Vec<Condition>,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Term, FilterError> {
        let first = self.all()?;
        self.joined(first, "or", Self::all, Term::Any)
    }

    fn all(&mut self) -> Result<Term, FilterError> {
        let first = self.one()?;
        self.joined(first, "and", Self::one, Term::All)
    }

    fn joined(
        &mut self,
        first: Term,
        word: &str,
        next: fn(&mut Self) -> Result<Term, FilterError>,
        join: fn(Vec<Term>) -> Term,
    ) -> Result<Term, FilterError> {
        let mut terms = vec![first];
        while self.takes(word) {
            terms.push(next(self)?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { join(terms) })
    }

    fn one(&mut self) -> Result<Term, FilterError> {
        let from = self.at;
        match self.peek() {
            None => return Err(self.wrong("a condition is missing", TEXT)),
            Some(b')') if self.brackets > 0 => return Err(self.wrong("a condition is missing before \")\"", TEXT)),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(format!("more than {DEEPEST} brackets and `not`s stand inside each other"), "write it flatter"));
        }
        let term = if self.takes("not") {
            Term::Not(Box::new(self.one()?))
        } else if self.peek() == Some(b'(') {
            self.bracket(from)?
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn bracket(&mut self, from: usize) -> Result<Term, FilterError> {
        self.at += 1;
        self.brackets += 1;
        let term = self.any()?;
        if self.peek() != Some(b')') {
            return Err(match self.peek() {
                None => FilterError::new(self.source, from, "this bracket is not closed", "add \")\""),
                Some(_) => self.wrong(format!("{} is unexpected here", quoted(self.word())), JOIN),
            });
        }
        self.brackets -= 1;
        self.at += 1;
        Ok(term)
    }

    fn condition(&mut self) -> Result<Term, FilterError> {
        let (from, word) = (self.at, self.word());
        for joint in ["and", "or"] {
            if word.eq_ignore_ascii_case(joint) {
                return Err(self.wrong(format!("a condition is missing before `{word}`"), TEXT));
            }
        }
        if let Some(rest) = word.strip_prefix("text:") {
            self.at += "text:".len();
            if rest.starts_with('"') {
                let signs = self.quoted()?;
                let text = signs.into_iter().map(|(byte, _)| byte).collect();
                return String::from_utf8(text)
                    .map_err(|_| FilterError::new(self.source, from, "this text is not UTF-8", "\\xff finds bytes in fields only"))
                    .and_then(|text| self.text(&text, from));
            }
            let text = self.run()?;
            return self.text(text, from);
        }
        if let Some((name, is_not, sign)) = named(word) {
            let field = Field::named(name).ok_or_else(|| self.unknown(name, word))?;
            self.at += name.len() + sign;
            let pattern = self.pattern(field)?;
            let term = self.add(Condition::Field(field, pattern), from)?;
            return Ok(if is_not { Term::Not(Box::new(term)) } else { term });
        }
        let text = self.run()?;
        // A filter that is one text is that text as it was typed, blanks at its ends and all.
        let text = if from + text.len() == self.source.trim_end().len() && self.conditions.is_empty() && self.depth == 1 {
            self.source
        } else {
            text
        };
        self.text(text, from)
    }

    fn text(&mut self, text: &str, from: usize) -> Result<Term, FilterError> {
        self.add(Condition::Text(Box::new(Needle::new(text))), from)
    }

    fn add(&mut self, condition: Condition, from: usize) -> Result<Term, FilterError> {
        if self.conditions.len() == MAX_CONDITIONS {
            let what = format!("it has more than {MAX_CONDITIONS} conditions");
            return Err(FilterError::new(self.source, from, what, "ask several times for less"));
        }
        self.conditions.push(condition);
        Ok(Term::Condition(self.conditions.len() - 1))
    }

    fn pattern(&mut self, field: Field) -> Result<Pattern, FilterError> {
        let from = self.at;
        let signs = if self.source.as_bytes().get(from) == Some(&b'"') { self.quoted()? } else { self.bare() };
        if from == self.at {
            let what = format!("a value of {} is missing", field.name());
            return Err(self.wrong(
                what,
                format!("write {}=VALUE, {}=* for any, or {}=\"\" for none at all", field.name(), field.name(), field.name()),
            ));
        }
        let typed = self.source.get(from..self.at).unwrap_or_default();
        let sign = |(byte, escaped): (u8, bool)| match byte {
            b'*' if !escaped => Sign::Run,
            b'?' if !escaped => Sign::One,
            byte => Sign::Byte(byte),
        };
        let signs: Vec<Sign> = signs.into_iter().map(sign).collect();
        if signs.len() > MAX_GLOB && signs.iter().any(|sign| !matches!(sign, Sign::Byte(_))) {
            let what = format!("a value with wildcards is longer than {MAX_GLOB} bytes");
            return Err(FilterError::new(self.source, from, what, "shorten it: a part of it between two * is enough".to_owned()));
        }
        let glob = Glob::new(signs);
        Pattern::new(glob, field.form()).map_err(|mend| {
            FilterError::new(self.source, from, format!("{} is no {} for {}", quoted(typed), field.form().noun(), field.name()), mend)
        })
    }

    /// Up to a blank or the end of the bracket: bytes, and whether a backslash stood before them.
    fn bare(&mut self) -> Vec<(u8, bool)> {
        let (mut signs, mut open) = (Vec::new(), 0_usize);
        while let Some(byte) = self.source.as_bytes().get(self.at).copied() {
            match byte {
                b'\\' => {
                    signs.push(self.escaped());
                    continue;
                }
                byte if byte.is_ascii_whitespace() => break,
                b')' if self.brackets > 0 && open == 0 => break,
                b'(' => open += 1,
                b')' => open = open.saturating_sub(1),
                _ => {}
            }
            signs.push((byte, false));
            self.at += 1;
        }
        signs
    }

    /// Between quotes: the same.
    fn quoted(&mut self) -> Result<Vec<(u8, bool)>, FilterError> {
        let from = self.at;
        self.at += 1;
        let mut signs = Vec::new();
        loop {
            match self.source.as_bytes().get(self.at).copied() {
                None => {
                    return Err(FilterError::new(
                        self.source,
                        from,
                        "these quotes are not closed",
                        "add \"\\\"\", or write \\\" for a quote inside",
                    ));
                }
                Some(b'"') => break,
                Some(b'\\') => signs.push(self.escaped()),
                Some(byte) => {
                    signs.push((byte, false));
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        match self.source.as_bytes().get(self.at) {
            None => Ok(signs),
            Some(byte) if byte.is_ascii_whitespace() || *byte == b')' => Ok(signs),
            Some(_) => Err(self.wrong(
                format!("{} follows a quote", quoted(self.word())),
                "put a blank behind the closing quote, or \\ before a quote inside",
            )),
        }
    }

    /// What stands behind a backslash: `\xff` a byte, anything else itself.
    fn escaped(&mut self) -> (u8, bool) {
        let bytes = self.source.as_bytes();
        let hex = self.source.get(self.at + 2..self.at + 4).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let (Some(b'x'), Some(byte)) = (bytes.get(self.at + 1), hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            self.at += 4;
            return (byte, true);
        }
        let byte = bytes.get(self.at + 1).copied();
        self.at += if byte.is_some() { 2 } else { 1 };
        (byte.unwrap_or(b'\\'), true)
    }

    /// A text as it stands: up to `and`, `or` or the end of the bracket.
    fn run(&mut self) -> Result<&'a str, FilterError> {
        let from = self.at;
        let (mut end, mut open) = (from, 0_usize);
        while let Some(byte) = self.peek() {
            let word = self.word();
            if end > from {
                if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") {
                    break;
                }
                if named(word).is_some_and(|(name, ..)| Field::named(name).is_some()) || word.starts_with("text:") {
                    return Err(self.wrong(format!("`and` or `or` is missing before {}", quoted(word)), JOIN));
                }
            }
            if byte == b')' && self.brackets > 0 && open == 0 {
                break;
            }
            // Up to the end of the word, or of the bracket within it.
            while let Some(byte) = self.source.as_bytes().get(self.at).copied()
                && !byte.is_ascii_whitespace()
                && !(byte == b')' && self.brackets > 0 && open == 0)
            {
                match byte {
                    b'(' => open += 1,
                    b')' => open = open.saturating_sub(1),
                    _ => {}
                }
                self.at += 1;
            }
            end = self.at;
        }
        Ok(self.source.get(from..end).unwrap_or_default())
    }

    /// The next byte that is no blank; stands on it.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.source.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.source.as_bytes().get(self.at).copied()
    }

    /// From here to the next blank.
    fn word(&self) -> &'a str {
        let rest = self.source.get(self.at..).unwrap_or_default();
        rest.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default()
    }

    /// Takes this word, when it comes next as a word of its own.
    fn takes(&mut self, word: &str) -> bool {
        self.peek();
        let is_it = |next: &str| next == word || next == word.to_ascii_uppercase();
        let bytes = self.source.as_bytes();
        let next = self.source.get(self.at..self.at + word.len()).unwrap_or_default();
        let ends = bytes.get(self.at + word.len()).is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'(');
        let found = is_it(next) && ends;
        if found {
            self.at += word.len();
        }
        found
    }

    fn wrong(&self, what: impl Into<String>, mend: impl Into<String>) -> FilterError {
        FilterError::new(self.source, self.at, what, mend)
    }

    fn unknown(&self, name: &str, word: &str) -> FilterError {
        let names = || Field::ALL.iter().map(|field| field.name());
        let meant = bartizan_model::nearest(name, names()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        let known = names().collect::<Vec<_>>().join(", ");
        self.wrong(format!("there is no field {name}{meant}"), format!("write text:{} for this text itself; fields: {known}", quoted(word)))
    }
}

/// A name of a field, whether it is negated, and the length of the sign: `process.exe=...`, `process.exe!=...`.
fn named(word: &str) -> Option<(&str, bool, usize)> {
    let (name, _) = word.split_once('=')?;
    let (name, is_not) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    (name.bytes().next()?.is_ascii_lowercase() && name.bytes().all(is_name)).then_some((name, is_not, if is_not { 2 } else { 1 }))
}
