//! Bytes that came from the host, kept exactly as they were.
//!
//! Names, arguments and paths on Linux are bytes that an attacker may choose. They are stored raw, travel
//! through JSON without loss, and are escaped only where they are shown ([`HostText::escaped`]).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// First code point of the block that stands for a raw byte in JSON: byte `b` is written as `U+10FF00 + b`.
/// The block lies in a private-use plane; a real character of that block is itself written byte by byte, so
/// the mapping has exactly one inverse.
const RAW_BYTE_BASE: u32 = 0x10_FF00;

/// Text of the host: any bytes, cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostText(Arc<[u8]>);

impl HostText {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text for comparing; invalid UTF-8 becomes U+FFFD.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text begins with these bytes.
    pub fn starts_with(&self, prefix: impl AsRef<[u8]>) -> bool {
        self.0.starts_with(prefix.as_ref())
    }

    /// The part after the last `/`: a program's own name in a path.
    pub fn basename(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.name())
    }

    /// The same part as it is, for showing.
    pub fn last_part(&self) -> Self {
        Self::from(self.name())
    }

    /// A kernel thread has no path: its name in brackets, `[kworker/0:1H]`, may hold a slash.
    fn name(&self) -> &[u8] {
        if self.is_bracketed() { &self.0 } else { self.0.rsplit(|b| *b == b'/').next().unwrap_or_default() }
    }

    /// As the kernel's own threads are shown: no program's path is like that, but an argument can be.
    pub fn is_bracketed(&self) -> bool {
        self.0.starts_with(b"[") && self.0.ends_with(b"]")
    }

    /// A sentence of ours that was put into bytes of the host ([`sentence`]).
    pub fn as_sentence(&self) -> String {
        sentence(&self.lossy())
    }

    /// For any screen, log or sentence: no control character, no invisible or direction-changing one; what
    /// cannot be shown stands as `\n`, `\x1b`, `\u{202e}`. The result is safe to send to a terminal.
    pub fn escaped(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                push_escaped(&mut out, c);
            }
            for byte in chunk.invalid() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        }
        out
    }
}

/// A sentence of ours, in which names of the host stand escaped already: once more nothing that commands a terminal or
/// misleads a reader passes, and backslashes stay as they are, so that `CORP\\jdoe` is not shown as `CORP\\\\jdoe`.
pub fn sentence(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' { out.push(c) } else { push_escaped(&mut out, c) }
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if is_deceptive(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Characters that take no cell, reorder their neighbours or command the terminal (C1): Unicode general
/// categories Cc, Cf, Zl, Zp, variation selectors, tags, combining marks that could be stacked, private use.
fn is_deceptive(c: char) -> bool {
    matches!(c as u32,
        0x80..=0x9f | 0xad | 0x300..=0x36f | 0x483..=0x489 | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x8e2
        | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x20d0..=0x20ff | 0x2800 | 0x3164
        | 0xe000..=0xf8ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f | 0xfeff | 0xffa0 | 0xfff0..=0xfffd
        | 0x110bd | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0x10ffff)
}

impl fmt::Display for HostText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.escaped())
    }
}

impl fmt::Debug for HostText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl Default for HostText {
    fn default() -> Self {
        Self(Arc::from(&[][..]))
    }
}

impl From<&[u8]> for HostText {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl From<Vec<u8>> for HostText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::from(bytes))
    }
}

impl From<&str> for HostText {
    fn from(text: &str) -> Self {
        Self(Arc::from(text.as_bytes()))
    }
}

impl From<String> for HostText {
    fn from(text: String) -> Self {
        Self(Arc::from(text.into_bytes()))
    }
}

impl PartialEq<str> for HostText {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Serialize for HostText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            // The reserved block begins with 0xF4 in UTF-8; hardly any text has that byte, so hardly any is read twice.
            Ok(text) if !self.0.contains(&0xf4) || !text.chars().any(stands_for_byte) => serializer.serialize_str(text),
            _ => serializer.serialize_str(&to_wire(&self.0)),
        }
    }
}

impl<'de> Deserialize<'de> for HostText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self::from(from_wire(&text)))
    }
}

fn stands_for_byte(c: char) -> bool {
    (RAW_BYTE_BASE..=RAW_BYTE_BASE + 0xff).contains(&(c as u32))
}

fn to_wire(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let push_raw = |out: &mut String, byte: u8| out.extend(char::from_u32(RAW_BYTE_BASE + u32::from(byte)));
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if stands_for_byte(c) {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_raw(&mut out, b));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| push_raw(&mut out, *b));
    }
    out
}

fn from_wire(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        if stands_for_byte(c) {
            out.push((c as u32 - RAW_BYTE_BASE) as u8);
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kernel_thread_is_shown_by_its_whole_name() {
        for (text, name) in [("[kworker/0:1H]", "[kworker/0:1H]"), ("/usr/bin/sh", "sh"), ("/tmp/[x]", "[x]"), ("[", "["), ("", "")] {
            assert_eq!(HostText::from(text).basename(), name);
            assert_eq!(HostText::from(text).last_part(), HostText::from(name));
        }
    }

    #[test]
    fn a_terminal_never_sees_a_control_sequence() {
        let evil = HostText::from(&b"\x1b]0;pwned\x07\xff\xc2\x9b31m\n\xe2\x80\xae"[..]);
        assert_eq!(evil.escaped(), "\\x1b]0;pwned\\x07\\xff\\u{9b}31m\\n\\u{202e}");
    }

    #[test]
    fn a_name_in_a_sentence_is_escaped_once() {
        let name = HostText::from(r"CORP\jdoe");
        let told = format!("account {name}\u{1b}[2J");
        assert_eq!(sentence(&told), r"account CORP\\jdoe\x1b[2J");
        assert_eq!(sentence(&sentence(&told)), sentence(&told), "as often as it is passed on");
        assert_eq!(HostText::from(told.as_str()).as_sentence(), sentence(&told));
    }

    proptest! {
        #[test]
        fn json_keeps_every_byte(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = HostText::from(bytes.clone());
            let back: HostText = serde_json::from_str(&serde_json::to_string(&text).unwrap()).unwrap();
            prop_assert_eq!(back.as_bytes(), &bytes[..]);
        }

        #[test]
        fn json_keeps_characters_of_the_reserved_block(c in RAW_BYTE_BASE..0x11_0000u32, tail in ".{0,4}") {
            let original = format!("{}{tail}", char::from_u32(c).unwrap());
            let text = HostText::from(original.as_str());
            let back: HostText = serde_json::from_str(&serde_json::to_string(&text).unwrap()).unwrap();
            prop_assert_eq!(back.as_bytes(), original.as_bytes());
        }

        #[test]
        fn shown_text_has_no_control_character(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!HostText::from(bytes).escaped().chars().any(|c| c.is_control() || is_deceptive(c)));
        }
    }
}
