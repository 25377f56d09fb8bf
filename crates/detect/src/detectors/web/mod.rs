//! Web detections: requests and error lines of web servers in, findings out. One behaviour a file; what they remember is bounded (`client`,
//! `tree`), and what belongs to one attack is one alert. No clock: the time is an argument.
//!
//! One attack request is counted and never told: it takes different attacks, different searches or failed logins by one address. Named for an
//! action is only whom the server talked to, or whom a configured proxy vouches for; never a proxy, nor an address that stands for many.

mod answered;
mod attacks;
mod client;
mod error_burst;
mod login_flood;
mod login_page;
mod many_clients;
mod probing;
mod rate;
mod scanner;
mod tree;

use std::net::IpAddr;

use bartizan_config::{Policy, WebPolicy};
use bartizan_logs::Origin;
use bartizan_logs::web::error::{ErrorKind, WebError};
use bartizan_logs::web::{Access, Family as Kind, Finding as Attack, Place, Proxies};
use bartizan_model::{Event, Signal, Timestamp};

pub use super::tally::{Campaign, Finding, Fold, Standing};
pub use client::WebClient;

use super::Info;
use super::jails::{JailHit, Jails};
use super::tally::{About, CampaignKind, Campaigns, Folds, Said, moment, seconds};
use answered::Answers;
use client::{Client, Clients};
use tree::Tree;

/// One behaviour.
struct WebDetector {
    info: &'static Info,
    /// What its findings are part of.
    folds: Folds,
    judge: fn(&mut Scene<'_>) -> Option<Said>,
}

/// What one line says, as far as a detector needs it.
#[derive(Debug, Clone, Copy)]
struct Visit<'a> {
    at: u32,
    /// The request; `None` of an error log.
    access: Option<&'a Access<'a>>,
    /// Path without the query, as requested.
    path: &'a [u8],
    status: Option<u16>,
    size: Option<u64>,
    attacks: &'a [Attack],
    /// A rule of ModSecurity that matched: what kind, if it is known.
    rule: Option<Option<Kind>>,
    failed_login: bool,
}

/// What a detector may look at: the line, and what is remembered of its client, this line counted in.
struct Scene<'a> {
    visit: Visit<'a>,
    limits: &'a Limits,
    client: &'a mut Client,
    answers: &'a mut Answers,
    /// Addresses that attacked within the hour, while no campaign is open; looked at now and then, else 0.
    crowd: u32,
}

/// Asked in this order: one finding a line is enough, so the gravest stands first.
const DETECTORS: &[WebDetector] = &[
    answered::DETECTOR,
    attacks::DETECTOR,
    login_flood::DETECTOR,
    probing::DETECTOR,
    many_clients::DETECTOR,
    scanner::DETECTOR,
    error_burst::DETECTOR,
    rate::DETECTOR,
];

/// What each web detector says of itself.
pub fn web_catalogue() -> Vec<&'static Info> {
    DETECTORS.iter().map(|one| one.info).chain([tree::INFO]).collect()
}

/// The thresholds in seconds and counts, ready for use.
#[derive(Debug, Clone)]
struct Limits {
    policy: WebPolicy,
    attack_within: u32,
    burst_within: u32,
}

impl Limits {
    fn of(policy: &Policy) -> Self {
        let policy = policy.web.clone();
        Self { attack_within: seconds(policy.attack_within), burst_within: seconds(policy.burst_within), policy }
    }
}

/// The proxies that the policy names: each text was read as a network when the policy was.
fn proxies(policy: &Policy) -> Proxies {
    Proxies::parse(&policy.holds.proxies.texts()).unwrap_or_default()
}

/// Totals since the start: what was counted, alerted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebCounts {
    /// Requests and error lines seen.
    pub lines: u64,
    /// Requests with an attack in them, and rules of ModSecurity that matched.
    pub attacks: u64,
    /// Failed logins.
    pub failed_logins: u64,
    /// Lines that name no client beyond doubt.
    pub nameless: u64,
    /// Clients that the exact table had no room for.
    pub crowded_out: u64,
}

/// All web detectors, and what they remember.
#[derive(Debug)]
pub struct WebDetectors {
    limits: Limits,
    proxies: Proxies,
    clients: Clients,
    campaigns: Campaigns,
    answers: Answers,
    tree: Tree,
    counts: WebCounts,
}

impl WebDetectors {
    /// Under this policy; `[holds] proxies` are believed about whom they speak for. `seed` keeps an attacker from choosing addresses that
    /// crowd one another out of the table.
    pub fn new(policy: &Policy, seed: u64) -> Self {
        Self {
            campaigns: Campaigns::new(CampaignKind::Web, seconds(policy.web.campaign)),
            limits: Limits::of(policy),
            proxies: proxies(policy),
            clients: Clients::new(seed),
            answers: Answers::default(),
            tree: Tree::new(seed),
            counts: WebCounts::default(),
        }
    }

    /// Takes changed thresholds and proxies over; what is remembered stays.
    pub fn set_policy(&mut self, policy: &Policy) {
        (self.limits, self.proxies) = (Limits::of(policy), proxies(policy));
        self.campaigns.set_life(seconds(policy.web.campaign));
    }

    /// What the detectors think of a request and of the attacks that [`judge`](bartizan_logs::web::judge) found in it; it is `now`.
    pub fn observe(&mut self, access: &Access<'_>, attacks: &[Attack], now: Timestamp) -> Option<Finding> {
        self.counts.lines += 1;
        self.campaigns.clock(moment(None, now));
        let (path, _) = access.path_and_query();
        let visit = Visit {
            at: moment(access.at, now),
            access: Some(access),
            path,
            status: access.status,
            size: access.size,
            attacks,
            rule: None,
            failed_login: login_page::refused(access),
        };
        let client = access.client(&self.proxies);
        self.judge(visit, client, access.at)
    }

    /// The same for a line of an error log.
    pub fn observe_error(&mut self, error: &WebError<'_>, now: Timestamp) -> Option<Finding> {
        self.counts.lines += 1;
        self.campaigns.clock(moment(None, now));
        let matched = error.rule.filter(|_| error.kind == ErrorKind::ModSecurity);
        let visit = Visit {
            at: moment(error.at, now),
            access: None,
            path: error.path.unwrap_or_default(),
            status: None,
            size: None,
            attacks: &[],
            rule: matched.map(|rule| Kind::of_crs(rule.id)),
            failed_login: error.kind.is_failed_login(),
        };
        self.judge(visit, error.client, error.at)
    }

    /// A match of a jail, which counts for the attack on the web that is open.
    pub fn observe_jail(&mut self, jails: &mut Jails, hit: &JailHit<'_>, now: Timestamp) -> Option<Finding> {
        let mut found = jails.observe(hit, &mut self.campaigns, now)?;
        found.hostile = found.hostile.filter(|one| client::is_one_client(*one) && !self.proxies.contains(*one));
        Some(found)
    }

    /// A sensor saw an exec, and detectors said this of it: is there a request that it belongs to?
    pub fn tree_changed(&mut self, event: &Event, signals: &[Signal]) -> Option<Finding> {
        let joined = self.tree.changed(event, signals)?;
        Some(joined.finding(Some(event.at)))
    }

    /// The campaigns that are open or were last, newest first.
    pub fn campaigns(&self) -> Vec<Campaign> {
        self.campaigns.all()
    }

    /// The campaign that is open.
    pub fn open_campaign(&self) -> Option<Campaign> {
        self.campaigns.open()
    }

    /// The worst clients that are remembered, by attacks and failed logins.
    pub fn clients(&self, most: usize) -> Vec<WebClient> {
        client::worst(&self.clients, most)
    }

    /// How far a client is from each threshold.
    pub fn standing(&mut self, address: IpAddr, at: Timestamp) -> Vec<Standing> {
        let (at, limits) = (moment(Some(at), at), &self.limits);
        let client = self.clients.find(address).and_then(|place| self.clients.get(place));
        client.map(|client| client.standing(at, limits)).unwrap_or_default()
    }

    /// Whom a request is from, as the detectors see it.
    pub fn client(&self, access: &Access<'_>) -> Option<IpAddr> {
        access.client(&self.proxies)
    }

    /// Totals since the start.
    pub fn counts(&self) -> WebCounts {
        WebCounts { crowded_out: self.clients.crowded_out(), ..self.counts }
    }

    /// Bytes that all of it takes; it never grows beyond.
    pub fn memory(&self) -> usize {
        self.clients.memory() + self.campaigns.memory() + tree::MEMORY
    }

    fn judge(&mut self, visit: Visit<'_>, client: Option<IpAddr>, stamped: Option<Timestamp>) -> Option<Finding> {
        let attacks = visit.is_attack();
        self.counts.attacks += u64::from(attacks);
        self.counts.failed_logins += u64::from(visit.failed_login);
        let Some(address) = client else {
            self.counts.nameless += 1;
            return None;
        };
        self.answers.note(&visit);
        let joined = self.tree.asked(&visit, address);
        let key = self.clients.touch(address, visit.at, visit.weight());
        if attacks || visit.failed_login {
            self.campaigns.failed(address, self.clients.hash(address), visit.at, 1);
        }
        if let Some(one) = key.and_then(|key| self.clients.get(key)) {
            one.count(&visit, address, &self.limits);
        }
        if let Some(joined) = joined {
            return Some(joined.finding(stamped));
        }
        self.ask(visit, address, key?, stamped)
    }

    /// The first detector that has something to say.
    fn ask(&mut self, visit: Visit<'_>, address: IpAddr, key: usize, stamped: Option<Timestamp>) -> Option<Finding> {
        let Self { limits, proxies, clients, campaigns, answers, .. } = self;
        let mut scene = Scene { visit, limits, client: clients.get(key)?, answers, crowd: campaigns.crowd() };
        let (detector, mut said) = DETECTORS.iter().find_map(|one| Some((one, (one.judge)(&mut scene)?)))?;
        let may_be_named = |one: &IpAddr| client::is_one_client(*one) && !proxies.contains(*one);
        said.hostile = said.hostile.filter(may_be_named);
        let fold = match detector.folds {
            Folds::Not => Fold::Alone,
            Folds::Attack => campaigns.join(visit.at, said.severity.unwrap_or(detector.info.severity)),
            Folds::Scan => campaigns.scanned(visit.at),
        };
        let client = scene.client;
        let (attempts, strikes) = (client.attacks.saturating_add(client.failed), client.presence.told.strikes);
        let about = About { at: stamped, user: None, address: Some(address), origin: Origin::Unproven, attempts, strikes };
        Some(Finding::new(detector.info, said, about, fold))
    }
}

impl Visit<'_> {
    /// What was found in it, without what the page's own address brought into the `Referer` of everything that it loads.
    fn found(&self) -> impl Iterator<Item = &Attack> {
        self.attacks.iter().filter(|attack| attack.place != Place::Referer)
    }

    /// Of each sort the one that proves most: what several rules see in one request is one attack, of one kind.
    fn strongest(&self) -> impl Iterator<Item = &Attack> {
        let sort = |attack: &Attack| (attack.family.is_probe(), attack.family == Kind::Scanner);
        [(false, false), (true, false), (false, true)].into_iter().filter_map(move |wanted| {
            self.found()
                .filter(|attack| sort(attack) == wanted)
                .reduce(|best, next| if next.strength > best.strength { next } else { best })
        })
    }

    /// What the client sent for it: two attacks are different where this is, so the same one over and over is one.
    fn sent(&self, attack: &'_ Attack) -> &[u8] {
        let part = self.access.and_then(|access| match attack.place {
            Place::Path => Some(self.path),
            Place::Query => access.query().get(attack.span.clone()),
            Place::Agent => Some(&access.agent),
            Place::Referer | Place::Header => None,
        });
        part.filter(|part| !part.is_empty()).unwrap_or_default()
    }

    fn is_attack(&self) -> bool {
        self.rule.is_some() || self.found().next().is_some()
    }

    /// Whether it was answered with an error. 401 asks who it is, 499 is nginx's word for a client that left.
    fn is_error(&self) -> bool {
        self.status.is_some_and(|status| (400..600).contains(&status) && status != 401 && status != 499)
    }

    /// How much its client is worth a place: an ordinary visitor takes none from anybody.
    fn weight(&self) -> u32 {
        if self.is_attack() || self.failed_login { 4 } else { u32::from(self.is_error()) }
    }
}

/// A path as a sentence holds it: escaped, and at most 80 characters.
fn shown(path: &[u8]) -> String {
    super::kinship::clip(&bartizan_model::HostText::from(path).escaped(), 80)
}

#[cfg(test)]
mod look_alikes;
#[cfg(test)]
mod tests;
