//! Whom a request is from: the peer, unless the peer is a proxy that the configuration names.

use std::net::IpAddr;

use ipnet::IpNet;

use super::access::with_port;

/// Entries of `X-Forwarded-For` that are looked at, from the right: more proxies than this stand in no row.
const MAX_HOPS: usize = 32;

/// Why a text names no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: write an address or a range such as 192.0.2.0/24")]
pub struct NetworkError(String);

/// The proxies in front of the server, as the configuration names them. Nobody else's word about a client counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// These addresses and ranges: `192.0.2.7`, `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, NetworkError> {
        let one = |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let read = |text: &T| one(text.as_ref()).ok_or_else(|| NetworkError(text.as_ref().chars().take(60).collect()));
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this address is one of them: it stands for many clients, and never for itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Walks `X-Forwarded-For` from the right for as long as configured proxies vouch for the entry before theirs. An entry that is no
    /// address ends the walk: the client is then the last hop that somebody vouched for.
    pub fn client(&self, peer: IpAddr, forwarded: &[u8]) -> IpAddr {
        let mut client = peer;
        for hop in forwarded.rsplit(|byte| *byte == b',').take(MAX_HOPS) {
            if !self.contains(client) {
                break;
            }
            let Some(before) = with_port(hop.trim_ascii()) else { break };
            client = before;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &str) -> String {
        let proxies = Proxies::parse(&["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7"]).unwrap();
        proxies.client(peer.parse().unwrap(), forwarded.as_bytes()).to_string()
    }

    #[test]
    fn a_header_counts_only_behind_a_configured_proxy() {
        assert_eq!(client("203.0.113.5", "198.51.100.1"), "203.0.113.5", "anybody can write the header");
        assert_eq!(client("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("192.0.2.7", "1.1.1.1, 198.51.100.1, 10.9.9.9"), "198.51.100.1", "only the entry that a proxy wrote");
        assert_eq!(client("2001:db8:1::9", "[2001:db8:2::1]:8080"), "2001:db8:2::1");
        assert_eq!(client("10.0.0.1", "198.51.100.1:51234"), "198.51.100.1");
        for junk in ["", "unknown", "198.51.100.1, _hidden", "10.0.0.1.evil.example", "' or 1=1"] {
            assert_eq!(client("10.0.0.1", junk), "10.0.0.1", "{junk}");
        }
        assert_eq!(client("10.0.0.1", &"10.0.0.2,".repeat(100_000)), "10.0.0.1");
    }

    #[test]
    fn a_range_is_read_or_refused_in_a_sentence() {
        let all = Proxies::parse(&["0.0.0.0/0"]).unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()) && all.contains("::ffff:10.1.1.1".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/x"] {
            assert!(Proxies::parse(&[wrong]).unwrap_err().to_string().contains("192.0.2.0/24"), "{wrong}");
        }
    }
}
