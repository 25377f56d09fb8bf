//! Folding: what comes from many addresses at once, or for hours, is one attack, one alert and one line, with counts and its worst sources.
//!
//! An attack stays open for a fixed time (`[logins] campaign`, 8 hours): so a host that is attacked all day raises three such alerts a day.
//! An address that fails a few times and is gone opens none.

use std::net::IpAddr;

use bartizan_model::Timestamp;

use super::finding::Fold;
use super::window::ManyDistinct;

/// Words of the counter of addresses: good for about 50,000, and 16 KiB.
const WORDS: usize = 2048;
/// Worst sources that are named.
const MAX_WORST: usize = 32;
/// Attacks remembered.
const MAX_CAMPAIGNS: usize = 8;

/// An attack: everything that failed to log in while it was open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// When it was opened, seconds since 1970: its name.
    pub number: u64,
    /// The last attempt.
    pub last: Option<Timestamp>,
    /// Failed attempts.
    pub attempts: u64,
    /// About how many addresses.
    pub addresses: u32,
    /// Sources that a detector reported.
    pub reported: u32,
    /// The worst sources, about how many attempts each (space-saving, Metwally 2005), the worst first.
    pub worst: Vec<(IpAddr, u64)>,
}

impl Campaign {
    /// One sentence, without a full stop. Safe to show.
    pub fn sentence(&self) -> String {
        let worst = self.worst.first().map_or_else(String::new, |(address, count)| format!("; most from {address} ({count})"));
        let (addresses, attempts) =
            (count(u64::from(self.addresses.max(1)), "address", "addresses"), count(self.attempts, "failed login", "failed logins"));
        format!("{attempts} from {addresses}{worst}")
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[derive(Debug)]
struct Open {
    campaign: Campaign,
    opened: u32,
    distinct: ManyDistinct,
    /// Of the worst sources, in the same order.
    hashes: Vec<u64>,
}

/// The attacks.
#[derive(Debug)]
pub(super) struct Campaigns {
    life: u32,
    open: Option<Open>,
    closed: Vec<Campaign>,
    /// What failed within the last hours without any attack: background.
    background: Open,
}

impl Campaigns {
    pub(super) fn new(life: u32) -> Self {
        Self { life, open: None, closed: Vec::new(), background: Open::new(0) }
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&mut self, address: IpAddr, hash: u64, at: u32, attempts: u32) {
        self.close(at);
        if self.open.is_none() && at.saturating_sub(self.background.opened) > 3600 {
            self.background = Open::new(at);
        }
        self.open.as_mut().unwrap_or(&mut self.background).count(address, hash, at, attempts);
    }

    /// A finding belongs to the attack that is open; without one it opens one, with what failed within the hour before.
    pub(super) fn join(&mut self, at: u32) -> Fold {
        self.close(at);
        let is_new = self.open.is_none();
        if is_new {
            let mut begun = std::mem::replace(&mut self.background, Open::new(at));
            (begun.opened, begun.campaign.number) = (at, u64::from(at));
            self.open = Some(begun);
        }
        let Some(open) = &mut self.open else { return Fold::Alone };
        open.campaign.reported += 1;
        if is_new { Fold::Opens(open.campaign.number) } else { Fold::Joins(open.campaign.number) }
    }

    /// About how many addresses failed within the hour while no attack is open. Looked at for every
    /// sixteenth attempt; else 0.
    pub(super) fn crowd(&self) -> u32 {
        let background = &self.background;
        if self.open.is_some() || !background.campaign.attempts.is_multiple_of(16) { 0 } else { background.distinct.count() }
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<Campaign> {
        let open = self.open.as_ref().map(Open::shown);
        open.into_iter().chain(self.closed.iter().rev().cloned()).collect()
    }

    pub(super) fn memory(&self) -> usize {
        2 * self.background.distinct.memory() + MAX_CAMPAIGNS * (size_of::<Campaign>() + MAX_WORST * 32)
    }

    fn close(&mut self, at: u32) {
        if self.open.as_ref().is_some_and(|open| at.saturating_sub(open.opened) >= self.life)
            && let Some(open) = self.open.take()
        {
            if self.closed.len() >= MAX_CAMPAIGNS {
                self.closed.remove(0);
            }
            self.closed.push(open.shown());
            self.background = Open::new(at);
        }
    }
}

impl Open {
    fn new(at: u32) -> Self {
        let campaign = Campaign { number: u64::from(at), last: None, attempts: 0, addresses: 0, reported: 0, worst: Vec::new() };
        Self { campaign, opened: at, distinct: ManyDistinct::new(WORDS), hashes: Vec::with_capacity(MAX_WORST) }
    }

    fn count(&mut self, address: IpAddr, hash: u64, at: u32, attempts: u32) {
        let campaign = &mut self.campaign;
        campaign.attempts += u64::from(attempts);
        campaign.last = Timestamp::from_timestamp(i64::from(at), 0);
        self.distinct.add(hash);
        // Looked through by hash: at each failed login, so in a few cache lines.
        let place = match self.hashes.iter().position(|known| *known == hash) {
            Some(place) => place,
            None if self.hashes.len() < MAX_WORST => {
                self.hashes.push(hash);
                campaign.worst.push((address, 0));
                self.hashes.len() - 1
            }
            // Space-saving: the newcomer takes over the count of the least, so a heavy source is never missed.
            None => (0..campaign.worst.len()).min_by_key(|place| campaign.worst.get(*place).map_or(0, |(_, count)| *count)).unwrap_or(0),
        };
        if let (Some(known), Some((source, count))) = (self.hashes.get_mut(place), campaign.worst.get_mut(place)) {
            (*known, *source) = (hash, address);
            *count += u64::from(attempts);
        }
    }

    fn shown(&self) -> Campaign {
        let mut shown = Campaign { addresses: self.distinct.count(), ..self.campaign.clone() };
        shown.worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        shown
    }
}
