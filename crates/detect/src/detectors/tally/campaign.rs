//! Folding: what comes from many addresses at once, or for hours, is one attack, one alert and one line, with counts and its worst sources.
//!
//! An attack stays open for a fixed time (`campaign` in `[logins]` and `[web]`, 8 hours): so a host that is attacked all day raises three such
//! alerts a day of each kind. An address that fails a few times and is gone opens none.

use std::net::IpAddr;

use bartizan_model::{Severity, Timestamp};
use serde::{Deserialize, Serialize};

use super::AHEAD;
use super::finding::Fold;
use super::window::ManyDistinct;

/// Words of the counter of addresses: good for about 50,000, and 16 KiB.
const WORDS: usize = 2048;
/// Worst sources that are named.
const MAX_WORST: usize = 32;
/// Attacks remembered.
const MAX_CAMPAIGNS: usize = 8;

/// What the attempts of an attack are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CampaignKind {
    /// Failed logins.
    Logins,
    /// Requests to a web server with attacks in them, searches for what only attackers look for, failed logins at its pages.
    Web,
}

/// An attack: everything of its kind that was counted while it was open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// What its attempts are.
    pub kind: CampaignKind,
    /// Its name: when it was opened, in seconds since 1970; of one on a web server 2^32 more.
    pub number: u64,
    /// The first attempt.
    pub first: Option<Timestamp>,
    /// The last attempt.
    pub last: Option<Timestamp>,
    /// Failed logins, or attack requests.
    pub attempts: u64,
    /// About how many addresses.
    pub addresses: u32,
    /// Sources that a detector reported.
    pub reported: u32,
    /// The worst sources, about how many attempts each (space-saving, Metwally 2005), the worst first.
    pub worst: Vec<(IpAddr, u64)>,
}

impl CampaignKind {
    /// The name of an attack of this kind that opened then.
    fn number(self, at: u32) -> u64 {
        u64::from(at)
            + match self {
                Self::Logins => 0,
                Self::Web => 1 << 32,
            }
    }
}

impl Campaign {
    /// One sentence, without a full stop. Safe to show.
    pub fn sentence(&self) -> String {
        let attempts = match self.kind {
            CampaignKind::Logins => count(self.attempts, "failed login", "failed logins"),
            CampaignKind::Web => count(self.attempts, "attack request", "attack requests"),
        };
        match self.worst.first() {
            Some((address, _)) if self.addresses <= 1 => format!("{attempts} from {address}"),
            Some((address, count)) => format!("{attempts} from {} addresses; most from {address} ({count})", self.addresses),
            None => attempts,
        }
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    campaign: Campaign,
    opened: u32,
    /// The gravest that was told of it.
    gravest: Severity,
    distinct: ManyDistinct,
    /// Of the worst sources, in the same order.
    hashes: Vec<u64>,
}

/// The attacks. All of it outlives the agent, so that a restart raises no other alert.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Campaigns {
    kind: CampaignKind,
    life: u32,
    open: Option<Open>,
    closed: Vec<Campaign>,
    /// What failed within the last hours without any attack: background.
    background: Open,
    /// Whether the last attempt was about the sixteenth in it: then it is looked at.
    look: bool,
    /// When scans were told last.
    scanned: Option<u32>,
}

impl Campaigns {
    /// Of this kind, each open for `life` seconds.
    pub(in super::super) fn new(kind: CampaignKind, life: u32) -> Self {
        Self { kind, life, open: None, closed: Vec::new(), background: Open::new(kind, 0), look: false, scanned: None }
    }

    /// It is `now`, by the host's clock. Whatever began further ahead of it than a line's own time may be is over: the clock ran ahead,
    /// and was set back; else an attack stayed open until the clock gets there.
    pub(in super::super) fn clock(&mut self, now: u32) {
        let latest = now.saturating_add(AHEAD);
        if self.open.as_ref().is_some_and(|open| open.opened > latest) {
            self.end(now);
        }
        if self.background.opened > latest {
            self.background = Open::new(self.kind, now);
        }
        self.scanned = self.scanned.filter(|told| *told <= latest);
    }

    /// Counts a failed attempt.
    pub(in super::super) fn failed(&mut self, address: IpAddr, hash: u64, at: u32, attempts: u32) {
        self.close(at);
        if self.open.is_none() && at.saturating_sub(self.background.opened) > 3600 {
            self.background = Open::new(self.kind, at);
        }
        let before = self.background.campaign.attempts / 16;
        self.open.as_mut().unwrap_or(&mut self.background).count(address, hash, at, attempts);
        // One line may stand for several attempts, so the sixteenth itself may be none of its own.
        self.look = self.background.campaign.attempts / 16 != before;
    }

    /// A finding belongs to the attack that is open; without one it opens one, with what failed within the hour before.
    pub(in super::super) fn join(&mut self, at: u32, severity: Severity) -> Fold {
        self.close(at);
        let is_new = self.open.is_none();
        if is_new {
            let mut begun = std::mem::replace(&mut self.background, Open::new(self.kind, at));
            let number = self.kind.number(at) + u64::from(self.scanned == Some(at));
            (begun.opened, begun.campaign.number, begun.gravest) = (at, number, severity);
            self.open = Some(begun);
        }
        let Some(open) = &mut self.open else { return Fold::Alone };
        open.campaign.reported += 1;
        let number = open.campaign.number;
        let is_graver = severity > open.gravest;
        open.gravest = open.gravest.max(severity);
        match (is_new, is_graver) {
            (true, _) => Fold::Opens(number),
            (false, true) => Fold::Worsens(number),
            (false, false) => Fold::Joins(number),
        }
    }

    /// A scan belongs to the attack that is open. Without one, the first is told, and none after it for as long as an attack stays open.
    pub(in super::super) fn scanned(&mut self, at: u32) -> Fold {
        self.close(at);
        if let Some(open) = &self.open {
            return Fold::Joins(open.campaign.number);
        }
        match self.scanned {
            Some(told) if at.saturating_sub(told) < self.life => Fold::Joins(self.kind.number(told)),
            _ => {
                self.scanned = Some(at);
                Fold::Opens(self.kind.number(at))
            }
        }
    }

    /// About how many addresses failed within the hour while no attack is open. Looked at for about every
    /// sixteenth attempt; else 0.
    pub(in super::super) fn crowd(&self) -> u32 {
        let background = &self.background;
        if self.open.is_some() || !self.look { 0 } else { background.distinct.count() }
    }

    /// Newest first.
    pub(in super::super) fn all(&self) -> Vec<Campaign> {
        let open = self.open.as_ref().map(Open::shown);
        open.into_iter().chain(self.closed.iter().rev().cloned()).collect()
    }

    /// Within its bounds, however it comes.
    pub(in super::super) fn bounded(mut self) -> Self {
        self.closed.truncate(MAX_CAMPAIGNS);
        if !self.open.iter().chain([&self.background]).all(Open::is_whole) {
            return Self::new(self.kind, self.life);
        }
        self
    }

    /// The one that is open.
    pub(in super::super) fn open(&self) -> Option<Campaign> {
        self.open.as_ref().map(Open::shown)
    }

    /// From now on an attack is one alert for so long.
    pub(in super::super) fn set_life(&mut self, life: u32) {
        self.life = life;
    }

    pub(in super::super) fn memory(&self) -> usize {
        2 * self.background.distinct.memory() + MAX_CAMPAIGNS * (size_of::<Campaign>() + MAX_WORST * 32)
    }

    fn close(&mut self, at: u32) {
        if self.open.as_ref().is_some_and(|open| at.saturating_sub(open.opened) >= self.life) {
            self.end(at);
        }
    }

    fn end(&mut self, at: u32) {
        let Some(open) = self.open.take() else { return };
        if self.closed.len() >= MAX_CAMPAIGNS {
            self.closed.remove(0);
        }
        self.closed.push(open.shown());
        self.background = Open::new(self.kind, at);
    }
}

impl Open {
    fn new(kind: CampaignKind, at: u32) -> Self {
        let number = kind.number(at);
        let campaign = Campaign { kind, number, first: None, last: None, attempts: 0, addresses: 0, reported: 0, worst: Vec::new() };
        Self { campaign, opened: at, gravest: Severity::Info, distinct: ManyDistinct::new(WORDS), hashes: Vec::with_capacity(MAX_WORST) }
    }

    fn count(&mut self, address: IpAddr, hash: u64, at: u32, attempts: u32) {
        let campaign = &mut self.campaign;
        campaign.attempts += u64::from(attempts);
        campaign.last = Timestamp::from_timestamp(i64::from(at), 0);
        campaign.first = campaign.first.or(campaign.last);
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

    fn is_whole(&self) -> bool {
        self.hashes.len() == self.campaign.worst.len() && self.hashes.len() <= MAX_WORST && self.distinct.memory() == WORDS * 8
    }

    fn shown(&self) -> Campaign {
        let mut shown = Campaign { addresses: self.distinct.count(), ..self.campaign.clone() };
        shown.worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;
    const YEARS: u32 = 5 * 365 * 86_400;

    #[test]
    fn what_a_clock_that_ran_ahead_began_is_over_once_it_is_set_back_also_after_a_restart() {
        for restart in [false, true] {
            let mut campaigns = Campaigns::new(CampaignKind::Logins, 8 * 3600);
            campaigns.failed([203, 0, 113, 9].into(), 1, NOW + YEARS, 1);
            assert!(matches!(campaigns.scanned(NOW + YEARS), Fold::Opens(_)));
            assert!(matches!(campaigns.join(NOW + YEARS, Severity::Medium), Fold::Opens(_)));
            if restart {
                campaigns = campaigns.bounded();
            }
            campaigns.clock(NOW);
            assert!(campaigns.open().is_none() && campaigns.all().len() == 1);
            assert_eq!(campaigns.scanned(NOW), Fold::Opens(u64::from(NOW)));
            campaigns.failed([203, 0, 113, 9].into(), 1, NOW + 1, 3);
            assert!(matches!(campaigns.join(NOW + 1, Severity::Medium), Fold::Opens(_)));
            assert_eq!(campaigns.open().map(|one| one.attempts), Some(3), "and counts only what is of now");
        }
    }

    #[test]
    fn a_line_that_comes_late_or_a_little_early_ends_no_attack() {
        let mut campaigns = Campaigns::new(CampaignKind::Logins, 8 * 3600);
        campaigns.clock(NOW);
        campaigns.join(NOW + AHEAD, Severity::Medium);
        campaigns.clock(NOW);
        assert!(matches!(campaigns.join(NOW - 86_400, Severity::Medium), Fold::Joins(_)), "a line of yesterday");
    }
}
