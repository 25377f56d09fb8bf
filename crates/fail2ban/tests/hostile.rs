//! Any filter and any line: no panic, and an end within bounded time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::{Duration, Instant};

use bartizan_fail2ban::{Filter, Installed, Line, MAX_LINE, import};
use proptest::prelude::*;

/// Judges all lines by whatever jail and filter these texts make.
fn judge(jails: &str, filter: &str, lines: &[String]) {
    let installed = Installed::of([("jail.conf", jails), ("filter.d/x.conf", filter), ("filter.d/y.local", filter)]);
    for jail in import(&installed, true).jails {
        let Some(mut filter) = jail.spec.as_ref().and_then(|spec| Filter::new(spec).0) else { continue };
        for text in lines {
            let now = "2026-03-10T12:00:00Z".parse().unwrap();
            let _ = filter.line(Line { text, at: None, now, zone: 3600 });
        }
    }
}

/// Pieces out of which hostile expressions are made.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("(?:a+)+".to_owned()),
        Just(".*".to_owned()),
        Just("(?=.*b)".to_owned()),
        Just("(?<=a)".to_owned()),
        Just("(?P<n>a|b)*(?P=n)".to_owned()),
        Just("(?(n)a|b)".to_owned()),
        Just("<F-USER>.*?</F-USER>".to_owned()),
        Just("<HOST>".to_owned()),
        Just("<SKIPLINES>".to_owned()),
        Just("[[]&&a-]".to_owned()),
        Just("(a{1,50}){1,50}".to_owned()),
        Just("%(failregex)s".to_owned()),
        Just("<failregex>".to_owned()),
        "[ -~]{0,6}",
    ];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_text_of_a_filter_and_any_line_are_survived(jails in "\\PC{0,200}", filter in "(?s).{0,300}", line in "(?s).{0,300}") {
        judge(&format!("[x]\n{jails}"), &format!("[Definition]\nfailregex = {filter}"), &[line]);
    }

    #[test]
    fn any_expression_ends_on_any_line(failregex in expression(), other in expression(), date in "[%A-Za-z{}^*()\\[\\]. :-]{0,20}", long in 1_usize..1024) {
        let filter = format!(
            "[Definition]\nprefregex = ^<F-MLFID>.*</F-MLFID><F-CONTENT>.+</F-CONTENT>$\nfailregex = {failregex}<HOST>\n  {other}\nignoreregex = {other}\n\
             datepattern = {date}\nmaxlines = 3\n"
        );
        let begun = Instant::now();
        let lines = ["a".repeat(long), "ab".repeat(long / 2), format!("{}192.0.2.1", " b".repeat(long / 3)), "a".repeat(long)];
        judge("[x]\n[y]\n", &filter, &lines);
        // What is slow three times is run no more; unoptimised, and on a busy machine.
        prop_assert!(begun.elapsed() < Duration::from_secs(30), "{:?} for {filter}", begun.elapsed());
    }
}

#[test]
fn a_longer_line_is_refused_and_said() {
    let installed = Installed::of([("jail.conf", "[x]\n"), ("filter.d/x.conf", "[Definition]\nfailregex = ^<HOST>\n")]);
    let spec = import(&installed, true).jails.remove(0).spec.unwrap();
    let mut filter = Filter::new(&spec).0.unwrap();
    let now = "2026-03-10T12:00:00Z".parse().unwrap();
    assert!(filter.line(Line { text: &"x".repeat(MAX_LINE + 1), at: None, now, zone: 0 }).is_err());
}

#[test]
fn an_expression_that_takes_too_long_is_named() {
    let installed = Installed::of([
        ("jail.conf", "[x]\n"),
        ("filter.d/x.conf", "[Definition]\nfailregex = ^(?:(?:a+)+(?!x))+$ <HOST>\n  ^ok <HOST>\n"),
    ]);
    let spec = import(&installed, true).jails.remove(0).spec.unwrap();
    let mut filter = Filter::new(&spec).0.unwrap();
    let now = "2026-03-10T12:00:00Z".parse().unwrap();
    for _ in 0..5 {
        assert_eq!(filter.line(Line { text: &format!("{}!", "a".repeat(4000)), at: None, now, zone: 0 }), Ok(None));
    }
    assert_eq!(filter.switched_off().collect::<Vec<_>>(), ["^(?:(?:a+)+(?!x))+$ <HOST>"]);
    assert!(filter.line(Line { text: "ok 192.0.2.1", at: None, now, zone: 0 }).unwrap().is_some(), "the others go on");
}

#[test]
fn a_quadratic_expression_is_switched_off_on_the_longest_lines() {
    let installed =
        Installed::of([("jail.conf", "[x]\n"), ("filter.d/x.conf", "[Definition]\nfailregex = (?=.*b)(?P<n>a)(?P=n)* <HOST>\n")]);
    let spec = import(&installed, true).jails.remove(0).spec.unwrap();
    let mut filter = Filter::new(&spec).0.unwrap();
    let now = "2026-03-10T12:00:00Z".parse().unwrap();
    let (text, begun) = ("a".repeat(MAX_LINE), Instant::now());
    for _ in 0..50 {
        assert_eq!(filter.line(Line { text: &text, at: None, now, zone: 0 }), Ok(None));
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
