//! What the tools of the host itself log (sudo, su, cron, login, the account tools) is read, and no directory, command or note of sudo changes
//! whose deed it was.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use bartizan_logs::{Context, Format, Parsed, Raw, What, parse};

fn context() -> Context {
    Context::new("2026-11-28T10:00:00Z".parse().unwrap(), 0)
}

fn read(line: &[u8], look: impl FnOnce(Raw<'_>)) {
    match parse(Format::Auth, line, &mut context()) {
        Parsed::Record(record) => look(record),
        other => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
    }
}

#[test]
fn what_local_tools_say_is_read() {
    for (tag, message, what, user, target) in [
        ("su[1]", "(to root) alice on pts/0", What::PrivilegeUsed, "alice", Some("root")),
        ("su[1]", "FAILED SU (to root) alice on pts/0", What::PrivilegeDenied, "alice", Some("root")),
        ("su[1]", "FAILED su for root by alice", What::PrivilegeDenied, "alice", Some("root")),
        ("su[1]", "- /dev/pts/0 alice:root", What::PrivilegeDenied, "alice", Some("root")),
        ("CRON[1]", "(root) CMD (run-parts) x)", What::JobRun, "root", None),
        ("systemd-logind[1]", "New session '5' of user 'alice' with class 'user' and type 'tty'.", What::SessionOpened, "alice", None),
        ("systemd-logind[1]", "New session 5 of user alice.", What::SessionOpened, "alice", None),
        ("sshd[1]", "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", What::SessionOpened, "alice", None),
        (
            "sudo",
            "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
            What::SessionOpened,
            "root",
            Some("alice"),
        ),
        (
            "sshd[1]",
            "pam_faillock(sshd:auth): Consecutive login failures for user alice account temporarily locked",
            What::LockedOut,
            "alice",
            None,
        ),
        ("sshd[1]", "pam_tally2(sshd:auth): user alice (1000) tally 6, deny 5", What::LockedOut, "alice", None),
        ("login[1]", "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", What::LoginFailed, "root", None),
    ] {
        let line = format!("Nov 28 09:00:00 host {tag}: {message}");
        read(line.as_bytes(), |record| {
            assert_eq!((record.what, record.user), (what, Some(user.as_bytes())), "{line}: {record:?}");
            assert_eq!(record.target, target.map(str::as_bytes), "{line}");
        });
    }
}

#[test]
fn account_tools_are_read() {
    use bartizan_logs::AccountChange as C;
    for (tag, message, change, user, target) in [
        (
            "useradd[1]",
            "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/bash, from=/dev/pts/0",
            C::UserAdded,
            "bob",
            None,
        ),
        ("useradd[1]", "new group: name=bob, GID=1001", C::GroupAdded, "bob", None),
        ("usermod[1]", "add 'bob' to group 'sudo'", C::JoinedGroup, "bob", Some("sudo")),
        ("usermod[1]", "add 'bob' to shadow group 'sudo'", C::JoinedGroup, "bob", Some("sudo")),
        ("gpasswd[1]", "user bob added by root to group sudo", C::JoinedGroup, "bob", Some("sudo")),
        ("userdel[1]", "delete user 'bob'", C::UserRemoved, "bob", None),
        ("userdel[1]", "removed group 'bob' owned by 'bob'", C::GroupRemoved, "bob", None),
        ("usermod[1]", "change user 'bob' password", C::PasswordChanged, "bob", None),
        ("usermod[1]", "change user 'bob' UID from '1001' to '0'", C::UserChanged, "bob", None),
        ("passwd[1]", "pam_unix(passwd:chauthtok): password changed for bob", C::PasswordChanged, "bob", None),
        ("chage[1]", "changed password expiry for bob", C::ExpiryChanged, "bob", None),
    ] {
        let line = format!("Nov 28 09:00:00 host {tag}: {message}");
        read(line.as_bytes(), |record| {
            assert_eq!((record.what, record.user), (What::Account(change), Some(user.as_bytes())), "{line}: {record:?}");
            assert_eq!(record.target, target.map(str::as_bytes), "{line}");
        });
    }
}

#[test]
fn a_directory_or_command_of_sudo_changes_no_ones_name() {
    let line = |message: &str| format!("Nov 28 09:00:00 host sudo:    {message}");
    let plain = line("alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id");
    read(plain.as_bytes(), |record| {
        assert_eq!((record.what, record.attempts), (What::PrivilegeDenied, 3));
        assert_eq!((record.user, record.target), (Some(&b"alice"[..]), Some(&b"root"[..])));
    });
    for injected in [
        "alice : TTY=pts/0 ; PWD=/tmp/a ; USER=bob ; COMMAND=x ; USER=root ; COMMAND=/usr/bin/id",
        "alice : TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/bin/echo a ; USER=bob ; COMMAND=x",
    ] {
        read(line(injected).as_bytes(), |record| {
            assert_eq!((record.what, record.user, record.target), (What::PrivilegeUsed, Some(&b"alice"[..]), None));
        });
    }
}

#[test]
fn notes_of_sudo_are_no_refusals_whatever_the_command_says() {
    for message in [
        "alice : (command continued) AND deleted_at IS NOT NULL",
        "alice : (command continued) x not allowed ; TTY=x ; USER=root ; COMMAND=y",
        "alice : (command continued) 3 incorrect password attempts ; COMMAND=y",
        "alice : a password is required ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/true",
    ] {
        let line = format!("Nov 28 09:00:00 host sudo: {message}");
        assert_eq!(parse(Format::Auth, line.as_bytes(), &mut context()), Parsed::Other, "{message}");
    }
    for why in ["user NOT in sudoers", "user NOT authorized on host", "command not allowed", "1 incorrect password attempt"] {
        let line = format!("Nov 28 09:00:00 host sudo: alice : {why} ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=x");
        read(line.as_bytes(), |record| assert_eq!(record.what, What::PrivilegeDenied, "{why}"));
    }
}
