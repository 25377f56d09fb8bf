//! What an event shows of somebody's habits, as narrow as it stays the same tomorrow.

use std::net::IpAddr;

use bartizan_model::{Event, EventKind, Flow, HabitKind, HostText, Login, Process, Protocol, is_public};
use ipnet::IpNet;

/// First port that a kernel gives out by itself (`ip_local_port_range`, Documentation/networking/ip-sysctl.rst): it differs each time.
const FIRST_EPHEMERAL: u16 = 32_768;
/// Longest value that is kept, in bytes.
pub(crate) const MAX_VALUE: usize = 512;

/// One thing that somebody does: its kind, and what.
pub(crate) type Observation = (HabitKind, HostText);

/// What the process itself is seen doing; a start and a login are looked at elsewhere.
pub(crate) fn of_process(event: &Event) -> Option<Observation> {
    let seen = match &event.kind {
        EventKind::Connect { net } => (HabitKind::Destination, destination(net)?),
        EventKind::Listen { net, .. } => (HabitKind::Listener, listener(net)),
        EventKind::FileChange { file } | EventKind::PersistenceChange { file } => (HabitKind::Place, directory(&file.path)?),
        EventKind::Exec
        | EventKind::Fork
        | EventKind::Exit { .. }
        | EventKind::Accept { .. }
        | EventKind::Close { .. }
        | EventKind::FileOpen { .. }
        | EventKind::UserChange { .. }
        | EventKind::PrivilegeUse { .. }
        | EventKind::ContainerStart { .. }
        | EventKind::ContainerStop { .. }
        | EventKind::LoginAccepted { .. }
        | EventKind::LoginFailed { .. }
        | EventKind::WebAttack { .. }
        | EventKind::Alarm { .. }
        | EventKind::Budget { .. }
        | EventKind::Loss { .. } => return None,
    };
    (seen.1.as_bytes().len() <= MAX_VALUE).then_some(seen)
}

/// What a program is, whatever its path says: the package that owns it, else its digest; `None` while neither is known.
pub(crate) fn content(process: &Process) -> Option<HostText> {
    let package = process.package.as_ref().filter(|name| !name.is_empty() && name.as_bytes().len() <= 128);
    let digest = || process.exe_file.sha256.map(|digest| HostText::from(format!("sha256 {digest}").as_str()));
    package.map(|name| HostText::from([b"package ", name.as_bytes()].concat())).or_else(digest)
}

/// Whether a content was given by a package.
pub(crate) fn is_packaged(content: &HostText) -> bool {
    content.starts_with("package ")
}

/// Whence somebody logs in, and by which key.
pub(crate) fn of_login(login: &Login) -> Vec<Observation> {
    let method = login.method.as_deref().unwrap_or("unknown means");
    let from = login.from.map(|from| format!("from {} by {method}", around(from)));
    let key = login.key.as_ref().map(|key| HostText::from([b"key ", key.as_bytes()].concat()));
    let seen = from.map(|from| HostText::from(from.as_str())).into_iter().chain(key);
    seen.filter(|value| value.as_bytes().len() <= MAX_VALUE).map(|value| (HabitKind::Login, value)).collect()
}

/// The network in which the address of a person moves about: /24 of IPv4, /48 of IPv6 (RFC 6177); a private one counts alone.
pub(crate) fn around(addr: IpAddr) -> String {
    let addr = addr.to_canonical();
    if addr.is_loopback() {
        return "loopback".to_owned();
    }
    if !is_public(addr) {
        return addr.to_string();
    }
    let length = if addr.is_ipv4() { 24 } else { 48 };
    IpNet::new(addr, length).map_or_else(|_| addr.to_string(), |network| network.trunc().to_string())
}

/// By name where a resolver gave one, else by network; always by port.
fn destination(net: &Flow) -> Option<HostText> {
    let (dst, dport) = (net.dst?, net.dport?);
    let proto = word(net.proto);
    let name = net.name.as_ref().filter(|name| !name.is_empty() && name.as_bytes().len() <= 253);
    Some(match name {
        Some(name) => HostText::from(format!("{proto} {}:{dport}", name.lossy().trim_end_matches('.').to_ascii_lowercase()).as_str()),
        None => HostText::from(format!("{proto} {}:{dport}", around(dst)).as_str()),
    })
}

/// The same destination by its network, where it is known by name: names are not always seen.
pub(crate) fn by_network(net: &Flow) -> Option<HostText> {
    net.name.as_ref()?;
    destination(&Flow { name: None, ..net.clone() })
}

fn listener(net: &Flow) -> HostText {
    let src = net.src.to_canonical();
    let place = if src.is_unspecified() {
        "any".to_owned()
    } else if src.is_loopback() {
        "loopback".to_owned()
    } else {
        src.to_string()
    };
    let port = if net.sport >= FIRST_EPHEMERAL { "ephemeral".to_owned() } else { net.sport.to_string() };
    HostText::from(format!("{} {place}:{port}", word(net.proto)).as_str())
}

fn directory(path: &HostText) -> Option<HostText> {
    let bytes = path.as_bytes();
    let end = bytes.iter().rposition(|byte| *byte == b'/')?;
    bytes.get(..end.max(1)).map(HostText::from)
}

fn word(proto: Protocol) -> &'static str {
    match proto {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// Whether strangers stand there: neither this host nor a private network.
pub(crate) fn is_outside(net: &Flow) -> bool {
    net.dst.is_some_and(is_public)
}

/// The same of a destination as it is kept; one by name counts as outside.
pub(crate) fn is_outside_value(value: &HostText) -> bool {
    let text = value.lossy();
    let place = text.split_once(' ').and_then(|(_, place)| place.rsplit_once(':')).map(|(place, _)| place.to_owned()).unwrap_or_default();
    let inside = |addr: IpAddr| !is_public(addr);
    place != "loopback" && !place.parse::<IpAddr>().is_ok_and(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(dst: &str, dport: u16, name: Option<&str>) -> Flow {
        let name = name.map(HostText::from);
        Flow { proto: Protocol::Tcp, src: [0, 0, 0, 0].into(), sport: 0, dst: dst.parse().ok(), dport: Some(dport), name }
    }

    #[test]
    fn a_destination_is_no_wider_than_it_must_be() {
        for (dst, name, expected) in [
            ("8.8.4.4", None, "tcp 8.8.4.0/24:443"),
            ("::ffff:8.8.4.4", None, "tcp 8.8.4.0/24:443"),
            ("2606:4700:10::6816:1", None, "tcp 2606:4700:10::/48:443"),
            ("10.1.2.3", None, "tcp 10.1.2.3:443"),
            ("127.0.0.53", None, "tcp loopback:443"),
            ("8.8.4.4", Some("Deb.Debian.org."), "tcp deb.debian.org:443"),
        ] {
            assert_eq!(destination(&flow(dst, 443, name)), Some(expected.into()), "{dst}");
        }
        assert_eq!(by_network(&flow("8.8.4.4", 443, Some("dns.google"))), Some("tcp 8.8.4.0/24:443".into()));
        assert_eq!(by_network(&flow("8.8.4.4", 443, None)), None);
    }

    #[test]
    fn a_listener_on_a_port_of_the_kernels_choice_is_always_the_same() {
        let mut net = flow("8.8.4.4", 0, None);
        (net.dst, net.dport) = (None, None);
        for (sport, expected) in [(80, "tcp any:80"), (40_001, "tcp any:ephemeral")] {
            assert_eq!(listener(&Flow { sport, ..net.clone() }), HostText::from(expected));
        }
        assert_eq!(listener(&Flow { src: "::1".parse().unwrap(), sport: 631, ..net }), HostText::from("tcp loopback:631"));
    }

    #[test]
    fn a_directory_of_anything() {
        for (path, expected) in [("/etc/cron.d/x", "/etc/cron.d"), ("/x", "/")] {
            assert_eq!(directory(&path.into()), Some(expected.into()));
        }
        assert_eq!(directory(&"x".into()), None);
    }
}
