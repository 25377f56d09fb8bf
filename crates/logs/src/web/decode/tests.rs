//! Disguises of an attack, and the text that comes out from under them.

use super::*;
use proptest::prelude::*;

fn lower(text: &str) -> String {
    String::from_utf8_lossy(&decode(text.as_bytes(), true).lower).into_owned()
}

#[test]
fn encodings_are_undone_however_they_are_stacked() {
    for (sent, meant) in [
        ("%27+OR+1%3D1", "' or 1=1"),
        ("%2527%2520or", "' or"),
        ("%25252527", "'"),
        ("..%c0%af..%c1%9c", "../..\\"),
        ("%e0%80%af", "/"),
        ("%u003cscript%u003E", "<script>"),
        ("%uff1cscript\u{ff1e}", "<script>"),
        ("&lt;img&#x20;src&#61x&gt;", "<img src=x>"),
        ("%26lt%3Bb%26gt%3B", "<b>"),
        ("a%00b", "ab"),
        ("100%", "100%"),
        ("%zz%u12", "%zz%u12"),
        ("r&d&amp", "r&d&amp"),
        ("caf%C3%A9", "café"),
    ] {
        assert_eq!(lower(sent), meant, "{sent}");
    }
    assert!(decode(b"x%00", true).has_nul && !decode("%C3%A9é".as_bytes(), true).has_nul);
    assert_eq!(decode(b"a+b", false).lower, b"a+b".to_vec());
}

#[test]
fn base64_is_read_only_when_it_hides_text() {
    assert_eq!(base64(b"d2hpbGUodHJ1ZSk7Cg==").as_deref(), Some(&b"while(true);\n"[..]));
    assert_eq!(base64(b"PHNjcmlwdD4-Pz8_").as_deref(), Some(&b"<script>>???"[..]));
    for none in ["", "abc", "session", "c2hvcnQ=", "ab$$cdefghijkl", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] {
        assert_eq!(base64(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn comments_and_quotes_that_break_up_words_are_read_past() {
    assert_eq!(without_comments(b"un/**/ion/*!50000select*/1/*x").as_deref(), Some(&b"un ion select 1 "[..]));
    assert_eq!(without_comments(b"a / b"), None);
    for (sent, meant) in [("w'h'o\\ami", "whoami"), ("ti''me sh", "time sh"), ("who$@ami", "whoami"), ("pi``ng x", "ping x")] {
        assert_eq!(without_quoting(sent.as_bytes()).map(|text| String::from_utf8(text).unwrap()).as_deref(), Some(meant), "{sent}");
    }
    assert_eq!(without_quoting(b"plain 'quoted' text"), None);
}

proptest! {
    #[test]
    fn no_text_grows_or_panics(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let decoded = decode(&text, true);
        prop_assert!(decoded.cased.len() <= text.len() && decoded.cased.len() == decoded.lower.len());
        let _ = (base64(&text), without_comments(&decoded.lower), without_quoting(&decoded.lower));
    }

    #[test]
    fn what_was_encoded_is_found_again(text in "[a-z'<>/ ]{0,40}", rounds in 1_usize..4) {
        let mut sent = text.clone();
        for _ in 0..rounds {
            sent = sent.bytes().map(|byte| format!("%{byte:02x}")).collect();
        }
        prop_assert_eq!(lower(&sent), text);
    }
}

#[test]
fn a_megabyte_of_anything_is_decoded_in_time() {
    let begun = std::time::Instant::now();
    for part in ["%25", "%2525", "&lt;", "&#", "%c0", "/*", "''", "\\a", "%u", "=", "\u{ff1c}"] {
        let text = part.repeat(1_000_000 / part.len());
        let decoded = decode(text.as_bytes(), true);
        let _ = (base64(text.as_bytes()), without_comments(&decoded.lower), without_quoting(&decoded.lower));
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
