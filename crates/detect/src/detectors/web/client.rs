//! A client of a web server: what is remembered of an address, or of an IPv6 network. 32,768 of them, under 7 MiB with the sketch.

use std::net::IpAddr;

use bartizan_logs::web::{Family as Kind, Finding as Attack, Strength};
use bartizan_model::Timestamp;

use super::super::tally::{Distinct, Presence, Remembered, Standing, Table, Window, key_of, mix};
use super::{Limits, Visit};

/// A client that neither attacked nor failed to log in gives up its place so soon after its last request, in seconds.
const GONE: u32 = 2 * 60;

/// The table.
pub(super) type Clients = Table<Client, 4096>;

/// What is remembered of a client.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Client {
    pub(super) presence: Presence,
    /// When the counts of different ones began.
    since: u32,
    requests: Window,
    errors: Window,
    /// Failed logins by the access log, and by the error log: both may tell of the same.
    logins: Window,
    refused: Window,
    scanned: Window,
    /// Different attacks: those that prove themselves, and weaker ones.
    strong: Distinct,
    fair: Distinct,
    /// What only attackers look for: all of it, and what proves itself.
    paths: Distinct,
    sure_paths: Distinct,
    /// Kinds of attack, a bit each, in this time and in the one before.
    kinds: [u16; 2],
    weight: u32,
    /// Requests with attacks since it has its place.
    pub(super) attacks: u32,
    /// Failed logins since it has its place.
    pub(super) failed: u32,
}

impl Remembered for Client {
    fn new(key: u128, at: u32) -> Self {
        Self { presence: Presence::new(key, at), since: at, ..Self::default() }
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn presence_mut(&mut self) -> &mut Presence {
        &mut self.presence
    }

    fn worth(&self, at: u32) -> u32 {
        match self.presence.quiet_for(at) {
            Some(quiet) if self.weight > 0 || quiet <= GONE => self.weight.max(1),
            _ => 0,
        }
    }

    fn did(&self) -> u32 {
        self.weight
    }
}

impl Client {
    /// Counts what a line says.
    pub(super) fn count(&mut self, visit: &Visit<'_>, address: IpAddr, limits: &Limits) {
        let (at, low) = (visit.at, key_of(address).1);
        if visit.access.is_some() {
            self.requests.add(at, limits.burst_within, 1);
        }
        if visit.is_error() {
            self.errors.add(at, limits.burst_within, 1);
        }
        let weight = visit.weight();
        if weight == 0 {
            return;
        }
        self.weight = self.weight.saturating_add(weight);
        if visit.failed_login {
            let window = if visit.access.is_some() { &mut self.logins } else { &mut self.refused };
            window.add(at, limits.attack_within, 1);
            self.failed = self.failed.saturating_add(1);
            self.presence.weigh(low, 1);
        }
        if visit.is_attack() {
            self.turn(at, limits.attack_within);
            self.attacks = self.attacks.saturating_add(1);
            self.presence.weigh(low, 1);
            visit.strongest().for_each(|attack| self.attack(attack, visit, limits));
            if let Some(kind) = visit.rule {
                // Rules of others have their own look-alikes, and several may match one request.
                self.fair.add(hash(kind.map_or(99, |kind| kind as u64), visit.path));
                self.kinds[0] |= kind.map_or(0, bit);
            }
        }
    }

    fn attack(&mut self, attack: &Attack, visit: &Visit<'_>, limits: &Limits) {
        let is_strong = attack.strength == Strength::Strong;
        // Of a weak one only the words that prove it: what an application asks for with other numbers each time is one.
        let sent = if is_strong && !attack.family.is_probe() { visit.sent(attack) } else { &[] };
        let hash = hash(attack.family as u64, if sent.is_empty() { attack.excerpt.as_bytes() } else { sent });
        match attack.family {
            Kind::Scanner => self.scanned.add(visit.at, limits.attack_within, u32::from(is_strong)),
            kind if kind.is_probe() => {
                self.paths.add(hash);
                if is_strong {
                    self.sure_paths.add(hash);
                }
            }
            kind => {
                self.kinds[0] |= bit(kind);
                if is_strong { self.strong.add(hash) } else { self.fair.add(hash) }
            }
        }
    }

    /// A time of different ones is over.
    fn turn(&mut self, at: u32, within: u32) {
        let passed = at.saturating_sub(self.since) / within.max(1);
        if passed > 0 {
            let twice = passed > 1;
            [&mut self.strong, &mut self.fair, &mut self.paths, &mut self.sure_paths].into_iter().for_each(|one| one.turn(twice));
            self.kinds = [0, if twice { 0 } else { self.kinds[0] }];
            self.since = at;
        }
    }

    /// About how many different attacks: two weaker ones are as much as one that proves itself.
    pub(super) fn different_attacks(&self) -> u32 {
        self.strong.count() + self.fair.count() / 2
    }

    /// About how many different attacks prove themselves.
    pub(super) fn strong_attacks(&self) -> u32 {
        self.strong.count()
    }

    /// Of how many kinds they are.
    pub(super) fn kinds(&self) -> u32 {
        (self.kinds[0] | self.kinds[1]).count_ones()
    }

    /// The attacks were told: the next ones count anew.
    pub(super) fn forget_attacks(&mut self) {
        (self.strong, self.fair, self.kinds) = Default::default();
    }

    /// About how many different pages and files that only attackers look for; and how many of them prove it.
    pub(super) fn probed(&self) -> (u32, u32) {
        (self.paths.count(), self.sure_paths.count())
    }

    pub(super) fn forget_probes(&mut self) {
        (self.paths, self.sure_paths) = Default::default();
    }

    /// Failed logins in this time, by the log that has more of them.
    pub(super) fn failed_logins(&self, at: u32, within: u32) -> u32 {
        self.logins.count(at, within).max(self.refused.count(at, within))
    }

    pub(super) fn forget_logins(&mut self) {
        (self.logins, self.refused) = Default::default();
    }

    pub(super) fn scanned(&self, at: u32, within: u32) -> u32 {
        self.scanned.count(at, within)
    }

    /// Requests and errors in this time.
    pub(super) fn burst(&self, at: u32, within: u32) -> (u32, u32) {
        (self.requests.count(at, within), self.errors.count(at, within))
    }

    /// The address that did it itself; `None`: of an IPv6 network no single one did.
    pub(super) fn hostile(&self) -> Option<IpAddr> {
        self.presence.hostile()
    }

    /// Who it is in a sentence.
    pub(super) fn name(&self) -> String {
        self.presence.name()
    }

    /// How far it is from each threshold.
    pub(super) fn standing(&self, at: u32, limits: &Limits) -> Vec<Standing> {
        let (policy, within) = (&limits.policy, limits.attack_within);
        let enough = if self.kinds() > 1 { policy.attack_requests } else { 4 * policy.attack_requests };
        let (requests, errors) = self.burst(at, limits.burst_within);
        let one = |detector, count, of, within| Standing { detector, count, of, within };
        vec![
            one("web_attacks", self.different_attacks(), enough, within),
            one("web_probing", self.probed().0, policy.probed_paths, within),
            one("web_login_flood", self.failed_logins(at, within), policy.failed_logins, within),
            one("web_scanner", self.scanned(at, within), policy.scanner_requests, within),
            one("web_error_burst", errors, policy.errors, limits.burst_within),
            one("web_rate", requests, policy.requests, limits.burst_within),
        ]
    }
}

fn bit(kind: Kind) -> u16 {
    1 << (kind as u16)
}

/// A hash that is good enough to tell different ones apart: who makes two of his attacks collide is only counted later.
fn hash(kind: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(kind, |hash, chunk| {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        mix(0x5eed, hash, word)
    })
}

/// Whether an address is one client: private, shared and local ones stand for those behind a proxy, a bridge or a translator (RFC 6890).
pub(super) fn is_one_client(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || shared || a == 0 || a >= 240)
        }
        // Global unicast is 2000::/3 (RFC 4291).
        IpAddr::V6(v6) => (0x2000..0x4000).contains(&v6.segments()[0]),
    }
}

/// A client as a table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebClient {
    /// Its address.
    pub address: IpAddr,
    /// Requests with an attack in them.
    pub attacks: u32,
    /// Failed logins.
    pub failed_logins: u32,
    /// First seen.
    pub first: Option<Timestamp>,
    /// Last seen.
    pub last: Option<Timestamp>,
    /// How often it was reported.
    pub strikes: u8,
}

/// The worst by attacks and failed logins.
pub(super) fn worst(clients: &Clients, most: usize) -> Vec<WebClient> {
    let moment = |at: u32| Timestamp::from_timestamp(i64::from(at), 0);
    let did = |client: &Client| u64::from(client.attacks) + u64::from(client.failed);
    let mut all: Vec<&Client> = clients.all().filter(|client| did(client) > 0).collect();
    all.sort_by_key(|client| std::cmp::Reverse(did(client)));
    let shown = |client: &Client| WebClient {
        address: client.presence.address(),
        attacks: client.attacks,
        failed_logins: client.failed,
        first: moment(client.presence.first),
        last: moment(client.presence.last),
        strikes: client.presence.told.strikes,
    };
    all.into_iter().take(most).map(shown).collect()
}
