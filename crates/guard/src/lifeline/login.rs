//! Where people logged in from, lately and now, by the records of utmp(5), wtmp(5) and wtmpdb(8): the newest sources of each
//! account, of those that can become root first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Found;
use super::login_files;
use super::login_record::{Record, Source};
use super::trusted::Trusted;
use bartizan_model::LifelineReason;
use bartizan_sys::proc_files;
use bartizan_sys::process_stat::Stat;

/// Logins older than this are no longer "lately".
pub(super) const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Sources of one account that can become root or uses the guard, newest first. Of others the newest counts.
const MAX_OF_ONE: usize = 64;
/// Sources of all accounts together.
const MAX_SOURCES: usize = 512;

/// Holds them.
pub(super) fn recent(found: &mut Found, trusted: &Trusted, seen: &[(Option<u32>, IpAddr)]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let is_late = |record: &Record| now.saturating_sub(record.seconds) <= LATELY.as_secs();
    let read = login_files::read(now.saturating_sub(LATELY.as_secs()));
    read.troubles.iter().for_each(|(what, why)| found.unknown(what, why));
    for record in read.named.iter().filter(|record| is_late(record) && trusted.name(&record.user)) {
        named(found, record, "wtmpdb only names it");
    }
    let mut sources: BTreeMap<&[u8], Vec<IpAddr>> = BTreeMap::new();
    for record in read.past.iter().chain(&read.live).rev().filter(|record| is_late(record)) {
        if let Source::Server(addr) = record.source {
            let known = sources.entry(&record.user).or_default();
            let most = if trusted.name(&record.user) { MAX_OF_ONE } else { 1 };
            match known.contains(&addr) {
                true => {}
                false if known.len() < most => known.push(addr),
                false if most > 1 => found.unknown("sources of logins", "one account has more than 64 within 30 days"),
                false => {}
            }
        }
    }
    // Whoever can become root is never the one for whom no place is left.
    let (first, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(user, _)| trusted.name(user));
    let mut left = MAX_SOURCES;
    let is_owner = |uid: Option<u32>| uid.is_none_or(|uid| trusted.uid(uid));
    let by_us = |owner: bool| seen.iter().filter(move |(uid, _)| is_owner(*uid) == owner);
    let mut others = BTreeSet::new();
    let newest_of_others: Vec<IpAddr> = by_us(false).filter(|(uid, _)| others.insert(*uid)).map(|(_, addr)| *addr).collect();
    let listed = |some: Vec<(&[u8], Vec<IpAddr>)>| -> Vec<IpAddr> { some.into_iter().flat_map(|(_, addresses)| addresses).collect() };
    for addr in by_us(true).map(|(_, addr)| *addr).chain(listed(first)).chain(newest_of_others).chain(listed(rest)) {
        match left.checked_sub(1) {
            Some(less) => left = less,
            None => return found.unknown("sources of logins", "more than 512 within 30 days"),
        }
        found.address(addr, LifelineReason::RecentLogin);
    }
    for record in read.live.iter().filter(|record| lives(record, trusted)) {
        claimed(found, record, trusted);
    }
}

/// The host field of a record may be written by any local user (through utempter, screen or mosh): it counts of those who
/// can become root or use the guard; of anybody else it is a question.
fn claimed(found: &mut Found, record: &Record, trusted: &Trusted) {
    let user = String::from_utf8_lossy(&record.user).escape_debug().to_string();
    match &record.source {
        Source::Claimed(addr) if trusted.name(&record.user) => found.address(*addr, LifelineReason::RecentLogin),
        Source::Claimed(addr) => {
            found.uncertain(*addr, format!("utmp says that {user} is logged in from there, which {user} may have written"))
        }
        Source::Named(_) if trusted.name(&record.user) => named(found, record, "utmp only names it"),
        Source::Server(_) | Source::Named(_) | Source::Here => {}
    }
}

/// Of somebody who matters a host's name is kept instead of an address.
fn named(found: &mut Found, record: &Record, why: &str) {
    let Source::Named(host) = &record.source else { return };
    let user = String::from_utf8_lossy(&record.user).escape_debug().to_string();
    found.unknown(
        &format!("the address from which {user} logged in"),
        format!("{why} ({}); `UseDNS no` keeps the address", host.escape_debug()),
    );
}

/// Whether utmp says where the person is for whom this process runs.
pub(super) fn is_written(pid: u32) -> bool {
    login_files::live().iter().any(|record| record.pid == pid)
}

/// The process of the record lives, and is its account's own or root's.
fn lives(record: &Record, trusted: &Trusted) -> bool {
    let alive = || Stat::read(record.pid).is_some_and(|stat| !stat.is_dead());
    // Of an account that only a directory service knows nobody can say whose process it is.
    let is_own = |uid: u32| uid == 0 || trusted.uid_of(&record.user).is_none_or(|own| own == uid);
    alive() && proc_files::real_uid(record.pid).is_some_and(is_own)
}
