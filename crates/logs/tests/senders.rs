//! Who sent a line, as the journal saw it: nobody is held to what a local user can write, no daemon is called a forger, and each attempt
//! counts once. 203.0.113.9 is the victim; 192.0.2.1 is where a client came from.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use bartizan_logs::{Context, Format, Origin, Parsed, What, parse};

const CLIENT: &str = "192.0.2.1";

fn context() -> Context {
    Context::new("2026-11-28T10:00:00Z".parse().unwrap(), 0)
}

#[test]
fn a_line_that_another_than_the_daemon_sent_is_told_apart() {
    let failed = |fields: &str| {
        format!("{{\"MESSAGE\":\"Failed password for root from {CLIENT} port 5 ssh2\",\"SYSLOG_IDENTIFIER\":\"sshd\",{fields}}}")
    };
    for (fields, origin) in [
        ("\"_UID\":\"0\",\"_EXE\":\"/usr/sbin/sshd\",\"_PID\":\"7\"", Origin::Proven),
        ("\"_UID\":\"0\",\"_EXE\":\"/usr/lib/openssh/sshd-session\",\"_PID\":\"7\"", Origin::Proven),
        ("\"_UID\":\"0\",\"_PID\":\"7\"", Origin::Proven),
        ("\"_UID\":\"1000\",\"_EXE\":\"/usr/bin/logger\",\"_PID\":\"7\"", Origin::Forged),
        ("\"_UID\":\"1000\",\"_EXE\":\"/usr/sbin/sshd\",\"_PID\":\"7\"", Origin::Forged),
        ("\"_UID\":\"0\",\"_EXE\":\"/usr/bin/logger\",\"_PID\":\"7\"", Origin::Forged),
        ("\"_UID\":\"1000\",\"_PID\":\"7\"", Origin::Forged),
        ("\"_UID\":\"0\",\"_EXE\":\"/opt/openssh/sshd\",\"_PID\":\"7\"", Origin::Proven),
        ("\"_TRANSPORT\":\"kernel\"", Origin::Forged),
        ("\"_PID\":\"7\"", Origin::Forged),
    ] {
        let line = failed(fields);
        let mut context = context();
        match parse(Format::Journal, line.as_bytes(), &mut context) {
            Parsed::Record(record) => assert_eq!((record.origin, record.address), (origin, CLIENT.parse().ok()), "{fields}"),
            other => panic!("{other:?}: {line}"),
        }
    }
    let forged = "{\"MESSAGE\":\"alice : TTY=x ; PWD=/ ; USER=root ; COMMAND=y\",\"SYSLOG_IDENTIFIER\":\"sudo\",\"_UID\":\"1000\",\"_EXE\":\"/home/x/sudo\"}";
    let mut context = context();
    assert!(matches!(parse(Format::Journal, forged.as_bytes(), &mut context), Parsed::Record(record) if record.origin == Origin::Forged));
}

/// An entry of the journal.
fn entry(tag: &str, message: &str, sender: &[(&str, &str)]) -> String {
    let fields = [("SYSLOG_IDENTIFIER", tag), ("MESSAGE", message)].iter().chain(sender).copied().collect::<BTreeMap<_, _>>();
    serde_json::to_string(&fields).unwrap()
}

const PAM: &str = "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root";

/// What each service says of a failure, the victim in it.
const FAILURES: [(&str, &str); 12] = [
    ("sshd", "Failed password for root from 203.0.113.9 port 5 ssh2"),
    ("sshd", PAM),
    ("login", "FAILED LOGIN 1 FROM 203.0.113.9 FOR root, Authentication failure"),
    ("vsftpd", "[root] FAIL LOGIN: Client \"203.0.113.9\""),
    ("vsftpd", PAM),
    ("pure-ftpd", "(?@203.0.113.9) [WARNING] Authentication failed for user [root]"),
    ("proftpd", "host (a.example[203.0.113.9]): USER root: no such user found from a.example [203.0.113.9] to ::1:21"),
    ("dovecot", "imap-login: Disconnected (auth failed, 1 attempts): user=<a>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1"),
    ("postfix/smtpd", "warning: a.example[203.0.113.9]: SASL LOGIN authentication failed: x"),
    ("kernel", "[1.2] drop IN=eth0 OUT= MAC= SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=5 DPT=22"),
    ("x", PAM),
    ("PAM", PAM),
];

#[test]
fn nobody_is_accused_by_what_a_local_user_or_a_broken_into_service_sends_under_any_name() {
    for uid in ["33", "1000", "65534", "4294967295"] {
        for exe in [None, Some("/usr/bin/logger"), Some("/tmp/vsftpd"), Some("/home/x/sshd"), Some("/var/tmp/smtpd"), Some("/dev/shm/auth")]
        {
            for (tag, message) in FAILURES {
                let sender = [("_UID", uid)].into_iter().chain(exe.map(|exe| ("_EXE", exe))).collect::<Vec<_>>();
                let line = entry(tag, message, &sender);
                match parse(Format::Journal, line.as_bytes(), &mut context()) {
                    Parsed::Record(record) if record.origin == Origin::Unproven => {
                        assert_eq!((record.address, record.host, record.attempts), (None, None, 0), "{line}: {record:?}");
                    }
                    Parsed::Record(record) => assert_eq!(record.origin, Origin::Forged, "{line}"),
                    other => panic!("{other:?}: {line}"),
                }
            }
        }
    }
}

#[test]
fn what_a_daemon_or_its_child_sends_is_not_called_forged() {
    for (tag, message, sender) in [
        ("sshd", "Failed password for root from 192.0.2.1 port 5 ssh2", &[("_UID", "0")][..]),
        ("sudo", "alice : TTY=x ; PWD=/ ; USER=root ; COMMAND=y", &[("_UID", "1000")]),
        ("useradd", "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/bash, from=/dev/pts/0", &[("_UID", "0")]),
        (
            "postfix/cleanup",
            "warning: a.example[192.0.2.1]: SASL LOGIN authentication failed: x",
            &[("_UID", "113"), ("_EXE", "/usr/lib/postfix/sbin/cleanup")],
        ),
        (
            "pure-ftpd",
            "(?@192.0.2.1) [WARNING] Authentication failed for user [bob]",
            &[("_UID", "0"), ("_EXE", "/usr/sbin/pure-ftpd-mysql")],
        ),
        ("pure-ftpd", "(bob@192.0.2.1) [INFO] bob is now logged in", &[("_UID", "1001"), ("_EXE", "/usr/sbin/pure-ftpd")]),
        ("xrdp", PAM, &[("_UID", "0"), ("_EXE", "/usr/sbin/xrdp-sesman")]),
        (
            "i3lock",
            "pam_unix(i3lock:auth): authentication failure; logname= uid=1000 euid=1000 tty=:0 ruser= rhost=  user=alice",
            &[("_UID", "1000"), ("_EXE", "/usr/bin/i3lock")],
        ),
    ] {
        let line = entry(tag, message, sender);
        match parse(Format::Journal, line.as_bytes(), &mut context()) {
            Parsed::Record(record) => assert_ne!(record.origin, Origin::Forged, "{line}"),
            other => panic!("{other:?}: {line}"),
        }
    }
    for message in ["Disconnected from user alice 192.0.2.1 port 5", "Received disconnect from 192.0.2.1 port 5:11: disconnected by user"] {
        for exe in [None, Some("/usr/sbin/sshd"), Some("/usr/lib/openssh/sshd-session")] {
            let sender = [("_UID", "1000")].into_iter().chain(exe.map(|exe| ("_EXE", exe))).collect::<Vec<_>>();
            let line = entry("sshd", message, &sender);
            assert_eq!(parse(Format::Journal, line.as_bytes(), &mut context()), Parsed::Other, "{line}: what its child says at a logout");
        }
    }
}

#[test]
fn what_a_container_prints_into_the_journal_is_never_proven_names_nobody_and_is_no_login() {
    let driver = [("CONTAINER_NAME", "sshd"), ("CONTAINER_ID", "0123456789ab"), ("_UID", "0"), ("_EXE", "/usr/bin/dockerd")];
    let mut senders = vec![
        driver.to_vec(),
        vec![("CONTAINER_NAME", "x"), ("_UID", "0"), ("_EXE", "/usr/sbin/sshd")],
        vec![("CONTAINER_ID", "x"), ("_UID", "0")],
        vec![("CONTAINER_ID_FULL", "x"), ("_UID", "0"), ("_EXE", "/usr/bin/conmon")],
    ];
    let runtimes = [
        "/usr/bin/dockerd", "/usr/bin/docker", "/usr/bin/conmon", "/usr/libexec/podman/conmon", "/usr/bin/containerd-shim",
        "/usr/bin/containerd-shim-runc-v2", "/usr/bin/podman", "/usr/bin/dockerd (deleted)", "/snap/docker/1/bin/dockerd",
    ];
    senders.extend(runtimes.map(|exe| vec![("_UID", "0"), ("_EXE", exe)]));
    senders.extend(runtimes.map(|exe| vec![("_UID", "0"), ("_EXE", exe), ("_TRANSPORT", "stdout")]));
    let logins = [
        ("sshd", "Accepted password for root from 203.0.113.9 port 5 ssh2"),
        ("vsftpd", "[root] OK LOGIN: Client \"203.0.113.9\""),
        ("dovecot", "imap-login: Login: user=<a>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1"),
    ];
    for sender in &senders {
        let mut context = context();
        // Its runtime has one process id for all of them: no line lends another its address.
        for (tag, message) in FAILURES.into_iter().chain(logins).filter(|(tag, _)| *tag != "kernel") {
            let fields = sender.iter().copied().chain([("_PID", "7")]).collect::<Vec<_>>();
            let line = entry(tag, message, &fields);
            match parse(Format::Journal, line.as_bytes(), &mut context) {
                Parsed::Record(record) => {
                    assert_eq!((record.address, record.host, record.attempts), (None, None, 0), "{line}: {record:?}");
                    assert_eq!(record.origin, Origin::Unproven, "{line}");
                    assert_ne!(record.what, What::LoginAccepted, "{line}");
                }
                other => assert_eq!(other, Parsed::Other, "{line}"),
            }
        }
    }
}

#[test]
fn a_pam_line_that_any_service_of_root_printed_names_nobody() {
    let named = |tag: &str, sender: &[(&str, &str)]| {
        let line = entry(tag, PAM, sender);
        match parse(Format::Journal, line.as_bytes(), &mut context()) {
            Parsed::Record(record) => {
                assert_eq!(record.origin, Origin::Unproven, "{line}");
                assert_eq!(record.address.is_some(), record.attempts > 0, "{line}");
                record.address.is_some()
            }
            other => panic!("{other:?}: {line}"),
        }
    };
    for tag in ["x", "PAM", "app"] {
        for exe in ["/opt/app/server", "/srv/app", "/root/x", "/var/lib/app/run", "/tmp/x", "/usr/bin/dockerd", ""] {
            assert!(!named(tag, &[("_UID", "0"), ("_EXE", exe)]), "{exe}");
        }
        assert!(!named(tag, &[("_UID", "0")]), "gone before the journal looked");
        assert!(!named(tag, &[("_UID", "0"), ("_EXE", "/usr/bin/node"), ("_TRANSPORT", "stdout")]), "printed, not said by a module");
        assert!(named(tag, &[("_UID", "0"), ("_EXE", "/usr/sbin/xrdp-sesman"), ("_TRANSPORT", "syslog")]));
    }
}

#[test]
fn a_forged_line_gives_no_connection_an_address() {
    let mut context = context();
    let forged = "Timeout before authentication for connection from 203.0.113.9 to 10.0.0.1, pid = 4242";
    let genuine = "error: maximum authentication attempts exceeded";
    let revoked = "error: Authentication key RSA SHA256:abc revoked by file /etc/ssh/revoked";
    let lines = [
        entry("sshd", forged, &[("_UID", "1000"), ("_EXE", "/usr/bin/logger"), ("_PID", "99")]),
        entry(
            "sshd",
            &format!("{genuine} for root from 203.0.113.9 port 5 ssh2"),
            &[("_UID", "1000"), ("_EXE", "/usr/bin/logger"), ("_PID", "4242")],
        ),
        entry("sshd", revoked, &[("_UID", "0"), ("_EXE", "/usr/sbin/sshd"), ("_PID", "4242")]),
    ];
    for line in &lines {
        let Parsed::Record(record) = parse(Format::Journal, line.as_bytes(), &mut context) else { panic!("{line}") };
        assert!(record.origin == Origin::Forged || record.address.is_none(), "{line}: {record:?}");
    }
}

#[test]
fn a_line_that_stands_for_several_counts_as_many_attempts_for_every_service() {
    for (tag, message) in FAILURES.into_iter().filter(|(tag, _)| *tag != "kernel") {
        let attempts = |message: &str| {
            let line = format!("Nov 28 09:00:00 host {tag}[7]: {message}");
            match parse(Format::Auth, line.as_bytes(), &mut context()) {
                Parsed::Record(record) => record.attempts,
                other => panic!("{other:?}: {line}"),
            }
        };
        let repeated = attempts(&format!("message repeated 5 times: [ {message}]"));
        assert_eq!(repeated, 5 * attempts(message), "{tag}: {message}");
    }
    let two =
        "message repeated 3 times: [ imap-login: Disconnected (auth failed, 2 attempts): user=<a>, method=PLAIN, rip=192.0.2.1, lip=::1]";
    let line = format!("Nov 28 09:00:00 host dovecot: {two}");
    assert!(matches!(parse(Format::Auth, line.as_bytes(), &mut context()), Parsed::Record(record) if record.attempts == 6));
}

#[test]
fn a_service_that_logs_a_refusal_itself_counts_it_once_beside_its_pam_module() {
    for (tag, message) in FAILURES
        .into_iter()
        .filter(|(tag, message)| !["sshd", "kernel", "x", "PAM", "vsftpd", "postfix/smtpd"].contains(tag) && *message != PAM)
    {
        let count = |message: &str| {
            let line = format!("Nov 28 09:00:00 host {tag}[7]: {message}");
            match parse(Format::Auth, line.as_bytes(), &mut context()) {
                Parsed::Record(record) => record.attempts,
                other => panic!("{other:?}: {line}"),
            }
        };
        assert_eq!(count(message) + count(PAM), 1, "{tag}");
    }
}
