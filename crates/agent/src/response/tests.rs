//! The response beside a real ledger and archive: what is under way when the agent ends, when it is stopped, when nothing comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::assemble::{self, Assembled};
use crate::upkeep::{self, Keeper};
use bartizan_config::Flags;
use bartizan_court::Court;
use bartizan_isolation::own_netns::{alone_on_this_host, in_own_network};
use bartizan_model::{
    ActionId, ActionKind, ActionState, ApprovalId, Approver, Confidence, Desired, Direction, Incident, IncidentId, IncidentState, Posture,
    ProbeCheck, Proof, Rung, Severity, Target, WarrantId,
};
use bartizan_protocol::ErrorCode;

fn case() -> PendingCase {
    let now = chrono::Utc::now();
    let incident = Incident {
        id: IncidentId(1),
        opened: now,
        updated: now,
        state: IncidentState::Open,
        confidence: Confidence::new(0.9),
        severity: Severity::Critical,
        posture: Posture::Contain,
        stages: vec![],
        entities: vec![],
        signals: vec![],
        signal_count: 2,
        families: vec![],
        subject: None,
        addresses: vec!["203.0.113.9".parse().unwrap()],
        sentence: "somebody scans us".to_owned(),
        complete: true,
        excepted: 0,
    };
    PendingCase { incident, proof: Proof::default() }
}

/// An action that the agent allowed itself, undone because it did harm.
fn harmful(id: u64) -> Action {
    let now = chrono::Utc::now();
    let plan = block(&format!("203.0.113.{id}"));
    Action {
        id: ActionId(id),
        kind: plan.kind(),
        target: plan.target().clone(),
        incident: None,
        warrant: WarrantId(id),
        state: ActionState::RolledBack,
        desired: Desired::Live,
        planned_at: now,
        applied_at: None,
        verified_at: None,
        expires_at: now,
        ended_at: Some(now),
        by: Approver::Mode(Mode::Balanced),
        reason: String::new(),
        preview: vec![],
        undo: vec![],
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: Some(ProbeCheck { harmed: vec!["unit nginx.service: failed".to_owned()], ..ProbeCheck::default() }),
    }
}

/// An agent none of whose threads run.
struct Bench {
    assembled: Assembled,
    dir: tempfile::TempDir,
}

fn block(addr: &str) -> ActionPlan {
    let target = Target::Address { addr: addr.parse().unwrap(), direction: Direction::In };
    ActionPlan::new(ActionKind::BlockAddress, target, Duration::from_secs(60)).unwrap()
}

fn question(plan: ActionPlan) -> Approval {
    let now = chrono::Utc::now();
    Approval {
        id: ApprovalId(1),
        incident: IncidentId(1),
        action: plan,
        reason: "it scans us".to_owned(),
        held_because: "the mode is PARANOID".to_owned(),
        confidence: Confidence::new(0.9),
        blast_radius: String::new(),
        preview: Preview::default(),
        asked_at: now,
        expires_at: now + chrono::Duration::minutes(30),
        state: ApprovalState::Pending,
        answered_by: None,
    }
}

fn settings(dir: &Path) -> Settings {
    let flags = Flags { data: Some(dir.to_owned()), rung: Some(Rung::Procfs), ..Flags::default() };
    Settings::load_with(&flags, &|_| None).unwrap()
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { assembled: assemble::assemble(settings(dir.path()), None).unwrap(), dir }
    }

    fn response(&self) -> Arc<Response> {
        Arc::clone(&self.assembled.parts.response)
    }

    /// A court with this question open, in this mode.
    fn decider(&self, mode: Mode, open: Vec<Approval>) -> Decider {
        let policy = &self.assembled.parts.settings.policy;
        open.iter().for_each(|approval| self.assembled.parts.console.approval(approval));
        let questions = Questions::new(open, ApprovalId(9), Duration::from_secs(1800));
        Decider::new(self.response(), Court::new(policy, WarrantId(1)), mode, questions, policy)
    }

    /// Writes what waits for the disk, ends this run, and begins the next one.
    fn restart(self) -> Self {
        let Self { assembled: Assembled { parts, writer, far_end, decider, .. }, dir } = self;
        let keeper = Keeper::new(&parts.upkeep, &parts.console, &parts.accounting.counters);
        parts.recorder.end();
        upkeep::record_all(&far_end, writer, (u64::MAX, Duration::from_secs(1 << 30)), keeper);
        drop(decider);
        drop((far_end, parts));
        Self { assembled: assemble::assemble(settings(dir.path()), None).unwrap(), dir }
    }
}

#[test]
fn who_answered_is_on_record_though_the_change_outlives_the_word_to_end() {
    let bench = Bench::new();
    let (response, decider) = (bench.response(), bench.decider(Mode::Paranoid, vec![question(block("203.0.113.9"))]));
    let court = Arc::clone(&response);
    let sits = std::thread::spawn(move || court.sit(decider));
    let grant = |decider: &mut Decider| decider.grant_approval(ApprovalId(1), None, "uid 0", chrono::Utc::now());
    let granted = response.court.ask(Duration::from_secs(20), grant).unwrap().unwrap();
    // Health probes are compared; meanwhile the agent is told to end.
    let mut over = response.over_at_the_end(granted.number);
    response.stop.set();
    response.nudge();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!sits.is_finished(), "the court waits for what is under way");
    let refused = response.act(block("203.0.113.10"), "too late", "uid 0").unwrap_err();
    assert!(refused.message.contains("the agent is stopping"), "{refused:?}");
    over.answered_by = Some("uid 0".to_owned());
    drop(over);
    sits.join().unwrap();
    let begun = Instant::now();
    let refused = response.reject(ApprovalId(1), "no", "uid 0").unwrap_err();
    assert!(refused.message.contains("the court has ended") && refused.code == ErrorCode::Failed, "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for a court that has ended");
    drop(response);
    let next = bench.restart();
    assert_eq!(next.response().approvals(false), [], "it cannot be approved a second time");
}

#[test]
fn what_an_emergency_stop_forestalled_answers_no_question_and_is_judged_anew() {
    let bench = Bench::new();
    let (response, mut decider) = (bench.response(), bench.decider(Mode::Balanced, vec![question(block("203.0.113.9"))]));
    let now = chrono::Utc::now();
    let granted = decider.grant(block("203.0.113.9"), Some(IncidentId(1)), None, "it scans us", "uid 0", now).unwrap();
    decider.finish(granted.number, None);
    response.responder.halt();
    decider.act_alone(granted.warrant, &case(), now);
    decider.publish();
    assert_eq!(response.approvals(false).len(), 1, "nobody has answered");
    assert_eq!(response.cases.take().map(|case| case.incident.id), Some(IncidentId(1)), "it comes before the court again");
}

#[test]
fn an_incident_that_changes_all_the_time_keeps_no_other_from_the_court() {
    let bench = Bench::new();
    let response = bench.response();
    let of = |id: u64| {
        let mut case = case();
        case.incident.id = IncidentId(id);
        case
    };
    let take = || response.cases.take().map(|case| case.incident.id.0);
    response.cases.add(of(1), &[]);
    response.cases.add(of(7), &[]);
    assert_eq!(take(), Some(1));
    response.cases.add(of(1), &[]);
    response.cases.add(of(7), &[]);
    assert_eq!((take(), take(), take()), (Some(7), Some(1), None));
}

#[test]
fn three_actions_that_the_probes_found_harmful_pause_the_automatic_ones() {
    let bench = Bench::new();
    let (response, mut decider) = (bench.response(), bench.decider(Mode::Balanced, vec![]));
    let paused = || response.troubles.all().contains_key("sentinel");
    for id in 1..=3 {
        assert!(!paused());
        response.probed(vec![harmful(id)], chrono::Utc::now());
        response.court.work_off(&mut decider);
    }
    assert!(paused(), "{:?}", response.troubles.all());
}

#[test]
fn after_an_emergency_stop_the_next_run_is_paranoid_whatever_mode_still_waited_for_the_court() {
    let _alone = alone_on_this_host();
    in_own_network(|| {
        let bench = Bench::new();
        let (response, mut decider) = (bench.response(), bench.decider(Mode::Paranoid, vec![]));
        // The court is busy for three seconds, and somebody asks for another mode meanwhile.
        let other = Arc::clone(&response);
        let asks = std::thread::spawn(move || other.set_mode(Mode::Balanced, "uid 0"));
        std::thread::sleep(Duration::from_millis(300));
        let said = response.emergency_stop(&Approver::Person("uid 1".to_owned())).unwrap();
        assert!(said.contains("the mode changes to PARANOID as soon as it is free"), "{said}");
        std::thread::sleep(Duration::from_millis(700));
        response.court.work_off(&mut decider);
        asks.join().unwrap().unwrap();
        assert_eq!(response.standing().mode, Mode::Paranoid);
        drop((response, decider));
        let next = bench.restart();
        assert_eq!(next.response().standing().mode, Mode::Paranoid);
        // The court has ended: it is on record all the same.
        let (response, mut decider) = (next.response(), next.decider(Mode::Balanced, vec![]));
        decider.set_mode(Mode::Balanced, "uid 0");
        response.court.close(&mut decider);
        let said = response.emergency_stop(&Approver::Person("uid 1".to_owned())).unwrap();
        assert!(said.contains("it starts in PARANOID next time"), "{said}");
        drop((response, decider));
        assert_eq!(next.restart().response().standing().mode, Mode::Paranoid);
    });
}

#[test]
fn who_tells_late_that_an_action_is_alive_does_not_bring_it_back_on_screen() {
    let bench = Bench::new();
    let (response, ended) = (bench.response(), harmful(1));
    let live = Action { state: ActionState::Live, ended_at: None, vitals: None, ..ended.clone() };
    response.show_action(&live);
    assert!(response.console.has_active_actions());
    response.show_action(&ended);
    response.show_action(&live);
    assert!(!response.console.has_active_actions());
}

mod holding;
