//! What the kernel itself says about one address: is it one of ours, and is it the gateway to everywhere? (rtnetlink(7))

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bartizan_sys::netlink::message::{Message, attribute, attributes, header, number_at};
use bartizan_sys::netlink::{Family, Next, Socket};
use bartizan_sys::sock_diag::address;

/// include/uapi/linux/rtnetlink.h.
const RTM_GETROUTE: u16 = 26;
const RTM_NEWROUTE: u16 = 24;
const RTMSG: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// Length of `struct rtnexthop`.
const NEXT_HOP: usize = 8;
const RTN_LOCAL: u8 = 2;
const RTN_BROADCAST: u8 = 3;
const RTN_MULTICAST: u8 = 5;
/// A table with more routes is a router's: then we do not know.
const MAX_BYTES: usize = 8 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an address is to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Own,
    /// Broadcast or multicast.
    NoSingleHost,
    Other,
}

/// Asks the kernel how it would send a packet there.
pub(super) fn kind(addr: IpAddr) -> io::Result<Kind> {
    let mut kind = Kind::Other;
    one_route(addr, |message| {
        kind = match message.get(7) {
            Some(&RTN_LOCAL) => Kind::Own,
            Some(&(RTN_BROADCAST | RTN_MULTICAST)) => Kind::NoSingleHost,
            _ => Kind::Other,
        };
    })?;
    Ok(kind)
}

/// The number of the device over which the kernel would send a packet there; `None` when there is no way.
pub(super) fn device(addr: IpAddr) -> io::Result<Option<u32>> {
    let mut found = None;
    one_route(addr, |message| found = number(message, RTA_OIF))?;
    Ok(found)
}

/// Whether a route to everywhere leaves over this device.
pub(super) fn is_way_out(device: u32) -> io::Result<bool> {
    let mut found = false;
    each_route(|_, message| found |= message.get(1) == Some(&0) && number(message, RTA_OIF) == Some(device))?;
    Ok(found)
}

/// A number among the attributes of a route.
fn number(message: &[u8], kind: u16) -> Option<u32> {
    number_at(attribute(message.get(RTMSG..)?, kind), 0)
}

/// Asks for the one route to an address.
fn one_route(addr: IpAddr, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let door = open()?;
    let (family, bytes) = spelled(addr);
    let mut attribute = ((4 + bytes.len()) as u16).to_ne_bytes().to_vec();
    attribute.extend(RTA_DST.to_ne_bytes());
    attribute.extend(&bytes);
    put(&door, RTM_GETROUTE, libc::NLM_F_REQUEST, &routed(family, bytes.len() as u8 * 8, &attribute))?;
    let outcome = receive(&door, RTM_NEWROUTE, |message| {
        take(message);
        Next::Enough
    });
    match outcome {
        // No way there, or it is refused: then it is nobody on our way.
        Err(why) if matches!(why.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)) => Ok(()),
        other => other,
    }
}

/// Every route of every table, with its family.
fn each_route(mut take: impl FnMut(u8, &[u8])) -> io::Result<()> {
    let door = open()?;
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        put(&door, RTM_GETROUTE, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, &routed(family, 0, &[]))?;
        receive(&door, RTM_NEWROUTE, |message| {
            take(family, message);
            Next::More
        })?;
    }
    Ok(())
}

/// Whether a route to everywhere, in any table, goes over this address.
pub(super) fn is_gateway(addr: IpAddr) -> io::Result<bool> {
    // IPv4 routes may go over an IPv6 gateway (RTA_VIA), so both families are asked.
    let mut found = false;
    each_route(|family, message| {
        let is_default = message.get(1) == Some(&0);
        found |= is_default && gateways(message.get(RTMSG..).unwrap_or_default(), family, 0).contains(&addr);
    })?;
    Ok(found)
}

fn spelled(addr: IpAddr) -> (u8, Vec<u8>) {
    match addr {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    }
}

/// Gateways among the attributes of a route; a route over several carries them one level deeper.
fn gateways(bytes: &[u8], family: u8, depth: u8) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (kind, value) in attributes(bytes) {
        match kind {
            RTA_GATEWAY => found.extend(spelled_as(family, value)),
            RTA_VIA => found.extend(value.first().zip(value.get(2..)).and_then(|(family, addr)| spelled_as(*family, addr))),
            RTA_MULTIPATH if depth == 0 => {
                let mut hops = value;
                while let Some(length) = hops.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes))) {
                    let Some(own) = hops.get(NEXT_HOP..length) else { break };
                    found.extend(gateways(own, family, 1));
                    hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    found
}

fn spelled_as(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    let length = if i32::from(family) == libc::AF_INET { 4 } else { 16 };
    address(family, bytes.get(..length)?)
}

/// A `struct rtmsg` and one attribute.
fn routed(family: u8, bits: u8, attribute: &[u8]) -> Vec<u8> {
    let mut bytes = vec![family, bits];
    bytes.resize(RTMSG, 0);
    bytes.extend(attribute);
    bytes
}

/// Sends one question: a header, and its body.
pub(super) fn put(door: &Socket, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
    door.send(&header(kind, flags as u16, body))
}

/// A socket to the kernel's routing.
pub(super) fn open() -> io::Result<Socket> {
    open_to(Family::Route)
}

/// A netlink socket to one family, with a second of patience.
pub(super) fn open_to(family: Family) -> io::Result<Socket> {
    Socket::open(family, PATIENCE)
}

/// Gives each answer of this kind to `each`, which says whether that was all.
pub(super) fn receive(door: &Socket, wanted: u16, mut each: impl FnMut(&[u8]) -> Next) -> io::Result<()> {
    let each = |message: &Message<'_>| if message.kind == wanted { each(message.body) } else { Next::More };
    door.answers(MAX_BYTES, each).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::{in_own_network, ip};
    use proptest::prelude::*;

    #[test]
    fn the_kernel_tells_what_an_address_is() {
        in_own_network(|| {
            ip("link add veth0 type veth peer name veth1");
            ip("link set veth0 up");
            ip("link set veth1 up");
            ip("addr add 198.51.100.2/24 brd + dev veth0");
            ip("-6 addr add 2001:db8::2/64 dev veth0 nodad");
            let kind = |addr: &str| kind(addr.parse().unwrap()).unwrap();
            assert_eq!((kind("198.51.100.2"), kind("2001:db8::2"), kind("127.0.0.9")), (Kind::Own, Kind::Own, Kind::Own));
            assert_eq!(kind("198.51.100.255"), Kind::NoSingleHost);
            assert_eq!((kind("198.51.100.7"), kind("203.0.113.1"), kind("2001:db8:9::1")), (Kind::Other, Kind::Other, Kind::Other));
            let gateway = |addr: &str| is_gateway(addr.parse().unwrap()).unwrap();
            assert!(!gateway("198.51.100.1"));
            ip("route add 192.0.2.0/24 via 198.51.100.9");
            assert!(!gateway("198.51.100.9"), "not the way to everywhere");
            ip("route add default nexthop via 198.51.100.1 nexthop via 198.51.100.3");
            ip("-6 route add default via 2001:db8::1");
            assert_eq!((kind("224.0.0.5"), kind("203.0.113.1")), (Kind::NoSingleHost, Kind::Other));
            assert!(gateway("198.51.100.1") && gateway("198.51.100.3") && gateway("2001:db8::1"));
            ip("route add default via 198.51.100.4 table 77");
            assert!(gateway("198.51.100.4"), "in a table of its own");
        });
    }

    proptest! {
        #[test]
        fn no_answer_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = gateways(&bytes, 2, 0);
            let _ = gateways(&bytes, 10, 0);
        }
    }
}
