//! The same host, for tests: what its views ask for.

use chrono::TimeDelta;

use crate::fixtures::now;
use bartizan_model::*;
use bartizan_protocol::Reply;

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

/// The answers to all that views ask for.
pub(crate) fn replies() -> Vec<Reply> {
    vec![Reply::Logs(logs()), Reply::Attackers(attackers()), Reply::BaselineReview(Box::new(review())), Reply::Exceptions(exceptions())]
}
