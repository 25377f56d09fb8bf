//! Attacks and ordinary days, played as lines through parser and detectors.

use super::*;
use bartizan_logs::{Context, Format, Parsed, parse};
use bartizan_model::Severity;

/// A host whose log is read.
struct Host {
    context: Context,
    detectors: LoginDetectors,
    now: Timestamp,
    pid: u32,
    findings: Vec<Finding>,
}

impl Host {
    fn new() -> Self {
        Self::with("")
    }

    fn with(policy: &str) -> Self {
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let policy = Policy::parse(policy, "test").unwrap();
        let detectors = LoginDetectors::new(&policy, 42, [HostText::from("alice")]);
        Self { context: Context::new(now, 0), detectors, now, pid: 100, findings: Vec::new() }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += chrono::TimeDelta::seconds(seconds);
        self.context.set_time(self.now, 0);
    }

    /// A line that was written just now.
    fn line(&mut self, tag: &str, message: &str) -> Option<Finding> {
        let line = format!("{} host {tag}[{}]: {message}", self.now.to_rfc3339(), self.pid);
        self.read(Format::Auth, line.as_bytes())
    }

    fn read(&mut self, format: Format, line: &[u8]) -> Option<Finding> {
        let Parsed::Record(record) = parse(format, line, &mut self.context) else { panic!("{}", String::from_utf8_lossy(line)) };
        let finding = self.detectors.observe(&record, self.now);
        self.findings.extend(finding.clone());
        finding
    }

    /// A failed password on a connection of its own.
    fn fail(&mut self, address: &str, user: &str, known: bool) -> Option<Finding> {
        self.pid += 1;
        let user = if known { user.to_owned() } else { format!("invalid user {user}") };
        self.line("sshd", &format!("Failed password for {user} from {address} port 5 ssh2"))
    }

    fn accept(&mut self, address: &str, user: &str, method: &str) -> Option<Finding> {
        self.pid += 1;
        self.line("sshd", &format!("Accepted {method} for {user} from {address} port 5 ssh2"))
    }

    fn alerts(&self) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| !matches!(finding.fold, Fold::Joins(_))).collect()
    }
}

fn name(finding: Option<Finding>) -> Option<&'static str> {
    finding.map(|finding| finding.info.name)
}

#[test]
fn a_brute_force_is_reported_at_the_configured_attempt_once_and_names_who_did_it() {
    let mut host = Host::new();
    for attempt in 1..=30 {
        let found = host.fail("203.0.113.9", "root", true);
        match attempt {
            10 => {
                let found = found.unwrap();
                assert_eq!((found.info.name, found.hostile), ("login_brute_force", "203.0.113.9".parse().ok()));
                assert_eq!(found.sentence, "203.0.113.9 failed to log in 10 times within 10m (as root)");
                assert!(matches!(found.fold, Fold::Opens(_)) && found.strikes == 1, "{found:?}");
            }
            _ => assert_eq!(found, None, "attempt {attempt}"),
        }
        host.wait(2);
    }
}

#[test]
fn who_comes_back_after_an_hour_of_quiet_is_reported_again_with_one_strike_more() {
    let mut host = Host::new();
    for visit in 1..=3 {
        (0..12).for_each(|_| drop(host.fail("203.0.113.9", "root", true)));
        assert_eq!(host.findings.last().unwrap().strikes, visit);
        host.wait(3601);
    }
    assert_eq!(host.findings.len(), 3);
}

#[test]
fn who_goes_on_after_a_hold_of_ten_minutes_is_reported_again_with_one_strike_more() {
    let mut host = Host::new();
    for visit in 1..=4 {
        (0..12).for_each(|_| drop(host.fail("203.0.113.9", "root", true)));
        assert_eq!(host.findings.last().unwrap().strikes, visit);
        host.wait(700);
        assert_eq!(host.fail("203.0.113.9", "root", true), None, "one failure after it is no new guessing");
    }
    assert_eq!(host.findings.iter().filter(|finding| finding.info.name == "login_brute_force").count(), 4);
    assert_eq!(host.alerts().len(), 1);
}

#[test]
fn an_attack_without_a_pause_is_named_again_and_again_for_a_whole_day() {
    let mut host = Host::new();
    for _ in 0..24 * 60 {
        (0..4).for_each(|_| drop(host.fail("203.0.113.9", "root", true)));
        host.wait(60);
    }
    let named = host.findings.iter().filter(|finding| finding.info.name == "login_brute_force" && finding.hostile.is_some()).count();
    assert!((100..=144).contains(&named), "{named} in a day");
    assert!((3..=4).contains(&host.alerts().len()), "and {} alerts, one for each time of an attack", host.alerts().len());
    assert!(host.findings.windows(2).all(|two| two[0].strikes <= two[1].strikes) && host.findings.last().unwrap().strikes >= 100);
}

#[test]
fn of_an_ipv6_network_an_address_is_named_only_for_failures_of_its_own() {
    let mut host = Host::new();
    (0..9).for_each(|n| drop(host.fail(&format!("2001:db8:1:2::{n:x}"), "root", true)));
    let found = host.fail("2001:db8:1:2::aaaa", "root", true).unwrap();
    assert_eq!((found.info.name, found.hostile), ("login_brute_force", None), "one failure each");
    assert!(found.sentence.starts_with("2001:db8:1:2::/64 failed to log in 10 times"), "{}", found.sentence);
    let mut host = Host::new();
    (0..9).for_each(|_| drop(host.fail("2001:db8:1:2::bad", "root", true)));
    let found = host.fail("2001:db8:1:2::cafe", "alice", true).unwrap();
    assert_eq!(found.hostile, "2001:db8:1:2::bad".parse().ok(), "a neighbour who mistypes once is not taken for the one who guesses");
}

#[test]
fn a_guess_is_told_where_many_addresses_share_the_guessing() {
    let mut host = Host::new();
    for n in 1..=40 {
        (0..2).for_each(|_| drop(host.fail(&format!("203.0.113.{n}"), "deploy", true)));
    }
    assert_eq!(name(host.accept("203.0.113.7", "deploy", "publickey")), None, "a key is not guessed");
    host.fail("203.0.113.7", "deploy", true);
    let found = host.accept("203.0.113.7", "deploy", "password").unwrap();
    assert_eq!((found.info.name, found.severity, found.hostile), ("login_after_failures", Severity::High, None));
    assert!(found.sentence.starts_with("203.0.113.7 logged in as deploy after about "), "{}", found.sentence);
    assert_eq!(host.accept("203.0.113.7", "deploy", "password"), None, "once");
    assert_eq!(host.accept("198.51.100.7", "alice", "password"), None, "nobody tried this account");
}

#[test]
fn a_guess_by_an_address_that_never_failed_is_told_while_many_try_the_account() {
    let mut host = Host::new();
    (1..=60).for_each(|n| drop(host.fail(&format!("203.0.113.{n}"), "deploy", true)));
    let found = host.accept("198.51.100.7", "deploy", "password").unwrap();
    assert_eq!((found.info.name, found.severity), ("login_after_failures", Severity::Medium));
}

#[test]
fn a_guess_is_told_after_one_try_an_hour() {
    let mut host = Host::new();
    for _ in 0..8 {
        host.fail("203.0.113.9", "bob", true);
        host.wait(61 * 60);
    }
    assert_eq!(name(host.accept("203.0.113.9", "bob", "password")), Some("login_after_failures"));
}

#[test]
fn an_anonymous_login_to_ftp_ends_no_row_of_failures() {
    let mut host = Host::new();
    for _ in 0..3 {
        (0..3).for_each(|_| drop(host.fail("203.0.113.9", "bob", true)));
        for user in ["ftp", "anonymous"] {
            host.line("vsftpd", &format!("[{user}] OK LOGIN: Client \"203.0.113.9\", anon password \"x\""));
            host.line("pure-ftpd", &format!("(?@203.0.113.9) [INFO] {user} is now logged in"));
        }
    }
    assert_eq!(host.detectors.counts().accepted, 0);
    assert_eq!(name(host.accept("203.0.113.9", "bob", "password")), Some("login_after_failures"));
}

#[test]
fn a_person_who_mistypes_and_a_host_that_fails_six_times_and_is_gone_are_counted_and_never_reported() {
    let mut host = Host::new();
    (0..3).for_each(|_| drop(host.fail("198.51.100.7", "alice", true)));
    assert_eq!(host.accept("198.51.100.7", "alice", "password"), None);
    (0..6).for_each(|_| drop(host.fail("203.0.113.77", "root", true)));
    assert_eq!((host.findings.len(), host.detectors.counts().attempts, host.detectors.counts().accepted), (0, 9, 1));
    assert_eq!(host.detectors.attackers(5).len(), 2, "and still in the table");
}

#[test]
fn guessing_below_the_limit_for_minutes_is_seen_over_hours() {
    let mut host = Host::new();
    let found = (0..60).find_map(|_| {
        host.wait(1200);
        host.fail("203.0.113.9", "root", true)
    });
    assert_eq!(name(found), Some("login_slow_brute_force"));
}

#[test]
fn many_accounts_of_one_source_are_spraying_and_unknown_ones_are_guessing() {
    let mut host = Host::new();
    for n in 0..9 {
        host.fail("203.0.113.9", &format!("user{n}"), true);
        host.wait(400);
    }
    let found = (9..14).find_map(|n| host.fail("203.0.113.9", &format!("user{n}"), true));
    assert_eq!(name(found), Some("login_spraying"));
    let found = (0..8).find_map(|n| host.fail("203.0.113.10", &format!("nobody{n}"), false));
    assert_eq!(name(found), Some("login_invalid_users"));
}

#[test]
fn one_account_tried_from_many_addresses_is_reported_without_anybody_to_act_on() {
    let mut host = Host::new();
    let found = (1..60).find_map(|n| {
        host.wait(10);
        host.fail(&format!("203.0.113.{n}"), "deploy", true)
    });
    let found = found.unwrap();
    assert_eq!((found.info.name, found.hostile), ("login_distributed", None));
    assert!(found.sentence.starts_with("account deploy was tried from about "), "{}", found.sentence);
}

#[test]
fn twenty_thousand_failures_of_three_thousand_addresses_a_day_are_three_alerts_at_most() {
    let mut host = Host::new();
    let start = host.now;
    for n in 0..20_000_u32 {
        host.now = start + chrono::TimeDelta::milliseconds(i64::from(n) * 4320);
        let source = (n.wrapping_mul(2_654_435_761) >> 7) % 3000;
        host.fail(&format!("203.{}.113.{}", source / 250, source % 250), &format!("user{}", n % 57), n % 3 == 0);
    }
    let alerts = host.alerts();
    assert!((1..=3).contains(&alerts.len()), "{} alerts: {alerts:#?}", alerts.len());
    let campaigns = host.detectors.campaigns();
    let attempts: u64 = campaigns.iter().map(|campaign| campaign.attempts).sum();
    assert!(attempts > 19_000, "{attempts} of 20000 attempts stand in the attacks");
    assert!(campaigns.iter().any(|one| (2500..3500).contains(&one.addresses)), "{campaigns:?}");
}

#[test]
fn sixty_brute_forcing_addresses_are_one_alert_and_each_is_named_for_an_action() {
    let mut host = Host::new();
    for round in 0..12 {
        for n in 1..=60 {
            host.fail(&format!("203.0.113.{n}"), &format!("user{round}"), true);
        }
        host.wait(5);
    }
    assert_eq!(host.alerts().len(), 1, "{:#?}", host.alerts());
    let hostile: std::collections::HashSet<_> = host.findings.iter().filter_map(|finding| finding.hostile).collect();
    assert_eq!(hostile.len(), 60);
    let campaign = &host.detectors.campaigns()[0];
    assert_eq!((campaign.attempts, campaign.worst.len()), (720, 32));
    assert!((55..=65).contains(&campaign.addresses), "{campaign:?}");
    assert!(campaign.sentence().starts_with("720 failed logins from "), "{}", campaign.sentence());
}

#[test]
fn a_login_after_failures_is_told_by_itself_and_never_acted_on() {
    let mut host = Host::new();
    (0..9).for_each(|_| drop(host.fail("203.0.113.9", "bob", true)));
    let found = host.accept("203.0.113.9", "bob", "password").unwrap();
    assert_eq!((found.info.name, found.fold, found.hostile, found.severity), ("login_after_failures", Fold::Alone, None, Severity::High));
    assert_eq!(host.accept("203.0.113.9", "bob", "password"), None, "the count begins anew");
}

#[test]
fn root_by_password_is_told_and_by_key_only_where_the_policy_wants_it() {
    let mut host = Host::new();
    assert_eq!(name(host.accept("198.51.100.7", "root", "publickey")), None);
    host.fail("198.51.100.7", "root", true);
    assert_eq!(name(host.accept("198.51.100.7", "root", "password")), Some("login_root"));
    let mut host = Host::with("[logins]\nroot_login = \"any\"\n");
    host.fail("198.51.100.7", "root", true);
    assert_eq!(name(host.accept("198.51.100.7", "root", "publickey")), Some("login_root"));
    let mut host = Host::with("[logins]\nroot_login = \"never\"\n");
    host.fail("198.51.100.7", "root", true);
    assert_eq!(name(host.accept("198.51.100.7", "root", "password")), None);
}

#[test]
fn root_by_password_is_told_from_an_address_that_never_failed() {
    let mut host = Host::new();
    assert_eq!(name(host.accept("198.51.100.8", "root", "password")), Some("login_root"));
}

#[test]
fn connections_without_a_login_are_a_scan() {
    let mut host = Host::new();
    let found = (0..40).find_map(|_| {
        host.pid += 1;
        host.line("sshd", "Connection closed by 203.0.113.9 port 5 [preauth]")
    });
    let found = found.unwrap();
    assert_eq!((found.info.name, found.hostile), ("login_probes", None), "a monitor does the same");
    assert_eq!(host.detectors.counts().attempts, 0);
}

#[test]
fn scans_open_no_attack_and_the_guessing_after_them_is_an_alert() {
    let mut host = Host::new();
    for n in 1..=9 {
        for _ in 0..40 {
            host.pid += 1;
            host.line("sshd", &format!("Connection closed by 203.0.113.{n} port 5 [preauth]"));
        }
    }
    assert_eq!((host.alerts().len(), host.findings.len(), host.detectors.campaigns().len()), (1, 9, 0));
    (0..12).for_each(|_| drop(host.fail("192.0.2.9", "root", true)));
    let last = host.findings.last().unwrap();
    assert!(last.info.name == "login_brute_force" && matches!(last.fold, Fold::Opens(_)), "{last:?}");
}

#[test]
fn what_is_graver_than_the_alert_of_an_attack_is_told_once_more() {
    let mut host = Host::new();
    let found = (0..8).find_map(|n| host.fail("203.0.113.10", &format!("nobody{n}"), false)).unwrap();
    assert!(found.severity == Severity::Low && matches!(found.fold, Fold::Opens(_)), "{found:?}");
    (0..12).for_each(|_| drop(host.fail("203.0.113.9", "root", true)));
    (0..12).for_each(|_| drop(host.fail("203.0.113.11", "root", true)));
    assert!(matches!(host.alerts()[..], [_, Finding { fold: Fold::Worsens(_), .. }]), "{:#?}", host.alerts());
}

#[test]
fn many_sources_are_counted_where_one_line_stands_for_several_attempts() {
    let mut host = Host::new();
    let found = (0..120).find_map(|n| {
        host.pid += 1;
        let line = format!("message repeated 3 times: [ Failed password for user{n} from 203.0.113.{n} port 5 ssh2]");
        host.line("sshd", &line)
    });
    assert_eq!(name(found), Some("login_many_sources"));
}

#[test]
fn sudo_and_su_are_told_when_new_or_refused() {
    let mut host = Host::new();
    let used = |user: &str| format!("{user} : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id");
    assert_eq!(host.line("sudo", &used("alice")), None, "known");
    let found = host.line("sudo", &used("www-data")).unwrap();
    assert_eq!((found.info.name, found.sentence.as_str()), ("privilege_new_user", "www-data became root for the first time"));
    assert_eq!(host.line("sudo", &used("www-data")), None, "once");
    let wrong = "bob : 2 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id";
    assert_eq!(host.line("sudo", wrong), None);
    assert_eq!(name(host.line("sudo", wrong)), Some("privilege_sudo_refused"));
    let found = host.line("sudo", "mallory : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id");
    assert_eq!(found.unwrap().sentence, "sudo refused mallory: user NOT in sudoers");
    let su = "FAILED SU (to root) carol on pts/0";
    assert_eq!((host.line("su", su), host.line("su", su)), (None, None));
    assert_eq!(name(host.line("su", su)), Some("privilege_su_refused"));
    assert_eq!(host.detectors.counts().attempts, 0, "nothing of it is a remote login");
}

#[test]
fn a_forged_line_is_told_once_and_nobody_is_held_to_it() {
    let mut host = Host::new();
    let line = r#"{"MESSAGE":"Failed password for root from 203.0.113.9 port 5 ssh2","SYSLOG_IDENTIFIER":"sshd","_UID":"1000","_EXE":"/usr/bin/logger","_PID":"9"}"#;
    for _ in 0..50 {
        host.read(Format::Journal, line.as_bytes());
    }
    assert_eq!(host.findings.len(), 1);
    let found = &host.findings[0];
    assert_eq!((found.info.name, found.hostile, found.fold), ("log_forged", None, Fold::Alone));
    assert_eq!((host.detectors.counts().forged, host.detectors.counts().attempts, host.detectors.attackers(9).len()), (50, 0, 0));
}

#[test]
fn a_revoked_key_is_told_with_its_fingerprint_and_the_address_of_its_connection() {
    let mut host = Host::new();
    host.line("sshd", "Connection from 203.0.113.9 port 5 on 10.0.0.1 port 22");
    let found = host.line("sshd", "error: Authentication key RSA SHA256:abc revoked by file /etc/ssh/revoked").unwrap();
    assert_eq!((found.info.name, found.sentence.as_str()), ("login_revoked_key", "203.0.113.9 offered the revoked key RSA SHA256:abc"));
    assert_eq!(found.severity, Severity::Medium, "the public half is enough");
    let again = "error: Authentication key RSA SHA256:abc revoked by file /etc/ssh/revoked";
    (0..50).for_each(|_| assert_eq!(host.line("sshd", again), None, "once an hour"));
    assert_eq!(name(host.line("sshd", &again.replace("abc", "def"))), Some("login_revoked_key"), "another key");
    host.wait(3601);
    host.line("sshd", "Connection from 203.0.113.9 port 5 on 10.0.0.1 port 22");
    assert_eq!(name(host.line("sshd", again)), Some("login_revoked_key"));
}

#[test]
fn stamps_of_1970_and_2040_open_and_close_no_window() {
    let mut host = Host::new();
    let found = (0..10).find_map(|n| {
        let stamp = if n % 2 == 0 { "1970-01-01T00:00:00Z" } else { "2040-01-01T00:00:00Z" };
        host.pid += 1;
        let line = format!("{stamp} host sshd[{}]: Failed password for root from 203.0.113.9 port 5 ssh2", host.pid);
        host.read(Format::Auth, line.as_bytes())
    });
    assert_eq!(name(found), Some("login_brute_force"));
}

#[test]
fn every_login_detector_says_what_it_is_under_a_name_of_its_own() {
    let names: std::collections::HashSet<_> = login_catalogue().iter().map(|info| info.name).collect();
    assert_eq!(names.len(), login_catalogue().len());
    assert!(login_catalogue().iter().all(|info| !info.meaning.is_empty() && !info.quiet.is_empty()));
}
