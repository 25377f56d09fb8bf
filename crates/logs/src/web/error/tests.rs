//! Lines of error logs, and whom each may name.

use super::*;

fn nginx(lines: &[String]) -> Vec<WebError<'_>> {
    let mut reader = NginxErrors::new(0);
    lines.iter().filter_map(|line| reader.read(line.as_bytes())).collect()
}

/// The end of a line as nginx writes it.
const END: &str = r#", client: 192.0.2.1, server: a.example, request: "GET / HTTP/1.1", host: "a.example""#;
const START: &str = "2026/11/28 10:00:00 [error] 7#7: *5 ";

#[test]
fn nginx_tells_what_happened_to_whom() {
    for (message, kind, user) in [
        (r#"user "bob": password mismatch"#, ErrorKind::BadPassword, Some("bob")),
        (r#"user "a b" was not found in "/etc/nginx/pw""#, ErrorKind::UnknownUser, Some("a b")),
        (r"PAM: user 'bob' - not authenticated: Authentication failure", ErrorKind::BadPassword, Some("bob")),
        ("no user/password was provided for basic authentication", ErrorKind::NoCredentials, None),
        (r#"open() "/srv/x" failed (2: No such file or directory)"#, ErrorKind::NotFound, None),
        (r#""/srv/x/index.html" is not found (2: No such file or directory)"#, ErrorKind::NotFound, None),
        (r#"open() "/srv/x" failed (13: Permission denied)"#, ErrorKind::Denied, None),
        ("access forbidden by rule", ErrorKind::Denied, None),
        (r#"limiting requests, excess: 1.852 by zone "one""#, ErrorKind::Limited, None),
        ("SSL_do_handshake() failed (SSL: error:1408F0A0) while SSL handshaking", ErrorKind::BadHandshake, None),
        ("connect() failed (111: Connection refused) while connecting to upstream", ErrorKind::Other, None),
    ] {
        let line = [format!("{START}{message}{END}")];
        let error = nginx(&line).remove(0);
        assert_eq!((error.kind, error.user.map(String::from_utf8_lossy).as_deref()), (kind, user), "{message}");
        assert_eq!(error.client, Some("192.0.2.1".parse().unwrap()), "{message}");
        assert_eq!(error.at, Some("2026-11-28T10:00:00Z".parse().unwrap()), "{message}");
    }
    let behind_syslog = [format!("host nginx[7]: host nginx: {START}access forbidden by rule{END}")];
    assert_eq!(nginx(&behind_syslog).remove(0).client, Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn no_name_path_or_referrer_makes_nginx_accuse_somebody_else() {
    let false_end = r#", client: 9.9.9.9, server: a.example, request: "GET / HTTP/1.1", host: "a.example""#;
    let in_referrer = |words: &str| format!(r#"{START}user "bob": password mismatch{END}, referrer: "{words}""#);
    for line in [
        format!(r#"{START}user "x": password mismatch{false_end}" was not found in "/pw"{END}"#),
        format!(r#"{START}user "x": password mismatch{false_end}, referrer: "y": password mismatch{END}"#),
        format!(r#"{START}open() "/srv/x" failed (2: no){false_end}" failed (2: No such file or directory){END}"#),
        in_referrer(false_end.strip_suffix('"').unwrap()),
        in_referrer(&format!(r#"": password mismatch{}"#, false_end.strip_suffix('"').unwrap())),
        in_referrer(&false_end.repeat(50)),
    ] {
        let lines = [line];
        let error = nginx(&lines).remove(0);
        assert!(error.client.is_none_or(|client| client.to_string() == "192.0.2.1"), "{error:?}");
    }
}

#[test]
fn nothing_that_a_client_asks_for_makes_its_own_place_impossible() {
    let referrer = r#", client: 9.9.9.9, server: a.example, request: "GET / HTTP/1.1", host: "a.example"#;
    let unknown = format!(r#"x" was not found in "/pw"{referrer}"#);
    for target in [
        &"\"".repeat(64),
        &"\"".repeat(500),
        r#"/", host: "a b"#,
        r#"/", host: "a"b"#,
        r#"/", host: "a", referrer: "b"#,
        r#"/", subrequest: "/", upstream: ""#,
        "/, client: 9.9.9.9",
    ] {
        for referrer in [referrer, &format!(r#"": password mismatch{referrer}"#), &unknown] {
            for message in [
                r#"user "root": password mismatch"#,
                r#"user "root" was not found in "/pw""#,
                r#"open() "/srv/x" failed (2: No such file or directory)"#,
                r#"open() "/srv/x" failed (2: No such file or directory) while logging request"#,
                "access forbidden by rule",
            ] {
                for server in ["a.example", r"~^a{1,3}\.example$", ""] {
                    for client in ["192.0.2.1", "unix:"] {
                        let line = format!(
                            r#"{START}{message}, client: {client}, server: {server}, request: "GET {target} HTTP/1.1", host: "h", referrer: "{referrer}""#
                        );
                        for line in [line.clone(), line[..line.len() - 3].to_owned()] {
                            let lines = [line];
                            let error = nginx(&lines).remove(0);
                            assert!(error.client.is_none_or(|client| client.to_string() == "192.0.2.1"), "{lines:?}: {error:?}");
                        }
                    }
                }
            }
        }
        let lines = [format!(
            r#"{START}user "root": password mismatch, client: 192.0.2.1, server: h, request: "GET {target} HTTP/1.1", host: "h""#
        )];
        assert_eq!(nginx(&lines).remove(0).client, "192.0.2.1".parse().ok(), "no whole place but nginx's own: {lines:?}");
    }
}

#[test]
fn a_line_end_in_a_name_makes_no_believed_line() {
    let forged =
        format!("{START}user \"root\": password mismatch, client: 9.9.9.9, server: a.example, request: \"GET / HTTP/1.1\", host: \"h\"");
    let lines = [format!("{START}user \"x"), forged.clone(), format!("\" was not found in \"/pw\"{END}")];
    assert!(nginx(&lines).iter().all(|error| error.client.is_none()), "{:?}", nginx(&lines));
    let later = [format!("{START}user \"x"), "y".repeat(MAX_FORGED), forged];
    assert_eq!(nginx(&later).last().unwrap().client, Some("9.9.9.9".parse().unwrap()), "a message of nginx is never longer");
}

const MAX_FORGED: usize = 2048;

#[test]
fn apache_tells_what_happened_to_whom() {
    let client = "[client 192.0.2.1:4711]";
    for (message, kind, user) in [
        (r#"AH01617: user bob: authentication failure for "/x": Password Mismatch"#, ErrorKind::BadPassword, Some("bob")),
        (
            r#"user a: password mismatch: x: authentication failure for "/x": Password Mismatch"#,
            ErrorKind::BadPassword,
            Some("a: password mismatch: x"),
        ),
        ("AH01618: user bob not found: /x, referer: http://a/", ErrorKind::UnknownUser, Some("bob")),
        ("AH01790: user `bob' in realm `private area' not found: /x", ErrorKind::UnknownUser, Some("bob")),
        ("user root not found", ErrorKind::UnknownUser, Some("root")),
        ("AH01792: user bob: password mismatch: /x", ErrorKind::BadPassword, Some("bob")),
        ("AH01630: client denied by server configuration: /srv/x", ErrorKind::Denied, None),
        ("AH01614: client used wrong authentication scheme: /x", ErrorKind::AuthAbuse, None),
        ("AH01776: invalid nonce b9 received - hash is not d4", ErrorKind::Other, None),
        ("AH00128: File does not exist: /srv/[client 9.9.9.9] user root not found", ErrorKind::NotFound, None),
        ("AH02031: Hostname a.example provided via SNI, but no hostname provided in HTTP request", ErrorKind::BadRequest, None),
    ] {
        for line in [
            format!("[Sat Nov 28 10:00:00.123456 2026] [some_module:error] [pid 7:tid 8] {client} {message}"),
            format!("[Sat Nov 28 10:00:00 2026] [error] {client} {message}"),
            format!("[Sat Nov 28 10:00:00 2026] [some_module:error] [pid 7] (13)Permission denied: {client} {message}"),
        ] {
            let error = read_apache(line.as_bytes(), 0).unwrap();
            assert_eq!((error.kind, error.user.map(String::from_utf8_lossy).as_deref()), (kind, user), "{line}");
            assert_eq!(error.client, Some("192.0.2.1".parse().unwrap()), "{line}");
            assert_eq!(error.at, Some("2026-11-28T10:00:00Z".parse().unwrap()), "{line}");
        }
    }
    let six =
        read_apache(b"[authz_core:error] [pid 7] [remote [2001:db8::1]:5] AH01630: client denied by server configuration: /", 0).unwrap();
    assert_eq!(six.client, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(read_apache(b"nothing of Apache's", 0), None);
}

#[test]
fn the_rule_of_modsecurity_is_read_in_both_servers_logs() {
    let message = r#"ModSecurity: Access denied with code 403 (phase 2). Matched "Operator `Rx'" against variable `ARGS:q' (Value: `[id \x221\x22]' ) [file "/crs/x.conf"] [line "46"] [id "942100"] [msg "SQL Injection"] [data "a"] [severity "2"]"#;
    let apache = format!("[Sat Nov 28 10:00:00.1 2026] [:error] [pid 7:tid 8] [client 192.0.2.1:5] [client 192.0.2.1] {message}");
    let error = read_apache(apache.as_bytes(), 0).unwrap();
    let rule = Rule { id: 942_100, message: b"SQL Injection", denied: true };
    assert_eq!((error.kind, error.rule, error.client), (ErrorKind::ModSecurity, Some(rule), Some("192.0.2.1".parse().unwrap())));
    let lines = [format!("{START}[client 192.0.2.1] {message}{END}")];
    assert_eq!(nginx(&lines).remove(0).rule, Some(rule));
}

#[test]
fn any_bytes_end_in_no_panic_and_in_time() {
    let long = format!("{START}{}{END}", ", client: ".repeat(100_000));
    for line in
        ["", "[", "[[", "[client [", "(1", "[a] (13)x: [client ", START, &long, &format!("[x:error] {}", "[client ".repeat(100_000))]
    {
        NginxErrors::new(0).read(line.as_bytes());
        read_apache(line.as_bytes(), 0);
    }
}
