//! How two contents differ: a text line by line with a few lines around, anything else by what it is.

use std::fmt::Write as _;

use similar::TextDiff;

use super::elf;
use super::sentences::bytes;
use bartizan_model::HostText;

/// Longest content of which lines are compared, in bytes.
const LONGEST: usize = 1 << 20;
/// Lines of a difference that are told; more are counted.
const MAX_LINES: usize = 400;
/// Lines told around a change.
const AROUND: usize = 3;
/// Changed lines, between the first and the last, among which the shortest difference is looked for; of more, all old and all new ones are told.
const EFFORT: usize = 4_000;
/// Longest line that is told, in characters.
const LONGEST_LINE: usize = 400;

/// The difference of two contents, for a terminal: nothing in it commands one. Empty when they are the same.
pub fn diff(before: &[u8], after: &[u8]) -> String {
    if before == after {
        return String::new();
    }
    match (text(before), text(after)) {
        (Some(one), Some(two)) if one == two => "only the encoding is another\n".to_owned(),
        (Some(one), Some(two)) => lines(&one, &two),
        _ => elf::diff(before, after),
    }
}

/// A text in UTF-8, UTF-16 with its mark, or Latin-1 without control characters; `None` for anything else.
fn text(content: &[u8]) -> Option<String> {
    if content.len() > LONGEST {
        return None;
    }
    let wide = |pairs: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = pairs.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    if let Some(rest) = content.strip_prefix(b"\xff\xfe") {
        return wide(rest, u16::from_le_bytes);
    }
    if let Some(rest) = content.strip_prefix(b"\xfe\xff") {
        return wide(rest, u16::from_be_bytes);
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if content.contains(&0) {
        return None;
    }
    if let Ok(text) = std::str::from_utf8(content) {
        return Some(text.to_owned());
    }
    let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0xa0..=0xff);
    content.iter().all(printable).then(|| content.iter().map(|byte| char::from(*byte)).collect())
}

fn lines(before: &str, after: &str) -> String {
    let mut out = Lines::default();
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let same = old.iter().zip(&new).take_while(|(one, two)| one == two).count();
    let (old, new) = (old.get(same..).unwrap_or_default(), new.get(same..).unwrap_or_default());
    let behind = old.iter().rev().zip(new.iter().rev()).take_while(|(one, two)| one == two).count();
    let (gone, come) = (old.get(..old.len() - behind).unwrap_or_default(), new.get(..new.len() - behind).unwrap_or_default());
    if gone.len() + come.len() > EFFORT {
        out.head(same, gone.len(), same, come.len());
        gone.iter().for_each(|line| out.line('-', line));
        come.iter().for_each(|line| out.line('+', line));
        return out.end();
    }
    let diff = TextDiff::from_lines(before, after);
    for group in diff.grouped_ops(AROUND) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (old, new) = (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
        out.head(old.start, old.len(), new.start, new.len());
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            out.line(change.tag().to_string().chars().next().unwrap_or(' '), change.value());
        }
    }
    out.end()
}

/// Lines of a difference, with an end.
#[derive(Debug, Default)]
struct Lines {
    out: String,
    told: usize,
    more: usize,
}

impl Lines {
    fn head(&mut self, old: usize, old_length: usize, new: usize, new_length: usize) {
        if self.told < MAX_LINES {
            let _ = writeln!(self.out, "@@ -{},{old_length} +{},{new_length} @@", old + 1, new + 1);
        }
    }

    fn line(&mut self, tag: char, line: &str) {
        if self.told >= MAX_LINES {
            self.more += 1;
            return;
        }
        self.told += 1;
        let line = line.strip_suffix('\n').unwrap_or(line);
        let short: String = line.chars().take(LONGEST_LINE).collect();
        let cut = if short.len() < line.len() { "..." } else { "" };
        let _ = writeln!(self.out, "{tag}{}{cut}", shown(&short));
    }

    fn end(mut self) -> String {
        if self.more > 0 {
            let _ = writeln!(self.out, "... and {} lines more", self.more);
        }
        self.out
    }
}

/// Safe for a terminal; tabs and backslashes stay, for a person reads code here.
fn shown(line: &str) -> String {
    line.split('\t')
        .map(|part| part.split('\\').map(|part| HostText::from(part).escaped()).collect::<Vec<_>>().join("\\"))
        .collect::<Vec<_>>()
        .join("\t")
}

/// What can be said of contents that are no texts.
pub(crate) fn sizes(before: &[u8], after: &[u8]) -> String {
    format!("binary: {} to {}\n", bytes(before.len() as u64), bytes(after.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_told_with_the_lines_around_it() {
        let old: String = (1..=20).map(|number| format!("line {number}\n")).collect();
        let new = old.replace("line 10\n", "line ten\n");
        assert_eq!(
            diff(old.as_bytes(), new.as_bytes()),
            "@@ -7,7 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n line 11\n line 12\n line 13\n"
        );
        assert_eq!(diff(b"same", b"same"), "");
        assert_eq!(diff(b"", b"x\n"), "@@ -1,0 +1,1 @@\n+x\n");
    }

    #[test]
    fn encodings_are_read_and_nothing_commands_the_terminal() {
        let wide = |text: &str| [&b"\xff\xfe"[..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat();
        assert!(diff(&wide("a\n"), &wide("b\n")).contains("-a\n+b\n"));
        assert_eq!(diff("ä\n".as_bytes(), b"\xe4\n"), "only the encoding is another\n");
        let told = diff(b"ok\n", b"\x1b[2Jgone\\n\tx\n");
        assert!(told.contains("+\\x1b[2Jgone\\n\tx\n"), "{told}");
    }

    #[test]
    fn a_large_difference_has_an_end() {
        let old: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        let new: String = (0..20_000).map(|number| format!("{}\n", number * 7 % 20_011)).collect();
        let told = diff(old.as_bytes(), new.as_bytes());
        assert!(told.lines().count() < MAX_LINES + 50 && told.ends_with(" lines more\n"), "{}", told.lines().count());
        let long = diff(b"a\n", "b".repeat(100_000).as_bytes());
        assert!(long.len() < 1_000, "{}", long.len());
    }

    #[test]
    fn what_is_no_text_is_told_by_size() {
        assert_eq!(diff(b"\0\x01", b"\0\x01\x02"), "binary: 2 bytes to 3 bytes\n");
    }
}
