//! Login detections: records of authentication logs in, findings out. One behaviour a file; what they remember is bounded (`sources`, `targets`),
//! and what belongs to one attack is one alert (`campaign`). No clock: the time is an argument.

mod brute_force;
mod distributed;
mod first_seen;
mod forged_lines;
mod invalid_users;
mod many_sources;
mod memory;
mod probes;
mod revoked_key;
mod root_login;
mod slow_brute_force;
mod source;
mod sources;
mod spraying;
mod su_failures;
mod success_after_failures;
mod sudo_failures;
mod sudo_new_user;
mod targets;

use std::net::IpAddr;

use bartizan_config::{LoginPolicy, Policy};
use bartizan_logs::{Origin, Raw, Service, What};
use bartizan_model::{Attacker, HostText, Timestamp};

pub use super::tally::{Campaign, Finding, Fold, Standing, happened};
pub use memory::LoginMemory;

use super::Info;
use super::jails::{JailHit, Jails};
use super::tally::{About, CampaignKind, Campaigns, Folds, Said, moment, seconds};
use first_seen::{Habits, Novelty};
use source::Source;
use sources::Sources;
use targets::{People, Targets};

/// One behaviour.
struct LoginDetector {
    info: &'static Info,
    /// What its findings are part of.
    folds: Folds,
    judge: fn(&mut Scene<'_>) -> Option<Said>,
}

/// What a detector may look at: the record, and what is remembered of its source and accounts, this record counted in.
struct Scene<'a> {
    record: &'a Raw<'a>,
    limits: &'a Limits,
    at: u32,
    source: Option<&'a mut Source>,
    targets: &'a mut Targets,
    people: &'a mut People,
    /// What is new about this login.
    novelty: Option<Novelty>,
    /// Addresses that failed within the hour, while no attack is open; looked at now and then, else 0.
    crowd: u32,
}

/// Asked on a failed attempt, in this order: one finding a record is enough, so the gravest stands first.
const ON_FAILURE: &[LoginDetector] = &[
    brute_force::DETECTOR,
    spraying::DETECTOR,
    invalid_users::DETECTOR,
    slow_brute_force::DETECTOR,
    distributed::DETECTOR,
    many_sources::DETECTOR,
];
/// Asked on everything else.
const ON_SUCCESS: &[LoginDetector] = &[success_after_failures::DETECTOR, root_login::DETECTOR, first_seen::DETECTOR];
const ON_PROBE: &[LoginDetector] = &[probes::DETECTOR];
const ON_PRIVILEGE: &[LoginDetector] = &[sudo_new_user::DETECTOR, sudo_failures::DETECTOR, su_failures::DETECTOR];
const ON_REVOKED: &[LoginDetector] = &[revoked_key::DETECTOR];
const ON_FORGED: &[LoginDetector] = &[forged_lines::DETECTOR];

/// What each login detector says of itself.
pub fn login_catalogue() -> Vec<&'static Info> {
    [ON_FAILURE, ON_SUCCESS, ON_PROBE, ON_PRIVILEGE, ON_REVOKED, ON_FORGED]
        .iter()
        .flat_map(|list| list.iter())
        .map(|one| one.info)
        .collect()
}

/// The thresholds in seconds and counts, ready for use.
#[derive(Debug, Clone)]
struct Limits {
    policy: LoginPolicy,
    brute_force_within: u32,
    slow_within: u32,
    accounts_within: u32,
}

impl Limits {
    fn new(policy: &Policy) -> Self {
        let policy = policy.logins.clone();
        Self {
            brute_force_within: seconds(policy.brute_force_within),
            slow_within: seconds(policy.slow_within),
            accounts_within: seconds(policy.accounts_within),
            policy,
        }
    }

    /// How long an attack is one alert.
    fn campaign(&self) -> u32 {
        seconds(self.policy.campaign)
    }
}

/// Totals since the start: what was counted, alerted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoginCounts {
    /// Records seen.
    pub records: u64,
    /// Failed attempts.
    pub attempts: u64,
    /// Clients that did not get as far as a login.
    pub probes: u64,
    /// Logins.
    pub accepted: u64,
    /// Lines that another than the named service sent.
    pub forged: u64,
    /// Sources that the exact table had no room for; they are counted in a sketch.
    pub crowded_out: u64,
}

/// All login detectors, and what they remember.
#[derive(Debug)]
pub struct LoginDetectors {
    seed: u64,
    limits: Limits,
    sources: Sources,
    targets: Targets,
    people: People,
    habits: Habits,
    /// Of the login that is looked at.
    novelty: Option<Novelty>,
    campaigns: Campaigns,
    counts: LoginCounts,
}

impl LoginDetectors {
    /// Under this policy. `seed` keeps an attacker from choosing addresses that crowd one another out of the table; `sudo_users` are those
    /// known to use sudo or su.
    pub fn new(policy: &Policy, seed: u64, sudo_users: impl IntoIterator<Item = HostText>) -> Self {
        let limits = Limits::new(policy);
        let campaigns = Campaigns::new(CampaignKind::Logins, limits.campaign());
        Self {
            seed,
            sources: Sources::new(seed),
            targets: Targets::new(seed),
            people: People::new(sudo_users),
            habits: Habits::default(),
            novelty: None,
            campaigns,
            limits,
            counts: LoginCounts::default(),
        }
    }

    /// What the detectors think of a record; it is `now`.
    pub fn observe(&mut self, record: &Raw<'_>, now: Timestamp) -> Option<Finding> {
        let at = moment(record.at, now);
        self.campaigns.clock(moment(None, now));
        self.counts.records += 1;
        if record.origin == Origin::Forged {
            self.counts.forged += 1;
            return self.ask(ON_FORGED, record, at, None);
        }
        let local = matches!(record.service, Service::Sudo | Service::Su);
        match record.what {
            What::LoginAccepted => {
                self.counts.accepted += 1;
                if record.attempts > 0 {
                    // Other accounts were tried on the same connection before.
                    self.count_failure(record, at);
                }
                self.novelty = self.habits.learn(record, at);
                let key = self.sources.find(record.address?);
                let found = self.ask(ON_SUCCESS, record, at, key);
                if let Some(source) = key.and_then(|key| self.sources.get(key)) {
                    source.streak = 0;
                }
                found
            }
            _ if record.attempts > 0 && !local => {
                let key = self.count_failure(record, at);
                self.ask(ON_FAILURE, record, at, key)
            }
            What::Probe => {
                self.counts.probes += u64::from(record.repeated);
                let key = self.sources.touch(record.address?, at, 1);
                if let Some(source) = key.and_then(|key| self.sources.get(key)) {
                    source.probes.add(at, self.limits.brute_force_within, record.repeated);
                }
                self.ask(ON_PROBE, record, at, key)
            }
            What::PrivilegeUsed | What::PrivilegeDenied => self.ask(ON_PRIVILEGE, record, at, None),
            What::KeyRevoked => self.ask(ON_REVOKED, record, at, None),
            _ => None,
        }
    }

    /// A match of a jail, which counts for the attack on logins that is open.
    pub fn observe_jail(&mut self, jails: &mut Jails, hit: &JailHit<'_>, now: Timestamp) -> Option<Finding> {
        jails.observe(hit, &mut self.campaigns, now)
    }

    /// The attacks that are open or were last, newest first.
    pub fn campaigns(&self) -> Vec<Campaign> {
        self.campaigns.all().into_iter().map(|campaign| self.exact(campaign)).collect()
    }

    /// The attack that is open.
    pub fn open_campaign(&self) -> Option<Campaign> {
        self.campaigns.open().map(|campaign| self.exact(campaign))
    }

    /// With the counts of its worst sources from the table of sources, which are exact: space-saving counts say too much.
    fn exact(&self, mut campaign: Campaign) -> Campaign {
        for (address, count) in &mut campaign.worst {
            *count = self.sources.peek(*address).map(|one| one.total).map_or(*count, |total| u64::from(total).min(*count));
        }
        campaign.worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        campaign
    }

    /// The worst sources that are remembered, by attempts.
    pub fn attackers(&self, most: usize) -> Vec<Attacker> {
        sources::worst(&self.sources, most)
    }

    /// How far a source is from each threshold.
    pub fn standing(&mut self, address: IpAddr, at: Timestamp) -> Vec<Standing> {
        let Some(source) = self.sources.find(address).and_then(|place| self.sources.get(place)) else { return Vec::new() };
        let (at, limits, policy) = (moment(Some(at), at), &self.limits, &self.limits.policy);
        let one = |detector, count, of, within| Standing { detector, count, of, within };
        let (fast, slow) = (limits.brute_force_within, limits.slow_within);
        vec![
            one("login_brute_force", source.fast.count(at, fast), policy.brute_force_attempts, fast),
            one("login_slow_brute_force", source.slow.count(at, slow), policy.slow_attempts, slow),
            one("login_spraying", source.accounts.count(), policy.spraying_accounts, limits.accounts_within),
            one("login_invalid_users", source.unknown_accounts.count(), policy.unknown_accounts, limits.accounts_within),
            one("login_probes", source.probes.count(at, fast), policy.probes, fast),
        ]
    }

    /// Totals since the start.
    pub fn counts(&self) -> LoginCounts {
        LoginCounts { crowded_out: self.sources.crowded_out(), ..self.counts }
    }

    /// Bytes that all of it takes; it never grows beyond.
    pub fn memory(&self) -> usize {
        self.sources.memory() + self.targets.memory() + self.campaigns.memory()
    }

    /// Counts a failed attempt everywhere where it is remembered; the place of its source, if it has one.
    fn count_failure(&mut self, record: &Raw<'_>, at: u32) -> Option<usize> {
        self.counts.attempts += u64::from(record.attempts);
        let address = record.address?;
        let user = record.user.unwrap_or_default();
        let (account, origin) = (self.targets.hash(user), self.sources.hash(address));
        let key = self.sources.touch(address, at, record.attempts);
        if let Some(source) = key.and_then(|key| self.sources.get(key)) {
            source.failed(&self.limits, at, (address, record.attempts), account, record.known_user == Some(false));
        }
        self.targets.failed(account, user, origin, at, self.limits.accounts_within);
        self.campaigns.failed(address, origin, at, record.attempts);
        key
    }

    /// The first detector that has something to say.
    fn ask(&mut self, list: &[LoginDetector], record: &Raw<'_>, at: u32, key: Option<usize>) -> Option<Finding> {
        let novelty = self.novelty.take();
        let Self { limits, sources, targets, people, campaigns, .. } = self;
        let (source, crowd) = (key.and_then(|key| sources.get(key)), campaigns.crowd());
        let mut scene = Scene { record, limits, at, source, targets, people, novelty, crowd };
        let (detector, said) = list.iter().find_map(|one| Some((one, (one.judge)(&mut scene)?)))?;
        let fold = match detector.folds {
            Folds::Not => Fold::Alone,
            Folds::Attack => campaigns.join(at, said.severity.unwrap_or(detector.info.severity)),
            Folds::Scan => campaigns.scanned(at),
        };
        let source = scene.source.as_deref();
        let about = About {
            at: record.at,
            user: record.user,
            address: record.address,
            origin: record.origin,
            attempts: source.map_or(record.attempts, |source| source.total),
            strikes: source.map_or(0, |source| source.presence.told.strikes),
        };
        Some(Finding::new(detector.info, said, about, fold))
    }
}

#[cfg(test)]
mod tests;
