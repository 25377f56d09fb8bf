//! Who attacks by the logs: sources of failed logins, clients of web servers, and whom only jails count, as one table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bartizan_detect::detectors::jails::Jails;
use bartizan_detect::detectors::web::WebClient;
use bartizan_model::{Attacker, Timestamp};

/// Each address once, the worst by all that it did first.
pub(super) fn merged(logins: Vec<Attacker>, web: Vec<WebClient>, jails: &Jails, most: usize) -> Vec<Attacker> {
    let mut all: BTreeMap<IpAddr, Attacker> = logins.into_iter().map(|one| (one.address, one)).collect();
    let moment = |at: u32| Timestamp::from_timestamp(i64::from(at), 0);
    let by_web = web.into_iter().map(|one| {
        let attempts = one.attacks.saturating_add(one.failed_logins);
        (one.address, attempts, [one.first, one.last], one.strikes)
    });
    let by_jails = jails.failures().map(|(address, attempts, seen, strikes)| (address, attempts, seen.map(moment), strikes));
    for (address, attempts, [first, last], strikes) in by_web.chain(by_jails) {
        let one = all.entry(address).or_insert_with(|| Attacker {
            address,
            attempts: 0,
            accounts: 0,
            first,
            last,
            strikes: 0,
            held: None,
            asked: None,
            elsewhere: None,
        });
        one.attempts = one.attempts.saturating_add(attempts);
        one.strikes = one.strikes.max(strikes);
        one.first = [one.first, first].into_iter().flatten().min();
        one.last = one.last.max(last);
    }
    let mut all: Vec<Attacker> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.attempts));
    all.truncate(most);
    all
}
