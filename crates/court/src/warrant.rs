//! A warrant: leave to do one thing, to one target, once, within minutes. Only the court can make one.
//!
//! It lives and ends in this process, so its type is its proof: private fields, no copy, no reading in, and whoever carries
//! it out takes it by value. One that crosses a process boundary would need a seal and a list of used ones.

use std::fmt;

use bartizan_model::{ActionPlan, Approver, IncidentId, Timestamp, WarrantId};

/// Leave to do one thing once. It cannot be made outside the court, copied, read from the wire or changed.
///
/// Used once it is gone:
/// ```compile_fail,E0382
/// fn twice(warrant: bartizan_court::Warrant) {
///     drop(warrant);
///     drop(warrant);
/// }
/// ```
/// A second one cannot be had from it:
/// ```compile_fail,E0277
/// fn copied(warrant: &bartizan_court::Warrant) -> bartizan_court::Warrant {
///     <bartizan_court::Warrant as Clone>::clone(warrant)
/// }
/// ```
/// Nor can what it says be changed:
/// ```compile_fail,E0616
/// fn changed(mut warrant: bartizan_court::Warrant, reason: String) {
///     warrant.reason = reason;
/// }
/// ```
pub struct Warrant {
    id: WarrantId,
    plan: ActionPlan,
    incident: Option<IncidentId>,
    reason: String,
    by: Approver,
    expires: Timestamp,
}

/// Why a warrant does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarrantError {
    /// Too late.
    #[error("warrant {id} expired at {expires}, nothing was done: ask again")]
    Expired {
        /// Which.
        id: WarrantId,
        /// When it expired.
        expires: Timestamp,
    },
}

impl Warrant {
    pub(super) fn issue(
        id: WarrantId,
        plan: ActionPlan,
        incident: Option<IncidentId>,
        reason: String,
        by: Approver,
        expires: Timestamp,
    ) -> Self {
        Self { id, plan, incident, reason, by, expires }
    }

    /// A warrant that no court issued and that never expires, for tests that show that the responder refuses by itself what
    /// a court would not have allowed. Only tests may ask for the feature (`tests/architecture.rs`).
    #[cfg(feature = "forge")]
    pub fn forge(plan: ActionPlan, by: Approver) -> Self {
        Self::issue(WarrantId(1), plan, None, "a test".to_owned(), by, Timestamp::MAX_UTC)
    }

    /// Whether it holds at this moment.
    ///
    /// # Errors
    /// [`WarrantError::Expired`] from [`Warrant::expires`] on.
    pub fn check(&self, now: Timestamp) -> Result<(), WarrantError> {
        if now < self.expires { Ok(()) } else { Err(WarrantError::Expired { id: self.id, expires: self.expires }) }
    }

    /// Its name, for the record.
    pub fn id(&self) -> WarrantId {
        self.id
    }

    /// What may be done, to whom and for how long.
    pub fn plan(&self) -> &ActionPlan {
        &self.plan
    }

    /// For which incident; absent when a person asked directly.
    pub fn incident(&self) -> Option<IncidentId> {
        self.incident
    }

    /// Why, in one sentence. Safe to show.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who allowed it.
    pub fn by(&self) -> &Approver {
        &self.by
    }

    /// From when on it holds no more.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl fmt::Debug for Warrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Warrant({}: {} by {}, expires {})", self.id, self.plan, self.by, self.expires)
    }
}

/// Cuts and cleans a sentence: no control or deceptive character, at most `most` characters. Backslashes stay
/// single, because parts of the sentence were escaped before.
pub(super) fn sentence(text: &str, most: usize) -> String {
    let mut out = bartizan_model::sentence(text);
    if let Some((at, _)) = out.char_indices().nth(most) {
        out.truncate(at);
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{ActionKind, Direction, Target};
    use std::time::Duration;

    #[test]
    fn a_warrant_holds_until_the_moment_at_which_it_expires() {
        let at = |second: i64| chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let target = Target::Address { addr: "203.0.113.9".parse().unwrap(), direction: Direction::Out };
        let plan = ActionPlan::new(ActionKind::BlockAddress, target, Duration::from_secs(600)).unwrap();
        let warrant = Warrant::issue(WarrantId(1), plan, None, "because".into(), Approver::Person("root".into()), at(300));
        assert_eq!(warrant.check(at(299)), Ok(()));
        assert_eq!(warrant.check(at(300)), Err(WarrantError::Expired { id: WarrantId(1), expires: at(300) }));
        assert!(format!("{warrant:?}").starts_with("Warrant(W1: block to 203.0.113.9 by root, expires "));
    }
}
