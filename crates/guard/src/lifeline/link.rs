//! Over which device of this host an address is reached, and what kind of device that is (rtnetlink(7)).

use std::io;
use std::net::IpAddr;

use super::route_question as ask;
use bartizan_sys::netlink::Next;
use bartizan_sys::netlink::message::{attribute, attributes};

/// include/uapi/linux/rtnetlink.h and if_link.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// Length of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// Types of device (include/uapi/linux/if_arp.h) that tell their far end as their broadcast address: ipip, ip6tnl, sit, gre,
/// ip6gre.
const POINT_TO_POINT: [u16; 5] = [768, 769, 776, 778, 823];
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
/// Devices without a link layer of their own: tun, WireGuard, xfrm and others.
const NONE: u16 = 65_534;
const PPP: u16 = 512;

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What stands behind a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A network card, or what is built from one: nothing of this host carries it.
    Plain,
    /// A program of this host (tun, tap).
    Program,
    /// The kernel's WireGuard.
    WireGuard,
    /// The kernel, to this one far end.
    FarEnd(IpAddr),
    /// A container, a virtual machine or another network namespace of this host.
    Inside,
    /// Something that does not tell what carries it; its name in the kernel.
    Unknown(String),
}

/// The device over which packets to this address leave; `None` when there is no way to it.
pub(super) fn towards(addr: IpAddr) -> io::Result<Option<Link>> {
    let Some(index) = ask::device(addr)? else { return Ok(None) };
    let mut request = [0; IFINFOMSG];
    if let Some(place) = request.get_mut(4..8) {
        place.copy_from_slice(&index.to_ne_bytes());
    }
    let door = ask::open()?;
    ask::put(&door, RTM_GETLINK, libc::NLM_F_REQUEST, &request)?;
    let mut found = None;
    ask::receive(&door, RTM_NEWLINK, |message| {
        found = link(message);
        Next::Enough
    })?;
    Ok(match found {
        Some(Link { name, kind: Kind::Inside }) if ask::is_way_out(index)? => Some(Link { name, kind: Kind::Plain }),
        found => found,
    })
}

fn link(message: &[u8]) -> Option<Link> {
    let device = u16::from_ne_bytes(*message.get(2..)?.first_chunk()?);
    let (mut name, mut kind, mut far) = (String::new(), String::new(), None);
    for (attr, value) in attributes(message.get(IFINFOMSG..)?) {
        match attr {
            IFLA_IFNAME => name = text(value),
            IFLA_BROADCAST => far = address(value),
            IFLA_LINKINFO => kind = text(attribute(value, IFLA_INFO_KIND)),
            _ => {}
        }
    }
    let kind = match (kind.as_str(), device) {
        ("tun", _) => Kind::Program,
        ("wireguard", _) => Kind::WireGuard,
        ("veth" | "bridge" | "netkit", _) => Kind::Inside,
        ("vxlan" | "geneve" | "gretap" | "ip6gretap" | "gtp" | "bareudp" | "amt", _) => Kind::Unknown(kind),
        (_, device) if POINT_TO_POINT.contains(&device) => far.map_or(Kind::Unknown(kind), Kind::FarEnd),
        (_, PPP | NONE) => Kind::Unknown(if kind.is_empty() { "point-to-point link".to_owned() } else { kind }),
        (_, ETHERNET | LOOPBACK) => Kind::Plain,
        _ => Kind::Plain,
    };
    Some(Link { name, kind })
}

/// A far end of all zeroes is none.
fn address(value: &[u8]) -> Option<IpAddr> {
    let addr: IpAddr = match value.len() {
        4 => <[u8; 4]>::try_from(value).ok()?.into(),
        16 => <[u8; 16]>::try_from(value).ok()?.into(),
        _ => return None,
    };
    (!addr.is_unspecified()).then_some(addr)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::{in_own_network, ip, plug_in};
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn each_kind_of_device_is_told_by_the_kernel() {
        in_own_network(|| {
            plug_in();
            ip("tuntap add dev vpn mode tun");
            ip("addr add 10.8.0.1/24 dev vpn");
            ip("link set vpn up");
            ip("link add dock type bridge");
            ip("addr add 172.17.0.1/24 dev dock");
            ip("link set dock up");
            let kind = |addr: &str| towards(addr.parse().unwrap()).unwrap().map(|link| (link.name, link.kind));
            let named = |name: &str, kind| Some((name.to_owned(), kind));
            assert_eq!(kind("10.8.0.6"), named("vpn", Kind::Program));
            assert_eq!(kind("172.17.0.6"), named("dock", Kind::Inside));
            assert_eq!(kind("198.51.100.7"), named("veth0", Kind::Inside));
            assert_eq!(kind("203.0.113.1"), None, "no way there");
            ip("route add default via 198.51.100.1");
            assert_eq!(kind("198.51.100.7"), named("veth0", Kind::Plain), "the way out of a container");
            let tunnel = "tunnel add hop mode gre remote 203.0.113.9 local 198.51.100.2";
            if Command::new("ip").args(tunnel.split(' ')).status().unwrap().success() {
                ip("addr add 10.9.0.1/24 dev hop");
                ip("link set hop up");
                assert_eq!(kind("10.9.0.6"), named("hop", Kind::FarEnd("203.0.113.9".parse().unwrap())));
            }
            if Command::new("ip").args(["link", "add", "wg7", "type", "wireguard"]).status().unwrap().success() {
                ip("addr add 10.10.0.1/24 dev wg7");
                ip("link set wg7 up");
                assert_eq!(kind("10.10.0.6"), named("wg7", Kind::WireGuard));
            }
        });
    }

    proptest! {
        #[test]
        fn no_answer_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = link(&bytes);
        }
    }
}
