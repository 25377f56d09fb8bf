//! What this host needs to be reached: its own addresses, its gateways, its name servers.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

use super::Found;
use crate::model::LifelineReason;

pub(super) fn own_addresses(found: &mut Found) {
    match getifaddrs() {
        Ok(interfaces) => {
            for address in interfaces.filter_map(|interface| interface.address) {
                if let Some(v4) = address.as_sockaddr_in() {
                    found.address(v4.ip().into(), LifelineReason::OwnAddress);
                } else if let Some(v6) = address.as_sockaddr_in6() {
                    found.address(v6.ip().into(), LifelineReason::OwnAddress);
                }
            }
        }
        Err(why) => found.unknown("own addresses", why),
    }
}

/// Routes to everywhere: destination and mask 0 in /proc/net/route, prefix length 0 in /proc/net/ipv6_route. The
/// thread's own network namespace counts.
pub(super) fn gateways(found: &mut Found) {
    match fs::read_to_string("/proc/thread-self/net/route") {
        Ok(text) => text.lines().skip(1).filter_map(gateway4).for_each(|addr| found.address(addr.into(), LifelineReason::Gateway)),
        Err(why) => found.unknown("IPv4 routes", why),
    }
    match fs::read_to_string("/proc/thread-self/net/ipv6_route") {
        Ok(text) => text.lines().filter_map(gateway6).for_each(|addr| found.address(addr.into(), LifelineReason::Gateway)),
        // A kernel without IPv6 has no such file and no such gateway.
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => found.unknown("IPv6 routes", why),
    }
}

fn gateway4(line: &str) -> Option<Ipv4Addr> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    // The file shows the bytes of an address as a number of this machine's byte order.
    let gateway = Ipv4Addr::from(number(2)?.to_ne_bytes());
    (number(1)? == 0 && number(7)? == 0 && !gateway.is_unspecified()).then_some(gateway)
}

fn gateway6(line: &str) -> Option<Ipv6Addr> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let gateway = Ipv6Addr::from(u128::from_str_radix(fields.get(4)?, 16).ok()?);
    (*fields.get(1)? == "00" && !gateway.is_unspecified()).then_some(gateway)
}

/// resolv.conf(5), and the servers behind a local systemd-resolved.
pub(super) fn resolvers(found: &mut Found) {
    for file in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        match fs::read(file) {
            Ok(bytes) => name_servers(&String::from_utf8_lossy(&bytes)).for_each(|addr| found.address(addr, LifelineReason::Resolver)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => found.unknown("name servers", why),
        }
    }
}

fn name_servers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().take(1000).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        // A link-local server may name its interface: fe80::1%eth0.
        words.next()?.split('%').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_resolv_conf_means_them() {
        let text =
            "# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.53\n nameserver fe80::1%eth0\nnameserver\nnameserverx 1.1.1.1\n";
        let found: Vec<String> = name_servers(text).map(|addr| addr.to_string()).collect();
        assert_eq!(found, ["192.0.2.53", "fe80::1"]);
    }

    #[test]
    fn only_default_routes_have_a_gateway_for_us() {
        let line = |destination: &str, gateway: &str, mask: &str| {
            gateway4(&format!("eth0\t{destination}\t{gateway}\t0003\t0\t0\t0\t{mask}\t0\t0\t0"))
        };
        if cfg!(target_endian = "little") {
            assert_eq!(line("00000000", "010200C0", "00000000"), Some(Ipv4Addr::new(192, 0, 2, 1)));
        }
        assert_eq!(line("000200C0", "010200C0", "00FFFFFF"), None);
        assert_eq!(line("00000000", "00000000", "00000000"), None);
    }
}
