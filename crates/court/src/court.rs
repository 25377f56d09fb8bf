//! The court: cases come in, rulings go out. Act alone, ask a person, or refuse.

mod crowd;
mod holds;
mod pace;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::alone::{self, Bearing};
use super::guard::{self, Refusal};
use super::ladder;
use super::proposals;
use super::sentinel::{Pause, Sentinel};
use super::sources::Sources;
use super::warrant::{Warrant, sentence};
use bartizan_config::Policy;
use bartizan_model::{
    Action, ActionPlan, Alarm, Approver, Incident, IncidentId, Lifeline, Mode, Posture, Process, Proof, Timestamp, WarrantId,
};

/// Rulings remembered so that the same is not asked twice. Beyond it the least of them is forgotten and may be asked again.
const MAX_REMEMBERED: usize = 1024;
/// Questions waiting at most for one incident, so that an intruder who calls many addresses cannot bury the operator.
const MAX_ASKED_PER_INCIDENT: usize = 16;

/// An incident before the court, with all that bears on it at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What happened.
    pub incident: &'a Incident,
    /// What stable detectors alone prove of it (`Correlator::proof`).
    pub proof: &'a Proof,
    /// How much may be done alone.
    pub mode: Mode,
    /// The owner's own access.
    pub lifeline: &'a Lifeline,
    /// The incident's subject and every living process below it; empty when it is gone.
    pub tree: &'a [Arc<Process>],
    /// Actions alive.
    pub active: &'a [Action],
    /// Established TCP connections of the host, counted by remote address.
    pub connections: &'a [(IpAddr, u32)],
    /// What is known of addresses that attack from outside.
    pub sources: &'a dyn Sources,
    /// The moment of judging.
    pub now: Timestamp,
}

/// A person asks: an approval given, or an action by hand.
#[derive(Debug)]
pub struct ApprovalRequest<'a> {
    /// What is to be done.
    pub plan: ActionPlan,
    /// For which incident, if one.
    pub incident: Option<IncidentId>,
    /// Why, in one sentence.
    pub reason: String,
    /// Which person, as the audit log names them: "uid 0 (pid 812)".
    pub person: String,
    /// The owner's own access.
    pub lifeline: &'a Lifeline,
    /// For a process tree: its root and every living process below it.
    pub tree: &'a [Arc<Process>],
    /// Actions alive.
    pub active: &'a [Action],
    /// The moment of judging.
    pub now: Timestamp,
}

/// What the court says to one plan.
#[derive(Debug)]
pub enum Ruling {
    /// It may be done, once, now.
    Act(Warrant),
    /// A person decides.
    Ask {
        /// What would be done.
        plan: ActionPlan,
        /// Why, in one sentence.
        reason: String,
        /// Why it is not done without asking.
        held_because: String,
    },
    /// It is not done, whoever asks.
    Refuse {
        /// What would have been done.
        plan: ActionPlan,
        /// Why not.
        reason: Refusal,
    },
}

/// How far a plan got before; a later ruling may only go further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Refused,
    Asked,
    Allowed,
    /// A person said no.
    Declined,
}

#[derive(Debug)]
struct Entry {
    plan: ActionPlan,
    incident: IncidentId,
    stand: Stand,
    at: Timestamp,
    until: Timestamp,
}

/// The court.
pub struct Court {
    policy: Policy,
    next: WarrantId,
    /// What was ruled lately, oldest first.
    court: VecDeque<Entry>,
    /// When the agent allowed itself something, within the last minute.
    alone: VecDeque<Timestamp>,
    /// When it allowed itself a hold, within the last minute.
    holds: VecDeque<Timestamp>,
    /// Crowds of attackers that were judged a moment ago.
    crowds: pace::Crowds,
    sentinel: Sentinel,
    unasked: u64,
}

impl std::fmt::Debug for Court {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Court(next {}, {} cases open)", self.next, self.court.len())
    }
}

impl Court {
    /// A court; `first` is the first warrant's name.
    pub fn new(policy: &Policy, first: WarrantId) -> Self {
        let (court, alone, holds) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (policy, sentinel) = (policy.clone(), Sentinel::default());
        Self { policy, next: first, court, alone, holds, crowds: pace::Crowds::default(), sentinel, unasked: 0 }
    }

    /// Takes a changed policy over; what was ruled before stays ruled.
    pub fn set_policy(&mut self, policy: &Policy) {
        self.policy = policy.clone();
        self.crowds.clear();
    }

    /// Questions that were not asked because too many wait for the same incident.
    pub fn unasked(&self) -> u64 {
        self.unasked
    }

    /// Tells the sentinel how an action stands; the alarm, once, when our own hand does more than it should.
    pub fn watch(&mut self, action: &Action, now: Timestamp) -> Option<Alarm> {
        self.sentinel.watch(action, &self.policy, now)
    }

    /// The number of the warrant that is issued next.
    pub fn next_warrant(&self) -> WarrantId {
        self.next
    }

    /// Why automatic actions are paused for now, if the sentinel says so.
    pub fn pause(&self, now: Timestamp) -> Option<&Pause> {
        self.sentinel.holds(now)
    }

    /// A person says how much may be done alone: the sentinel begins anew.
    pub fn rearm(&mut self) {
        self.sentinel.rearm();
        self.crowds.clear();
    }

    /// Judges a case: one ruling for each thing that could be done about it and was not ruled on before. A question
    /// already asked may become [`Ruling::Act`] when the evidence grows; the waiting question is then answered by it.
    pub fn propose(&mut self, case: &Case<'_>) -> Vec<Ruling> {
        self.court.retain(|entry| entry.until > case.now);
        // However little it scores: what a daemon counted is its own threshold.
        let mut rulings = self.hold_sources(case);
        if case.incident.posture < Posture::Contain {
            return rulings;
        }
        for (plan, tree) in proposals::of(case, &self.policy) {
            rulings.extend(self.rule(case, plan, &tree));
        }
        rulings
    }

    /// Makes a warrant for what a person wants: an approval, or an action by hand. A person may pass the protected
    /// list, never the lifeline or the limits.
    ///
    /// # Errors
    /// [`Refusal`] says what holds it back.
    pub fn grant(&mut self, request: ApprovalRequest<'_>) -> Result<Warrant, Refusal> {
        let ApprovalRequest { plan, incident, reason, person, lifeline, tree, active, now } = request;
        guard::lifeline(&plan, lifeline, tree, &self.policy)?;
        guard::limits(&plan, active, &self.policy)?;
        self.crowds.clear();
        if let Some(id) = incident {
            self.remember(plan.clone(), id, Stand::Allowed, now, self.policy.actions.warrant_lapses);
        }
        Ok(self.issue(plan, incident, &reason, Approver::Person(sentence(&person, 128)), now))
    }

    /// A person said no: for as long as a question lives (`question_lapses` in policy.toml) this is neither asked again nor
    /// done alone, whatever the evidence. A person may still ask for it.
    pub fn decline(&mut self, plan: &ActionPlan, incident: IncidentId, now: Timestamp) {
        self.crowds.clear();
        self.remember(plan.clone(), incident, Stand::Declined, now, self.policy.actions.question_lapses);
    }

    /// Nothing was begun of what was allowed, by no fault of the plan: what was ruled about it counts no more.
    pub fn forget(&mut self, plan: &ActionPlan) {
        self.crowds.clear();
        self.court.retain(|entry| !same(&entry.plan, plan));
    }

    fn rule(&mut self, case: &Case<'_>, plan: ActionPlan, tree: &[Arc<Process>]) -> Option<Ruling> {
        if guard::is_off(&plan, &self.policy) || guard::same_active(&plan, case.active).is_some() {
            return None;
        }
        let before = self.stand(&plan);
        if let Err(reason) = guard::lifeline(&plan, case.lifeline, tree, &self.policy) {
            return self.refuse_once(case, plan, reason);
        }
        let reason = sentence(&format!("{} ({}): {}", case.incident.id, case.incident.confidence, case.incident.sentence), 400);
        match self.held_because(case, &plan, tree) {
            None if before < Some(Stand::Allowed) => {
                let plan = plan.lasting(plan.lasts().min(ladder::SHORT)).unwrap_or(plan);
                Some(self.allow(case, plan, &reason))
            }
            Some(held_because) => self.ask(case, plan, reason, held_because),
            None => None,
        }
    }

    /// A warrant for what the agent does alone.
    fn allow(&mut self, case: &Case<'_>, plan: ActionPlan, reason: &str) -> Ruling {
        self.alone.push_back(case.now);
        self.remember(plan.clone(), case.incident.id, Stand::Allowed, case.now, self.policy.actions.warrant_lapses);
        Ruling::Act(self.issue(plan, Some(case.incident.id), reason, Approver::Mode(case.mode), case.now))
    }

    /// A question, unless the same was asked or more was said, or too many wait.
    fn ask(&mut self, case: &Case<'_>, plan: ActionPlan, reason: String, held_because: String) -> Option<Ruling> {
        if self.stand(&plan) >= Some(Stand::Asked) || guard::is_off(&plan, &self.policy) {
            return None;
        }
        let waiting = self.court.iter().filter(|e| e.incident == case.incident.id && e.stand == Stand::Asked).count();
        if waiting >= MAX_ASKED_PER_INCIDENT {
            self.unasked += 1;
            return None;
        }
        self.remember(plan.clone(), case.incident.id, Stand::Asked, case.now, self.policy.actions.question_lapses);
        Some(Ruling::Ask { plan, reason, held_because })
    }

    /// A refusal, unless something was said of the same.
    fn refuse_once(&mut self, case: &Case<'_>, plan: ActionPlan, reason: Refusal) -> Option<Ruling> {
        self.stand(&plan).is_none().then(|| {
            self.remember(plan.clone(), case.incident.id, Stand::Refused, case.now, self.policy.actions.question_lapses);
            Ruling::Refuse { plan, reason }
        })
    }

    /// Why this is not done without a person; `None` when the agent may act alone.
    fn held_because(&mut self, case: &Case<'_>, plan: &ActionPlan, tree: &[Arc<Process>]) -> Option<String> {
        if case.mode == Mode::Paranoid {
            let doubt = case.lifeline.doubt(plan.target()).map(uncertain);
            let too = doubt.or_else(|| guard::protected(plan, tree, &self.policy)).map(|why| format!("; and {why}"));
            return Some(format!("the mode is PARANOID: a person approves everything{}", too.unwrap_or_default()));
        }
        if !plan.kind().is_reversible() {
            let doubt = if case.incident.complete { "" } else { ", and the evidence is incomplete" };
            return Some(format!("to {} cannot be undone{doubt}", plan.kind().verb()));
        }
        let unknown = || case.lifeline.unknown.first().map(String::as_str);
        if let Some(doubt) = case.lifeline.doubt(plan.target()).or_else(unknown) {
            return Some(uncertain(doubt));
        }
        if let Some(why) = ladder::held(plan, case.mode, case.incident, case.proof, &self.policy) {
            return Some(why);
        }
        if let Some(pause) = self.paused(case.now) {
            return Some(pause);
        }
        let bearing = Bearing {
            posture: case.incident.posture,
            score: case.proof.confidence,
            lifeline: case.lifeline,
            connections: case.connections,
        };
        alone::held(plan, &bearing, &self.policy)
            .or_else(|| guard::protected(plan, tree, &self.policy))
            .or_else(|| self.spent_allowance(case))
    }

    fn paused(&self, now: Timestamp) -> Option<String> {
        let pause = self.sentinel.holds(now)?;
        let until = pause.until.format("%H:%M:%S UTC");
        Some(format!("automatic actions are paused until {until}, or until a person sets the mode: {}", pause.why))
    }

    fn spent_allowance(&mut self, case: &Case<'_>) -> Option<String> {
        let most = self.policy.actions.most_per_minute;
        self.alone.retain(|at| case.now.signed_duration_since(*at) < chrono::TimeDelta::minutes(1));
        if self.alone.len() >= most as usize {
            return Some(format!("the agent began {most} actions within a minute, its limit ([actions] most_per_minute)"));
        }
        let pending = self.court.iter().filter(|e| e.stand == Stand::Allowed && guard::same_active(&e.plan, case.active).is_none()).count();
        let alive = case.active.iter().filter(|action| action.state.is_active()).count() + pending;
        let most = self.policy.actions.most_active;
        (alive >= most as usize).then(|| format!("{most} actions are alive, the limit ([actions] most_active)"))
    }

    fn issue(&mut self, plan: ActionPlan, incident: Option<IncidentId>, reason: &str, by: Approver, now: Timestamp) -> Warrant {
        let id = self.next;
        self.next = WarrantId(id.0.saturating_add(1));
        let lapses = chrono::TimeDelta::from_std(self.policy.actions.warrant_lapses).unwrap_or_default();
        let expires = now.checked_add_signed(lapses).unwrap_or(now);
        Warrant::issue(id, plan, incident, sentence(reason, 500), by, expires)
    }

    fn stand(&self, plan: &ActionPlan) -> Option<Stand> {
        self.court.iter().filter(|entry| same(&entry.plan, plan)).map(|entry| entry.stand).max()
    }

    fn remember(&mut self, plan: ActionPlan, incident: IncidentId, stand: Stand, now: Timestamp, lapses: Duration) {
        self.court.retain(|entry| !same(&entry.plan, &plan));
        if self.court.len() >= MAX_REMEMBERED && !self.make_room(stand, now) {
            return;
        }
        let until = now.checked_add_signed(chrono::TimeDelta::from_std(lapses).unwrap_or_default()).unwrap_or(now);
        self.court.push_back(Entry { plan, incident, stand, at: now, until });
    }

    /// Forgets the least of what was ruled: what has lapsed, else the oldest refusal, else the oldest question. A person's no and what is
    /// being done go last. False when the newcomer is less than all that, and neither of them itself.
    fn make_room(&mut self, newcomer: Stand, now: Timestamp) -> bool {
        let least = self.court.iter().enumerate().min_by_key(|(_, entry)| (entry.until > now, entry.stand));
        let Some((place, worth)) = least.map(|(place, entry)| (place, (entry.until > now, entry.stand))) else { return true };
        let is_less = worth <= (true, newcomer) || newcomer >= Stand::Allowed;
        if is_less {
            self.court.remove(place);
        }
        is_less
    }
}

fn uncertain(doubt: &str) -> String {
    format!("the owner's own access is not fully known: {}", sentence(doubt, 200))
}

fn same(a: &ActionPlan, b: &ActionPlan) -> bool {
    a.kind() == b.kind() && a.target().is_same(b.target())
}

#[cfg(test)]
pub(super) mod tests;
