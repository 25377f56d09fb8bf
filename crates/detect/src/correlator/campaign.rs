//! Attacks of many sources in the correlator: one incident each, for as long as the attack may last, and never two of them in one.

use std::time::Duration;

use bartizan_config::Policy;
use bartizan_model::{Entity, Incident, Signal, Timestamp};
use chrono::TimeDelta;

/// How long attacks of many sources are one story, by what they attack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lives {
    logins: TimeDelta,
    web: TimeDelta,
}

impl Lives {
    /// As the policy has them (`campaign` in `[logins]` and in `[web]`).
    pub(super) fn of(policy: &Policy) -> Self {
        let life = |time: Duration| TimeDelta::from_std(time).unwrap_or(TimeDelta::hours(1));
        Self { logins: life(policy.logins.campaign), web: life(policy.web.campaign) }
    }
}

/// The attack that entities belong to.
pub(super) fn of(entities: &[Entity]) -> Option<u64> {
    entities.iter().find_map(|entity| if let Entity::Campaign(begun) = entity { Some(*begun) } else { None })
}

/// Until when what is told of the same attack joins this incident, however quiet it was; `None` where it is no such attack.
pub(super) fn lasts_until(incident: &Incident, lives: Lives) -> Option<Timestamp> {
    // The low half is when it was opened; the other tells kinds of campaigns apart.
    let number = of(&incident.entities)?;
    let begun = number & u64::from(u32::MAX);
    let lasts = if number == begun { lives.logins } else { lives.web };
    Timestamp::from_timestamp(i64::try_from(begun).ok()?, 0)?.checked_add_signed(lasts)
}

/// Whether a signal may join: the same source comes back in the next attack, and that is another story.
pub(super) fn goes_with(incident: &Incident, signal: &Signal) -> bool {
    match (of(&incident.entities), of(&signal.entities)) {
        (Some(its), Some(other)) => its == other,
        (None, _) | (_, None) => true,
    }
}
