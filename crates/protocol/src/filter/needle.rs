//! A text that is looked for in the JSON of events, and what can be said of it without that JSON.
//!
//! JSON is a row of tokens (strings, numbers, words) between signs. A text without signs lies within one token if it is there at all.

use memchr::memmem::Finder;

/// Parts that are looked for of one text; the longest say most.
const MAX_PARTS: usize = 3;
/// From here on characters stand for raw bytes in JSON (`HostText`).
const STANDS_FOR_BYTE: char = '\u{10ff00}';

/// A text to find.
#[derive(Debug, Clone)]
pub struct Needle {
    /// As it was typed.
    typed: Finder<'static>,
    /// As it stands in JSON where that is something else: quotes, backslashes, control characters.
    quoted: Option<Finder<'static>>,
    /// It lies within one token or nowhere.
    whole: bool,
    /// Stretches without signs, the longest first: each lies within one token.
    parts: Vec<Vec<u8>>,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
        let mut parts: Vec<Vec<u8>> =
            text.split(|c| !is_plain(c)).filter(|part| !part.is_empty()).map(|part| part.as_bytes().to_vec()).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.truncate(MAX_PARTS);
        Self {
            typed: Finder::new(text).into_owned(),
            quoted: (inner != text).then(|| Finder::new(inner).into_owned()),
            whole: !text.is_empty() && inner == text && (text.chars().all(is_plain) || is_within_a_string(text)),
            parts,
        }
    }

    /// Whether the JSON of an event holds it.
    pub fn is_in(&self, json: &[u8]) -> bool {
        self.typed.find(json).is_some() || self.quoted.as_ref().is_some_and(|quoted| quoted.find(json).is_some())
    }

    /// The text, when it lies within one token of JSON if it is there at all.
    pub fn whole(&self) -> Option<&[u8]> {
        self.whole.then(|| self.typed.needle())
    }

    /// Texts each of which lies within one token of any JSON that holds it.
    pub fn parts(&self) -> &[Vec<u8>] {
        &self.parts
    }
}

/// Whether JSON writes a character as it is, and only within tokens.
fn is_plain(c: char) -> bool {
    !c.is_ascii_control() && !matches!(c, '"' | '\\' | ':' | ',' | '{' | '}' | '[' | ']') && c < STANDS_FOR_BYTE
}

/// Whether a text without quotes holds a sign that cannot be JSON's own, so that all of it lies within one string. Of JSON without
/// blanks and without lists of numbers: a colon follows a quote; before a quote or an opening sign stands every other sign.
fn is_within_a_string(text: &str) -> bool {
    if text.contains(['"', '\\']) || !text.chars().all(|c| is_plain(c) || matches!(c, ':' | ',' | '{' | '}' | '[' | ']')) {
        return false;
    }
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(place, byte)| {
        let before = place.checked_sub(1).and_then(|place| bytes.get(place));
        let after = bytes.get(place + 1);
        match byte {
            b':' => before.is_some(),
            b',' => after.is_some_and(|after| *after != b'{'),
            b'{' => after.is_some_and(|after| *after != b'}'),
            b'[' => after.is_some_and(|after| !matches!(after, b'{' | b']')),
            b']' => before.is_some_and(|before| !matches!(before, b'}' | b'[')),
            b'}' => after.is_some_and(|after| !matches!(after, b',' | b'}' | b']')),
            _ => false,
        }
    })
}
