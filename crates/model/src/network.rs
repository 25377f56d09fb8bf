//! Network endpoints of an event.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::HostText;

/// A network as people write it, `192.0.2.0/24`; a single address is one, too, and bits behind the prefix are left out.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(|addr| IpNet::from(addr.to_canonical())));
    network.map(|network| network.trunc())
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

/// One conversation, or for a listener one local endpoint (then `dst` and `dport` are absent).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Transport.
    pub proto: Protocol,
    /// Local address; unspecified (0.0.0.0 or ::) means all of them, or not chosen yet.
    pub src: IpAddr,
    /// Local port; 0 means not chosen yet.
    pub sport: u16,
    /// Remote address.
    pub dst: Option<IpAddr>,
    /// Remote port.
    pub dport: Option<u16>,
    /// The name for which a resolver answered with the remote address on this host, shortly before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<HostText>,
}

/// What a connection carried, told at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes of content that the other side acknowledged.
    pub sent: u64,
    /// Bytes of content that were received.
    pub received: u64,
    /// How long it was open, in milliseconds, when its beginning was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// The other side began it.
    pub inbound: bool,
}

/// Whether an address is reachable over the Internet: not loopback, private, link-local, shared, documentation,
/// benchmark, multicast or reserved space (IANA special-purpose registries, RFC 6890). An IPv4-mapped IPv6
/// address counts as its IPv4 self.
pub fn is_public(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            // Global unicast is 2000::/3 (RFC 4291); 2001:db8::/32 and 3fff::/20 are documentation.
            (0x2000..0x4000).contains(&first) && !(first == 0x2001 && second == 0xdb8) && !(first == 0x3fff && second < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_means_reachable_over_the_internet() {
        for public in ["8.8.8.8", "203.0.112.1", "2606:4700::1", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "10.1.2.3", "127.0.0.1", "100.64.0.1", "192.0.2.7", "198.18.0.1", "224.0.0.1", "::1", "fe80::1", "fd00::1", "2001:db8::1",
            "::ffff:10.0.0.1", "0.0.0.0",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
