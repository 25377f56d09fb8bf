//! Where a line says that a client came from: an address, or the name that a daemon wrote in its place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::{MAX_NAME, Raw};
use super::scan::clip;

/// An address or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer<'a> {
    /// An address; an IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`) is the IPv4 address.
    Address(IpAddr),
    /// A name, of letters, digits, `.`, `-`, `_` and `:` alone.
    Name(&'a [u8]),
}

impl<'a> Peer<'a> {
    /// The address or name that is the whole text.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let named =
            || !bytes.is_empty() && bytes.len() <= MAX_NAME && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(b));
        match address(bytes) {
            Some(address) => Some(Self::Address(address)),
            None => named().then_some(Self::Name(bytes)),
        }
    }

    /// Writes it into the record.
    pub(crate) fn into_record(self, record: &mut Raw<'a>) {
        match self {
            Self::Address(address) => record.address = Some(address),
            Self::Name(name) => record.host = Some(clip(name, MAX_NAME)),
        }
    }
}

/// The address that is the whole text. A zone (`fe80::1%eth0`) is left out, and so are brackets.
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = ipv4(bytes) {
        return Some(IpAddr::V4(v4));
    }
    if bytes.len() > 64 || !bytes.contains(&b':') {
        return None;
    }
    let bare = bytes.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(bytes);
    let bare = bare.split(|byte| *byte == b'%').next()?;
    let v6: Ipv6Addr = std::str::from_utf8(bare).ok()?.parse().ok()?;
    Some(IpAddr::V6(v6).to_canonical())
}

/// Four numbers without leading zeros: `192.030.0.6` is octal to some and decimal to others, so it is no address.
pub(crate) fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    if bytes.len() < 7 || bytes.len() > 15 {
        return None;
    }
    let (mut octets, mut index, mut digits, mut value) = ([0_u8; 4], 0_usize, 0_u8, 0_u16);
    for &byte in bytes {
        match byte {
            b'0'..=b'9' => {
                if digits > 0 && value == 0 {
                    return None;
                }
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && index < 3 => {
                *octets.get_mut(index)? = u8::try_from(value).ok()?;
                (index, digits, value) = (index + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if index != 3 || digits == 0 {
        return None;
    }
    octets[3] = u8::try_from(value).ok()?;
    Some(Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_read_in_every_dress_and_nothing_else_is_one() {
        for (text, address) in
            [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("[fe80::1%eth0]", "fe80::1")]
        {
            assert_eq!(super::address(text.as_bytes()), address.parse().ok(), "{text}");
        }
        for text in ["", "192.0.2", "192.0.2.1.5", "192.030.0.6", "1.2.3.256", "1.2.3.4 ", "1..2.3", "host", "::g", "12345.1.1.1"] {
            assert_eq!(super::address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Peer::read(b"192.030.0.6"), Some(Peer::Name(b"192.030.0.6")));
        assert_eq!(Peer::read(b"a b"), None);
    }

    proptest! {
        #[test]
        fn four_numbers_are_read_as_the_standard_library_reads_them(text in "[0-9]{1,3}(\\.[0-9]{0,4}){2,4}") {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok());
        }
    }
}
