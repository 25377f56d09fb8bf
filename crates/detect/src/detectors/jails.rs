//! Jails taken over from fail2ban: their matches counted by address, each with the jail's own limits, in bounded room.
//!
//! Their counts are their own, so a line that our own detectors count too is one failure here and one there, and never two in one count.

use std::net::IpAddr;
use std::time::Duration;

use bartizan_logs::Origin;
use bartizan_model::{Family, HostText, Severity, Stage, Tier, Timestamp};
use ipnet::IpNet;

use super::Info;
use super::tally::{About, Campaigns, Finding, Presence, Remembered, Said, Table, Window, key_of, moment};

/// Jails that one address is counted for at once; the one that was matched longest ago makes room.
const SLOTS: usize = 4;
/// An address of an IPv6 network is named after so many failures of its own, or after as many as its jail asks for.
const OWN_FAILURES: u16 = 3;

const BASE: Info = Info {
    name: "imported_jail",
    title: "A jail of fail2ban",
    technique: &["T1110"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.8,
    meaning: "An address failed as often as a jail allows that was taken over from fail2ban (`bartizan logs import-fail2ban`).",
    false_positives: "Whatever the jail's filter takes for a failure; a person who forgot the password.",
    quiet: "Add the address to `ignoreip` of the jail and import again, or take the jails away with `bartizan logs import-fail2ban --remove`.",
};
static INFO: Info = BASE;
static WEB: Info = Info { family: Family::Web, ..BASE };

/// What the detector says of itself.
pub fn jail_catalogue() -> Vec<&'static Info> {
    vec![&INFO]
}

/// The limits of one jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailRule {
    /// Its name. Safe to show.
    pub name: String,
    /// Its failures are requests to a web server.
    pub web: bool,
    /// So many failures are too many, at least 1 ...
    pub maxretry: u32,
    /// ... within so many seconds, at least 1.
    pub findtime: u32,
    /// For so long it proposes to hold whoever does.
    pub bantime: Duration,
    /// Whose failures do not count.
    pub ignored: Vec<IpNet>,
}

/// A line that a jail matched.
#[derive(Debug, Clone, Copy)]
pub struct JailHit<'a> {
    /// The jail.
    pub jail: &'a str,
    /// Who failed.
    pub address: IpAddr,
    /// The account.
    pub user: Option<&'a HostText>,
    /// When, if the line says so.
    pub at: Option<Timestamp>,
    /// Nobody but the service can have written the line.
    pub trusted: bool,
    /// Our own detectors count this line, too.
    pub counted: bool,
}

/// What is remembered of an address.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    presence: Presence,
    /// Failures that only jails count.
    total: u32,
    slots: [Slot; SLOTS],
}

/// The count of one jail; `jail` is its number and one, 0 of a free slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    jail: u16,
    last: u32,
    window: Window,
}

impl Remembered for Source {
    fn new(key: u128, at: u32) -> Self {
        Self { presence: Presence::new(key, at), ..Self::default() }
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn presence_mut(&mut self) -> &mut Presence {
        &mut self.presence
    }

    fn worth(&self, at: u32) -> u32 {
        self.presence.quiet_for(at).map_or(0, |_| self.did().max(1))
    }

    fn did(&self) -> u32 {
        self.slots.iter().map(|slot| slot.window.count(slot.last, u32::MAX)).sum()
    }
}

impl Source {
    /// The slot of a jail, which it gets if it has none.
    fn slot(&mut self, jail: u16, at: u32) -> Option<(usize, &mut Slot)> {
        let known = self.slots.iter().position(|slot| slot.jail == jail);
        let place = known.or_else(|| (0..SLOTS).min_by_key(|place| self.slots.get(*place).map_or(0, |slot| slot.last)))?;
        let slot = self.slots.get_mut(place)?;
        if slot.jail != jail {
            *slot = Slot { jail, ..Slot::default() };
        }
        slot.last = slot.last.max(at);
        Some((place, slot))
    }
}

/// The jails, and who failed. 16,384 places, 5 MiB with the sketch, from the first match on; a restart of the agent begins anew.
#[derive(Debug)]
pub struct Jails {
    rules: Vec<JailRule>,
    seed: u64,
    table: Table<Source, 2048>,
}

impl Jails {
    /// None yet. `seed` keeps an attacker from choosing addresses that crowd one another out of the table.
    pub fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), seed, table: Table::new(seed) }
    }

    /// From now on these; what was counted by others is forgotten.
    pub fn set_rules(&mut self, rules: Vec<JailRule>) {
        if self.rules != rules {
            *self = Self { rules, ..Self::new(self.seed) };
        }
    }

    /// The jail of this name.
    pub fn rule(&self, name: &str) -> Option<&JailRule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// What only jails counted of each address, how often, first and last, and how often it was reported.
    pub fn failures(&self) -> impl Iterator<Item = (IpAddr, u32, [u32; 2], u8)> {
        let told = |one: &Source| {
            let presence = &one.presence;
            (presence.address(), one.total, [presence.first, presence.last], presence.told.strikes)
        };
        self.table.all().filter(|one| one.total > 0).map(told)
    }

    /// Counts a match for its jail and for the attack that it is part of; it is `now`.
    pub(super) fn observe(&mut self, hit: &JailHit<'_>, campaigns: &mut Campaigns, now: Timestamp) -> Option<Finding> {
        let number = self.rules.iter().position(|rule| rule.name == hit.jail)?;
        let rule = self.rules.get(number)?;
        let (address, at) = (hit.address.to_canonical(), moment(hit.at, now));
        campaigns.clock(moment(None, now));
        if rule.ignored.iter().any(|net| net.contains(&address)) {
            return None;
        }
        let hash = self.table.hash(address);
        if !hit.counted {
            campaigns.failed(address, hash, at, 1);
        }
        let place = self.table.touch(address, at, 1)?;
        let source = self.table.get(place)?;
        source.total = source.total.saturating_add(u32::from(!hit.counted));
        source.presence.weigh(key_of(address).1, 1);
        let (kind, slot) = source.slot(u16::try_from(number + 1).unwrap_or(u16::MAX), at)?;
        slot.window.add(at, rule.findtime, 1);
        let failed = slot.window.count(at, rule.findtime);
        let most = rule.maxretry.min(u32::from(u16::MAX));
        if failed < most || !source.presence.told.is_news(u8::try_from(kind).unwrap_or_default(), at, rule.findtime) {
            return None;
        }
        source.slots.get_mut(kind)?.window = Window::default();
        let own = OWN_FAILURES.min(u16::try_from(most).unwrap_or(OWN_FAILURES));
        let hostile = source.presence.hostile_after(own).filter(|_| hit.trusted);
        let time = humantime::format_duration(Duration::from_secs(u64::from(rule.findtime)));
        let times = if failed == 1 { "once".to_owned() } else { format!("{failed} times") };
        let who = if hostile.is_some() { address.to_string() } else { source.presence.name() };
        let doubt = if hit.trusted { "" } else { "; any local user could have written the lines" };
        let said = Said::new(format!("{who} failed {times} within {time} (fail2ban's jail {}){doubt}", rule.name)).by(hostile);
        let info = if rule.web { &WEB } else { &INFO };
        let about = About {
            at: hit.at,
            user: hit.user.map(HostText::as_bytes),
            address: Some(address),
            origin: Origin::Unproven,
            attempts: failed,
            strikes: source.presence.told.strikes,
        };
        Some(Finding::new(info, said, about, campaigns.join(at, info.severity)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::{CampaignKind, Fold};
    use super::*;

    fn bench(maxretry: u32) -> (Jails, Campaigns) {
        let mut jails = Jails::new(7);
        let rule = |name: &str, web| JailRule {
            name: name.to_owned(),
            web,
            maxretry,
            findtime: 60,
            bantime: Duration::from_secs(60),
            ignored: vec!["192.0.2.0/28".parse().unwrap()],
        };
        jails.set_rules(vec![rule("shop", false), rule("bots", true)]);
        (jails, Campaigns::new(CampaignKind::Logins, 8 * 3600))
    }

    fn hit<'a>(jail: &'a str, address: &str) -> JailHit<'a> {
        JailHit { jail, address: address.parse().unwrap(), user: None, at: None, trusted: true, counted: false }
    }

    #[test]
    fn a_jail_speaks_at_its_own_limit_and_again_only_for_new_failures_after_its_time() {
        let (mut jails, mut campaigns) = bench(3);
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let mut at = |second: i64, one: &JailHit<'_>| jails.observe(one, &mut campaigns, now + chrono::TimeDelta::seconds(second));
        let shop = hit("shop", "203.0.113.9");
        assert!(at(0, &shop).is_none() && at(1, &hit("bots", "203.0.113.9")).is_none() && at(2, &shop).is_none());
        let found = at(3, &shop).unwrap();
        assert_eq!(found.sentence, "203.0.113.9 failed 3 times within 1m (fail2ban's jail shop)");
        assert_eq!((found.hostile, found.info.family), ("203.0.113.9".parse().ok(), Family::Auth));
        assert!(matches!(found.fold, Fold::Opens(_)));
        assert!((4..10).all(|second| at(second, &shop).is_none()), "told once");
        let again = (70..80).find_map(|second| at(second, &shop)).unwrap();
        assert!(matches!(again.fold, Fold::Joins(_)) && again.strikes == 2);
        assert!((0..100).all(|_| at(80, &hit("shop", "192.0.2.3")).is_none()), "ignoreip");
        assert!((0..100).all(|_| at(80, &hit("gone", "203.0.113.1")).is_none()), "no such jail");
        assert_eq!(jails.failures().map(|(_, total, ..)| total).sum::<u32>(), 3 + 6 + 1 + 1, "every failure once");
    }

    #[test]
    fn a_line_that_our_own_detectors_count_adds_nothing_to_the_attack_and_one_that_anybody_could_write_names_nobody() {
        let (mut jails, mut campaigns) = bench(2);
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        let counted = JailHit { counted: true, trusted: false, ..hit("shop", "203.0.113.9") };
        assert!(jails.observe(&counted, &mut campaigns, now).is_none());
        let found = jails.observe(&counted, &mut campaigns, now).unwrap();
        assert!(found.hostile.is_none() && found.sentence.ends_with("any local user could have written the lines"), "{found:?}");
        assert_eq!(campaigns.open().map(|campaign| campaign.attempts), Some(0));
        assert_eq!(jails.failures().count(), 0);
    }
}
