//! The questions put to people: those that wait, and the newest that were answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::usage;
use bartizan_model::{ActionPlan, Approval, ApprovalId, ApprovalState, Timestamp};
use bartizan_protocol::Refusal;

/// Questions kept; beyond it the oldest that is answered goes.
const KEPT: usize = 1_024;

/// All questions of this run, by number.
pub(crate) type All = BTreeMap<ApprovalId, Arc<Approval>>;

/// The book of questions.
#[derive(Debug)]
pub(crate) struct Questions {
    all: All,
    next: u64,
    asked: u64,
    lapse: Duration,
}

impl Questions {
    /// With those that an earlier run left `open`; `next` is the number of the first new one.
    pub(crate) fn new(open: Vec<Approval>, next: ApprovalId, lapse: Duration) -> Self {
        let all = open.into_iter().map(|approval| (approval.id, Arc::new(approval))).collect();
        Self { all, next: next.0, asked: 0, lapse }
    }

    pub(super) fn set_lapse(&mut self, lapse: Duration) {
        self.lapse = lapse;
    }

    /// How many were asked in this life.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// All of them as they are now.
    pub(super) fn all(&self) -> All {
        self.all.clone()
    }

    /// The number of a new one, and when it lapses.
    pub(super) fn name(&mut self, now: Timestamp) -> (ApprovalId, Timestamp) {
        let id = ApprovalId(self.next);
        self.next += 1;
        self.asked += 1;
        (id, now + chrono::Duration::from_std(self.lapse).unwrap_or_else(|_| chrono::Duration::minutes(30)))
    }

    /// Those that wait for an answer.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Approval> {
        self.all.values().map(Arc::as_ref).filter(|approval| approval.state == ApprovalState::Pending)
    }

    /// The one that waits about the same.
    pub(super) fn waiting(&self, plan: &ActionPlan) -> Option<Approval> {
        self.pending().find(|approval| approval.action.kind() == plan.kind() && approval.action.target() == plan.target()).cloned()
    }

    pub(super) fn get(&self, id: ApprovalId) -> Option<Approval> {
        self.all.get(&id).map(|approval| Approval::clone(approval))
    }

    /// One that can still be answered.
    pub(super) fn open(&self, id: ApprovalId, now: Timestamp) -> Result<Approval, Refusal> {
        let Some(approval) = self.get(id) else {
            return Err(usage(
                format!("no question {id} waits: none was asked by that name, or it lapsed before this start"),
                "`bartizan approvals` lists those that wait",
            ));
        };
        let state =
            if approval.expires_at <= now && approval.state == ApprovalState::Pending { ApprovalState::Expired } else { approval.state };
        let settled = match state {
            ApprovalState::Pending => return Ok(approval),
            ApprovalState::Approved => "approved",
            ApprovalState::Rejected => "rejected",
            ApprovalState::Expired => "lapsed",
        };
        Err(usage(format!("approval {id} is already {settled}"), "`bartizan approvals` lists those that wait"))
    }

    /// As it is from now on.
    pub(super) fn keep(&mut self, approval: Approval) {
        self.all.insert(approval.id, Arc::new(approval));
        let settled = self.all.values().find(|a| a.state != ApprovalState::Pending).map(|a| a.id);
        if self.all.len() > KEPT
            && let Some(oldest) = settled
        {
            self.all.remove(&oldest);
        }
    }
}
