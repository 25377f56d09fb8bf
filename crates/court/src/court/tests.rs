//! The court tried: what it lets pass, what it asks, what it never allows.

#![cfg(test)]

use super::*;
use crate::sources::History;
use crate::tree::below;
use bartizan_model::*;
use proptest::prelude::*;

pub(crate) fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(7), pid, start: 1 }
}

fn process(pid: u32, parent: u32, exe: &str, uid: u32) -> Process {
    Process {
        ppid: parent,
        parent: Some(key(parent)),
        exe: exe.into(),
        argv: vec![exe.into()],
        cwd: "/".into(),
        uid,
        euid: uid,
        cgroup: "/".into(),
        ..Process::unknown(key(pid), at(0))
    }
}

fn service(mut process: Process, role: ServiceRole) -> Process {
    process.lineage.roots = vec![Root { role, key: process.key, exe: process.exe.clone() }].into();
    process
}

fn incident(subject: Option<u32>, addresses: &[&str]) -> Incident {
    Incident {
        id: IncidentId(7),
        opened: at(0),
        updated: at(0),
        state: IncidentState::Open,
        confidence: Confidence::new(0.9),
        severity: Severity::Critical,
        posture: Posture::AggressiveContain,
        stages: vec![],
        entities: vec![],
        signals: vec![],
        signal_count: 2,
        families: vec![],
        subject: subject.map(key),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        sentence: "nginx (pid 812) ran sh".to_owned(),
        complete: true,
        excepted: 0,
    }
}

fn proof(confidence: f64) -> Proof {
    Proof { confidence: Confidence::new(confidence), pieces: 3, ..Proof::default() }
}

/// What the host knows of sources, as a test wants it.
#[derive(Debug, Default)]
struct Host {
    history: History,
    logins: Vec<(IpAddr, String)>,
    elsewhere: Vec<IpAddr>,
}

impl Sources for Host {
    fn history(&self, _addr: IpAddr, _since: Timestamp) -> History {
        self.history.clone()
    }
    fn login(&self, addr: IpAddr) -> Option<String> {
        self.logins.iter().find(|(known, _)| *known == addr).map(|(_, who)| who.clone())
    }
    fn held_elsewhere(&self, addr: IpAddr) -> Option<String> {
        self.elsewhere.contains(&addr).then(|| "fail2ban (table inet f2b-table)".to_owned())
    }
    fn jitter(&self) -> f64 {
        0.0
    }
}

struct Bench {
    court: Court,
    incident: Incident,
    proof: Proof,
    mode: Mode,
    lifeline: Lifeline,
    tree: Vec<Arc<Process>>,
    active: Vec<Action>,
    connections: Vec<(IpAddr, u32)>,
    /// The addresses of the incident did nothing here themselves.
    merely_called: bool,
    host: Host,
    second: i64,
}

impl Bench {
    /// A shell below nginx that talks to a stranger, in BALANCED mode, with proof enough.
    fn new() -> Self {
        let tree = vec![Arc::new(process(900, 812, "/bin/sh", 33)), Arc::new(process(901, 900, "/usr/bin/id", 33))];
        let court = Court::new(&Policy::built_in().unwrap(), WarrantId(1));
        Self {
            court,
            incident: incident(Some(900), &["203.0.113.9"]),
            proof: proof(0.9),
            mode: Mode::Balanced,
            lifeline: Lifeline::default(),
            tree,
            active: vec![],
            connections: vec![],
            merely_called: false,
            host: Host::default(),
            second: 0,
        }
    }

    fn propose(&mut self) -> Vec<Ruling> {
        let Self { court, incident, proof, mode, lifeline, tree, active, connections, merely_called, host, second } = self;
        let hostile = if *merely_called { vec![] } else { incident.addresses.iter().map(IpAddr::to_canonical).collect() };
        let proof = &Proof { hostile, ..proof.clone() };
        court.propose(&Case { incident, proof, mode: *mode, lifeline, tree, active, connections, sources: host, now: at(*second) })
    }

    fn said(&mut self) -> Vec<String> {
        self.propose().iter().map(say).collect()
    }

    fn grant(&mut self, plan: ActionPlan) -> Result<Warrant, Refusal> {
        let Self { court, lifeline, tree, active, second, .. } = self;
        court.grant(ApprovalRequest {
            plan,
            incident: None,
            reason: "by hand".into(),
            person: "root via uid 0".into(),
            lifeline,
            tree,
            active,
            now: at(*second),
        })
    }
}

fn say(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Act(warrant) => format!("act: {}", warrant.plan()),
        Ruling::Ask { plan, held_because, .. } => format!("ask: {plan}: {held_because}"),
        Ruling::Refuse { plan, reason } => format!("refuse: {plan}: {reason}"),
    }
}

pub(crate) fn block(addr: &str) -> ActionPlan {
    ActionPlan::new(
        ActionKind::BlockAddress,
        Target::Address { addr: addr.parse().unwrap(), direction: Direction::In },
        Duration::from_secs(60),
    )
    .unwrap()
}

fn on_tree(kind: ActionKind, pid: u32) -> ActionPlan {
    ActionPlan::new(kind, Target::ProcessTree { root: key(pid), exe: "/bin/sh".into() }, Duration::from_secs(60)).unwrap()
}

pub(crate) fn alive(id: u64, plan: &ActionPlan) -> Action {
    Action {
        id: ActionId(id),
        kind: plan.kind(),
        target: plan.target().clone(),
        incident: None,
        warrant: WarrantId(id),
        state: ActionState::Live,
        desired: bartizan_model::Desired::Live,
        planned_at: at(0),
        applied_at: None,
        verified_at: None,
        expires_at: at(600),
        ended_at: None,
        by: Approver::Person(String::new()),
        reason: String::new(),
        preview: vec![],
        undo: vec![],
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: None,
    }
}

#[test]
fn balanced_freezes_the_shell_shuts_the_stranger_out_and_asks_for_more() {
    let asked = "ask: block to 203.0.113.9: without a person, BALANCED only freezes one tree, or limits or blocks one address inbound";
    assert_eq!(Bench::new().said(), ["act: freeze /bin/sh (pid 900) and below", asked, "act: block from 203.0.113.9"]);
}

#[test]
fn what_was_allowed_and_not_begun_is_asked_once_the_mode_is_stricter() {
    let mut bench = Bench::new();
    assert_eq!(bench.said().len(), 3);
    bench.mode = Mode::Paranoid;
    assert_eq!(bench.said().len(), 0, "it counts as being done");
    bench.court.forget(&block("203.0.113.9"));
    let said = bench.said();
    assert!(said.len() == 1 && said[0].starts_with("ask: block from 203.0.113.9: the mode is PARANOID"), "{said:?}");
}

#[test]
fn paranoid_asks_for_everything() {
    let mut bench = Bench::new();
    bench.mode = Mode::Paranoid;
    assert!(bench.said().iter().all(|s| s.starts_with("ask: ") && s.contains("PARANOID")));
    assert_eq!(bench.said().len(), 0, "and once");
    bench.second = 30 * 60;
    assert_eq!(bench.said().len(), 3, "until the question lapses");
}

#[test]
fn each_mode_keeps_its_threshold() {
    for (mode, score, complete, acts) in [
        (Mode::Balanced, 0.85, true, true),
        (Mode::Balanced, 0.8499, true, false),
        (Mode::Balanced, 0.99, false, false),
        (Mode::Aggressive, 0.75, true, true),
        (Mode::Aggressive, 0.7499, true, false),
        (Mode::Aggressive, 0.8, false, false),
        (Mode::Aggressive, 0.85, false, true),
        (Mode::Paranoid, 1.0, true, false),
    ] {
        let mut bench = Bench::new();
        (bench.mode, bench.proof.confidence, bench.incident.complete) = (mode, Confidence::new(score), complete);
        let least = |s: &&String| !s.contains("block to");
        assert_eq!(bench.said().iter().filter(least).all(|s| s.starts_with("act")), acts, "{mode} {score} {complete}");
    }
}

#[test]
fn what_cannot_be_undone_is_never_done_alone_least_of_all_on_incomplete_evidence() {
    for mode in Mode::ALL {
        for complete in [true, false] {
            let mut bench = Bench::new();
            (bench.mode, bench.proof.confidence, bench.incident.complete) = (mode, Confidence::new(1.0), complete);
            let (incident, proof, lifeline, tree) =
                (bench.incident.clone(), bench.proof.clone(), bench.lifeline.clone(), bench.tree.clone());
            let case = Case {
                incident: &incident,
                proof: &proof,
                mode,
                lifeline: &lifeline,
                tree: &tree,
                active: &[],
                connections: &[],
                sources: &Host::default(),
                now: at(0),
            };
            let held = bench.court.held_because(&case, &on_tree(ActionKind::KillTree, 900), &tree);
            let held = held.unwrap_or_default();
            assert!(held.contains("PARANOID") || held.contains("cannot be undone"), "{mode} {complete}: {held}");
            assert_eq!(held.contains("incomplete"), !complete && mode != Mode::Paranoid, "{mode} {complete}: {held}");
            assert!(bench.said().iter().all(|said| !said.contains("kill")), "and it is never proposed");
        }
    }
}

#[test]
fn one_piece_against_nobody_hostile_or_an_observing_posture_never_acts() {
    let mut bench = Bench::new();
    (bench.proof.pieces, bench.merely_called) = (1, true);
    bench.mode = Mode::Aggressive;
    let said = bench.said();
    let why = "the incident has one piece of evidence (what one act produces is one); to freeze without a person, AGGRESSIVE needs 2";
    assert!(said.iter().all(|s| s.starts_with("ask")) && said[0].contains(why), "{said:#?}");
    bench.incident.posture = Posture::Observe;
    bench.second = 7200;
    assert!(bench.said().is_empty());
}

#[test]
fn a_question_becomes_an_act_when_the_evidence_grows_and_never_the_reverse() {
    let mut bench = Bench::new();
    bench.proof = proof(0.7);
    assert!(bench.said().iter().all(|s| s.starts_with("ask")));
    bench.proof = proof(0.9);
    assert_eq!(bench.said().iter().filter(|s| s.starts_with("act")).count(), 2);
    bench.proof = proof(0.7);
    assert!(bench.said().is_empty(), "and neither asks nor acts again");
}

#[test]
fn a_persons_no_holds_against_growing_evidence() {
    let mut bench = Bench::new();
    bench.proof = proof(0.7);
    let plans: Vec<ActionPlan> =
        bench.propose().into_iter().filter_map(|ruling| if let Ruling::Ask { plan, .. } = ruling { Some(plan) } else { None }).collect();
    assert_eq!(plans.len(), 3);
    plans.iter().for_each(|plan| bench.court.decline(plan, IncidentId(7), at(0)));
    bench.proof = proof(0.99);
    assert!(bench.said().is_empty());
    assert!(bench.grant(plans[0].clone()).is_ok(), "a person may change their mind");
    bench.second = 1800;
    assert_eq!(bench.said().len(), 3);
}

#[test]
fn what_is_active_is_not_done_again() {
    let mut bench = Bench::new();
    bench.active = vec![alive(1, &on_tree(ActionKind::FreezeTree, 900)), alive(2, &block("::ffff:203.0.113.9"))];
    bench.mode = Mode::Aggressive;
    assert_eq!(bench.said(), ["act: block to 203.0.113.9"]);
    assert_eq!(
        bench.grant(block("203.0.113.9")).unwrap_err().to_string(),
        "block from 203.0.113.9 is refused: A2 does the same already; roll it back or let it expire first"
    );
}

#[test]
fn the_protected_list_asks_and_a_person_may_pass_it() {
    type Change = (&'static str, fn(&mut Bench));
    let alter: [Change; 6] = [
        ("a database", |b| b.tree.push(Arc::new(service(process(902, 900, "/usr/sbin/mysqld", 2000), ServiceRole::Database)))),
        ("itself a web server", |b| b.tree.push(Arc::new(service(process(902, 900, "/usr/sbin/nginx", 33), ServiceRole::WebServer)))),
        ("in a container", |b| Arc::make_mut(&mut b.tree[1]).container = Some("0123456789ab".into())),
        ("runs /usr/bin/dockerd", |b| b.tree.push(Arc::new(process(902, 901, "/usr/bin/dockerd", 0)))),
        ("whom policy.toml protects", |b| {
            b.court.policy.protected.users.push("deploy".into());
            Arc::make_mut(&mut b.tree[0]).user = Some("deploy".into());
        }),
        ("private network", |b| {
            b.tree.clear();
            b.incident.addresses = vec!["10.0.0.5".parse().unwrap()];
        }),
    ];
    for (why, alter) in alter {
        let mut bench = Bench::new();
        bench.mode = Mode::Aggressive;
        alter(&mut bench);
        let said = bench.said();
        assert!(said[0].starts_with("ask") && said[0].contains(why), "{why}: {said:?}");
        let plan = if bench.tree.is_empty() { block("10.0.0.5") } else { on_tree(ActionKind::FreezeTree, 900) };
        assert!(bench.grant(plan).is_ok(), "{why}");
    }
}

#[test]
fn a_backdoor_that_listens_is_not_protected_as_a_service() {
    let mut bench = Bench::new();
    bench.tree.push(Arc::new(service(process(902, 900, "/usr/bin/nc.openbsd", 33), ServiceRole::NetworkService)));
    bench.tree.push(Arc::new(service(process(903, 900, "/usr/bin/python3.11", 33), ServiceRole::NetworkService)));
    assert_eq!(bench.said()[0], "act: freeze /bin/sh (pid 900) and below");
}

#[test]
fn the_service_itself_is_never_the_root() {
    let mut bench = Bench::new();
    bench.incident.subject = Some(key(812));
    bench.tree.insert(0, Arc::new(service(process(812, 1, "/usr/sbin/nginx", 33), ServiceRole::WebServer)));
    bench.tree.push(Arc::new(service(process(813, 812, "/usr/sbin/nginx", 33), ServiceRole::WebServer)));
    bench.tree.push(Arc::new(process(950, 813, "/bin/bash", 33)));
    let said = bench.said();
    assert_eq!(said[..2], ["act: freeze /bin/sh (pid 900) and below", "act: freeze /bin/bash (pid 950) and below"]);
}

#[test]
fn the_lifeline_is_refused_to_everybody() {
    let mut bench = Bench::new();
    bench.lifeline.addresses = vec![("::ffff:203.0.113.9".parse().unwrap(), LifelineReason::SshSession)];
    bench.lifeline.processes = vec![(key(901), LifelineReason::LoginPath)];
    let said = bench.said();
    assert!(said.len() == 3 && said.iter().all(|s| s.starts_with("refuse")), "{said:?}");
    assert!(
        said[0].contains("id (pid 901) is the SSH server or a login session")
            && said[1].contains("203.0.113.9 is the far end of a live SSH session")
    );
    for plan in [
        block("203.0.113.9"),
        block("::ffff:203.0.113.9"),
        block("127.0.0.1"),
        block("0.0.0.0"),
        on_tree(ActionKind::FreezeTree, 900),
        on_tree(ActionKind::KillTree, 900),
        on_tree(ActionKind::FreezeTree, 1),
        on_tree(ActionKind::KillTree, 0),
    ] {
        assert!(matches!(bench.grant(plan.clone()), Err(Refusal::Lifeline { .. })), "{plan}");
    }
    let mut listed = Bench::new();
    listed.court.policy.protected.addresses.push("203.0.113.9".parse().unwrap());
    assert!(matches!(listed.grant(block("203.0.113.9")), Err(Refusal::ListedAddress { .. })));
}

#[test]
fn bartizan_does_not_touch_itself_or_what_is_gone() {
    let mut bench = Bench::new();
    bench.tree.push(Arc::new(service(process(902, 900, "/usr/bin/bartizan", 0), ServiceRole::Agent)));
    assert!(matches!(bench.grant(on_tree(ActionKind::KillTree, 900)), Err(Refusal::Lifeline { why: LifelineReason::Agent, .. })));
    let mut gone = Bench::new();
    gone.tree.clear();
    assert!(matches!(gone.grant(on_tree(ActionKind::FreezeTree, 900)), Err(Refusal::Gone(_))));
    assert!(gone.said().iter().all(|s| !s.contains(": freeze")));
}

#[test]
fn an_unknown_lifeline_asks() {
    let mut bench = Bench::new();
    bench.lifeline.unknown = vec!["utmp cannot be read\n".to_owned()];
    assert!(bench.said().iter().all(|s| s.starts_with("ask") && s.contains("utmp cannot be read\\n")));
    assert!(bench.grant(block("203.0.113.9")).is_ok(), "a person may, knowing it");
}

#[test]
fn rates_and_numbers_are_bounded() {
    let mut bench = Bench::new();
    bench.mode = Mode::Aggressive;
    bench.incident.addresses = (1..=40).map(|n| std::net::Ipv4Addr::new(203, 0, 113, n).into()).collect();
    let said = bench.said();
    assert_eq!(said.iter().filter(|s| s.starts_with("act")).count(), 10);
    assert_eq!(said.iter().filter(|s| s.starts_with("ask") && s.contains("most_per_minute")).count(), MAX_ASKED_PER_INCIDENT);
    assert_eq!(bench.court.unasked(), 81 - 10 - 16);
    let mut full = Bench::new();
    full.mode = Mode::Aggressive;
    full.active = (0..64).map(|n| alive(n, &block(&format!("198.51.100.{n}")))).collect();
    assert!(full.said().iter().all(|s| s.contains("most_active")));
    assert!(matches!(full.grant(block("203.0.113.9")), Err(Refusal::TooManyActive { most: 64, .. })));
}

#[test]
fn a_person_may_kill_but_the_agent_never_proposes_it() {
    let mut bench = Bench::new();
    bench.mode = Mode::Aggressive;
    bench.proof = proof(1.0);
    assert!(bench.said().iter().all(|s| !s.contains("kill")));
    assert_eq!(bench.grant(on_tree(ActionKind::KillTree, 900)).unwrap().plan().kind(), ActionKind::KillTree);
}

#[test]
fn a_huge_tree_is_judged_quickly() {
    let mut bench = Bench::new();
    bench.tree.extend((0..30_000).map(|n| Arc::new(process(1000 + n, 900 + n, "/bin/sh", 33))));
    let start = std::time::Instant::now();
    assert_eq!(bench.said().len(), 3);
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// An address in one of its spellings.
fn spelled(n: u8, mapped: bool) -> IpAddr {
    let v4 = std::net::Ipv4Addr::new(203, 0, 113, n);
    if mapped { v4.to_ipv6_mapped().into() } else { v4.into() }
}

#[test]
fn what_an_ended_worker_started_is_still_found() {
    let mut bench = Bench::new();
    // nginx (812) forked a worker (813), which started the shell (900) and ended; the incident points at nginx.
    bench.incident.subject = Some(key(812));
    bench.tree =
        vec![Arc::new(service(process(812, 1, "/usr/sbin/nginx", 33), ServiceRole::WebServer)), Arc::new(process(900, 813, "/bin/sh", 33))];
    let rulings = bench.propose();
    let frozen = |ruling: &Ruling| match ruling {
        Ruling::Act(warrant) => matches!(warrant.plan().target(), Target::ProcessTree { root, .. } if *root == key(900)),
        Ruling::Ask { plan, .. } | Ruling::Refuse { plan, .. } => {
            matches!(plan.target(), Target::ProcessTree { root, .. } if *root == key(900))
        }
    };
    assert!(rulings.iter().any(frozen), "{rulings:?}");
}

mod holding;
mod kinds;
mod lifeline;
mod pacing;
mod rungs;
mod switched_off;
