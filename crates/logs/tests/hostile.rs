//! Lines that nobody meant: any bytes, cut lines, lines that are all separators. No parser panics, what is kept is bounded, and time grows
//! with the line, not with its square.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use bartizan_logs::{Context, Format, MAX_DETAIL, MAX_LINE, MAX_NAME, Parsed, parse};
use proptest::prelude::*;

fn context() -> Context {
    Context::new("2026-11-28T10:00:00Z".parse().unwrap(), 0)
}

const TAGS: [&str; 16] = [
    "sshd", "sshd-session", "sudo", "su", "login", "CRON", "systemd-logind", "dovecot", "postfix/smtpd", "vsftpd", "proftpd", "pure-ftpd",
    "useradd", "kernel", "auth", "other",
];

/// Pieces of which real lines are made, so that random lines get far into the parsers.
const PIECES: [&str; 44] = [
    "Failed ", "password ", "publickey ", "for ", "invalid user ", "from ", " from ", "192.0.2.1", "2001:db8::1", " port ", "22", " ssh2",
    ": ", " [preauth]", "Invalid user ", "Connection ", "closed by ", "Disconnecting ", "Received disconnect from ",
    "authenticating user ", "pam_unix(sshd:auth): ", "authentication failure; ", " ruser=", " rhost=", " user=", " : ", " ; USER=", "TTY=",
    " ; COMMAND=", "(", ")", "[", "]", "<", ">", ",", " rip=", "(auth failed, ", "warning: ", "SASL ", "IN=", " SRC=",
    "message repeated 3 times: [ ", "\u{1b}",
];

/// What a client writes stands for `{}`; the daemon writes 198.51.100.77, which stands in none of the pieces.
const TEMPLATES: [(&str, &str); 16] = [
    ("sshd", "Failed password for invalid user {} from 198.51.100.77 port 5 ssh2"),
    ("sshd", "Failed publickey for invalid user {} from 198.51.100.77 port 5 ssh2: RSA SHA256:a"),
    ("sshd", "Invalid user {} from 198.51.100.77 port 5"),
    ("sshd", "Connection closed by invalid user {} 198.51.100.77 port 5 [preauth]"),
    ("sshd", "Disconnecting invalid user {} 198.51.100.77 port 5: Too many authentication failures [preauth]"),
    ("sshd", "Received disconnect from 198.51.100.77 port 5:11: {} [preauth]"),
    ("sshd", "Bad protocol version identification '{}' from 198.51.100.77 port 5"),
    ("sshd", "Protocol major versions differ for 198.51.100.77 port 5: SSH-2.0-OpenSSH_9.9 vs. {}"),
    ("sshd", "Unable to negotiate with 198.51.100.77 port 5: no matching cipher found. Their offer: {} [preauth]"),
    ("x", "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty=x ruser={} rhost=198.51.100.77  user=bob"),
    ("x", "pam_sss(x:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.77 user={}"),
    ("vsftpd", "[{}] FAIL LOGIN: Client \"198.51.100.77\""),
    ("pure-ftpd", "(?@198.51.100.77) [WARNING] Authentication failed for user [{}]"),
    ("proftpd", "host (a.example[198.51.100.77]): USER {}: no such user found from a.example [198.51.100.77] to ::1:21"),
    ("dovecot", "imap-login: Disconnected (auth failed, 1 attempts): user=<{}>, method=PLAIN, rip=198.51.100.77, lip=10.0.0.1"),
    ("postfix/smtpd", "warning: a.example[198.51.100.77]: SASL LOGIN authentication failed: x, sasl_username={}"),
];

fn bounded(format: Format, line: &[u8]) {
    let mut context = context();
    if let Parsed::Record(record) = parse(format, line, &mut context) {
        for text in [record.user, record.target, record.host, record.fingerprint].into_iter().flatten() {
            assert!(text.len() <= MAX_NAME);
        }
        assert!(record.detail.is_none_or(|detail| detail.len() <= MAX_DETAIL));
        assert_eq!(record.keep().raw(), record);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, format) in Format::NAMES {
            bounded(format, &line);
        }
    }

    #[test]
    fn any_order_of_real_pieces_is_survived(tag in 0..TAGS.len(), pieces in prop::collection::vec(0..PIECES.len(), 0..24), cut in 0..400_usize) {
        let message: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let line = format!("Nov 28 09:00:00 host {}[7]: {message}", TAGS[tag]);
        bounded(Format::Auth, line.as_bytes());
        bounded(Format::Auth, &line.as_bytes()[..cut.min(line.len())]);
    }

    #[test]
    fn an_address_comes_from_the_daemon_and_from_nowhere_else(template in 0..TEMPLATES.len(), pieces in prop::collection::vec(0..PIECES.len(), 0..24)) {
        let (tag, around) = TEMPLATES[template];
        let message = around.replace("{}", &pieces.iter().map(|piece| PIECES[*piece]).collect::<String>());
        let line = format!("Nov 28 09:00:00 host {tag}[7]: {message}");
        let mut context = context();
        if let Parsed::Record(record) = parse(Format::Auth, line.as_bytes(), &mut context) {
            prop_assert!(record.address.is_none_or(|address| address.to_string() == "198.51.100.77"), "{line}: {record:?}");
        }
    }
}

/// Beginnings behind which a parser looks for an end again and again.
const STARTS: [&str; 5] =
    ["", "Failed publickey for invalid user ", "Disconnecting ", "ssh_dispatch_run_fatal: Connection from ", "unknown user"];

#[test]
fn time_grows_with_the_line_and_not_with_its_square() {
    // Every separator that a parser looks for, over and over, in the longest line that is read; a megabyte is refused at once.
    for (length, limit) in [(MAX_LINE - 200, Duration::from_millis(250)), (1 << 20, Duration::from_millis(250))] {
        for tag in TAGS {
            for piece in PIECES.iter().chain(&[
                " from 192.0.2.1 port 22 ssh2", "x 192.0.2.1 port 22: ", ",192.0.2.1,", " from 192.0.2.1 port 22 ssh2: ", "(u,192.0.2.1",
            ]) {
                let starts: &[&str] = if matches!(tag, "sshd" | "dovecot") { &STARTS } else { &[""] };
                for start in starts {
                    let line = format!("Nov 28 09:00:00 host {tag}[7]: {start}{}", piece.repeat((length - 90) / piece.len()));
                    let mut context = context();
                    let began = Instant::now();
                    let _ = parse(Format::Auth, line.as_bytes(), &mut context);
                    assert!(began.elapsed() < limit, "{:?} for {} bytes of {tag}: {start}{piece}...", began.elapsed(), line.len());
                }
            }
        }
    }
}
