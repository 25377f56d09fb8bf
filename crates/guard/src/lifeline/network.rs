//! What this host needs to be reached: its own addresses, its gateways, its name servers.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

use super::{Found, wireguard};
use bartizan_model::LifelineReason;

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

/// When the way to everywhere is a tunnel, the way under it must stay open too. Its far end has a route of its own, past
/// the tunnel, when whoever made the tunnel set one (OpenVPN's redirect-gateway does); else nobody tells it.
pub(super) fn tunnels(found: &mut Found) {
    let Ok(text) = fs::read_to_string("/proc/thread-self/net/route") else { return };
    let routes: Vec<Route> = text.lines().skip(1).filter_map(route).take(MAX_ROUTES).collect();
    let everywhere = |route: &&Route| route.bits <= 1 && is_tunnel(&route.interface);
    for tunnel in routes.iter().filter(everywhere) {
        let under = |route: &&Route| route.bits == 32 && !route.gateway.is_unspecified() && !is_tunnel(&route.interface);
        let mut ends = routes.iter().filter(under).map(|route| route.destination).peekable();
        // WireGuard leaves the way under it to a rule of its own (wg-quick(8)), but tells where its peers are.
        let inner = Ipv4Addr::from(u32::from(tunnel.destination) | 1);
        if let Ok(Some(end)) = wireguard::endpoint(&tunnel.interface, inner.into()) {
            found.address(end, LifelineReason::Gateway);
            continue;
        }
        if ends.peek().is_none() {
            found
                .unknown(&format!("the far end of the tunnel {}", tunnel.interface.escape_debug()), "no route leads to it past the tunnel");
        }
        ends.for_each(|end| found.address(end.into(), LifelineReason::Gateway));
    }
}

/// Routes looked at; a host with more has its default route among the first.
const MAX_ROUTES: usize = 4096;

struct Route {
    interface: String,
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    /// Length of the prefix.
    bits: u32,
}

fn route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let addr = |at: usize| number(at).map(|number| Ipv4Addr::from(number.to_ne_bytes()));
    let interface = (*fields.first()?).to_owned();
    Some(Route { interface, destination: addr(1)?, gateway: addr(2)?, bits: number(7)?.count_ones() })
}

/// The tunnel that has this address of ours, if one does.
pub fn tunnel_to(own: IpAddr) -> Option<String> {
    let own = own.to_canonical();
    let has = |address: &nix::ifaddrs::InterfaceAddress| {
        let address = address.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
    };
    let mut interfaces = getifaddrs().ok()?;
    interfaces.find(|interface| has(interface) == Some(own)).map(|found| found.interface_name).filter(|name| is_tunnel(name))
}

/// By what the kernel says of the interface (tun_flags for tun and tap; DEVTYPE for WireGuard), else by its usual name.
fn is_tunnel(interface: &str) -> bool {
    if interface.contains('/') {
        return false;
    }
    let dir = format!("/sys/class/net/{interface}");
    let kind = fs::read_to_string(format!("{dir}/uevent")).unwrap_or_default();
    let named = ["wg", "tun", "tap", "tailscale", "ppp"].iter().any(|name| interface.starts_with(name));
    named || kind.contains("DEVTYPE=wireguard") || fs::exists(format!("{dir}/tun_flags")).unwrap_or(false)
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

/// The name servers of a resolv.conf(5).
pub fn name_servers(text: &str) -> impl Iterator<Item = IpAddr> {
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
