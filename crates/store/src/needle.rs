//! A text that is looked for in the JSON of events, and how to know without making that JSON that it is not there.

use super::block::vocabulary;
use super::error::StoreError;
use bartizan_model::HostText;

/// A text to find.
#[derive(Debug)]
pub(super) struct Needle {
    /// As it was typed.
    typed: Vec<u8>,
    /// As it stands in JSON when it holds quotes, control characters or raw bytes.
    quoted: Vec<u8>,
    /// Parts that stand in an open block as they are if the text stands in the JSON of one of its events.
    parts: Vec<Vec<u8>>,
}

impl Needle {
    pub(super) fn new(text: &HostText) -> Result<Self, StoreError> {
        let quoted = serde_json::to_string(text)?;
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
        let parts = text.as_bytes().split(|byte| ends_part(*byte)).filter_map(telling).map(<[u8]>::to_vec).collect();
        Ok(Self { typed: text.as_bytes().to_vec(), quoted: inner.as_bytes().to_vec(), parts })
    }

    /// Whether the JSON of an event holds it.
    pub(super) fn is_in(&self, json: &[u8]) -> bool {
        holds(json, &self.typed) || (self.quoted != self.typed && holds(json, &self.quoted))
    }

    /// Whether an open block may hold an event with it. False is certain.
    pub(super) fn may_be_in(&self, raw: &[u8]) -> bool {
        self.parts.iter().all(|part| holds(raw, part))
    }

    /// Parts that would have to be in the block: what a reader adds later is not.
    pub(super) fn parts(&self) -> &[Vec<u8>] {
        &self.parts
    }

    /// Believes no block without having read it.
    pub(super) fn read_everything(&mut self) {
        self.parts.clear();
    }
}

/// JSON's own signs, and what JSON writes otherwise than it is: a part between them lies within one text or number.
fn ends_part(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b':' | b',' | b'{' | b'}' | b'[' | b']') || !(0x20..0x7f).contains(&byte)
}

/// What of a part must stand in a block as it is: not a number, moment, key or digest, which blocks write otherwise, not a word
/// of the form itself, and not the end of an escape (`\n`, `\u001b`).
fn telling(part: &[u8]) -> Option<&[u8]> {
    if is_begun_escape(part) {
        return None;
    }
    let escape = (0..=part.len().min(5)).rev().find(|length| part.get(..*length).is_some_and(is_end_of_escape)).unwrap_or(0);
    let rest = part.get(escape..)?;
    let text = std::str::from_utf8(rest).ok()?;
    (!may_be_written_otherwise(rest) && !vocabulary::holds(text)).then_some(rest)
}

/// Whether it may be part of a number, a moment, a key, a number of an event or a digest. Of these only a moment has a dot, and
/// only one: IPv4 addresses, which stand in a block as they are, have more.
fn may_be_written_otherwise(part: &[u8]) -> bool {
    let dots = part.iter().filter(|byte| **byte == b'.').count();
    let moment = |byte: &u8| byte.is_ascii_digit() || b".+Z".contains(byte);
    let other = |byte: &u8| byte.is_ascii_hexdigit() || b"-+TZ".contains(byte);
    (dots == 0 && part.iter().all(other)) || (dots == 1 && part.iter().all(moment))
}

/// The last bytes of `\n` or of `\u001b`, the only escapes that JSON makes of control characters.
fn is_end_of_escape(tail: &[u8]) -> bool {
    match tail {
        [] => true,
        [b'b' | b'f' | b'n' | b'r' | b't'] => true,
        [before @ .., last] => {
            let full = b"u001";
            let fits = |high: u8| [b'u', b'0', b'0', high].ends_with(before);
            before.len() <= full.len() && last.is_ascii_hexdigit() && (fits(b'0') || fits(b'1'))
        }
    }
}

/// What stands of `\u001b` after the backslash when the text ends within it.
fn is_begun_escape(part: &[u8]) -> bool {
    b"u000".starts_with(part) || b"u001".starts_with(part)
}

/// Whether `text` holds `part` (Horspool: what stands at the end of the window says how far it may jump).
pub(super) fn holds(text: &[u8], part: &[u8]) -> bool {
    let Some((last, before)) = part.split_last() else { return true };
    let mut jump = [part.len(); 256];
    for (place, byte) in before.iter().enumerate() {
        if let Some(distance) = jump.get_mut(usize::from(*byte)) {
            *distance = before.len() - place;
        }
    }
    let mut end = before.len();
    while let Some(byte) = text.get(end) {
        if byte == last && text.get(end - before.len()..end) == Some(before) {
            return true;
        }
        end += jump.get(usize::from(*byte)).copied().unwrap_or(1);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_telling_parts_of_a_text() {
        let parts = |text: &str| {
            let needle = Needle::new(&HostText::from(text)).unwrap();
            needle.parts.into_iter().map(|part| String::from_utf8(part).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(parts("/usr/bin/curl"), ["/usr/bin/curl"]);
        assert_eq!(parts("http://h/\u{1b}[1m"), ["http", "//h/"], "what may be the end of an escape tells nothing");
        assert_eq!(parts("curl"), ["url"], "\\u001c is written so");
        assert_eq!(parts("\\u001b~~"), ["~~"]);
        assert!(parts("0013\\u0").is_empty(), "an escape that is only begun tells nothing");
        assert_eq!(parts("203.0.113.7"), ["03.0.113.7"]);
        assert!(parts("20.000000005Z").is_empty());
        assert!(parts("\"kind\":\"process.exec\"").is_empty(), "these words are not written in a block");
        assert!(parts("0000002a-42-7").is_empty() && parts("2023-11-14T22").is_empty() && parts("2001:db8::1").is_empty());
    }

    proptest! {
        #[test]
        fn finding_is_what_windows_find(text in prop::collection::vec(0u8..4, 0..40), part in prop::collection::vec(0u8..4, 0..5)) {
            prop_assert_eq!(holds(&text, &part), part.is_empty() || text.windows(part.len()).any(|window| window == part));
        }
    }
}
