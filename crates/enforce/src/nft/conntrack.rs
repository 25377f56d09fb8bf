//! What netfilter remembers of connections (conntrack), in our network namespace: found by address and forgotten.

use std::io;
use std::net::IpAddr;

use super::wire::{Socket, attr, attrs};

/// Of include/uapi/linux/netfilter/nfnetlink_conntrack.h.
const GET: u16 = 1;
const DELETE: u16 = 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const NESTED: u16 = 0x8000;
/// The most that is read of a table: some 500,000 entries; a host that remembers more is told so by an error.
const MOST: usize = 128 << 20;
/// Entries of this network namespace; absent when conntrack is not in the kernel or not loaded.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Makes the kernel forget every connection from, to or translated to `addr`; gives how many. Without conntrack, or
/// when it remembers nothing, that is none: it is never loaded by the asking.
///
/// # Errors
/// When the kernel refuses the listing or an order; what was forgotten until then stays forgotten.
pub fn forget(addr: IpAddr) -> io::Result<usize> {
    let addr = addr.to_canonical();
    let remembered = std::fs::read_to_string(COUNT).ok().and_then(|count| count.trim().parse::<u64>().ok());
    if remembered.unwrap_or(0) == 0 {
        return Ok(0);
    }
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let socket = Socket::open()?;
    let entries = match socket.dump_tracked(GET, family, MOST, |entry| concerns(entry, addr)) {
        // A kernel whose conntrack cannot be spoken to (CONFIG_NF_CT_NETLINK) answers EINVAL.
        Err(why) if why.raw_os_error() == Some(libc::EINVAL) => return Ok(0),
        entries => entries?,
    };
    let mut forgotten = 0;
    for entry in entries {
        let order = socket.order_tracked(DELETE, family, |b| {
            b.attr(TUPLE_ORIG | NESTED, attr(&entry, TUPLE_ORIG));
            for exact in [ID, ZONE] {
                let value = attr(&entry, exact);
                if !value.is_empty() {
                    b.attr(exact, value);
                }
            }
        });
        match order {
            Ok(()) => forgotten += 1,
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(forgotten)
}

/// UDP peers that conntrack remembers: the far address, its port, our port; both readings of each entry, as an entry
/// does not say which end is ours. At most `most`; none without conntrack.
///
/// # Errors
/// When the kernel refuses the listing.
pub fn udp_peers(most: usize) -> io::Result<Vec<(IpAddr, u16, u16)>> {
    if std::fs::read_to_string(COUNT).ok().is_none_or(|count| count.trim() == "0") {
        return Ok(Vec::new());
    }
    let socket = Socket::open()?;
    let mut peers = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let entries = match socket.dump_tracked(GET, family as u8, MOST, |entry| udp(entry).is_some()) {
            Err(why) if why.raw_os_error() == Some(libc::EINVAL) => continue,
            entries => entries?,
        };
        for ((from, from_port), (to, to_port)) in entries.iter().filter_map(|entry| udp(entry)) {
            peers.extend([(to, to_port, from_port), (from, from_port, to_port)]);
        }
    }
    peers.truncate(most);
    Ok(peers)
}

/// Both ends of an entry of UDP, in the direction in which it began.
fn udp(entry: &[u8]) -> Option<((IpAddr, u16), (IpAddr, u16))> {
    /// `enum ctattr_tuple`, `ctattr_ip` and `ctattr_l4proto`
    const TUPLE_PROTO: u16 = 2;
    let tuple = attr(entry, TUPLE_ORIG);
    let (ip, proto) = (attr(tuple, TUPLE_IP), attr(tuple, TUPLE_PROTO));
    if attr(proto, 1) != [libc::IPPROTO_UDP as u8] {
        return None;
    }
    let addr = |four: u16, six: u16| -> Option<IpAddr> {
        let v4 = attr(ip, four).first_chunk::<4>().map(|bytes| IpAddr::from(*bytes));
        v4.or_else(|| attr(ip, six).first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)))
    };
    let port = |kind| attr(proto, kind).first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    Some(((addr(1, 3)?, port(2)?), (addr(2, 4)?, port(3)?)))
}

/// Whether one of the four addresses of an entry (both ends, both ways) is this one.
fn concerns(entry: &[u8], addr: IpAddr) -> bool {
    [TUPLE_ORIG, TUPLE_REPLY].iter().any(|tuple| {
        attrs(attr(attr(entry, *tuple), TUPLE_IP)).any(|(_, value)| match addr {
            IpAddr::V4(v4) => value == v4.octets(),
            IpAddr::V6(v6) => value == v6.octets(),
        })
    })
}
