//! A warrant: leave to do one thing, to one target, once, within minutes. Only the court can make one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::seal;
use bartizan_model::{ActionPlan, Approver, IncidentId, Timestamp, WarrantId};

/// Spent warrants remembered at most. Warrants lapse after minutes, so a full list means thousands in that time;
/// then nothing more is opened, which is the safe side.
const MOST_SPENT: usize = 4096;

/// Separates this use of BLAKE3 from any other.
const CONTEXT: &[u8] = b"bartizan warrant v1";

/// Leave to do one thing once. It cannot be cloned, read from the wire or changed, and is used up by opening.
pub struct Warrant {
    id: WarrantId,
    plan: ActionPlan,
    incident: Option<IncidentId>,
    reason: String,
    issued: Timestamp,
    expires: Timestamp,
    approver: Approver,
    mac: [u8; 32],
}

/// What a warrant says, before the court has signed it.
pub(super) struct Terms {
    pub(super) id: WarrantId,
    pub(super) plan: ActionPlan,
    pub(super) incident: Option<IncidentId>,
    pub(super) reason: String,
    pub(super) issued: Timestamp,
    pub(super) lapses: Duration,
    pub(super) approver: Approver,
}

/// Why a warrant does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarrantError {
    /// Not made by this court, or changed since.
    #[error(
        "warrant {0} does not carry this court's seal, nothing was done: it was made by another start of the agent or altered; ask again"
    )]
    Forged(WarrantId),
    /// Too late.
    #[error("warrant {id} lapsed at {expires}, nothing was done: ask again")]
    Expired {
        /// Which.
        id: WarrantId,
        /// When it lapsed.
        expires: Timestamp,
    },
    /// Used before.
    #[error("warrant {0} was used before, nothing was done: a warrant serves once; ask again")]
    Spent(WarrantId),
    /// The list of used warrants is full or broken, so single use cannot be proven.
    #[error("warrant {0} cannot be proven unused, nothing was done: wait until older warrants lapse, then ask again")]
    Unprovable(WarrantId),
}

impl Warrant {
    pub(super) fn seal(terms: Terms, key: &[u8; 32]) -> Self {
        let expires =
            terms.issued.checked_add_signed(chrono::TimeDelta::from_std(terms.lapses).unwrap_or_default()).unwrap_or(terms.issued);
        let Terms { id, plan, incident, reason, issued, approver, .. } = terms;
        let mut warrant = Self { id, plan, incident, reason, issued, expires, approver, mac: [0; 32] };
        warrant.mac = *warrant.digest(key).as_bytes();
        warrant
    }

    /// Uses the warrant up and gives what it allows.
    ///
    /// # Errors
    /// [`WarrantError`]: forged, lapsed or used before. The warrant is gone in every case.
    pub fn open(self, verifier: &Verifier, now: Timestamp) -> Result<Grant, WarrantError> {
        // blake3::Hash compares in constant time.
        if self.digest(&verifier.key) != blake3::Hash::from_bytes(self.mac) {
            return Err(WarrantError::Forged(self.id));
        }
        if now >= self.expires {
            return Err(WarrantError::Expired { id: self.id, expires: self.expires });
        }
        verifier.spend(self.id, self.expires, now)?;
        let Self { id, plan, incident, reason, approver, .. } = self;
        Ok(Grant { id, plan, incident, reason, approver })
    }

    /// Its name, for the record.
    pub fn id(&self) -> WarrantId {
        self.id
    }

    /// What it allows, for the record and the screen; only [`Warrant::open`] gives leave.
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
    pub fn approver(&self) -> &Approver {
        &self.approver
    }

    /// When it lapses.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Every field, each with its length before it, so that no two warrants give the same bytes.
    fn digest(&self, key: &[u8; 32]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(key);
        let mut put = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        put(CONTEXT);
        put(&self.id.0.to_le_bytes());
        put(self.plan.kind().name().as_bytes());
        seal::target(self.plan.target(), &mut put);
        put(&self.plan.lasts().as_nanos().to_le_bytes());
        put(&self.incident.map_or([0; 9], |id| numbered(id.0)));
        put(self.reason.as_bytes());
        put(&moment(self.issued));
        put(&moment(self.expires));
        put(format!("{:?}", self.approver).as_bytes());
        hasher.finalize()
    }

    /// The same with another plan written into it, as a forger would.
    #[cfg(test)]
    pub(crate) fn with_plan(mut self, plan: ActionPlan) -> Self {
        self.plan = plan;
        self
    }

    /// The same warrant once more, as a thief would have it.
    #[cfg(test)]
    pub(crate) fn stolen_copy(&self) -> Self {
        Self {
            id: self.id,
            plan: self.plan.clone(),
            incident: self.incident,
            reason: self.reason.clone(),
            issued: self.issued,
            expires: self.expires,
            approver: self.approver.clone(),
            mac: self.mac,
        }
    }
}

impl fmt::Debug for Warrant {
    // The seal stays out of every log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Warrant({}: {}, lapses {})", self.id, self.plan, self.expires)
    }
}

fn numbered(id: u64) -> [u8; 9] {
    let mut out = [1; 9];
    out.iter_mut().skip(1).zip(id.to_le_bytes()).for_each(|(to, from)| *to = from);
    out
}

fn moment(at: Timestamp) -> [u8; 12] {
    let mut out = [0; 12];
    let bytes = at.timestamp().to_le_bytes().into_iter().chain(at.timestamp_subsec_nanos().to_le_bytes());
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    out
}

/// What an opened warrant allows. Whoever holds it may do exactly this, now.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    id: WarrantId,
    plan: ActionPlan,
    incident: Option<IncidentId>,
    reason: String,
    approver: Approver,
}

impl Grant {
    /// The warrant's name.
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
    pub fn approver(&self) -> &Approver {
        &self.approver
    }
}

/// Proves warrants. Clones share the list of used ones.
#[derive(Clone)]
pub struct Verifier {
    key: [u8; 32],
    spent: Arc<Mutex<Spent>>,
}

impl fmt::Debug for Verifier {
    // The key stays out of every log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

#[derive(Default)]
struct Spent {
    /// Used and not yet lapsed.
    ids: BTreeMap<WarrantId, Timestamp>,
    /// Everything up to here counts as used: those were used and have lapsed. A clock set back cannot revive them.
    forgotten: Option<WarrantId>,
}

impl Verifier {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, spent: Arc::default() }
    }

    fn spend(&self, id: WarrantId, expires: Timestamp, now: Timestamp) -> Result<(), WarrantError> {
        // A panic while the list was held leaves it unproven: refuse rather than guess.
        let mut spent = self.spent.lock().map_err(|_| WarrantError::Unprovable(id))?;
        if spent.ids.contains_key(&id) || spent.forgotten.is_some_and(|upto| id <= upto) {
            return Err(WarrantError::Spent(id));
        }
        if spent.ids.len() >= MOST_SPENT {
            let lapsed: Vec<WarrantId> = spent.ids.iter().filter(|(_, expires)| **expires <= now).map(|(id, _)| *id).collect();
            for old in lapsed {
                spent.ids.remove(&old);
                spent.forgotten = spent.forgotten.max(Some(old));
            }
        }
        if spent.ids.len() >= MOST_SPENT {
            return Err(WarrantError::Unprovable(id));
        }
        spent.ids.insert(id, expires);
        Ok(())
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
    use bartizan_model::{ActionKind, Direction, Mode, Target};

    fn at(second: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn warrant(id: u64, key: &[u8; 32]) -> Warrant {
        let target = Target::Address { addr: "203.0.113.9".parse().unwrap(), direction: Direction::Out };
        let plan = ActionPlan::new(ActionKind::BlockAddress, target, Duration::from_secs(600)).unwrap();
        Warrant::seal(
            Terms {
                id: WarrantId(id),
                plan,
                incident: Some(IncidentId(7)),
                reason: "because".into(),
                issued: at(0),
                lapses: Duration::from_secs(300),
                approver: Approver::Person("BALANCED".into()),
            },
            key,
        )
    }

    #[test]
    fn a_warrant_serves_once() {
        let verifier = Verifier::new([7; 32]);
        let warrant = warrant(1, &[7; 32]);
        let copy = warrant.stolen_copy();
        let grant = warrant.open(&verifier, at(1)).unwrap();
        assert_eq!(
            (grant.id(), grant.plan().to_string().as_str(), grant.approver()),
            (WarrantId(1), "block to 203.0.113.9", &Approver::Person("BALANCED".into()))
        );
        assert_eq!(copy.open(&verifier.clone(), at(2)), Err(WarrantError::Spent(WarrantId(1))));
    }

    #[test]
    fn a_warrant_lapses() {
        let verifier = Verifier::new([7; 32]);
        assert!(warrant(1, &[7; 32]).open(&verifier, at(299)).is_ok());
        assert!(matches!(warrant(2, &[7; 32]).open(&verifier, at(300)), Err(WarrantError::Expired { .. })));
    }

    #[test]
    fn another_courts_or_an_altered_warrant_is_forged() {
        let verifier = Verifier::new([7; 32]);
        assert_eq!(warrant(1, &[8; 32]).open(&verifier, at(1)), Err(WarrantError::Forged(WarrantId(1))));
        let alterations: [fn(&mut Warrant); 7] = [
            |w| w.id = WarrantId(2),
            |w| w.plan = w.plan.lasting(Duration::from_secs(601)).unwrap(),
            |w| w.incident = None,
            |w| w.reason.push('!'),
            |w| w.issued = at(1),
            |w| w.expires = at(9999),
            |w| w.approver = Approver::Mode(Mode::Balanced),
        ];
        for alter in alterations {
            let mut warrant = warrant(1, &[7; 32]);
            alter(&mut warrant);
            assert!(matches!(warrant.open(&verifier, at(1)), Err(WarrantError::Forged(_))));
        }
    }

    #[test]
    fn the_list_of_spent_warrants_is_bounded_and_never_forgets_a_use() {
        let verifier = Verifier::new([7; 32]);
        let first = warrant(1, &[7; 32]);
        let copy = first.stolen_copy();
        first.open(&verifier, at(1)).unwrap();
        for id in 2..=MOST_SPENT as u64 {
            verifier.spend(WarrantId(id), at(300), at(1)).unwrap();
        }
        assert_eq!(verifier.spend(WarrantId(9000), at(300), at(1)), Err(WarrantError::Unprovable(WarrantId(9000))));
        verifier.spend(WarrantId(9001), at(700), at(400)).unwrap();
        assert_eq!(verifier.spent.lock().unwrap().ids.len(), 1);
        // The clock is set back: the first one has not lapsed by it, and still is used up.
        assert_eq!(copy.open(&verifier, at(2)), Err(WarrantError::Spent(WarrantId(1))));
    }

    #[test]
    fn neither_the_seal_nor_the_key_is_shown() {
        assert_eq!(format!("{:?}", Verifier::new([7; 32])), "Verifier(..)");
        assert!(format!("{:?}", warrant(1, &[7; 32])).starts_with("Warrant(W1: block to 203.0.113.9, lapses "));
    }
}
