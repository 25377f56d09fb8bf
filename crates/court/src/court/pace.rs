//! How often a crowd of attackers is judged while all that can come of it is one question: each judgement asks the host about every
//! one of them, so a flood of signals would keep the court busy with what it knows. Meanwhile only who is new is judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use chrono::TimeDelta;

use super::crowd::{Crowd, PAUSE};
use super::{Case, Court, Entry, Stand};
use bartizan_model::{Family, HostileSource, IncidentId, Target, Timestamp};

/// All of a crowd are judged at most so often.
const EACH: TimeDelta = TimeDelta::seconds(1);
/// Fewer sources are no crowd.
const FEW: usize = 16;
/// Incidents with a crowd that are remembered.
const MAX_CROWDS: usize = 8;

/// A crowd as it was judged last.
#[derive(Debug)]
struct Judged {
    incident: IncidentId,
    at: Timestamp,
    /// Who was judged then or since, and when each was named.
    seen: BTreeMap<IpAddr, Timestamp>,
    /// Who belongs into the question.
    asked_about: BTreeSet<IpAddr>,
    /// Until then the question that waits is not asked again, whoever comes.
    rests_until: Option<Timestamp>,
    /// So many may come after that before it is.
    room: usize,
}

/// Crowds that were judged within the last moment.
#[derive(Debug, Default)]
pub(super) struct Crowds(VecDeque<Judged>);

impl Crowds {
    /// A person or the policy changed something: all are judged again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Those of these whose crowd was judged a moment ago, without them; `None`: all are to be judged.
    pub(super) fn new_among<'a>(&mut self, case: &Case<'_>, recent: &[&'a HostileSource]) -> Option<Vec<&'a HostileSource>> {
        self.0.retain(|judged| (TimeDelta::zero()..EACH).contains(&case.now.signed_duration_since(judged.at)));
        let judged = self.of(case.incident.id)?;
        Some(recent.iter().copied().filter(|source| judged.seen.get(&source.addr) != Some(&source.at)).collect())
    }

    /// Takes those in who came since; false when the question may have to be asked again for them.
    pub(super) fn admit(&mut self, case: &Case<'_>, new: &[&HostileSource], crowd: &Crowd) -> bool {
        let Some(judged) = self.of(case.incident.id) else { return false };
        let more: BTreeSet<IpAddr> = crowd.addresses().iter().copied().filter(|addr| !judged.asked_about.contains(addr)).collect();
        let rests = judged.rests_until.is_some_and(|until| case.now < until);
        if more.len() > judged.room && !rests {
            return false;
        }
        judged.room = judged.room.saturating_sub(more.len());
        judged.asked_about.extend(more);
        judged.seen.extend(new.iter().map(|source| (source.addr, source.at)));
        true
    }

    fn of(&mut self, incident: IncidentId) -> Option<&mut Judged> {
        self.0.iter_mut().find(|judged| judged.incident == incident)
    }
}

impl Court {
    /// Whether nobody among these may be held without a person at this moment, whatever is known of each.
    pub(super) fn only_asks(&mut self, case: &Case<'_>, recent: &[&HostileSource]) -> bool {
        let families: BTreeSet<Family> = recent.iter().map(|source| source.family).collect();
        recent.len() > FEW && families.into_iter().all(|family| self.not_now(case, family).is_some())
    }

    /// All of a crowd were judged, and a person was asked about `addrs`, now or before.
    pub(super) fn judged_all(&mut self, case: &Case<'_>, recent: &[&HostileSource], addrs: &[IpAddr]) {
        if recent.len() <= FEW {
            return;
        }
        let asked = addrs.get(..Target::MAX_ADDRESSES).unwrap_or(addrs);
        let (rests_until, room) = match self.question_about(case, asked) {
            Some(entry) => {
                let known = entry.plan.target().addresses();
                let new = asked.iter().filter(|addr| !known.contains(addr)).count();
                (entry.at.checked_add_signed(PAUSE), (known.len().saturating_sub(1) / 2).saturating_sub(new))
            }
            None => (None, 0),
        };
        let seen = recent.iter().map(|source| (source.addr, source.at)).collect();
        let (incident, at, asked_about) = (case.incident.id, case.now, addrs.iter().copied().collect());
        self.crowds.0.retain(|judged| judged.incident != incident);
        if self.crowds.0.len() >= MAX_CROWDS {
            self.crowds.0.pop_front();
        }
        self.crowds.0.push_back(Judged { incident, at, seen, asked_about, rests_until, room });
    }

    /// The largest question of this incident that waits and is about some of these.
    pub(super) fn question_about(&self, case: &Case<'_>, addrs: &[IpAddr]) -> Option<&Entry> {
        let about = |entry: &&Entry| entry.stand == Stand::Asked && entry.incident == case.incident.id;
        let waiting =
            self.court.iter().filter(about).filter(|entry| entry.plan.target().addresses().iter().any(|addr| addrs.contains(addr)));
        waiting.max_by_key(|entry| entry.plan.target().addresses().len())
    }
}
