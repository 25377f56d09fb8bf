//! One question for a whole attack: the addresses that a person may block together. What is asked grows only by asking again.

use std::net::IpAddr;

use chrono::TimeDelta;

use super::{Case, Court, Entry, Ruling, Stand, guard};
use crate::guard::Refusal;
use crate::warrant::sentence;
use bartizan_model::{Action, ActionKind, ActionPlan, HostileSource, IncidentId, Lifeline, Target};

/// A question that waits is asked again at most so often, when at least half as many again have come.
pub(super) const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// Addresses that are left out of it named one by one; the rest is counted.
const MAX_NAMED: usize = 8;

/// Who is to be asked about together.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    addrs: Vec<IpAddr>,
    /// The first of them, should it stay alone: plan and reason.
    first: Option<(ActionPlan, String)>,
    why: String,
    /// Left to a person one by one, and why.
    pub(super) left_out: Vec<(IpAddr, String)>,
    /// Further ones that nobody remembers.
    dropped: u64,
}

impl Crowd {
    /// Nobody yet, beside so many who were given up.
    pub(super) fn beside(dropped: u64) -> Self {
        Self { dropped, ..Self::default() }
    }

    pub(super) fn add(&mut self, source: &HostileSource, plan: ActionPlan, reason: String, why: String) {
        if self.first.is_none() {
            (self.first, self.why) = (Some((plan, reason)), why);
        }
        self.addrs.push(source.addr);
    }

    /// Who is in it.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addrs
    }

    /// What held the agent back, who is left out, and what was given up.
    fn held_because(&self) -> String {
        let mut said = self.why.clone();
        let beyond = self.addrs.len().saturating_sub(Target::MAX_ADDRESSES);
        if beyond > 0 {
            said.push_str(&format!("; {beyond} more are left for the next question, {} are asked about at once", Target::MAX_ADDRESSES));
        }
        if self.dropped > 0 {
            said.push_str(&format!("; {} more were given up: only the newest are remembered", self.dropped));
        }
        for (addr, why) in self.left_out.iter().take(MAX_NAMED) {
            said.push_str(&format!("; left out: {addr} ({})", sentence(why, 120)));
        }
        let more = self.left_out.len().saturating_sub(MAX_NAMED);
        if more > 0 {
            said.push_str(&format!("; left out: {more} more, each with a question of its own"));
        }
        said
    }
}

impl Court {
    /// Of a plan about many addresses, what may be done now: without those that are on the lifeline or kept out already, each named
    /// with the reason. Any other plan as it is.
    ///
    /// # Errors
    /// The first reason, when nobody is left.
    pub fn without_held(
        &self,
        plan: ActionPlan,
        lifeline: &Lifeline,
        active: &[Action],
    ) -> Result<(ActionPlan, Vec<(IpAddr, Refusal)>), Refusal> {
        let Target::Addresses { addrs } = plan.target() else { return Ok((plan, Vec::new())) };
        let (mut free, mut left_out) = (Vec::new(), Vec::new());
        for addr in addrs.iter().copied() {
            let target = Target::Addresses { addrs: vec![addr] };
            let Ok(one) = ActionPlan::new(plan.kind(), target, plan.lasts()) else { continue };
            let same = || match guard::same_active(&one, active) {
                Some(same) => Err(Refusal::AlreadyActive { plan: one.to_string(), by: same.id }),
                None => Ok(()),
            };
            match guard::lifeline(&one, lifeline, &[], &self.policy).and_then(|()| same()) {
                Ok(()) => free.push(addr),
                Err(refusal) => left_out.push((addr, refusal)),
            }
        }
        match (ActionPlan::new(plan.kind(), Target::Addresses { addrs: free }, plan.lasts()), left_out.is_empty()) {
            (Ok(rest), _) => Ok((rest, left_out)),
            (Err(_), true) => Ok((plan, left_out)),
            (Err(_), false) => Err(left_out.swap_remove(0).1),
        }
    }

    pub(super) fn ask_together(&mut self, case: &Case<'_>, crowd: Crowd) -> Option<Ruling> {
        let held_because = crowd.held_because();
        let Crowd { mut addrs, first, .. } = crowd;
        let (plan, reason) = first?;
        if let [_] = addrs.as_slice() {
            return if self.waits_for(case, &addrs) { None } else { self.ask(case, plan, reason, held_because) };
        }
        let count = addrs.len();
        addrs.truncate(Target::MAX_ADDRESSES);
        if self.waits_for(case, &addrs) {
            return None;
        }
        let plan = ActionPlan::new(ActionKind::BlockAddresses, Target::Addresses { addrs }, self.policy.holds.campaign_for).ok()?;
        if guard::is_off(&plan, &self.policy) {
            return None;
        }
        let about = case.incident.id;
        // The smaller question before it is answered by this one.
        self.court.retain(|entry| !is_part(entry, about, plan.target()));
        self.remember(plan.clone(), about, Stand::Asked, case.now, self.policy.actions.question_lapses);
        let reason =
            sentence(&format!("{about} ({}): {count} addresses attack from outside; the last: {}", case.incident.confidence, reason), 400);
        Some(Ruling::Ask { plan, reason, held_because })
    }

    /// Whether a question that waits covers these well enough: fewer than half as many again have come, or it is too young.
    fn waits_for(&self, case: &Case<'_>, addrs: &[IpAddr]) -> bool {
        self.question_about(case, addrs).is_some_and(|entry| {
            let asked = entry.plan.target().addresses();
            let new = addrs.iter().filter(|addr| !asked.contains(addr)).count();
            new == 0 || case.now.signed_duration_since(entry.at) < PAUSE || new * 2 < asked.len()
        })
    }
}

/// A question about some of these addresses, and about nobody else.
fn is_part(entry: &Entry, about: IncidentId, whole: &Target) -> bool {
    let asked = entry.plan.target().addresses();
    let inside = !asked.is_empty() && asked.iter().all(|addr| whole.addresses().contains(addr));
    entry.stand == Stand::Asked && entry.incident == about && inside
}
