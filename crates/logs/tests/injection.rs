//! What a client writes moves nothing: for every parser, lines in which a client chose its name, banner, password or last words so that
//! another's address stands in them. 203.0.113.9 is the victim; 192.0.2.1 is where the client came from, as the daemon wrote it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use bartizan_logs::{Context, Format, MAX_LINE, MAX_NAME, Parsed, Raw, What, parse};

const CLIENT: &str = "192.0.2.1";
const VICTIM: &str = "203.0.113.9";

fn context() -> Context {
    Context::new("2026-11-28T10:00:00Z".parse().unwrap(), 0)
}

/// The last of these lines, as one connection or one daemon writes them.
fn last(lines: &[&[u8]], look: impl FnOnce(Raw<'_>)) {
    let mut context = context();
    for (at, line) in lines.iter().enumerate() {
        match parse(Format::Auth, line, &mut context) {
            Parsed::Record(record) if at + 1 == lines.len() => return look(record),
            Parsed::Record(_) | Parsed::Other => {}
            other => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
        }
    }
    panic!("no record: {}", String::from_utf8_lossy(lines.last().unwrap()));
}

fn came_from_the_client(tag: &str, message: &str) {
    let line = format!("Nov 28 09:00:00 host {tag}: {message}");
    last(&[line.as_bytes()], |record| assert_eq!(record.address, CLIENT.parse().ok(), "{line}: {record:?}"));
}

fn nobody_is_named(tag: &str, message: &str) {
    let line = format!("Nov 28 09:00:00 host {tag}: {message}");
    match parse(Format::Auth, line.as_bytes(), &mut context()) {
        Parsed::Record(record) => assert_eq!((record.address, record.attempts), (None, 0), "{line}: {record:?}"),
        other => assert_eq!(other, Parsed::Other, "{line}"),
    }
}

/// Where two different hosts of such a line could be the module's, one stands in a name, and nothing says which.
fn in_a_pam_line(tag: &str, name: &str, end: &str) {
    let line = format!("Nov 28 09:00:00 host {tag}: pam_x(x:auth): authentication failure; logname= uid=0 euid=0 tty=x {end}");
    let is_in_doubt = name.contains("user=root") || (name.contains(" rhost=") && end.ends_with(name));
    let address = if is_in_doubt { None } else { CLIENT.parse().ok() };
    last(&[line.as_bytes()], |record| assert_eq!(record.address, address, "{line}: {record:?}"));
}

/// User names that look like the rest of a line.
const NAMES: [&str; 10] = [
    "root from 203.0.113.9 port 22 ssh2",
    "from 203.0.113.9",
    "x from 203.0.113.9 port 22 ssh2: RSA SHA256:abc",
    "x 203.0.113.9 port 22 [preauth]",
    "invalid user y from 203.0.113.9 port 1",
    "\u{1b}[2J from 203.0.113.9\u{7}",
    "a: b for c from 203.0.113.9 via 203.0.113.9",
    "x rhost=203.0.113.9",
    " rhost=203.0.113.9  user=root",
    "",
];

#[test]
fn a_name_given_to_sshd_moves_no_address() {
    for name in NAMES {
        for message in [
            format!("Failed password for invalid user {name} from {CLIENT} port 5 ssh2"),
            format!("Failed keyboard-interactive/pam for invalid user {name} from {CLIENT} port 5 ssh2 [preauth]"),
            format!("Failed none for invalid user {name} from {CLIENT} port 5 ssh2"),
            format!("Invalid user {name} from {CLIENT} port 5"),
            format!("Invalid user {name} from {CLIENT}"),
            format!("Connection closed by invalid user {name} {CLIENT} port 5 [preauth]"),
            format!("Connection reset by invalid user {name} {CLIENT} port 5 [preauth]"),
            format!("Disconnected from invalid user {name} {CLIENT} port 5 [preauth]"),
            format!("error: maximum authentication attempts exceeded for invalid user {name} from {CLIENT} port 5 ssh2 [preauth]"),
            format!("error: PAM: Authentication failure for illegal user {name} from {CLIENT}"),
            format!("ssh_dispatch_run_fatal: Connection from invalid user {name} {CLIENT} port 5: Connection corrupted [preauth]"),
        ] {
            came_from_the_client("sshd-session[7]", &message);
        }
        in_a_pam_line("sshd-session[7]", name, &format!("ruser={name} rhost={CLIENT} "));
        let line = format!("Nov 28 09:00:00 host sshd[7]: Failed password for invalid user {name} from {CLIENT} port 5 ssh2");
        last(&[line.as_bytes()], |record| assert_eq!(record.user, Some(name.as_bytes()), "{line}"));
    }
}

#[test]
fn words_of_a_client_of_sshd_move_no_address() {
    for message in [
        format!("Received disconnect from {CLIENT} port 5:11: from {VICTIM} port 22 [preauth]"),
        format!("error: Received disconnect from {CLIENT} port 5:3: x from {VICTIM} port 22:3: Auth fail [preauth]"),
        format!("Bad protocol version identification 'GET / from {VICTIM} port 22' from {CLIENT} port 5"),
        format!(
            "Unable to negotiate with {CLIENT} port 5: no matching cipher found. Their offer: x with {VICTIM} port 22: no matching y [preauth]"
        ),
        format!("Failed publickey for root from {CLIENT} port 5 ssh2: RSA-CERT ID x from {VICTIM} port 22 ssh2 (serial 0) CA RSA SHA256:a"),
        format!(
            "Failed hostbased for root from {CLIENT} port 5 ssh2: RSA SHA256:a, client user \"x from {VICTIM} port 22 ssh2\", client host \"y\""
        ),
        format!("Protocol major versions differ for {CLIENT} port 5: SSH-2.0-OpenSSH_9.9 vs. SSH-1.5-x from {VICTIM} port 22"),
        format!("Protocol major versions differ for {CLIENT}: SSH-2.0-OpenSSH_4 vs. SSH-1.5-x from {VICTIM}"),
        format!("User root from {CLIENT} not allowed because not listed in AllowUsers"),
        format!("banner exchange: Connection from {CLIENT} port 5: invalid format"),
        format!("drop connection #10 from [{CLIENT}]:5 on [{VICTIM}]:22 penalty: failed authentication"),
    ] {
        came_from_the_client("sshd[7]", &message);
    }
}

#[test]
fn where_name_and_certificate_both_hold_an_address_the_connection_decides() {
    let both =
        format!("Failed publickey for invalid user x from {VICTIM} port 22 ssh2: RSA SHA256:a from {CLIENT} port 5 ssh2: RSA SHA256:b");
    nobody_is_named("sshd[7]", &both);
    let changed = format!(
        "Disconnecting invalid user x {VICTIM} port 22: y {CLIENT} port 5: Change of username or service not allowed: (a,b) -> (c,d)"
    );
    nobody_is_named("sshd[7]", &changed);
    let first = format!("Nov 28 09:00:00 host sshd[7]: Invalid user x from {VICTIM} port 22 ssh2: RSA SHA256:a from {CLIENT} port 5");
    for second in [both, changed] {
        let second = format!("Nov 28 09:00:01 host sshd[7]: {second}");
        last(&[first.as_bytes(), second.as_bytes()], |record| assert_eq!(record.address, CLIENT.parse().ok(), "{record:?}"));
    }
}

#[test]
fn a_name_or_host_that_overlaps_with_what_sshd_writes_names_nobody_else() {
    let key = "ED25519 SHA256:abc";
    for method in ["publickey", "hostbased", "gssapi-with-mic"] {
        nobody_is_named(
            "sshd[7]",
            &format!("Failed {method} for invalid user x from {VICTIM} port 1 ssh2: from from {CLIENT} port 4000 ssh2: {key}"),
        );
        nobody_is_named(
            "sshd[7]",
            &format!("Failed {method} for invalid user x from {VICTIM} port 1 ssh2: from from {CLIENT} port 4000 ssh2"),
        );
        for name in ["x from", "from", "x from from", " from", "x from 203.0.113.9 from", "x from 203.0.113.9 port 1 from"] {
            came_from_the_client("sshd[7]", &format!("Failed {method} for invalid user {name} from {CLIENT} port 4000 ssh2: {key}"));
        }
    }
    let host = |name: &str, user: &str| {
        format!("Failed hostbased for invalid user {name} from {CLIENT} port 5 ssh2: {key}, client user \"{user}\", client host \"y\"")
    };
    for name in ["x", "x from"] {
        nobody_is_named("sshd[7]", &host(name, &format!("x from from {VICTIM} port 1 ssh2: from")));
        came_from_the_client("sshd[7]", &host(name, &format!("from {VICTIM} port 1 ssh2: ")));
    }
    // The line of the same connection before it names the client.
    let both = format!("Failed publickey for invalid user x from {VICTIM} port 1 ssh2: from from {CLIENT} port 4000 ssh2: {key}");
    let first = format!("Nov 28 09:00:00 host sshd[7]: Invalid user x from {VICTIM} port 1 ssh2: from from {CLIENT} port 4000");
    let second = format!("Nov 28 09:00:01 host sshd[7]: {both}");
    last(&[first.as_bytes(), second.as_bytes()], |record| assert_eq!(record.address, CLIENT.parse().ok(), "{record:?}"));
}

#[test]
fn names_and_words_given_to_other_services_move_no_address() {
    for name in NAMES {
        came_from_the_client("vsftpd[7]", &format!("[{name}] FAIL LOGIN: Client \"{CLIENT}\""));
        came_from_the_client("pure-ftpd", &format!("(?@{CLIENT}) [WARNING] Authentication failed for user [{name}]"));
        came_from_the_client(
            "proftpd[7]",
            &format!("host (a.example[{CLIENT}]): USER {name}: no such user found from a.example [{CLIENT}] to ::1:21"),
        );
        came_from_the_client("login[7]", &format!("FAILED LOGIN 1 FROM {CLIENT} FOR {name}, Authentication failure"));
        came_from_the_client(
            "dovecot",
            &format!("imap-login: Disconnected (auth failed, 1 attempts): user=<{name}>, method=PLAIN, rip={CLIENT}, lip=10.0.0.1"),
        );
        came_from_the_client(
            "postfix/smtpd[7]",
            &format!("warning: a.example[{CLIENT}]: SASL LOGIN authentication failed: x, sasl_username={name}"),
        );
        in_a_pam_line("daemon", name, &format!("ruser={name} rhost={CLIENT}  user=bob"));
        in_a_pam_line("daemon", name, &format!("ruser= rhost={CLIENT} user={name}"));
    }
    came_from_the_client("vsftpd[7]", &format!("[x] FAIL LOGIN: Client \"{VICTIM}\"] FAIL LOGIN: Client \"{CLIENT}\""));
    came_from_the_client(
        "dovecot",
        &format!("imap-login: Aborted login (auth failed, 1 attempts): user=<x>, method=PLAIN, rip={VICTIM}, lip=1>, rip={CLIENT}, lip=2"),
    );
    came_from_the_client(
        "proftpd[7]",
        &format!("host (a[{CLIENT}]): USER y host (b[{VICTIM}]): no such user found from a [{CLIENT}] to ::1:21"),
    );
    came_from_the_client(
        "postfix/smtpd[7]",
        &format!("NOQUEUE: reject: RCPT from a.example[{CLIENT}]: 554 <x[{VICTIM}]>: Relay access denied; from=<y> helo=<[{VICTIM}]>"),
    );
    came_from_the_client("postfix/smtpd[7]", &format!("improper command pipelining after AUTH from unknown[{CLIENT}]: x from y[{VICTIM}]"));
    came_from_the_client("kernel", &format!("[1.2] drop IN=eth0 OUT= MAC= SRC={CLIENT} DST=10.0.0.1 LEN=60 PROTO=TCP SPT=5 DPT=22"));
}

#[test]
fn where_another_service_cannot_be_told_from_its_client_nobody_is_named() {
    nobody_is_named("dovecot", &format!("auth: sql(x,{VICTIM}): sql(y,{CLIENT},<s>): Password mismatch"));
    nobody_is_named(
        "vsftpd[7]",
        &format!("[anonymous] FAIL LOGIN: Client \"{CLIENT}\", anon password \"] FAIL LOGIN: Client \"{VICTIM}\""),
    );
}

#[test]
fn the_password_of_an_anonymous_login_names_nobody_whatever_its_name() {
    for user in ["anonymous", "ftp", "guest", "files"] {
        for outcome in ["FAIL", "OK"] {
            nobody_is_named(
                "vsftpd[7]",
                &format!("[{user}] {outcome} LOGIN: Client \"{CLIENT}\", anon password \"] {outcome} LOGIN: Client \"{VICTIM}\""),
            );
            nobody_is_named(
                "vsftpd[7]",
                &format!("[{user}] {outcome} LOGIN: Client \"{CLIENT}\", anon password \"] FAIL LOGIN: Client \"{VICTIM}\""),
            );
            came_from_the_client("vsftpd[7]", &format!("[{user}] {outcome} LOGIN: Client \"{CLIENT}\", anon password \"a@b\""));
        }
        let line = format!("Nov 28 09:00:00 host vsftpd[7]: [{user}] OK LOGIN: Client \"{CLIENT}\", anon password \"a@b\"");
        last(&[line.as_bytes()], |record| assert_eq!(record.what, What::Connected, "{line}"));
    }
    let bob = format!("Nov 28 09:00:00 host vsftpd[7]: [bob] OK LOGIN: Client \"{CLIENT}\"");
    last(&[bob.as_bytes()], |record| assert_eq!(record.what, What::LoginAccepted));
}

#[test]
fn what_dovecots_authentication_says_is_no_line_of_a_login_process() {
    let disallowed =
        |name: &str| format!("auth: plain(?,{CLIENT},<s>): Username character disallowed by auth_username_chars: 0x20 (username: {name})");
    let names = [
        format!("x (auth failed, 99 attempts rip={VICTIM}, z"),
        format!("x (auth failed, 99 attempts): user=<root>, rip={VICTIM}, z"),
        format!("Login: user=<root> rip={VICTIM}, z"),
        format!("imap-login: Login: user=<root>, rip={VICTIM}, lip=::1"),
        format!("imap-login: Disconnected (auth failed, 9 attempts): user=<x>, rip={VICTIM}, lip=::1"),
    ];
    for name in &names {
        for prefix in ["", "Info: ", "dovecot: "] {
            nobody_is_named("dovecot", &format!("{prefix}{}", disallowed(name)));
        }
        for message in [
            format!("imap-login: proxy({name}): disconnected: user=<x>, rip={CLIENT}, lip=::1"),
            format!("imap-login: Error: x {name}"),
            format!("lmtp(x): {name}"),
            format!("imap({name})<7><s>: Disconnected: Logged out"),
        ] {
            nobody_is_named("dovecot", &message);
        }
        // Since 2.4 the name stands in what is the tag of a file of dovecot's own.
        for line in [
            format!("Aug 30 00:10:57 auth(x: {name},{CLIENT},sasl:login)<s>: Info: sql: Password mismatch"),
            format!("Aug 30 00:10:57 auth(x {name},{CLIENT},sasl:login)<s>: Info: sql: Password mismatch"),
        ] {
            match parse(Format::Auth, line.as_bytes(), &mut context()) {
                Parsed::Record(record) => {
                    assert!(record.address.is_none_or(|address| address.to_string() == CLIENT) && record.attempts == 0, "{record:?}");
                }
                other => assert!(matches!(other, Parsed::Other | Parsed::Unparsed), "{line}"),
            }
        }
    }
    for (message, what, attempts) in [
        ("imap-login: Info: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=::1", What::LoginAccepted, 0),
        ("imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=::1", What::LoginAccepted, 0),
        ("pop3-login: Aborted login (auth failed, 3 attempts in 9 secs): method=PLAIN, rip=192.0.2.1, lip=::1", What::LoginFailed, 3),
        (
            "submission-login: Login aborted: x (auth failed, 2 attempts in 9 secs) (auth_failed): user=<a>, rip=192.0.2.1",
            What::LoginFailed,
            2,
        ),
        ("managesieve-login: Debug: Disconnected (no auth attempts in 2 secs): user=<>, rip=192.0.2.1, lip=::1", What::Probe, 0),
    ] {
        let line = format!("Nov 28 09:00:00 host dovecot: {message}");
        last(&[line.as_bytes()], |record| {
            assert_eq!((record.what, record.attempts, record.address), (what, attempts, CLIENT.parse().ok()), "{line}");
        });
    }
}

#[test]
fn each_attempt_counts_once_however_many_lines_tell_of_it() {
    let sum = |lines: &[&str]| {
        let mut context = context();
        lines.iter().map(|line| format!("Nov 28 09:00:00 host sshd[7]: {line}")).fold(0, |sum, line| {
            match parse(Format::Auth, line.as_bytes(), &mut context) {
                Parsed::Record(record) => sum + record.attempts,
                _ => sum,
            }
        })
    };
    let pam = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root";
    let failed = "Failed password for root from 192.0.2.1 port 5 ssh2";
    let many = "message repeated 2 times: [ Failed password for root from 192.0.2.1 port 5 ssh2]";
    let exceeded = "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 5 ssh2 [preauth]";
    let over = "Disconnecting authenticating user root 192.0.2.1 port 5: Too many authentication failures [preauth]";
    let key = "Failed publickey for root from 192.0.2.1 port 5 ssh2: RSA SHA256:a";
    let closed = "Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]";
    assert_eq!(sum(&[pam, failed, many, exceeded, over]), 3, "a password tried three times");
    assert_eq!(
        sum(&[
            "Invalid user x from 192.0.2.1 port 5",
            "Failed none for invalid user x from 192.0.2.1 port 5 ssh2",
            "Failed password for invalid user x from 192.0.2.1 port 5 ssh2"
        ]),
        1
    );
    assert_eq!(sum(&["Invalid user x from 192.0.2.1 port 5", "Connection closed by invalid user x 192.0.2.1 port 5 [preauth]"]), 1);
    assert_eq!(sum(&[key, key, key, closed]), 1, "an agent full of keys, and gone");
    assert_eq!(sum(&[key, key, "Accepted publickey for root from 192.0.2.1 port 5 ssh2: RSA SHA256:b"]), 0, "the third key was right");
    assert_eq!(
        sum(&[
            "error: PAM: Authentication failure for root from 192.0.2.1",
            "Failed keyboard-interactive/pam for root from 192.0.2.1 port 5 ssh2"
        ]),
        1
    );
    assert_eq!(sum(&[closed]), 0, "a probe");
}

#[test]
fn a_huge_name_is_kept_in_part_and_a_line_beyond_the_limit_is_refused_whole() {
    let name = "x from 203.0.113.9 port 1 ssh2 ".repeat(400);
    let line = format!("Nov 28 09:00:00 host sshd[7]: Failed password for invalid user {name} from {CLIENT} port 5 ssh2");
    last(&[line.as_bytes()], |record| {
        assert_eq!((record.address, record.user.unwrap().len()), (CLIENT.parse().ok(), MAX_NAME));
    });
    let long = format!("Nov 28 09:00:00 host sshd[7]: Failed password for invalid user {} from {CLIENT} port 5 ssh2", "x".repeat(MAX_LINE));
    assert_eq!(parse(Format::Auth, long.as_bytes(), &mut context()), Parsed::TooLong);
}
