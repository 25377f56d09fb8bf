//! Accounts by name and number, as their owner asks for them at the command line: the last way to root stays open, what cannot
//! be told is asked, one name means one account everywhere, and the policy's mistyped words are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Output;

use support::agent::{Home, told};
use support::can_run;
use support::lan::Lan;
use support::ssh::{ACCOUNT, SshServer};

/// A host whose only ways to root are sudo for `owner` and `bob`, each with a key.
struct Ground {
    lan: Lan,
    _server: SshServer,
    home: Home,
}

impl Ground {
    fn new(more: &str) -> Option<Self> {
        if !can_run(&["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen", "useradd", "sudo"]) {
            return None;
        }
        if !std::path::Path::new("/usr/sbin/sshd").is_file() {
            eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
            return None;
        }
        let lan = Lan::new();
        let server = SshServer::start(&lan.host, more);
        lan.host.shell("useradd -m -s /bin/sh -u 3002 bob && usermod -p '*' bob && usermod -p '*' root");
        lan.host.shell(&format!("mkdir -p -m 700 ~bob/.ssh && cp ~{ACCOUNT}/.ssh/authorized_keys ~bob/.ssh/ && chown -R bob ~bob"));
        lan.host.shell("getent group sudo >/dev/null || groupadd sudo; rm -rf /etc/sudoers.d/* /etc/doas.conf");
        lan.host.shell(&format!("gpasswd -M {ACCOUNT},bob sudo && printf '%%sudo ALL=(ALL:ALL) NOPASSWD: ALL\\n' >/etc/sudoers"));
        let home = Home::on(&lan.host);
        Some(Self { lan, _server: server, home })
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.home.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        said(&output)
    }

    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.home.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_second_of_two_administrators_cannot_be_disabled() {
    let Some(ground) = Ground::new("") else { return };
    let _agent = ground.home.start();
    ground.done(&["disable-user", "bob"]);
    let said = ground.refused(&["disable-user", ACCOUNT], 4);
    assert!(said.contains("the last account that can log in and become root"), "{said}");
    let said = ground.refused(&["disable-user", ACCOUNT, "--preview"], 4);
    assert!(said.contains("the last account"), "the preview says so too: {said}");
    assert_eq!(ground.home.json(&["actions", "--active"]).len(), 1);
    assert!(ground.lan.host.shell(&format!("getent shadow {ACCOUNT}")).contains(":*:"), "untouched");
    ground.done(&["rollback", "--all"]);
    ground.done(&["disable-user", ACCOUNT]);
    ground.refused(&["disable-user", "bob"], 4);
    ground.done(&["rollback", "--all"]);
}

#[test]
fn where_it_cannot_be_told_who_else_becomes_root_a_person_must_confirm() {
    let Some(ground) = Ground::new(
        "Match User bob\nAuthorizedKeysFile none\nAuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\nMatch all",
    ) else {
        return;
    };
    let _agent = ground.home.start();
    let said = ground.done(&["disable-user", ACCOUNT, "--preview"]);
    assert!(said.contains("cannot tell who else can become root") && said.contains("AuthorizedKeysCommand"), "{said}");
    ground.done(&["disable-user", ACCOUNT]);
    let action = &ground.home.json(&["actions", "--active"])[0];
    assert!(action["confirmation"]["until"].is_string() && action["confirmation"]["confirmed_at"].is_null(), "{action}");
    assert!(action["preview"].to_string().contains("cannot tell who else"), "{action}");
    ground.done(&["rollback", "--all"]);
}

#[test]
fn a_name_comes_first_and_digits_are_a_uid_when_no_account_is_called_so() {
    let Some(ground) = Ground::new("") else { return };
    let _agent = ground.home.start();
    let by_number = ["3002", "bob"].map(|who| ground.done(&["disable-user", who, "--preview"]));
    assert!(by_number.iter().all(|said| said.contains("account bob (uid 3002)")), "{by_number:?}");
    let block = |who: &str| ground.done(&["block", "203.0.113.66", "--out", "--user", who, "--preview"]);
    assert!(block("3002").contains("uid 3002 (account bob)"), "{}", block("3002"));
    assert!(block("54321").contains("uid 54321 (no account of this host)"), "{}", block("54321"));
    let said = ground.refused(&["disable-user", "54321", "--preview"], 2);
    assert!(said.contains("no account 54321"), "{said}");
    let said = ground.refused(&["disable-user", "bbo"], 2);
    assert!(said.contains("did you mean bob?"), "{said}");
    // Now an account has these digits for its name: both verbs mean that one.
    ground.lan.host.shell("echo '3002:x:3003:3003::/:/bin/sh' >>/etc/passwd; echo '3002:*:19000::::::' >>/etc/shadow");
    assert!(ground.done(&["disable-user", "3002", "--preview"]).contains("account 3002 (uid 3003)"));
    assert!(block("3002").contains("uid 3003 (account 3002)"), "{}", block("3002"));
}

#[test]
fn a_backslash_in_a_name_is_shown_escaped_once() {
    let Some(ground) = Ground::new("") else { return };
    let _agent = ground.home.start();
    let said = ground.refused(&["disable-user", r"CORP\jdoe"], 2);
    assert!(said.contains(r"CORP\\jdoe") && !said.contains(r"\\\"), "{said}");
    ground.lan.host.shell(r"printf 'CORP\\jdoe:x:3009:3009::/:/bin/sh\n' >>/etc/passwd; printf 'CORP\\jdoe:*:19000::::::\n' >>/etc/shadow");
    let mut shown = vec![ground.done(&["disable-user", r"CORP\jdoe", "--preview"]), ground.done(&["disable-user", r"CORP\jdoe"])];
    shown.extend([&["actions"][..], &["audit", "show"], &["status"]].map(|verb| ground.done(verb)));
    shown.push(ground.done(&["rollback", "--all"]));
    for said in &shown {
        assert!(!said.contains(r"\\\"), "{said}");
    }
    assert!(shown[..4].iter().all(|said| said.contains(r"CORP\\jdoe")), "{shown:#?}");
}

#[test]
fn words_of_the_policy_that_match_nothing_are_told_with_the_nearest_one() {
    let Some(ground) = Ground::new("") else { return };
    let policy =
        "[protected]\nusers = [\"bobb\", \"owner\"]\nexes = [\"sbin/sshd\", \"/usr/sbin/shsd\"]\n[vitals]\nunits = [\"no-such.service\"]\n";
    std::fs::write(ground.home.path("policy.toml"), policy).unwrap();
    let _agent = ground.home.start();
    let doctor = said(&ground.home.run(&["doctor"]));
    let status = ground.done(&["status"]);
    for said in [&doctor, &status] {
        for told in [
            "\"bobb\" is no account in /etc/passwd (did you mean \"bob\"?)",
            "\"sbin/sshd\" matches nothing",
            "\"/usr/sbin/shsd\" (did you mean \"/usr/sbin/sshd\"?)",
            "no-such.service",
        ] {
            assert!(said.contains(told), "{told} is missing: {said}");
        }
        assert!(!said.contains("\"owner\""), "{said}");
    }
    let log = std::fs::read_to_string(ground.home.path("agent.log")).unwrap();
    assert!(log.contains("bobb"), "said at start: {log}");
    std::fs::write(ground.home.path("policy.toml"), "[protected]\nusers = [\"bob\"]\n").unwrap();
    ground.done(&["reload"]);
    assert!(!ground.done(&["status"]).contains("no account in /etc/passwd"));
}
