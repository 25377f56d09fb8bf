//! Where the peers of a WireGuard device are, by generic netlink (include/uapi/linux/wireguard.h): what `wg show` reads.

use std::io;
use std::net::IpAddr;

use super::route_question::{open_to, put, receive};
use bartizan_sys::netlink::message::{Writer, attributes};
use bartizan_sys::netlink::{Family, Next};
use bartizan_sys::sock_diag::address;

/// Generic netlink's own family, by which the others are found (include/uapi/linux/genetlink.h).
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Length of `struct genlmsghdr`.
const GENERIC: usize = 4;
const GET_DEVICE: u8 = 0;
const DEVICE_NAME: u16 = 2;
const DEVICE_PEERS: u16 = 8;
const PEER_ENDPOINT: u16 = 4;
const PEER_ALLOWED: u16 = 9;
const ALLOWED_FAMILY: u16 = 1;
const ALLOWED_ADDRESS: u16 = 2;
const ALLOWED_BITS: u16 = 3;
/// Peers of one device looked at.
const MAX_PEERS: usize = 4096;

/// The outer address of the peer behind which an inner address lies; `None` when the device does not tell.
///
/// # Errors
/// When the kernel does not answer.
pub(super) fn endpoint(device: &str, inner: IpAddr) -> io::Result<Option<IpAddr>> {
    let family = family("wireguard")?;
    let door = open_to(Family::Generic)?;
    put(&door, family, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, &question(GET_DEVICE, DEVICE_NAME, device))?;
    let mut best = None;
    let mut seen = 0;
    receive(&door, family, |message| {
        seen += closest(message, inner, &mut best);
        if seen > MAX_PEERS { Next::Enough } else { Next::More }
    })?;
    Ok(best.and_then(|(_, endpoint)| endpoint))
}

/// Keeps the peer of a message whose networks fit best, by length of prefix and endpoint; gives how many there were.
fn closest(message: &[u8], inner: IpAddr, best: &mut Option<(u8, Option<IpAddr>)>) -> usize {
    let lists = attributes(message.get(GENERIC..).unwrap_or_default()).filter(|(kind, _)| *kind == DEVICE_PEERS);
    let mut seen = 0;
    for (_, peer) in lists.flat_map(|(_, list)| attributes(list)) {
        seen += 1;
        // A peer with many networks goes on in the next message, then without its endpoint.
        let endpoint = attributes(peer).find(|(kind, _)| *kind == PEER_ENDPOINT).and_then(|(_, value)| outer(value));
        let bits = allows(peer, inner);
        if let Some(bits) = bits.filter(|bits| best.as_ref().is_none_or(|(known, _)| bits >= known)) {
            *best = Some((bits, endpoint));
        }
    }
    seen
}

/// How closely a peer's networks fit an inner address: the length of the prefix.
fn allows(peer: &[u8], inner: IpAddr) -> Option<u8> {
    let lists = attributes(peer).filter(|(kind, _)| *kind == PEER_ALLOWED).flat_map(|(_, list)| attributes(list));
    lists.filter_map(|(_, network)| fits(network, inner)).max()
}

fn fits(network: &[u8], inner: IpAddr) -> Option<u8> {
    let part = |wanted| attributes(network).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let family = u16::from_ne_bytes(*part(ALLOWED_FAMILY)?.first_chunk()?);
    let bits = *part(ALLOWED_BITS)?.first()?;
    let base = address(u8::try_from(family).ok()?, part(ALLOWED_ADDRESS)?)?;
    let same = match (base, inner) {
        (IpAddr::V4(base), IpAddr::V4(inner)) => shifted(u128::from(u32::from(base) ^ u32::from(inner)), 32, bits),
        (IpAddr::V6(base), IpAddr::V6(inner)) => shifted(u128::from(base) ^ u128::from(inner), 128, bits),
        _ => return None,
    };
    same.then_some(bits)
}

/// Whether the first `bits` of a difference of `width` bits are zero.
fn shifted(difference: u128, width: u32, bits: u8) -> bool {
    let rest = width.saturating_sub(u32::from(bits));
    difference.checked_shr(rest).unwrap_or(0) == 0
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn outer(value: &[u8]) -> Option<IpAddr> {
    let family = u16::from_ne_bytes(*value.first_chunk()?);
    let at = if i32::from(family) == libc::AF_INET { 4 } else { 8 };
    let addr = address(u8::try_from(family).ok()?, value.get(at..)?)?;
    (!addr.is_unspecified()).then_some(addr)
}

/// A command and one text.
fn question(command: u8, kind: u16, text: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.put(&[command, 1, 0, 0]);
    writer.name(kind, text);
    writer.into_bytes()
}

/// The number under which the kernel speaks of a family of generic netlink.
fn family(name: &str) -> io::Result<u16> {
    let door = open_to(Family::Generic)?;
    put(&door, CONTROLLER, libc::NLM_F_REQUEST, &question(GET_FAMILY, FAMILY_NAME, name))?;
    let mut found = None;
    receive(&door, CONTROLLER, |message| {
        let id = attributes(message.get(GENERIC..).unwrap_or_default()).find(|(kind, _)| *kind == FAMILY_ID);
        found = id.and_then(|(_, value)| Some(u16::from_ne_bytes(*value.first_chunk()?)));
        Next::Enough
    })?;
    found.ok_or_else(|| io::Error::other(format!("the kernel has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::in_own_network;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn the_endpoint_of_the_peer_behind_which_an_address_lies_is_read() {
        in_own_network(|| {
            let made = Command::new("ip").args(["link", "add", "wg7", "type", "wireguard"]).status().unwrap();
            if !made.success() {
                return eprintln!("skipped: this kernel has no WireGuard");
            }
            let peers = [("A", "203.0.113.9:51820", "10.10.0.0/24"), ("B", "[2001:db8::9]:51820", "10.10.0.6/32,fd00::6/128")];
            for (letter, endpoint, allowed) in peers {
                // Any 32 bytes are a public key.
                let key = format!("{}=", letter.repeat(43).replace('B', "E"));
                let set = Command::new("wg").args(["set", "wg7", "peer", &key, "endpoint", endpoint, "allowed-ips", allowed]).status();
                match set {
                    Ok(status) => assert!(status.success()),
                    Err(_) => return eprintln!("skipped: needs wg"),
                }
            }
            let read = |inner: &str| endpoint("wg7", inner.parse().unwrap()).unwrap().map(|addr| addr.to_string());
            assert_eq!(read("10.10.0.9").as_deref(), Some("203.0.113.9"));
            assert_eq!(read("10.10.0.6").as_deref(), Some("2001:db8::9"), "the narrower network");
            assert_eq!(read("fd00::6").as_deref(), Some("2001:db8::9"));
            assert_eq!(read("10.11.0.6"), None);
        });
    }

    /// As `include/uapi/linux/wireguard.h` lays a device out.
    #[test]
    fn the_peer_with_the_narrowest_network_is_told_from_the_bytes() {
        fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
            let mut bytes = [((4 + value.len()) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }
        let network = |addr: [u8; 4], bits: u8| {
            attr(0x8000, &[attr(ALLOWED_FAMILY, &2_u16.to_ne_bytes()), attr(ALLOWED_ADDRESS, &addr), attr(ALLOWED_BITS, &[bits])].concat())
        };
        let peer = |end: [u8; 4], networks: &[u8]| {
            let endpoint = [&2_u16.to_ne_bytes()[..], &51820_u16.to_be_bytes(), &end, &[0; 8]].concat();
            attr(0x8000, &[attr(1, &[7; 32]), attr(PEER_ENDPOINT, &endpoint), attr(PEER_ALLOWED | 0x8000, networks)].concat())
        };
        let peers = [peer([203, 0, 113, 9], &network([10, 10, 0, 0], 24)), peer([203, 0, 113, 8], &network([10, 10, 0, 6], 32))].concat();
        let message = [vec![0, 1, 0, 0], attr(DEVICE_NAME, b"wg0\0"), attr(DEVICE_PEERS | 0x8000, &peers)].concat();
        let told = |inner: &str| {
            let mut best = None;
            assert_eq!(closest(&message, inner.parse().unwrap(), &mut best), 2);
            best.and_then(|(_, endpoint)| endpoint).map(|addr| addr.to_string())
        };
        assert_eq!(told("10.10.0.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(told("10.10.0.6").as_deref(), Some("203.0.113.8"));
        assert_eq!(told("10.11.0.6"), None);
    }

    proptest! {
        #[test]
        fn no_answer_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = allows(&bytes, "10.0.0.1".parse().unwrap());
            let _ = outer(&bytes);
        }
    }
}
