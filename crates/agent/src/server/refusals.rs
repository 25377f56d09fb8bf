//! Counts refusals by user, so that each is recorded and a flood of them fills neither the record nor the disk.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Refusals of one user that are recorded one by one within [`WINDOW`]. A person at a console makes a few.
const EACH: u64 = 30;
/// How long refusals are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Users remembered. At the bound those whose time is over go; when none is, strangers share one count.
const USERS: usize = 256;
/// Stands for all users beyond the bound: (uid_t) -1 is no user (chown(2)).
const EVERYBODY: u32 = u32::MAX;

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// Write it down.
    Each,
    /// The first beyond the bound: cut the peer, and after this time write down how many there were.
    FloodBegins(Duration),
    /// Cut the peer; it is counted.
    Counted,
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<u32, (Instant, u64)>);

impl Refusals {
    /// One more of this user.
    pub(super) fn add(&mut self, uid: u32, now: Instant) -> Record {
        let uid = self.place(uid, now);
        let (begun, count) = self.0.entry(uid).or_insert((now, 0));
        if now.saturating_duration_since(*begun) >= WINDOW && *count <= EACH {
            (*begun, *count) = (now, 0);
        }
        *count += 1;
        match *count {
            count if count <= EACH => Record::Each,
            count if count == EACH + 1 => Record::FloodBegins((*begun + WINDOW).saturating_duration_since(now)),
            _ => Record::Counted,
        }
    }

    /// The flood of this user is over for now: how many refusals were not recorded one by one.
    pub(super) fn settle(&mut self, uid: u32) -> u64 {
        let held = self.0.remove(&uid).or_else(|| self.0.remove(&EVERYBODY));
        held.map_or(0, |(_, count)| count.saturating_sub(EACH))
    }

    fn place(&mut self, uid: u32, now: Instant) -> u32 {
        if self.0.len() < USERS || self.0.contains_key(&uid) {
            return uid;
        }
        // A flood that is not settled yet stays: its count is owed to the record.
        self.0.retain(|_, (begun, count)| *count > EACH || now.saturating_duration_since(*begun) < WINDOW);
        if self.0.len() < USERS { uid } else { EVERYBODY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted_once() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let said: Vec<Record> = (0..1_000).map(|_| refusals.add(1000, now)).collect();
        assert!(said.iter().take(30).all(|record| *record == Record::Each));
        assert_eq!(said.get(30), Some(&Record::FloodBegins(WINDOW)));
        assert!(said.iter().skip(31).all(|record| *record == Record::Counted));
        assert_eq!(refusals.add(1001, now), Record::Each, "others are not concerned");
        assert_eq!(refusals.settle(1000), 970);
        assert_eq!(refusals.add(1000, now), Record::Each, "and begins anew");
    }

    #[test]
    fn now_and_then_is_no_flood_and_a_thousand_users_take_no_room() {
        let (mut refusals, begun) = (Refusals::default(), Instant::now());
        assert!((0..100).all(|n| refusals.add(7, begun + Duration::from_secs(3 * n)) == Record::Each));
        let mut refusals = Refusals::default();
        let flood = (0..10_000u32).map(|uid| refusals.add(uid, begun)).filter(|record| *record != Record::Each).count();
        assert!(flood > 9_000 && refusals.0.len() <= USERS + 1, "{flood}");
    }
}
