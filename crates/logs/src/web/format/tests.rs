//! Formats of access logs, and what a client writes to move a field.

use super::*;
use crate::web::access::Access;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn seen(access: &Access<'_>) -> (Option<String>, String, Option<u16>, String) {
    (access.peer.map(|peer| peer.to_string()), text(access.asked().target), access.status, text(&access.agent))
}

fn wanted(peer: &str, target: &str, status: u16, agent: &str) -> (Option<String>, String, Option<u16>, String) {
    (Some(peer.to_owned()), target.to_owned(), Some(status), agent.to_owned())
}

#[test]
fn formats_of_both_servers_find_the_same_fields() {
    let at = "28/Nov/2026:10:00:00 +0000";
    for (format, line) in [
        (Format::combined(), format!(r#"192.0.2.1 - bob [{at}] "GET /a?b HTTP/1.1" 404 12 "-" "curl/8""#)),
        (
            Format::apache(r#"%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
            format!(r#"192.0.2.1 - bob smith [{at}] "GET /a?b HTTP/1.1" 404 12 "-" "curl/8""#),
        ),
        (
            Format::apache(r#"%v:%p %a %t "%m %U%q %H" %!200{x}o %>s %D "%{User-agent}i""#),
            format!(r#"w.example:80 192.0.2.1 [{at}] "GET /a?b HTTP/1.1" - 404 99 "curl/8""#),
        ),
        (
            Format::nginx(
                r#"$host|$remote_addr:$remote_port|$time_iso8601|"$request_method $uri$is_args$args"|$status|$request_time|"$http_user_agent""#,
                Escaping::Default,
            ),
            r#"w.example|192.0.2.1:4711|2026-11-28T10:00:00+00:00|"GET /a?b"|404|0.001|"curl/8""#.to_owned(),
        ),
        (
            Format::nginx(r#"{"a":"$remote_addr","r":"$request","s":$status,"u":"$http_user_agent"}"#, Escaping::Json),
            r#"{"a":"192.0.2.1","r":"GET /a?b HTTP/1.1","s":404,"u":"curl\/8"}"#.to_owned(),
        ),
        (
            Format::nginx("${remote_addr} $msec $request_method $request_uri $status $http_user_agent", Escaping::None),
            "192.0.2.1 1795860000.000 GET /a?b 404 curl/8".to_owned(),
        ),
    ] {
        let access = format.read(line.as_bytes()).unwrap_or_else(|| panic!("{line}: {format:?}"));
        assert_eq!(seen(&access), wanted("192.0.2.1", "/a?b", 404, "curl/8"), "{line}");
    }
}

#[test]
fn lines_without_a_known_format_are_read_as_the_usual_ones() {
    let at = "28/Nov/2026:10:00:00 +0000";
    for line in [
        format!(r#"192.0.2.1 - - [{at}] "GET /a?b HTTP/1.1" 404 12"#),
        format!(r#"192.0.2.1 - - [{at}] "GET /a?b HTTP/1.1" 404 12 "-" "curl/8" "-" 0.1 0.2"#),
        format!(r#"w.example:443 192.0.2.1 - - [{at}] "GET /a?b HTTP/1.1" 404 12 "-" "curl/8""#),
    ] {
        let reader = crate::web::AccessReader::guessing();
        let access = reader.read(line.as_bytes()).unwrap();
        assert_eq!(
            (access.peer, access.status, access.asked().target),
            (Some("192.0.2.1".parse().unwrap()), Some(404), &b"/a?b"[..]),
            "{line}"
        );
    }
}

/// What a client can put into each of its fields to pass for somebody else.
const FORGED: &[&str] = &[
    "x",
    "9.9.9.9",
    "- - [28/Nov/2026:10:00:00 +0000]",
    "a] GET / 200 9.9.9.9 - x [28/Nov/2026:10:00:00 +0000",
    "200 9.9.9.9",
    " 9.9.9.9 - - ",
    "\\\" 200 5 \\\"-\\\" \\\"",
    "\\x22 200 5 \\x22-\\x22 9.9.9.9",
];

#[test]
fn no_word_of_a_client_is_ever_taken_for_the_peer() {
    let formats = [
        Format::combined(),
        Format::apache(r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
        Format::apache(r#"%{User-Agent}i %U%q %a %>s"#),
        Format::apache(r#"%t %u %a %{User-Agent}i %>s"#),
        Format::nginx(r#"$remote_user $request $remote_addr $http_user_agent $status"#, Escaping::Default),
        Format::nginx(r#""$remote_user" "$request" $status $remote_addr "$http_user_agent""#, Escaping::Default),
        Format::nginx(r#""$http_user_agent" "$request" $status $remote_addr"#, Escaping::None),
        Format::nginx(r#"$http_user_agent"#, Escaping::Default),
    ];
    for format in &formats {
        for forged in FORGED {
            // Written as the server would: every field of the format in turn, the client's with the forged text.
            let mut line = Vec::new();
            for (at, segment) in format.segments.iter().enumerate() {
                line.extend((at > 0).then_some(b'"'));
                for piece in segment.left.iter().chain(&segment.middle).chain(segment.right.iter().rev()) {
                    match piece {
                        Piece::Text(text) => line.extend_from_slice(text),
                        Piece::Field(Field::Peer) => line.extend_from_slice(b"192.0.2.1"),
                        Piece::Field(Field::Status) => line.extend_from_slice(b"404"),
                        Piece::Field(Field::Size) => line.extend_from_slice(b"7"),
                        Piece::Field(Field::Time(_)) => line.extend_from_slice(b"28/Nov/2026:10:00:00 +0000"),
                        Piece::Field(_) => line.extend_from_slice(forged.as_bytes()),
                    }
                }
            }
            let peer = format.read(&line).and_then(|access| access.peer);
            assert!(peer.is_none_or(|peer| peer.to_string() == "192.0.2.1"), "{} in {format:?}", text(&line));
            if format.names_the_peer() && format.segments.len() > 1 {
                assert!(peer.is_some(), "{}: {format:?}", text(&line));
            }
        }
    }
    assert!(!formats[7].names_the_peer() && !formats[3].names_the_peer() && formats[0].names_the_peer());
}

#[test]
fn a_format_from_anybody_and_a_line_from_anybody_end_in_no_panic() {
    for format in ["", "%", "%{", "%{x", "$", "${", "${a", "%!,200", "\"", "%é", "$é%\"\"", "%a%a%a", "$remote_addr$status"] {
        for compiled in [Format::apache(format), Format::nginx(format, Escaping::None), Format::nginx(format, Escaping::Default)] {
            for line in [&b""[..], b"\"", b"\\", b"\xff\xfe", b"192.0.2.1", b"\"\"\"\""] {
                let _ = compiled.read(line);
            }
        }
    }
    let long = Format::nginx(&"$request ".repeat(10_000), Escaping::Default);
    let _ = long.read(&vec![b' '; 1_000_000]);
    let _ = Format::combined().read(&vec![b'"'; 1_000_000]);
}
