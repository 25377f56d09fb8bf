//! One indicator as lists write it: an address, a network, a domain name or a SHA-256.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bartizan_model::{Sha256, embedded, is_public, parse_network};
use ipnet::IpNet;

/// Widest networks that a list may name, as prefix lengths. Nobody's whole /7 is hostile; Spamhaus DROP names at most a /10 and a /20.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 20;
/// Longest domain name and longest label (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Hex digits of MD5, SHA-1 and SHA-512.
const OTHER_DIGESTS: [usize; 3] = [32, 40, 128];

/// What a line of a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Addresses that strangers may have.
    Network(IpNet),
    /// A domain and all below it, in lower case, without a dot at either end.
    Domain(String),
    /// The content of a program.
    Digest(Sha256),
}

/// Why a value is not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Private, loopback or reserved addresses, and names of no domain: nobody's fault, and never matched.
    Local,
    /// What is wrong with it.
    Bad(&'static str),
}

/// Reads a value. A port behind an address is left out.
pub(super) fn value(text: &str) -> Result<Value, Refusal> {
    if let Some(network) = parse_network(text).or_else(|| without_port(text).and_then(parse_network)) {
        return wide_enough(network);
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        if let Ok(digest) = text.parse() {
            return Ok(Value::Digest(digest));
        }
        if OTHER_DIGESTS.contains(&text.len()) {
            return Err(Refusal::Bad("a digest that is not SHA-256"));
        }
    }
    if text.contains("://") || text.contains('/') {
        return Err(Refusal::Bad("a URL or a network that cannot be read; of a URL, list the host if everything on it is bad"));
    }
    domain(text)
}

/// `192.0.2.7:443` and `[2001:db8::7]:443` without their port.
fn without_port(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(|_| inner),
        None => host.parse::<Ipv4Addr>().ok().map(|_| host),
    }
}

fn wide_enough(network: IpNet) -> Result<Value, Refusal> {
    if is_local(network) {
        return Err(Refusal::Local);
    }
    let widest = if matches!(network, IpNet::V4(_)) { WIDEST_V4 } else { WIDEST_V6 };
    match network.prefix_len() < widest {
        true => Err(Refusal::Bad("a network wider than a /8, or a /20 of IPv6")),
        false => Ok(Value::Network(network)),
    }
}

/// Whether no address of it is reachable over the Internet. Networks nest or are apart, so one that begins and ends in local space lies
/// in one local block unless it is as wide as the space between them: in IPv4 all local blocks below 224.0.0.0/3 are a /8 or narrower, and in
/// IPv6 all but 2000::/3 is local.
fn is_local(network: IpNet) -> bool {
    let apart = match network {
        IpNet::V4(v4) => v4.prefix_len() >= 8 || v4.network().octets()[0] >= 224,
        IpNet::V6(v6) => v6.prefix_len() >= 3,
    };
    apart && !is_public(network.network()) && !is_public(network.broadcast())
}

fn domain(text: &str) -> Result<Value, Refusal> {
    let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") || name.ends_with(".local") || name == "localhost.localdomain" {
        return Err(Refusal::Local);
    }
    if !name.is_ascii() {
        return Err(Refusal::Bad("a name that is not ASCII: write it as resolvers see it, xn--..."));
    }
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(known)
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let mut labels = name.split('.');
    if name.len() > MAX_NAME || !labels.clone().all(is_label) || labels.next_back().is_none_or(is_number) {
        return Err(Refusal::Bad("no address, network, domain name or SHA-256"));
    }
    if !name.contains('.') {
        return Err(Refusal::Bad("a name of one label, which would match a whole top-level domain"));
    }
    Ok(Value::Domain(name))
}

/// The address that a stranger has: an IPv4 address inside an IPv6 one counts as itself ([`embedded`]).
pub(super) fn plain(addr: IpAddr) -> IpAddr {
    embedded(addr).map_or(addr, IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_lists_write_them() {
        let net = |text: &str| Ok(Value::Network(text.parse().unwrap()));
        let name = |text: &str| Ok(Value::Domain(text.to_owned()));
        let digest = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        assert_eq!(value("1.10.16.7/20"), net("1.10.16.0/20"));
        assert_eq!(value("8.8.4.4"), net("8.8.4.4/32"));
        assert_eq!(value("::ffff:8.8.4.4"), net("8.8.4.4/32"));
        assert_eq!(value("8.8.4.4:4444"), net("8.8.4.4/32"));
        assert_eq!(value("[2606:4700::1]:443"), net("2606:4700::1/128"));
        assert_eq!(value("2606:4700::1"), net("2606:4700::1/128"));
        assert_eq!(value("*.Evil.Example."), name("evil.example"));
        assert_eq!(value(".evil.example"), name("evil.example"));
        assert_eq!(value("_dmarc.xn--80ak6aa92e.com"), name("_dmarc.xn--80ak6aa92e.com"));
        assert_eq!(value(digest), Ok(Value::Digest(digest.parse().unwrap())));
    }

    #[test]
    fn what_would_hit_ordinary_work_is_not_taken_in() {
        for local in ["10.0.0.0/8", "127.0.0.1", "::1", "192.168.1.1", "fe80::1", "224.0.0.0/3", "0.0.0.0", "localhost", "printer.local"] {
            assert_eq!(value(local), Err(Refusal::Local), "{local}");
        }
        let bad = [
            "0.0.0.0/0", "8.0.0.0/7", "::/0", "2000::/3", "com", "*", "*.com", "", ".", "a..b", "1.2.3", "1.2.3.4.5",
            "http://evil.example/x", "evil.example/x", "d41d8cd98f00b204e9800998ecf8427e", "evil example", "évil.example", "1.2.3.4/40",
            "-", "\u{202e}elpmaxe.live",
        ];
        for bad in bad {
            assert!(matches!(value(bad), Err(Refusal::Bad(_))), "{bad}: {:?}", value(bad));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_a_refusal(text in ".{0,300}") {
            let _ = value(&text);
        }
    }
}
