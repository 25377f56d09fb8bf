//! Blocks that hold nothing of what a filter names are not read event by event: the bytes of the names are not in them.

use memchr::memmem::Finder;

use super::block::vocabulary;
use super::digests::Lookup;
use bartizan_protocol::{Condition, Field, Filter};

/// A filter's own texts, as they would stand in an open block.
#[derive(Debug)]
pub(super) struct Prefilter {
    filter: Filter,
    /// A condition that this text must be in the block for, as its bit.
    needed: Vec<(u64, Finder<'static>)>,
}

impl Prefilter {
    pub(super) fn new(filter: &Filter, lookup: &Lookup<'_>) -> rusqlite::Result<Self> {
        let mut needed = Vec::new();
        for (place, condition) in filter.conditions().iter().enumerate() {
            let parts = match condition {
                Condition::Text(needle) => needle.parts().iter().filter_map(|part| telling(part)).map(<[u8]>::to_vec).collect(),
                Condition::Field(field, pattern) => vec![if stands_as_it_is(*field) { pattern.literal() } else { Vec::new() }],
            };
            // What the table of digests may add later is in no block.
            let mut in_blocks = true;
            for part in &parts {
                in_blocks &= !lookup.a_package_holds(part)?;
            }
            if in_blocks {
                needed.extend(parts.into_iter().filter(|part| !part.is_empty()).map(|part| (1 << place, Finder::new(&part).into_owned())));
            }
        }
        Ok(Self { filter: filter.clone(), needed })
    }

    /// Whether an open block may hold a wanted event. False is certain.
    pub(super) fn may_be_in(&self, raw: &[u8]) -> bool {
        let missing = self.needed.iter().filter(|(_, text)| text.find(raw).is_none()).fold(0, |missing, (bit, _)| missing | bit);
        self.filter.judge(0, !missing) != Some(false)
    }
}

/// Whether a block holds the values of a field as the bytes that they are. Words, numbers and keys it writes otherwise.
fn stands_as_it_is(field: Field) -> bool {
    matches!(
        field,
        Field::ProcessExe
            | Field::ProcessArgv
            | Field::ProcessCwd
            | Field::ProcessUser
            | Field::ProcessCgroup
            | Field::ProcessContainer
            | Field::ProcessContainerName
            | Field::ProcessUnit
            | Field::ProcessTty
            | Field::ProcessPackage
            | Field::EnvironmentName
            | Field::EnvironmentValue
            | Field::LineageExe
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_telling_parts_of_a_text() {
        let parts = |text: &str| {
            let filter = Filter::text(text);
            let Condition::Text(needle) = &filter.conditions()[0] else { panic!("no text") };
            needle.parts().iter().filter_map(|part| telling(part)).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect::<Vec<_>>()
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
}
