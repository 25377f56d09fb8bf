//! Brings cases before the court, does what it rules, and keeps the questions. Its own thread alone has it; others send messages.

mod alone;
mod crowd;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::case_queue::PendingCase;
use super::known_sources::KnownSources;
use super::questions::Questions;
use super::under_way::UnderWay;
use super::{Response, Standing, usage};
use bartizan_alerts::Message;
use bartizan_config::Policy;
use bartizan_court::{ApprovalRequest, Case, Court, Ruling, Warrant};
use bartizan_model::{
    Action, ActionPlan, Approval, ApprovalId, ApprovalState, Incident, IncidentId, Mode, Preview, ProcessKey, Target, Timestamp,
    Unpoisoned as _, WarrantId,
};
use bartizan_protocol::{ErrorCode, Refusal};

/// Refusals remembered so that the same one is recorded once.
const REFUSALS: usize = 1_024;

/// What the court's thread owns.
pub(crate) struct Decider {
    response: Arc<Response>,
    court: Court,
    mode: Mode,
    questions: Questions,
    under_way: UnderWay,
    /// Actions that may be alive at once.
    max_active: usize,
    refused: BTreeSet<String>,
    /// The agent ends: nobody is given leave any more.
    ending: bool,
}

/// Leave that was given to a person, and what it is about.
pub(super) struct Granted {
    pub(super) warrant: Warrant,
    /// Under which number it is under way.
    pub(super) number: u64,
    pub(super) incident: Option<IncidentId>,
}

impl Decider {
    pub(crate) fn new(response: Arc<Response>, court: Court, mode: Mode, questions: Questions, policy: &Policy) -> Self {
        let max_active = policy.actions.most_active as usize;
        Self { response, court, mode, questions, under_way: UnderWay::default(), max_active, refused: BTreeSet::new(), ending: false }
    }

    /// The agent ends: from now on nobody is given leave to begin anything.
    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    /// Whether a change is under way of which it is not known yet what came.
    pub(super) fn waits_for_a_change(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Shows everybody how it stands.
    pub(crate) fn publish(&self) {
        let asked = (self.questions.asked(), self.court.unasked());
        self.response.standing.show(Standing { mode: self.mode, asked, questions: self.questions.all(), at: std::time::Instant::now() });
    }

    /// A person sets it: the sentinel begins anew. On record in the order in which the modes were in force, so that the next
    /// run begins with the last one. Gives the first warrant that is not issued yet.
    pub(crate) fn set_mode(&mut self, mode: Mode, by: &str) -> WarrantId {
        let before = std::mem::replace(&mut self.mode, mode);
        self.court.rearm();
        self.publish();
        self.response.mode_changed(before, mode, by);
        self.court.next_warrant()
    }

    /// Tells the sentinel how an action of ours stands.
    pub(super) fn watch(&mut self, action: &Action, now: Timestamp) {
        if let Some(alarm) = self.court.watch(action, now) {
            self.response.audit(now, "the sentinel", "sentinel.tripped", "the court", &alarm.detail.as_sentence());
            self.response.ingest.alarm(alarm);
            self.show_pause(now);
        }
    }

    /// What an earlier run did within the last minutes counts too.
    pub(crate) fn recall(&mut self, now: Timestamp) {
        let lately = |action: &&Action| action.planned_at > now - chrono::TimeDelta::minutes(10);
        let actions = self.response.all_actions();
        let mut former = self.response.former_holds.lock().unpoisoned();
        actions.iter().for_each(|action| former.note(action));
        drop(former);
        actions.iter().rev().filter(lately).for_each(|action| self.watch(action, now));
    }

    fn show_pause(&self, now: Timestamp) {
        let told = self.court.pause(now).map(|pause| {
            let until = pause.until.format("%H:%M:%S UTC");
            format!(
                "{}; automatic actions are paused until {until}; find out why, then set the mode again: bartizan mode {}",
                pause.why,
                self.mode.to_string().to_lowercase()
            )
        });
        self.response.troubles.report("sentinel", told);
    }

    /// Takes a changed policy over.
    pub(super) fn set_policy(&mut self, policy: &Policy) {
        self.court.set_policy(policy);
        self.questions.set_lapse(policy.actions.question_lapses);
        self.max_active = policy.actions.most_active as usize;
    }

    /// Brings one case before the court and does what it rules.
    pub(super) fn judge(&mut self, case: &PendingCase, now: Timestamp) {
        let pending = case;
        let PendingCase { incident, proof } = pending;
        let response = Arc::clone(&self.response);
        let lifeline = response.owner.lifeline();
        let tree = incident.subject.map(|key| response.processes_below(key)).unwrap_or_default();
        let active = response.active_actions();
        let connections = response.owner.connections();
        let (mode, tree, active) = (self.mode, tree.as_slice(), active.as_slice());
        let sources = KnownSources::at(&response, now);
        let case = Case { incident, proof, mode, lifeline: &lifeline, tree, active, connections: &connections, sources: &sources, now };
        let rulings = self.court.propose(&case);
        let spared = spared(&rulings);
        for ruling in rulings {
            match ruling {
                Ruling::Act(warrant) if response.settings.only_watches => drop(warrant),
                Ruling::Act(warrant) => {
                    let judged = chrono::Utc::now();
                    tracing::debug!(incident = %incident.id, waited_us = micros(now - incident.updated), judging_us = micros(judged - now), "acts alone");
                    self.act_alone(warrant, pending, now);
                }
                Ruling::Ask { plan, reason, held_because } => {
                    self.ask(incident, plan, reason, format!("{held_because}{spared}"), now);
                }
                Ruling::Refuse { plan, reason } => self.refuse(incident, &plan, &reason.to_string(), now),
            }
        }
    }

    fn ask(&mut self, incident: &Incident, plan: ActionPlan, reason: String, held_because: String, now: Timestamp) {
        if self.questions.waiting(&plan).is_some() {
            return;
        }
        let preview = self.response.responder.preview(&plan).unwrap_or_else(|error| Preview {
            steps: vec![format!("cannot be previewed: {error}")],
            blast_radius: "unknown".to_owned(),
            ..Preview::default()
        });
        let (id, expires_at) = self.questions.name(now);
        self.supersede(incident.id, &plan, id, now);
        let approval = Approval {
            id,
            incident: incident.id,
            action: plan,
            reason,
            held_because,
            confidence: incident.confidence,
            blast_radius: preview.blast_radius.clone(),
            preview,
            asked_at: now,
            expires_at,
            state: ApprovalState::Pending,
            answered_by: None,
        };
        let detail = format!("{} for {}: {}", approval.action, incident.id, approval.held_because);
        self.response.audit(now, "the court", "approval.asked", &id.to_string(), &detail);
        self.response.push(|host| Message::question(host, &approval, incident.severity));
        self.keep(approval);
    }

    fn refuse(&mut self, incident: &Incident, plan: &ActionPlan, reason: &str, now: Timestamp) {
        if self.refused.len() >= REFUSALS {
            self.refused.clear();
        }
        if self.refused.insert(format!("{} {plan} {reason}", incident.id)) {
            let detail = format!("not acted on because {reason}; for {}", incident.id);
            self.response.audit(now, "the court", "action.refused", &plan.to_string(), &detail);
        }
    }

    /// A person says yes: leave to do it, once. The question waits until it is known what came of it.
    pub(super) fn grant_approval(
        &mut self,
        id: ApprovalId,
        lasts: Option<Duration>,
        actor: &str,
        now: Timestamp,
    ) -> Result<Granted, Refusal> {
        let approval = self.pending(id, now)?;
        let plan = match lasts {
            Some(lasts) => approval.action.lasting(lasts).map_err(|error| usage(error.to_string(), "give a time such as 10m"))?,
            None => approval.action.clone(),
        };
        let (plan, reason) = self.without_held(plan, id, &approval.reason, actor, now)?;
        self.grant(plan, Some(approval.incident), Some(id), &reason, actor, now)
    }

    /// A person asks for an action directly: the same guards.
    pub(super) fn grant(
        &mut self,
        plan: ActionPlan,
        incident: Option<IncidentId>,
        question: Option<ApprovalId>,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Granted, Refusal> {
        if self.ending {
            let message = format!("nothing was done: the agent is stopping and no longer starts actions ({plan})");
            return Err(Refusal { code: ErrorCode::Failed, message, mend: "ask again when it runs".to_owned() });
        }
        let response = Arc::clone(&self.response);
        let lifeline = response.owner.lifeline();
        let tree = plan.target().root().map(|root| response.processes_below(root)).unwrap_or_default();
        let active = response.active_actions();
        if self.under_way.has(&plan) {
            return Err(usage(format!("{plan} is being done right now"), "`bartizan actions` shows the result"));
        }
        let refused = |refusal: bartizan_court::Refusal| {
            response.audit(now, "the court", "warrant.refused", actor, &refusal.to_string());
            Refusal { code: ErrorCode::Refused, message: refusal.to_string(), mend: String::new() }
        };
        // What is being done may be alive in a moment.
        if active.len() + self.under_way.unborn(&active) >= self.max_active {
            let most = u32::try_from(self.max_active).unwrap_or(u32::MAX);
            return Err(refused(bartizan_court::Refusal::TooManyActive { plan: plan.to_string(), most }));
        }
        let (reason, person) = (reason.to_owned(), actor.to_owned());
        let number = self.under_way.begin(&plan, question).ok_or_else(|| {
            let message = format!("nothing was done: {} other changes are being made at this moment", UnderWay::MAX);
            Refusal { code: ErrorCode::Failed, message, mend: "ask again in a moment".to_owned() }
        })?;
        let request = ApprovalRequest { plan, incident, reason, person, lifeline: &lifeline, tree: &tree, active: &active, now };
        match self.court.grant(request) {
            Ok(warrant) => Ok(Granted { warrant, number, incident }),
            Err(refusal) => {
                self.under_way.end(number);
                Err(refused(refusal))
            }
        }
    }

    /// What came of leave given to a person: the question is answered when it was done, and waits on when not.
    pub(super) fn finish(&mut self, number: u64, answered_by: Option<String>) {
        let question = self.under_way.end(number).and_then(|id| self.questions.get(id));
        if let (Some(approval), Some(_)) = (question, &answered_by) {
            self.keep(Approval { state: ApprovalState::Approved, answered_by, ..approval });
        }
    }

    /// A person says no.
    pub(super) fn reject(&mut self, id: ApprovalId, reason: &str, actor: &str, now: Timestamp) -> Result<(), Refusal> {
        let approval = self.pending(id, now)?;
        self.response.audit(now, actor, "approval.rejected", &id.to_string(), reason);
        self.court.decline(&approval.action, approval.incident, now);
        self.keep(Approval { state: ApprovalState::Rejected, answered_by: Some(actor.to_owned()), ..approval });
        Ok(())
    }

    /// Questions that nobody answered in time, and those about processes that have ended by themselves.
    pub(crate) fn lapse(&mut self, now: Timestamp) {
        self.show_pause(now);
        let waiting: Vec<Approval> = self.questions.pending().filter(|approval| !self.under_way.answers(approval.id)).cloned().collect();
        for approval in waiting {
            let gone = |root: ProcessKey| self.response.processes.tree(root).is_empty();
            let ended = matches!(approval.action.target(), Target::ProcessTree { root, .. } if gone(*root));
            let (by, why, answered_by) = match (approval.expires_at <= now, ended) {
                (true, _) => ("the clock", "nobody answered in time", None),
                (_, true) => ("the court", "the processes have ended by themselves", Some("nobody: the processes have ended".to_owned())),
                (false, false) => continue,
            };
            self.response.audit(now, by, "approval.lapsed", &approval.id.to_string(), why);
            self.response.accounting.counters.count_lapsed();
            self.keep(Approval { state: ApprovalState::Expired, answered_by, ..approval });
        }
    }

    fn pending(&self, id: ApprovalId, now: Timestamp) -> Result<Approval, Refusal> {
        if self.under_way.answers(id) {
            return Err(usage(format!("approval {id} was given: it is being done right now"), "`bartizan actions` shows the result"));
        }
        self.questions.open(id, now)
    }

    fn keep(&mut self, approval: Approval) {
        if approval.state != ApprovalState::Pending {
            self.response.alerts.acknowledge(&approval.id.to_string());
        }
        self.response.console.approval(&approval);
        self.questions.keep(approval);
        self.publish();
    }
}

/// What of an incident nobody may act on, for whoever is asked about the rest of it.
fn spared(rulings: &[Ruling]) -> String {
    let mut named: Vec<String> = Vec::new();
    for ruling in rulings {
        if let Ruling::Refuse { plan, reason: bartizan_court::Refusal::Lifeline { held, why, .. } } = ruling {
            let line = format!("; {held} is not acted on because it is {}", why.noun());
            if plan.target().address().is_some() && named.len() < 4 && !named.contains(&line) {
                named.push(line);
            }
        }
    }
    named.concat()
}

fn micros(time: chrono::TimeDelta) -> i64 {
    time.num_microseconds().unwrap_or(i64::MAX)
}
