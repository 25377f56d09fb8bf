//! Python's regular expressions in the syntax of Rust's: escapes, classes, flags and conditions that the two write differently.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// A translated expression and the flags that hold for all of it.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) any_case: bool,
    pub(super) dot_all: bool,
    pub(super) verbose: bool,
}

/// Translates; the error says in a sentence what is not understood.
pub(super) fn translate(python: &str) -> Result<Translated, String> {
    let mut reader = Reader { rest: python.chars().peekable(), out: Translated::default(), names: BTreeSet::new() };
    reader.out.text.reserve(python.len() + 64);
    // White space is only passed over when the flag is set, wherever it stands.
    reader.out.verbose = python.contains("(?x)");
    while let Some(next) = reader.rest.next() {
        reader.one(next)?;
    }
    Ok(reader.out)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    out: Translated,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn put(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    fn one(&mut self, next: char) -> Result<(), String> {
        match next {
            '\\' => {
                let text = self.escape(false)?;
                self.put(&text);
            }
            '[' => self.class()?,
            '{' => self.braces(),
            '(' => self.group()?,
            '#' if self.out.verbose => {
                let _ = self.rest.by_ref().find(|c| *c == '\n');
                self.put("\n");
            }
            other => self.out.text.push(other),
        }
        Ok(())
    }

    /// What stands behind a backslash.
    fn escape(&mut self, in_class: bool) -> Result<String, String> {
        let Some(next) = self.rest.next() else { return Err("it ends with a backslash".to_owned()) };
        Ok(match next {
            'Z' if !in_class => r"\z".to_owned(),
            'b' if in_class => r"\x08".to_owned(),
            'A' | 'b' | 'B' if !in_class => format!("\\{next}"),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'n' | 'r' | 't' => format!("\\{next}"),
            'a' => r"\x07".to_owned(),
            'f' => r"\x0C".to_owned(),
            'v' => r"\x0B".to_owned(),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            '0' => self.octal(0),
            digit @ '1'..='9' if in_class => self.octal(digit.to_digit(8).unwrap_or_default()),
            digit @ '1'..='9' => {
                let second = self.rest.next_if(char::is_ascii_digit);
                // Brackets keep the number apart from a digit behind it.
                format!("(?:\\{digit}{})", second.map(String::from).unwrap_or_default())
            }
            letter if letter.is_ascii_alphabetic() => return Err(format!("Python has no `\\{letter}`")),
            other => literal(other, in_class, self.out.verbose),
        })
    }

    /// The character of this many hexadecimal digits.
    fn code(&mut self, digits: usize) -> Result<String, String> {
        let text: String = (0..digits).filter_map(|_| self.rest.next_if(char::is_ascii_hexdigit)).collect();
        if text.len() == digits { Ok(format!("\\x{{{text}}}")) } else { Err("a code of a character is cut short".to_owned()) }
    }

    fn octal(&mut self, first: u32) -> String {
        let mut value = first;
        for _ in 0..2 {
            match self.rest.next_if(|c| ('0'..='7').contains(c)).and_then(|c| c.to_digit(8)) {
                Some(digit) => value = value * 8 + digit,
                None => break,
            }
        }
        format!("\\x{{{value:x}}}")
    }

    /// A brace counts repetitions, or is one.
    fn braces(&mut self) {
        let ahead: String = self.rest.clone().take(24).collect();
        let inside = ahead.split_once('}').map(|(inside, _)| inside);
        let counts = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let repeats = inside.filter(|inside| {
            let (low, high) = inside.split_once(',').unwrap_or((inside, "0"));
            !inside.is_empty() && counts(low) && counts(high)
        });
        match repeats {
            Some(inside) => {
                // Python lets the lower bound out where it is 0.
                let low = if inside.starts_with(',') { "0" } else { "" };
                self.put(&format!("{{{low}{inside}}}"));
                let _ = self.rest.nth(inside.chars().count());
            }
            None => self.put(r"\{"),
        }
    }

    /// What stands behind an opening bracket.
    fn group(&mut self) -> Result<(), String> {
        if self.rest.next_if_eq(&'?').is_none() {
            self.put("(");
            return Ok(());
        }
        match self.rest.next() {
            Some('#') => {
                let _ = self.rest.by_ref().find(|c| *c == ')');
            }
            Some('P') => self.named()?,
            Some('(') => {
                let name: String = self.rest.by_ref().take_while(|c| *c != ')').collect();
                let number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
                self.put(&if number { format!("(?({name})") } else { format!("(?(<{name}>)") });
            }
            Some('<') => match self.rest.next() {
                Some(kind @ ('=' | '!')) => self.put(&format!("(?<{kind}")),
                _ => return Err("Python writes `(?P<name>`, not `(?<name>`".to_owned()),
            },
            Some(kind @ (':' | '=' | '!' | '>')) => self.put(&format!("(?{kind}")),
            Some(flag) if flag.is_ascii_alphabetic() || flag == '-' => self.flags(flag)?,
            other => return Err(format!("Python has no `(?{}`", other.map(String::from).unwrap_or_default())),
        }
        Ok(())
    }

    /// `(?P<name>` and `(?P=name)`.
    fn named(&mut self) -> Result<(), String> {
        let kind = self.rest.next();
        let closing = match kind {
            Some('<') => '>',
            Some('=') => ')',
            _ => return Err("Python has only `(?P<name>` and `(?P=name)`".to_owned()),
        };
        let name: String = self.rest.by_ref().take_while(|c| *c != closing).collect();
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(format!("`{name}` is no name of a group"));
        }
        if closing == '>' && !self.names.insert(name.clone()) {
            return Err(format!("the field `{name}` is there twice"));
        }
        self.put(&if closing == '>' { format!("(?P<{name}>") } else { format!("(?P={name})") });
        Ok(())
    }

    /// `(?i)` for all of it, `(?i:` for a part.
    fn flags(&mut self, first: char) -> Result<(), String> {
        let mut flags = String::from(first);
        let scoped = loop {
            match self.rest.next() {
                Some(')') => break false,
                Some(':') => break true,
                Some(flag) if flags.len() < 16 => flags.push(flag),
                _ => return Err("flags without an end".to_owned()),
            }
        };
        if let Some(unknown) = flags.chars().find(|flag| !"aiLmsux-".contains(*flag)) {
            return Err(format!("Python has no flag `{unknown}` (in `(?{flags}`)"));
        }
        // Text of all languages is the rule here anyway.
        let kept: String = flags.chars().filter(|flag| "imsx-".contains(*flag)).collect();
        if scoped {
            self.put(&format!("(?{}:", kept.trim_end_matches('-')));
            return Ok(());
        }
        if flags.contains('-') {
            return Err(format!("Python takes no flag back for all of an expression (`(?{flags})`)"));
        }
        // Wherever they stand they hold from the beginning, as they did for Python before 3.11.
        self.out.any_case |= flags.contains('i');
        self.out.dot_all |= flags.contains('s');
        self.out.verbose |= flags.contains('x');
        Ok(())
    }

    /// A class: `[`, `&&`, `~~` and `--` are plain characters to Python.
    fn class(&mut self) -> Result<(), String> {
        self.put("[");
        if self.rest.next_if_eq(&'^').is_some() {
            self.put("^");
        }
        let mut first = true;
        loop {
            let Some(next) = self.rest.next() else { return Err("a class (`[`) without an end".to_owned()) };
            if next == ']' && !first {
                self.put("]");
                return Ok(());
            }
            first = false;
            let low = if next == '\\' { self.escape(true)? } else { literal(next, true, self.out.verbose) };
            self.put(&low);
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('-') || matches!(ahead.next(), Some(']') | None) || is_set(&low) {
                continue;
            }
            // A range: what stands behind `-` is its end.
            let _ = self.rest.next();
            let high = match self.rest.next() {
                Some('\\') => self.escape(true)?,
                Some(other) => literal(other, true, self.out.verbose),
                None => continue,
            };
            if is_set(&high) {
                return Err("a range in a class ends with a class".to_owned());
            }
            self.put(&format!("-{high}"));
        }
    }
}

fn is_set(text: &str) -> bool {
    text.len() == 2 && text.ends_with(['d', 'D', 'w', 'W', 's', 'S'])
}

/// A character that stands for itself.
fn literal(c: char, in_class: bool, verbose: bool) -> String {
    match c {
        ' ' | '#' | '\t' | '\n' if verbose => format!("\\x{{{:x}}}", u32::from(c)),
        '[' | ']' | '\\' | '^' | '-' | '&' | '~' if in_class => format!("\\{c}"),
        '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\\' if !in_class => format!("\\{c}"),
        other => other.to_string(),
    }
}
