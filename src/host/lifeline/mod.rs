//! The owner's own access, read from the kernel now: who is logged in from where, and what the way there needs.

mod login;
mod network;
mod ssh;

use std::net::IpAddr;

use crate::model::{Lifeline, LifelineReason, ProcessKey};

/// The most addresses; more make the lifeline incomplete rather than wrong.
const MOST_ADDRESSES: usize = 4096;
/// The most processes, kernel threads among them (some hundreds for every core).
const MOST_PROCESSES: usize = 16_384;

/// Reads all of it. `consoles` are the far ends of attached consoles (the first word of their SSH_CONNECTION);
/// `attached` are processes of attached consoles: they and what they run under belong to the owner.
pub fn read(consoles: &[IpAddr], attached: &[u32]) -> Lifeline {
    let mut found = Found::default();
    network::own_addresses(&mut found);
    network::gateways(&mut found);
    network::resolvers(&mut found);
    ssh::peers_and_processes(&mut found, attached);
    login::recent(&mut found);
    for console in consoles {
        found.address(*console, LifelineReason::RecentLogin);
    }
    found.lifeline
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Found {
    lifeline: Lifeline,
}

impl Found {
    /// The first reason given for an address stays: a live session is a better reason than an old login.
    fn address(&mut self, addr: IpAddr, why: LifelineReason) {
        let addr = addr.to_canonical();
        let addresses = &mut self.lifeline.addresses;
        if addr.is_unspecified() || addr.is_loopback() || addresses.iter().any(|(known, _)| *known == addr) {
            return;
        }
        if addresses.len() >= MOST_ADDRESSES {
            return self.unknown("addresses", "more than 4096 of them");
        }
        addresses.push((addr, why));
    }

    fn process(&mut self, key: ProcessKey, why: LifelineReason) {
        let processes = &mut self.lifeline.processes;
        if processes.iter().any(|(known, _)| *known == key) {
            return;
        }
        if processes.len() >= MOST_PROCESSES {
            return self.unknown("processes", "more than 16384 of them");
        }
        processes.push((key, why));
    }

    fn unknown(&mut self, what: &str, why: impl std::fmt::Display) {
        let line = format!("{what} could not be read: {why}");
        if !self.lifeline.unknown.contains(&line) && self.lifeline.unknown.len() < 16 {
            self.lifeline.unknown.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::own_netns::in_own_network;
    use crate::host::pidfd::key_of;
    use std::process::Command;

    fn ip(words: &str) {
        assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
    }

    #[test]
    fn own_addresses_and_gateways_of_both_families_are_held() {
        in_own_network(|| {
            ip("link add veth0 type veth peer name veth1");
            ip("link set veth0 up");
            ip("link set veth1 up");
            ip("addr add 198.51.100.2/24 dev veth0");
            ip("route add default via 198.51.100.1");
            ip("-6 addr add 2001:db8::2/64 dev veth0 nodad");
            ip("-6 route add default via 2001:db8::1");
            let lifeline = read(&["192.0.2.44".parse().unwrap()], &[]);
            let held = |addr: &str| lifeline.holds_address(addr.parse().unwrap());
            assert_eq!(held("198.51.100.2"), Some(LifelineReason::OwnAddress), "{lifeline:?}");
            assert_eq!(held("2001:db8::2"), Some(LifelineReason::OwnAddress));
            assert_eq!(held("::ffff:198.51.100.1"), Some(LifelineReason::Gateway));
            assert_eq!(held("2001:db8::1"), Some(LifelineReason::Gateway));
            assert_eq!(held("192.0.2.44"), Some(LifelineReason::RecentLogin));
            assert_eq!(held("192.0.2.45"), None);
        });
    }

    #[test]
    fn we_and_what_we_run_under_are_held() {
        let lifeline = read(&[], &[]);
        let me = key_of(std::process::id()).unwrap();
        assert_eq!(lifeline.holds_process(me), Some(LifelineReason::Agent));
        assert_eq!(lifeline.holds_process(key_of(1).unwrap()), Some(LifelineReason::Init));
        let parent = key_of(std::os::unix::process::parent_id()).unwrap();
        assert!(lifeline.holds_process(parent).is_some());
        let mut child = Command::new("sleep").arg("20").spawn().unwrap();
        assert_eq!(read(&[], &[]).holds_process(key_of(child.id()).unwrap()), None, "what we started is not the owner");
        assert_eq!(read(&[], &[child.id()]).holds_process(key_of(child.id()).unwrap()), Some(LifelineReason::LoginPath));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
