//! Holds: an address that attacks from outside, by what a daemon recorded, is limited or blocked for a time, longer when it comes
//! back, or a person is asked about it. The number of failed logins is the threshold here, so one piece of evidence is enough, and
//! whether kernel events were lost says nothing about it.

use std::time::Duration;

use chrono::TimeDelta;

use super::crowd::Crowd;
use super::{Case, Court, Ruling, Stand, guard, uncertain};
use crate::alone;
use crate::guard::Refusal;
use crate::sources::History;
use crate::warrant::sentence;
use bartizan_config::Policy;
use bartizan_model::{Action, ActionKind, ActionPlan, Approver, Direction, Family, HostileSource, LifelineReason, Mode, Target, Timestamp};

/// The agent alone holds only who was named so lately.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// Where everything is asked, about who was named so lately.
const ASKED_WITHIN: TimeDelta = TimeDelta::hours(1);
/// How long a hold lasts: the first, and for each former one a step further.
const STEPS: [Duration; 4] =
    [Duration::from_secs(600), Duration::from_secs(3600), Duration::from_secs(6 * 3600), Duration::from_secs(24 * 3600)];
/// A hold is up to this part of its time shorter, so that nobody can tell when it ends.
const MAX_JITTER: f64 = 0.1;

/// What is to be said of one source.
enum Verdict {
    /// Nothing, or nothing new.
    Silent,
    /// Something about it alone.
    Ruled(Ruling),
    /// It is left to a person for a reason of its own, which was told or is told now.
    LeftOut(String, Option<Ruling>),
    /// It is asked about, together with all others for whom this is the reason.
    Together(ActionPlan, String, String),
}

impl Court {
    /// One ruling for each source about which something is to be said and was not said before; one question for all that may be
    /// answered together.
    pub(super) fn hold_sources(&mut self, case: &Case<'_>) -> Vec<Ruling> {
        let within = if case.mode == Mode::Paranoid { ASKED_WITHIN } else { FRESH };
        let mut recent: Vec<&HostileSource> = case.proof.sources.iter().collect();
        recent.retain(|source| case.now.signed_duration_since(source.at) < within);
        // Of more than can be asked about at once, those that were named last.
        recent.sort_by_key(|source| (std::cmp::Reverse(source.at), source.addr));
        let mut rulings = Vec::new();
        let new = if self.only_asks(case, &recent) { self.crowds.new_among(case, &recent) } else { None };
        if let Some(new) = new {
            let crowd = self.rule_on_each(case, &new, &mut rulings);
            if self.crowds.admit(case, &new, &crowd) {
                return rulings;
            }
        }
        let crowd = self.rule_on_each(case, &recent, &mut rulings);
        let addrs = crowd.addresses().to_vec();
        rulings.extend(self.ask_together(case, crowd));
        self.judged_all(case, &recent, &addrs);
        rulings
    }

    fn rule_on_each(&mut self, case: &Case<'_>, sources: &[&HostileSource], rulings: &mut Vec<Ruling>) -> Crowd {
        let mut crowd = Crowd::beside(case.proof.sources_dropped);
        for source in sources {
            match self.rule_on(case, source) {
                Verdict::Silent => {}
                Verdict::Ruled(ruling) => rulings.push(ruling),
                Verdict::LeftOut(why, ruling) => {
                    crowd.left_out.push((source.addr, why));
                    rulings.extend(ruling);
                }
                Verdict::Together(plan, reason, why) => crowd.add(source, plan, reason, why),
            }
        }
        crowd
    }

    fn rule_on(&mut self, case: &Case<'_>, source: &HostileSource) -> Verdict {
        if guard::held_by(source.addr, case.active).is_some() || self.is_settled(source) {
            return Verdict::Silent;
        }
        let history = case.sources.history(source.addr, self.remembers_since(case.now));
        // What it did before its last hold ended was answered by that hold.
        if history.ended.is_some_and(|ended| source.at <= ended) {
            return Verdict::Silent;
        }
        let plan = hold(case, source, &history, &self.policy).filter(|plan| !guard::is_off(plan, &self.policy));
        let Some(plan) = plan else { return Verdict::Silent };
        if let Some(ended) = history.ended {
            // What was allowed then was done, and is over.
            self.court.retain(|entry| entry.stand != Stand::Allowed || entry.at > ended || !super::same(&entry.plan, &plan));
        }
        let before = self.stand(&plan);
        if before >= Some(Stand::Allowed) {
            return Verdict::Silent;
        }
        let reason = reason(case, source, &history);
        let left_out = |court: &mut Self, plan, reason, why: String| {
            let ruling = court.ask(case, plan, reason, why.clone());
            Verdict::LeftOut(why, ruling)
        };
        match guard::lifeline(&plan, case.lifeline, &[], &self.policy) {
            Ok(()) => {}
            Err(Refusal::Lifeline { why, .. }) if is_a_login(why) => return left_out(self, plan, reason, shared_with_owner(source, why)),
            Err(refusal) => return Verdict::LeftOut(refusal.to_string(), self.refuse_once(case, plan, refusal)),
        }
        let held_back = self.not_now(case, source.family);
        // Who is asked about already was asked for before, and a person decides.
        let is_asked = before >= Some(Stand::Asked) || (held_back.is_some() && self.question_about(case, &[source.addr]).is_some());
        let may_be_held = source.family == Family::Auth || case.sources.jail(source.addr).is_some();
        let elsewhere = if is_asked || !may_be_held { None } else { case.sources.held_elsewhere(source.addr) };
        if let Some(by) = elsewhere {
            let refusal = Refusal::HeldElsewhere { plan: plan.to_string(), by: sentence(&by, 120) };
            return self.refuse_once(case, plan, refusal).map_or(Verdict::Silent, Verdict::Ruled);
        }
        if let Some(why) = self.only_by_a_person(case, source, &plan, &history) {
            return left_out(self, plan, reason, why);
        }
        if let Some(why) = held_back {
            return Verdict::Together(plan, reason, why);
        }
        self.holds.push_back(case.now);
        Verdict::Ruled(self.allow(case, plan, &reason))
    }

    /// What about this very address leaves it to a person.
    fn only_by_a_person(&self, case: &Case<'_>, source: &HostileSource, plan: &ActionPlan, history: &History) -> Option<String> {
        let addr = source.addr;
        if let Some(doubt) = case.lifeline.doubts_address(addr).filter(|doubt| !case.lifeline.unknown.iter().any(|known| known == doubt)) {
            return Some(uncertain(doubt));
        }
        if let Some(undone) = &history.undone {
            return Some(format!("{undone}: it is not held again without a person"));
        }
        if let Some(who) = case.sources.login(addr) {
            return Some(format!("{}: an account of this host may share the address with the attacker", sentence(&who, 160)));
        }
        let (holds, never) = (&self.policy.holds, "the address of a proxy is never the client's");
        if let Some(range) = holds.proxies.find(addr) {
            return Some(format!("policy.toml names {range} under [holds] proxies: {never}"));
        }
        if let Some(range) = holds.cdn.find(addr) {
            return Some(format!("it is in {range}, a range of a content delivery network ([holds] cdn): {never}"));
        }
        // Connections are what a guesser has. A proxy in front of the login service has logins too, and those are known.
        let by_share = || if source.family == Family::Auth { None } else { alone::carries_most(addr, case.connections) };
        guard::protected(plan, &[], &self.policy).or_else(by_share)
    }

    /// What holds all of them back at this moment.
    pub(super) fn not_now(&mut self, case: &Case<'_>, family: Family) -> Option<String> {
        match (case.mode, family) {
            (Mode::Paranoid, _) => return Some("the mode is PARANOID: a person approves everything".to_owned()),
            (Mode::Balanced, Family::Auth) | (Mode::Aggressive, _) => {}
            (Mode::Balanced, _) => return Some("without a person, BALANCED only limits addresses with too many failed logins".to_owned()),
        }
        if let Some(unknown) = case.lifeline.unknown.first() {
            return Some(uncertain(unknown));
        }
        self.paused(case.now).or_else(|| self.spent_holds(case)).or_else(|| self.spent_allowance(case))
    }

    /// Holds have a share of what may be done alone, so that a crowd of guessers leaves enough to answer an intrusion.
    fn spent_holds(&mut self, case: &Case<'_>) -> Option<String> {
        let (most, share) = (self.policy.holds.most_per_minute, &self.policy.holds);
        self.holds.retain(|at| case.now.signed_duration_since(*at) < TimeDelta::minutes(1));
        if self.holds.len() >= most as usize {
            return Some(format!("the agent began {most} holds within a minute, its limit ([holds] most_per_minute)"));
        }
        let alive = case.active.iter().filter(|action| is_hold(action.kind, &action.target) && is_alone(action)).count();
        let begun = |plan: &ActionPlan| guard::same_active(plan, case.active).is_some();
        let pending = self.court.iter().filter(|e| e.stand == Stand::Allowed && is_hold(e.plan.kind(), e.plan.target()) && !begun(&e.plan));
        (alive + pending.count() >= share.most_active as usize)
            .then(|| format!("{} holds are alive, the limit ([holds] most_active)", share.most_active))
    }

    fn remembers_since(&self, now: Timestamp) -> Timestamp {
        let span = TimeDelta::from_std(self.policy.holds.remembered).unwrap_or(TimeDelta::days(7));
        now.checked_sub_signed(span).unwrap_or(now)
    }

    /// A person said no to any action on it, whichever, or yes to one that is being done.
    fn is_settled(&self, source: &HostileSource) -> bool {
        let about = |plan: &ActionPlan| plan.target().addresses().contains(&source.addr);
        let allowed = |entry: &super::Entry| entry.stand == Stand::Allowed && entry.plan.kind() == ActionKind::BlockAddresses;
        self.court.iter().any(|entry| (entry.stand == Stand::Declined || allowed(entry)) && about(&entry.plan))
    }
}

/// The hold that this mode does, or asks for: BALANCED limits, the others block.
fn hold(case: &Case<'_>, source: &HostileSource, history: &History, policy: &Policy) -> Option<ActionPlan> {
    let addr = source.addr;
    let limits = &policy.actions;
    let (kind, target, first) = match case.mode {
        Mode::Balanced => {
            let packets_per_second = policy.holds.limit_packets;
            (ActionKind::LimitSource, Target::Source { addr, packets_per_second }, limits.limit_for)
        }
        Mode::Paranoid | Mode::Aggressive => {
            (ActionKind::BlockAddress, Target::Address { addr, direction: Direction::In }, limits.block_for)
        }
    };
    let jail = case.sources.jail(addr).map(|terms| terms.lasts);
    ActionPlan::new(kind, target, lasts(history.holds, first, jail, case.sources.jitter())).ok()
}

fn reason(case: &Case<'_>, source: &HostileSource, history: &History) -> String {
    let before = match history.holds {
        0 => String::new(),
        1 => "; held once before".to_owned(),
        holds => format!("; held {holds} times before"),
    };
    sentence(&format!("{} ({}): {}{before}", case.incident.id, case.incident.confidence, source.sentence), 400)
}

/// Whole seconds, never more than a day. A jail that the owner took over says how long the first is, and the shortest of those after it.
fn lasts(former: u32, first: Duration, jail: Option<Duration>, jitter: f64) -> Duration {
    let [.., day] = STEPS;
    let step = STEPS.get(former as usize).copied().unwrap_or(day);
    let step = match (former, jail) {
        (0, None) => step.min(first),
        (0, Some(jail)) => jail.min(day),
        (_, jail) => step.max(jail.unwrap_or_default()).min(day),
    };
    let shorter = step.mul_f64(MAX_JITTER * jitter.clamp(0.0, 1.0));
    Duration::from_secs(step.saturating_sub(shorter).as_secs().max(1))
}

fn is_hold(kind: ActionKind, target: &Target) -> bool {
    kind == ActionKind::LimitSource || matches!(target, Target::Address { direction: Direction::In, .. })
}

fn is_alone(action: &Action) -> bool {
    action.state.is_active() && matches!(action.by, Approver::Mode(_))
}

fn is_a_login(why: LifelineReason) -> bool {
    matches!(why, LifelineReason::SshSession | LifelineReason::RecentLogin | LifelineReason::Carrier)
}

fn shared_with_owner(source: &HostileSource, why: LifelineReason) -> String {
    format!(
        "{} is {}: an owner may share the address with the attacker; it is never cut off, and a yes counts only once that is over",
        source.addr,
        why.noun()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_longer_each_time_up_to_a_day_and_up_to_a_tenth_shorter() {
        let ten = Duration::from_secs(600);
        let seconds = |former, jitter| lasts(former, ten, None, jitter).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 900].map(|former| seconds(former, 0.0)), [600, 3600, 21_600, 86_400, 86_400, 86_400]);
        assert_eq!([0, 1, 2, 3].map(|former| seconds(former, 1.0)), [540, 3240, 19_440, 77_760]);
        assert_eq!([seconds(3, f64::NAN.max(0.0)), seconds(3, 7.0), seconds(3, -7.0)], [86_400, 77_760, 86_400]);
        assert_eq!(lasts(0, Duration::from_secs(60), None, 0.0).as_secs(), 60, "never longer than the owner's own time");
        assert_eq!(lasts(0, Duration::from_secs(7200), None, 0.0).as_secs(), 600, "nor than ten minutes");
        let jail = |former, seconds| lasts(former, ten, Some(Duration::from_secs(seconds)), 0.0).as_secs();
        assert_eq!(
            [jail(0, 60), jail(0, 7200), jail(1, 7200), jail(1, 60), jail(0, 900_000), jail(2, 900_000)],
            [60, 7200, 7200, 3600, 86_400, 86_400]
        );
    }
}
