//! The response beside a real ledger and archive: what is under way when the agent ends, when it is stopped, when nothing comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::assemble::{self, Assembled};
use crate::upkeep::{self, Keeper};
use bartizan_config::Flags;
use bartizan_court::Court;
use bartizan_model::{ActionKind, ApprovalId, Direction, IncidentId, Rung, Target, WarrantId};
use bartizan_protocol::ErrorCode;

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
        confidence: bartizan_model::Confidence::default(),
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
    assert!(refused.message.contains("the agent ends"), "{refused:?}");
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
