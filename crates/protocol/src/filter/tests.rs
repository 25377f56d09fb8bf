//! What filters mean, what is said about wrong ones, and that none does harm.

use proptest::prelude::*;

use super::*;
use bartizan_model::{EventId, Flow, HostText, Process, Protocol, Source, Timestamp};

fn connect() -> Event {
    let key = bartizan_model::ProcessKey { boot: bartizan_model::BootId(7), pid: 42, start: 9 };
    let process = Process {
        exe: HostText::from("/tmp/x y/nc"),
        argv: ["nc", "-e", "id > foothold.txt; sleep 0.2", "http://h/a?b=c&d"].map(HostText::from).to_vec(),
        cwd: HostText::from(&b"/srv/\xff"[..]),
        uid: 33,
        ..Process::unknown(key, Timestamp::UNIX_EPOCH)
    };
    let net = Flow {
        proto: Protocol::Tcp,
        src: "10.1.2.3".parse().unwrap(),
        sport: 0,
        dst: Some("::ffff:203.0.113.7".parse().unwrap()),
        dport: Some(443),
        name: None,
    };
    let process = Some(process.into());
    Event { id: EventId(12), at: Timestamp::UNIX_EPOCH, kind: EventKind::Connect { net }, process, source: Source::Ebpf, complete: true }
}

fn fits(source: &str) -> bool {
    source.parse::<Filter>().unwrap_or_else(|error| panic!("{source}: {error}")).fits(&connect())
}

#[test]
fn a_filter_means_what_a_reader_expects() {
    for right in [
        "",
        " ",
        "nc",
        "text:nc",
        "id > foothold.txt; sleep 0.2",
        "\"dport\":443",
        "http://h/a?b=c&d",
        "process.exe=/tmp/*",
        "process.exe=\"/tmp/x y/nc\"",
        "process.exe=/tmp/x\\ y/?c",
        "process.argv=-e",
        "process.argv=nc",
        "process.cwd=/srv/\\xff",
        "process.pid=42",
        "process.uid!=0",
        "process.user!=root",
        "process.tty!=*",
        "net.dst=203.0.113.0/24",
        "net.dst=203.0.113.7",
        "net.dst=::ffff:203.0.113.7",
        "net.src=10.0.0.0/8",
        "net.src=0.0.0.0/0",
        "net.name!=*",
        "net.dport=443 and kind=net",
        "kind=net.connect",
        "kind=net.*",
        "kind!=process",
        "source=ebpf",
        "complete=true",
        "id=E12",
        "process.key=*-42-*",
        "process.uid=0 or process.uid=33",
        "process.uid=0 and process.uid=1 or nc",
        "not process.uid=0",
        "not not nc",
        "NOT (process.uid=0 OR text:nowhere) AND nc",
        "(nc)",
        "((nc) and (443))",
        "not(process.uid=0)",
        "nc and not nowhere",
    ] {
        assert!(fits(right), "{right}");
    }
    for wrong in [
        "nowhere", "process.exe=/tmp", "process.exe=nc", "process.uid=0", "net.dst=203.0.113.8", "net.dst=10.0.0.0/8", "net.dst=::/0",
        "net.name=*", "process.argv=\"\"", "process.uid=0 or process.uid=1 and nc", "not nc", "kind=process", "exit.code=0",
        "process.exe=\\*",
    ] {
        assert!(!fits(wrong), "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
    let deep = "(".repeat(DEEPEST + 1);
    let nots = "not ".repeat(DEEPEST + 1);
    let many = vec!["a"; MAX_CONDITIONS + 1].join(" or ");
    let long = "x".repeat(LONGEST + 1);
    for (source, at, what, mend) in [
        ("proces.exe=/tmp/*", 1, "no field proces.exe (did you mean process.exe?)", "net.dst"),
        ("ü and if=/dev/sda", 7, "no field if", "text:\"if=/dev/sda\""),
        ("process.uid=root", 13, "\"root\" is no number", "whole number"),
        ("net.dst=10.0.0.0/33", 9, "no address or network", "10.0.0.0/8"),
        ("complete=yes", 10, "\"yes\"", "true or false"),
        ("kind=exec", 6, "\"exec\"", "process.exec"),
        ("process.exe=", 13, "a value of process.exe is missing", "process.exe=\"\""),
        ("process.exe=\"/tmp", 13, "not closed", "add"),
        ("process.exe=\"a\"b", 16, "follows a quote", "blank"),
        ("nc and", 7, "a condition is missing", "text:"),
        ("and nc", 1, "missing before `and`", "text:"),
        ("not", 4, "a condition is missing", "text:"),
        ("(nc", 1, "not closed", "\")\""),
        ("()", 2, "missing before \")\"", "text:"),
        ("process.uid=0 process.uid=1", 15, "is unexpected here", "`and`"),
        ("nc process.uid=1", 4, "`and` or `or` is missing", "text:"),
        (deep.as_str(), DEEPEST + 1, "inside each other", "flatter"),
        (nots.as_str(), 4 * DEEPEST + 1, "inside each other", "flatter"),
        (many.as_str(), 5 * MAX_CONDITIONS + 1, "more than 32 conditions", "ask"),
        (long.as_str(), LONGEST + 1, "more than 4096 bytes", "ask"),
    ] {
        let error = source.parse::<Filter>().unwrap_err();
        assert!(error.at == at && error.what.contains(what) && error.mend.contains(mend), "{source}: {error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_filter_is_its_text_on_the_wire() {
    let filter: Filter = "process.exe=/tmp/* and not nc".parse().unwrap();
    let json = serde_json::to_string(&filter).unwrap();
    assert_eq!(json, "\"process.exe=/tmp/* and not nc\"");
    assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    assert!(serde_json::from_str::<Filter>("\"process.exe=\"").is_err());
    for text in ["", "and", "a\"b\\", "x=1", "process.uid=0", "(", "not", "*"] {
        let again: Filter = Filter::text(text).to_string().parse().unwrap();
        let [Condition::Text(needle)] = again.conditions() else { panic!("{text}: {again:?}") };
        assert!(needle.is_in(text.as_bytes()) && (text.is_empty() || !needle.is_in(b"")), "{text}");
    }
}

proptest! {
    #[test]
    fn no_filter_panics_and_every_error_is_one_safe_line(source in "\\PC{0,40}|[a-z.=!*?\"\\\\() ]{0,40}|((process.uid|net.dst|text:|kind|and|or|not|\\(|\\)|=|!=|\"|\\*|\\\\| |10.0.0.0/8){0,24})") {
        match source.parse::<Filter>() {
            Ok(filter) => {
                filter.fits(&connect());
                prop_assert_eq!(serde_json::from_str::<Filter>(&serde_json::to_string(&filter).unwrap()).unwrap(), filter);
            }
            Err(error) => {
                let said = format!("{error}: {}", error.mend);
                prop_assert!(error.at <= source.chars().count() + 1);
                prop_assert!(!said.chars().any(char::is_control), "{}", said);
            }
        }
    }

    #[test]
    fn globs_find_what_trying_everything_finds(text in "[ab]{0,8}", pattern in "[ab*?]{0,6}") {
        fn tried(pattern: &[u8], text: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'*', rest)) => (0..=text.len()).any(|skip| tried(rest, &text[skip..])),
                Some((b'?', rest)) => !text.is_empty() && tried(rest, &text[1..]),
                Some((byte, rest)) => text.first() == Some(byte) && tried(rest, &text[1..]),
            }
        }
        let signs = pattern.bytes().map(|byte| match byte { b'*' => glob::Sign::Run, b'?' => glob::Sign::One, byte => glob::Sign::Byte(byte) });
        prop_assert_eq!(glob::Glob::new(signs.collect()).matches(text.as_bytes()), tried(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn the_judgement_of_what_is_open_holds_however_it_turns_out(met in any::<u64>(), open in any::<u64>(), closed in any::<u64>(), which in 0usize..6) {
        let source = ["a", "not a", "a and not b", "a or b and c", "not (a or not b) and c", "not (a and b) or not c"][which];
        let filter: Filter = source.parse().unwrap();
        if let Some(is) = filter.judge(met, open) {
            prop_assert_eq!(filter.judge(met | open & closed, 0), Some(is));
        }
    }
}
