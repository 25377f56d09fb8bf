//! Which process listens where, so that a connection from outside, which the kernel reports in nobody's name, has one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use bartizan_model::{ProcessKey, Unpoisoned as _};

/// Most ports remembered; when there are more, all are learnt anew.
const MOST: usize = 8192;
/// Most addresses of one port; of more, the one that was listened on first is forgotten.
const ADDRESSES: usize = 8;

/// Who listens on which addresses of a port; who began last stands last.
type Listening = Vec<(IpAddr, ProcessKey)>;

/// By network namespace and port.
#[derive(Debug, Default)]
pub(super) struct Accepting(Mutex<HashMap<(u32, u16), Listening>>);

impl Accepting {
    pub(super) fn put(&self, netns: u32, address: IpAddr, port: u16, key: ProcessKey) {
        let mut known = self.0.lock().unpoisoned();
        if known.len() >= MOST && !known.contains_key(&(netns, port)) {
            known.clear();
        }
        let address = address.to_canonical();
        let listening = known.entry((netns, port)).or_default();
        listening.retain(|(other, _)| *other != address);
        if listening.len() >= ADDRESSES {
            listening.remove(0);
        }
        listening.push((address, key));
    }

    /// Who accepted a connection to this address, and whether that is certain: else only the port fits.
    pub(super) fn at(&self, netns: u32, address: IpAddr, port: u16) -> Option<(ProcessKey, bool)> {
        let known = self.0.lock().unpoisoned();
        let listening = known.get(&(netns, port))?;
        let on = |wanted: IpAddr| listening.iter().find(|(address, _)| *address == wanted).map(|(_, key)| *key);
        let address = address.to_canonical();
        // A listener on all addresses of version 6 accepts those of version 4 too, unless it was told not to.
        let all = address.is_ipv4().then_some(Ipv4Addr::UNSPECIFIED.into()).into_iter().chain([Ipv6Addr::UNSPECIFIED.into()]);
        let certain = std::iter::once(address).chain(all).find_map(on);
        certain.map(|key| (key, true)).or_else(|| listening.last().map(|(_, key)| (*key, false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::BootId;

    #[test]
    fn a_connection_is_that_of_the_listener_on_its_address_and_a_guess_says_so() {
        let key = |pid| ProcessKey { boot: BootId(1), pid, start: 1 };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let accepting = Accepting::default();
        accepting.put(1, ip("10.0.0.1"), 443, key(10));
        accepting.put(1, ip("0.0.0.0"), 443, key(11));
        accepting.put(1, ip("127.0.0.1"), 443, key(12));
        let at = |address: &str, port| accepting.at(1, ip(address), port).map(|(key, certain)| (key.pid, certain));
        assert_eq!(at("10.0.0.1", 443), Some((10, true)));
        assert_eq!(at("::ffff:10.0.0.1", 443), Some((10, true)), "the same address");
        assert_eq!(at("10.0.0.2", 443), Some((11, true)), "all addresses");
        assert_eq!(at("2001:db8::1", 443), Some((12, false)), "nobody is known to listen there");
        accepting.put(1, ip("::"), 443, key(13));
        assert_eq!((at("2001:db8::1", 443), at("10.0.0.2", 443)), (Some((13, true)), Some((11, true))));
        accepting.put(1, ip("::"), 80, key(14));
        assert_eq!(at("10.0.0.2", 80), Some((14, true)), "both versions");
        assert_eq!((at("10.0.0.1", 22), accepting.at(2, ip("10.0.0.1"), 443)), (None, None), "another port, another network");
        (0..100).for_each(|last| accepting.put(1, IpAddr::from([10, 1, 0, last]), 443, key(15)));
        assert!(accepting.0.lock().unwrap().values().all(|listening| listening.len() <= ADDRESSES));
    }
}
