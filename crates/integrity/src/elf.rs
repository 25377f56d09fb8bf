//! Two programs side by side: headers, sections and strings of ELF files (elf(5)), read as the hostile bytes that they may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::diff::sizes;
use bartizan_model::HostText;

/// Sections that are looked at, at most.
const MAX_SECTIONS: usize = 256;
/// Strings that are told, at most.
const MAX_STRINGS: usize = 20;
/// Strings that are compared, at most.
const MAX_COMPARED: usize = 200_000;
/// Shortest string that is one, in bytes, as strings(1) has it twice.
const SHORTEST: usize = 8;
/// Longest string that is told, in bytes.
const LONGEST: usize = 120;

/// What is worth knowing of a program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    entry: u64,
    machine: u16,
    kind: u16,
    sections: BTreeMap<Vec<u8>, u64>,
}

/// The difference of two contents of which at least one is no text.
pub(crate) fn diff(before: &[u8], after: &[u8]) -> String {
    let mut out = sizes(before, after);
    match (read(before), read(after)) {
        (Some(one), Some(two)) => headers(&one, &two, &mut out),
        (Some(_), None) => out.push_str("was an ELF program, is none\n"),
        (None, Some(_)) => out.push_str("was no ELF program, is one\n"),
        (None, None) => {}
    }
    let known = strings(before);
    let new = strings(after).into_iter().filter(|string| !known.contains(string));
    let mut told: Vec<&[u8]> = new.collect();
    // What looks like a place or a command first: a path, an address, a shell.
    told.sort_by_key(|string| !string.iter().any(|byte| matches!(byte, b'/' | b'.' | b' ')));
    let more = told.len().saturating_sub(MAX_STRINGS);
    for string in told.iter().take(MAX_STRINGS) {
        let short = string.get(..LONGEST).unwrap_or(string);
        let _ = writeln!(out, "new string: {}", HostText::from(short).escaped());
    }
    if more > 0 {
        let _ = writeln!(out, "... and {more} new strings more");
    }
    out
}

fn headers(one: &Program, two: &Program, out: &mut String) {
    for (what, before, after) in [
        ("entry point", one.entry, two.entry),
        ("machine", one.machine.into(), two.machine.into()),
        ("ELF type", one.kind.into(), two.kind.into()),
    ] {
        if before != after {
            let _ = writeln!(out, "{what}: {before:#x} to {after:#x}");
        }
    }
    let names: BTreeSet<&Vec<u8>> = one.sections.keys().chain(two.sections.keys()).collect();
    for name in names {
        let text = HostText::from(name.as_slice()).escaped();
        let _ = match (one.sections.get(name), two.sections.get(name)) {
            (Some(before), Some(after)) if before != after => writeln!(out, "section {text}: {before} to {after} bytes"),
            (None, Some(size)) => writeln!(out, "section {text}: new, {size} bytes"),
            (Some(_), None) => writeln!(out, "section {text}: gone"),
            _ => Ok(()),
        };
    }
}

/// 64-bit, little-endian: what the hosts that we run on run.
fn read(content: &[u8]) -> Option<Program> {
    if !content.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let word = |at: usize, size: usize| -> Option<u64> {
        let bytes = content.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (table, size, count, names) = (word(40, 8)?, word(58, 2)?, word(60, 2)?, word(62, 2)?);
    let header = |number: u64| usize::try_from(table.checked_add(number.checked_mul(size)?)?).ok();
    let strings = header(names).and_then(|at| word(at.checked_add(24)?, 8)).and_then(|at| usize::try_from(at).ok());
    let mut sections = BTreeMap::new();
    for number in 0..count.min(MAX_SECTIONS as u64) {
        let Some(at) = header(number) else { break };
        let (Some(name), Some(length)) = (word(at, 4), at.checked_add(32).and_then(|at| word(at, 8))) else { break };
        let place = strings.and_then(|strings| strings.checked_add(usize::try_from(name).ok()?));
        let name = place.and_then(|place| content.get(place..)).unwrap_or_default();
        let name = name.iter().take(64).take_while(|byte| **byte != 0).copied().collect::<Vec<_>>();
        if !name.is_empty() {
            sections.insert(name, length);
        }
    }
    Some(Program { entry: word(24, 8)?, machine: word(18, 2)? as u16, kind: word(16, 2)? as u16, sections })
}

fn strings(content: &[u8]) -> BTreeSet<&[u8]> {
    let parts = content.split(|byte| !matches!(byte, 0x20..=0x7e));
    parts.filter(|part| part.len() >= SHORTEST).take(MAX_COMPARED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn program(entry: u64, text: u64, string: &str) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[24..32].copy_from_slice(&entry.to_le_bytes());
        file[40..48].copy_from_slice(&64u64.to_le_bytes());
        file[58..60].copy_from_slice(&64u16.to_le_bytes());
        file[60..62].copy_from_slice(&2u16.to_le_bytes());
        let mut section = |name: u32, offset: u64, size: u64| {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&offset.to_le_bytes());
            header[32..40].copy_from_slice(&size.to_le_bytes());
            file.extend(header);
        };
        section(1, 192, 20);
        section(7, 300, text);
        file.extend(b"\0names\0.text\0");
        file.extend(string.as_bytes());
        file
    }

    #[test]
    fn a_changed_program_tells_sections_and_new_strings() {
        let told = diff(&program(1, 10, "/bin/sh -i"), &program(2, 30, "198.51.100.7:4444 /bin/sh"));
        for says in ["entry point: 0x1 to 0x2\n", "section .text: 10 to 30 bytes\n", "new string: 198.51.100.7:4444 /bin/sh\n"] {
            assert!(told.contains(says), "{says}: {told}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_lie_do_no_harm(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let lies = [&b"\x7fELF\x02\x01"[..], &tail].concat();
            diff(&lies, &tail);
            diff(&tail, &lies);
        }
    }
}
