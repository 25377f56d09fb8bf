//! The desk: brings incidents before the court, carries warrants to the responder, keeps the questions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::record::Record;
use super::shared::{Shared, lock};
use super::supervisor::alarmed;
use bartizan_court::{ApprovalRequest, Case, Court, Ruling};
use bartizan_model::{
    Action, ActionPlan, Approval, ApprovalId, ApprovalState, AuditBody, Incident, IncidentId, IncidentState, Mode, Preview, Process,
    Target, Timestamp,
};
use bartizan_outbound::Notice;
use bartizan_protocol::{ErrorCode, Refusal};
use bartizan_responder::ActError;
use bartizan_sensors::Sink;

/// Refusals remembered so that the same one is recorded once.
const REFUSALS: usize = 1_024;

/// The desk. One at a time sits at it: it is behind a lock.
#[derive(Debug)]
pub(super) struct Desk {
    court: Court,
    mode: Mode,
    approvals: BTreeMap<ApprovalId, Approval>,
    next_approval: u64,
    asked: u64,
    question_lapses: Duration,
    refused: BTreeSet<String>,
}

impl Desk {
    pub(super) fn new(court: Court, mode: Mode, open: Vec<Approval>, next_approval: ApprovalId, question_lapses: Duration) -> Self {
        let approvals = open.into_iter().map(|approval| (approval.id, approval)).collect();
        Self { court, mode, approvals, next_approval: next_approval.0, asked: 0, question_lapses, refused: BTreeSet::new() }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Questions asked in this life, and those not asked because too many waited for the same incident.
    pub(super) fn asked(&self) -> (u64, u64) {
        (self.asked, self.court.unasked())
    }

    /// A person sets it: the sentinel begins anew.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.court.rearm();
    }

    /// Tells the sentinel how an action of ours stands.
    pub(super) fn watch(&mut self, shared: &Shared, action: &Action, now: Timestamp) {
        if let Some(alarm) = self.court.watch(action, now) {
            audit(shared, now, "the sentinel", "sentinel.tripped", "the court", &alarm.detail.as_sentence());
            shared.lanes.emit(alarmed(alarm));
            self.show_pause(shared, now);
        }
    }

    /// What an earlier run did within the last minutes counts too.
    pub(super) fn recall(&mut self, shared: &Shared, now: Timestamp) {
        for action in shared.all_actions().iter().rev().filter(|action| action.planned_at > now - chrono::TimeDelta::minutes(10)) {
            self.watch(shared, action, now);
        }
    }

    fn show_pause(&self, shared: &Shared, now: Timestamp) {
        let pause = self.court.pause(now);
        let told = pause.map(|pause| {
            let until = pause.until.format("%H:%M:%S UTC");
            format!(
                "{}; everything is asked until {until}; look, then set the mode again: bartizan mode {}",
                pause.why,
                self.mode.to_string().to_lowercase()
            )
        });
        shared.degrade("sentinel", told);
    }

    /// Takes a changed policy over.
    pub(super) fn set_policy(&mut self, policy: &bartizan_config::Policy) {
        self.court.set_policy(policy);
        self.question_lapses = policy.actions.question_lapses;
    }

    /// Brings one incident before the court and does what it rules.
    pub(super) fn judge(&mut self, shared: &Shared, id: IncidentId, now: Timestamp) {
        let correlator = lock(&shared.correlator);
        let Some(incident) = correlator.get(id).cloned() else { return };
        let proof = correlator.proof(id);
        drop(correlator);
        let lifeline = shared.owner.lifeline();
        let tree = incident.subject.map(|key| processes(shared, key)).unwrap_or_default();
        let active = shared.active_actions();
        let connections = shared.owner.connections();
        let (incident_now, mode, tree, active) = (&incident, self.mode, tree.as_slice(), active.as_slice());
        let case = Case { incident: incident_now, proof: &proof, mode, lifeline: &lifeline, tree, active, connections: &connections, now };
        let rulings = self.court.propose(&case);
        let spared = spared(&rulings);
        for ruling in rulings {
            match ruling {
                Ruling::Act(warrant) if shared.settings.only_watches => drop(warrant),
                Ruling::Act(warrant) => {
                    let judged = chrono::Utc::now();
                    tracing::debug!(incident = %id, waited_us = micros(now - incident.updated), judging_us = micros(judged - now), "acts alone");
                    self.settle_question(shared, warrant.plan());
                    match shared.responder.execute(warrant, now) {
                        Ok(action) => {
                            carry_out(shared, &action, Some(&incident));
                            push(shared, |host| Notice::action(host, &action, incident.severity));
                            self.watch(shared, &action, now);
                        }
                        // On screen and in the audit log; there is nobody to answer.
                        Err(error) => {
                            if let ActError::Failed { action, .. } | ActError::UndoPending { action, .. } = &error {
                                self.watch(shared, action, now);
                            }
                            drop(told(shared, error));
                        }
                    }
                }
                Ruling::Ask { plan, reason, held_because } => {
                    self.ask(shared, &incident, plan, reason, format!("{held_because}{spared}"), now);
                }
                Ruling::Refuse { plan, reason } => self.refuse(shared, &incident, &plan, &reason.to_string(), now),
            }
        }
    }

    fn ask(&mut self, shared: &Shared, incident: &Incident, plan: ActionPlan, reason: String, held_because: String, now: Timestamp) {
        let waiting =
            |a: &Approval| a.state == ApprovalState::Pending && a.action.kind() == plan.kind() && a.action.target() == plan.target();
        if self.approvals.values().any(waiting) {
            return;
        }
        let preview = shared.responder.preview(&plan).unwrap_or_else(|error| Preview {
            steps: vec![format!("cannot be previewed: {error}")],
            blast_radius: "unknown".to_owned(),
            ..Preview::default()
        });
        let id = ApprovalId(self.next_approval);
        self.next_approval += 1;
        self.asked += 1;
        let lapses = chrono::Duration::from_std(self.question_lapses).unwrap_or_else(|_| chrono::Duration::minutes(30));
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
            expires_at: now + lapses,
            state: ApprovalState::Pending,
            answered_by: None,
        };
        audit(
            shared,
            now,
            "the court",
            "approval.asked",
            &id.to_string(),
            &format!("{} for {}: {}", approval.action, incident.id, approval.held_because),
        );
        push(shared, |host| Notice::question(host, &approval, incident.severity));
        self.keep(shared, approval);
    }

    fn refuse(&mut self, shared: &Shared, incident: &Incident, plan: &ActionPlan, reason: &str, now: Timestamp) {
        if self.refused.len() >= REFUSALS {
            self.refused.clear();
        }
        if self.refused.insert(format!("{} {plan} {reason}", incident.id)) {
            let detail = format!("not acted on because {reason}; for {}", incident.id);
            audit(shared, now, "the court", "action.refused", &plan.to_string(), &detail);
        }
    }

    /// The mode allows by now what a person was asked: the question is answered.
    fn settle_question(&mut self, shared: &Shared, plan: &ActionPlan) {
        let waits =
            |a: &&Approval| a.state == ApprovalState::Pending && a.action.kind() == plan.kind() && a.action.target() == plan.target();
        if let Some(approval) = self.approvals.values().find(waits).cloned() {
            let answered_by = Some(format!("mode {}", self.mode));
            self.keep(shared, Approval { state: ApprovalState::Approved, answered_by, ..approval });
        }
    }

    /// A person says yes.
    pub(super) fn approve(
        &mut self,
        shared: &Shared,
        id: ApprovalId,
        lasts: Option<Duration>,
        actor: &str,
        now: Timestamp,
    ) -> Result<Action, Refusal> {
        let approval = self.pending(id, now)?;
        let plan = match lasts {
            Some(lasts) => approval.action.lasting(lasts).map_err(|error| usage(error.to_string(), "give a time such as 10m"))?,
            None => approval.action.clone(),
        };
        let incident = lock(&shared.correlator).get(approval.incident).cloned();
        let action = self.grant(shared, plan, approval.incident.into(), &approval.reason, actor, now)?;
        carry_out(shared, &action, incident.as_ref());
        self.keep(shared, Approval { state: ApprovalState::Approved, answered_by: Some(actor.to_owned()), ..approval });
        Ok(action)
    }

    /// A person says no.
    pub(super) fn reject(&mut self, shared: &Shared, id: ApprovalId, reason: &str, actor: &str, now: Timestamp) -> Result<(), Refusal> {
        let approval = self.pending(id, now)?;
        audit(shared, now, actor, "approval.rejected", &id.to_string(), reason);
        self.court.decline(&approval.action, approval.incident, now);
        self.keep(shared, Approval { state: ApprovalState::Rejected, answered_by: Some(actor.to_owned()), ..approval });
        Ok(())
    }

    /// A person asks for an action directly: the same guards.
    pub(super) fn act(&mut self, shared: &Shared, plan: ActionPlan, reason: &str, actor: &str, now: Timestamp) -> Result<Action, Refusal> {
        let action = self.grant(shared, plan, None, reason, actor, now)?;
        carry_out(shared, &action, None);
        Ok(action)
    }

    fn grant(
        &mut self,
        shared: &Shared,
        plan: ActionPlan,
        incident: Option<IncidentId>,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Action, Refusal> {
        let lifeline = shared.owner.lifeline();
        let tree = plan.target().root().map(|root| processes(shared, root)).unwrap_or_default();
        let active = shared.active_actions();
        let request = ApprovalRequest {
            plan,
            incident,
            reason: reason.to_owned(),
            person: actor.to_owned(),
            lifeline: &lifeline,
            tree: &tree,
            active: &active,
            now,
        };
        let warrant = self.court.grant(request).map_err(|refusal| {
            audit(shared, now, "the court", "warrant.refused", actor, &refusal.to_string());
            Refusal { code: ErrorCode::Refused, message: refusal.to_string(), mend: String::new() }
        })?;
        shared.responder.execute(warrant, now).map_err(|error| told(shared, error))
    }

    /// Questions that nobody answered in time.
    pub(super) fn lapse(&mut self, shared: &Shared, now: Timestamp) {
        self.show_pause(shared, now);
        let late: Vec<Approval> =
            self.approvals.values().filter(|a| a.state == ApprovalState::Pending && a.expires_at <= now).cloned().collect();
        for approval in late {
            audit(shared, now, "the clock", "approval.lapsed", &approval.id.to_string(), "nobody answered in time");
            shared.totals.count_lapsed();
            self.keep(shared, Approval { state: ApprovalState::Expired, ..approval });
        }
    }

    /// Questions about processes that have ended by themselves.
    pub(super) fn lapse_ended(&mut self, shared: &Shared, now: Timestamp) {
        let gone = |a: &&Approval| matches!(a.action.target(), Target::ProcessTree { root, .. } if shared.processes.tree(*root).is_empty());
        let ended: Vec<Approval> = self.approvals.values().filter(|a| a.state == ApprovalState::Pending).filter(gone).cloned().collect();
        for approval in ended {
            audit(shared, now, "the court", "approval.lapsed", &approval.id.to_string(), "the processes have ended by themselves");
            shared.totals.count_lapsed();
            self.keep(
                shared,
                Approval { state: ApprovalState::Expired, answered_by: Some("nobody: the processes have ended".to_owned()), ..approval },
            );
        }
    }

    /// Questions, newest last.
    pub(super) fn approvals(&self, all: bool) -> Vec<Approval> {
        self.approvals.values().filter(|a| all || a.state == ApprovalState::Pending).cloned().collect()
    }

    fn pending(&self, id: ApprovalId, now: Timestamp) -> Result<Approval, Refusal> {
        let Some(approval) = self.approvals.get(&id) else {
            return Err(usage(format!("there is no approval {id}"), "`bartizan approvals` lists those that wait"));
        };
        let state =
            if approval.expires_at <= now && approval.state == ApprovalState::Pending { ApprovalState::Expired } else { approval.state };
        let settled = match state {
            ApprovalState::Pending => return Ok(approval.clone()),
            ApprovalState::Approved => "approved",
            ApprovalState::Rejected => "rejected",
            ApprovalState::Expired => "lapsed",
        };
        Err(usage(format!("approval {id} is already {settled}"), "`bartizan approvals` lists those that wait"))
    }

    fn keep(&mut self, shared: &Shared, approval: Approval) {
        lock(&shared.live).approval(&approval);
        shared.recorder.keep(Record::Approval(Box::new(approval.clone())));
        self.approvals.insert(approval.id, approval);
        let settled = self.approvals.values().find(|a| a.state != ApprovalState::Pending).map(|a| a.id);
        if self.approvals.len() > REFUSALS
            && let Some(oldest) = settled
        {
            self.approvals.remove(&oldest);
        }
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

/// Tells whoever is not at the console, where the owner wants that.
fn push(shared: &Shared, notice: impl FnOnce(&str) -> Notice) {
    if let Some(webhook) = &shared.webhook {
        webhook.offer(notice(&bartizan_sys::own_usage::host_name()));
    }
}

/// After an action: on screen, counted, and its incident marked as contained.
fn carry_out(shared: &Shared, action: &Action, incident: Option<&Incident>) {
    shared.totals.count_action();
    shared.action_changed(action);
    if let Some(incident) = incident
        && let Some(incident) = lock(&shared.correlator).set_state(incident.id, IncidentState::Contained)
    {
        shared.incident_changed(&incident, &[]);
    }
}

/// An action that was begun and undone again is shown as such; the error is the answer.
pub(super) fn told(shared: &Shared, error: ActError) -> Refusal {
    if let ActError::Failed { action, .. } = &error {
        shared.action_changed(action);
    }
    failed(error)
}

/// An error of the responder as an answer.
pub(super) fn failed(error: ActError) -> Refusal {
    let code = match &error {
        ActError::Lifeline { .. } | ActError::LifelineUnknown(_) | ActError::Warrant(_) | ActError::Harmful(_) => ErrorCode::Refused,
        ActError::Duplicate { .. }
        | ActError::StillUndoing { .. }
        | ActError::NotFound(_)
        | ActError::NotActive { .. }
        | ActError::Irreversible(_) => ErrorCode::Usage,
        _ => ErrorCode::Failed,
    };
    Refusal { code, message: error.to_string(), mend: String::new() }
}

fn usage(message: String, mend: &str) -> Refusal {
    Refusal { code: ErrorCode::Usage, message, mend: mend.to_owned() }
}

fn micros(time: chrono::TimeDelta) -> i64 {
    time.num_microseconds().unwrap_or(i64::MAX)
}

fn processes(shared: &Shared, root: bartizan_model::ProcessKey) -> Vec<Arc<Process>> {
    shared.processes.tree(root).into_iter().filter_map(|key| shared.processes.get(key)).collect()
}

/// Puts a line into the audit log; when that fails, the agent shows it as degraded.
pub(super) fn audit(shared: &Shared, at: Timestamp, actor: &str, what: &str, subject: &str, detail: &str) {
    let body = AuditBody { at, actor: actor.to_owned(), what: what.to_owned(), subject: subject.to_owned(), detail: detail.to_owned() };
    let trouble = shared.ledger.audit(body).err();
    shared.degrade("audit log", trouble.map(|error| error.to_string()));
}
