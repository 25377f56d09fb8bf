//! Attacks of many sources in the correlator: one incident each, for as long as the attack may last, and never two of them in one.

use bartizan_model::{Entity, Incident, Signal, Timestamp};

/// The attack that entities belong to.
pub(super) fn of(entities: &[Entity]) -> Option<u64> {
    entities.iter().find_map(|entity| if let Entity::Campaign(begun) = entity { Some(*begun) } else { None })
}

/// Until when what is told of the same attack joins this incident, however quiet it was; `None` where it is no such attack.
pub(super) fn lasts_until(incident: &Incident, lasts: chrono::TimeDelta) -> Option<Timestamp> {
    // The low half is when it was opened; the other tells kinds of campaigns apart.
    let begun = of(&incident.entities)? & u64::from(u32::MAX);
    Timestamp::from_timestamp(i64::try_from(begun).ok()?, 0)?.checked_add_signed(lasts)
}

/// Whether a signal may join: the same source comes back in the next attack, and that is another story.
pub(super) fn goes_with(incident: &Incident, signal: &Signal) -> bool {
    match (of(&incident.entities), of(&signal.entities)) {
        (Some(its), Some(other)) => its == other,
        (None, _) | (_, None) => true,
    }
}
