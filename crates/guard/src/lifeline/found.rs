//! What has been read of the owner's access so far: every list has a bound, and what does not fit is said.

use std::net::IpAddr;

use super::{accounts, place};
use bartizan_model::{HostText, Lifeline, LifelineReason, ProcessKey};
use bartizan_sys::process_stat::Stat;

/// The most addresses; more make the lifeline incomplete rather than wrong.
const MAX_ADDRESSES: usize = 4096;
/// The most processes, kernel threads among them (some hundreds for every core).
const MAX_PROCESSES: usize = 16_384;
/// The most addresses that may be the owner's.
const MAX_UNCERTAIN: usize = 256;
/// The most accounts, containers and cgroups, each.
const MAX_PLACES: usize = 1024;
/// Steps up from a console at most, when its ancestors are read one by one.
const DEEPEST: usize = 64;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lifeline: Lifeline,
}

impl Found {
    /// The first reason given for an address stays, but a live session is the best of all: it holds the whole /64.
    pub(super) fn address(&mut self, addr: IpAddr, why: LifelineReason) {
        let addr = addr.to_canonical();
        if addr.is_unspecified() || addr.is_loopback() {
            return;
        }
        if let Some((_, known)) = self.lifeline.addresses.iter_mut().find(|(known, _)| *known == addr) {
            match (why, *known) {
                (_, LifelineReason::OwnAddress) | (LifelineReason::Carrier, LifelineReason::SshSession) => {}
                (LifelineReason::SshSession | LifelineReason::Carrier, _) => *known = why,
                _ => {}
            }
            return;
        }
        if self.lifeline.addresses.len() >= MAX_ADDRESSES {
            return self.unknown("addresses", "more than 4096 of them");
        }
        self.lifeline.addresses.push((addr, why));
    }

    /// Whether an address is one of the host's own.
    pub(super) fn is_own(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.lifeline.addresses.iter().any(|(known, why)| *known == addr && *why == LifelineReason::OwnAddress)
    }

    /// Perhaps the owner's: a question to a person.
    pub(super) fn uncertain(&mut self, addr: IpAddr, why: String) {
        let addr = addr.to_canonical();
        let uncertain = &mut self.lifeline.uncertain;
        if addr.is_unspecified() || addr.is_loopback() || uncertain.iter().any(|(known, _)| *known == addr) {
            return;
        }
        if uncertain.len() >= MAX_UNCERTAIN {
            return self.unknown("where the owner comes from", "more than 256 addresses are possible");
        }
        uncertain.push((addr, why));
    }

    pub(super) fn process(&mut self, key: ProcessKey, why: LifelineReason) {
        let processes = &mut self.lifeline.processes;
        if processes.iter().any(|(known, _)| *known == key) {
            return;
        }
        if processes.len() >= MAX_PROCESSES {
            return self.unknown("processes", "more than 16384 of them");
        }
        processes.push((key, why));
    }

    /// A process of a person and everything above it, each read by itself, and whose they are.
    pub(super) fn upwards(&mut self, pid: u32) {
        let mut next = Stat::read(pid);
        for _ in 0..DEEPEST {
            let Some(stat) = next else { return };
            let is_new = !self.lifeline.processes.iter().any(|(known, _)| *known == stat.key());
            self.process(stat.key(), LifelineReason::LoginPath);
            if is_new {
                accounts::whose(stat.pid).for_each(|uid| self.account(uid, LifelineReason::OwnAccount));
                place::of(self, stat.pid, LifelineReason::LoginPath);
            }
            next = Stat::read(stat.ppid);
        }
    }

    pub(super) fn account(&mut self, uid: u32, why: LifelineReason) {
        let accounts = &mut self.lifeline.accounts;
        if accounts.iter().any(|(known, _)| *known == uid) {
            return;
        }
        if accounts.len() >= MAX_PLACES {
            return self.unknown("accounts", "more than 1024 of them");
        }
        accounts.push((uid, why));
    }

    pub(super) fn container(&mut self, id: String, why: LifelineReason) {
        let containers = &mut self.lifeline.containers;
        if containers.iter().any(|(known, _)| *known == id) {
            return;
        }
        if containers.len() >= MAX_PLACES {
            return self.unknown("containers", "more than 1024 of them");
        }
        containers.push((id, why));
    }

    pub(super) fn cgroup(&mut self, path: HostText, why: LifelineReason) {
        let cgroups = &mut self.lifeline.cgroups;
        if cgroups.iter().any(|(known, _)| *known == path) {
            return;
        }
        if cgroups.len() >= MAX_PLACES {
            return self.unknown("cgroups", "more than 1024 of them");
        }
        cgroups.push((path, why));
    }

    /// Only tells: beyond the bound the rest is left out, and accounts are never disabled without a person anyway.
    pub(super) fn logged_in(&mut self, uid: u32, name: HostText) {
        let logged_in = &mut self.lifeline.logged_in;
        if logged_in.len() < MAX_PLACES && !logged_in.iter().any(|(known, _)| *known == uid) {
            logged_in.push((uid, name));
        }
    }

    pub(super) fn unknown(&mut self, what: &str, why: impl std::fmt::Display) {
        let line = format!("{what} could not be read: {why}");
        if !self.lifeline.unknown.contains(&line) && self.lifeline.unknown.len() < 16 {
            self.lifeline.unknown.push(line);
        }
    }
}
