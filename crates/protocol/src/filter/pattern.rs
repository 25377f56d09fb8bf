//! What a field is compared with.

use std::net::IpAddr;

use super::field::Form;
use super::glob::Glob;
use super::value::Value;
use super::{is_a_kind, is_of_kind};

/// What stands behind `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: any value, so the field must be there.
    Anything,
    /// Text like this.
    Text(Glob),
    /// This number.
    Number(u64),
    /// This.
    Flag(bool),
    /// An address of this network: its first address, and how many bits of it count.
    Network(IpAddr, u8),
    /// A kind or family of events.
    Kind(String),
}

impl Pattern {
    /// Compiles what was typed for a field of this form; the error says what would have been right.
    pub(crate) fn new(glob: Glob, form: Form) -> Result<Self, String> {
        if glob.is_anything() {
            return Ok(Self::Anything);
        }
        let exact = glob.exact();
        let typed = exact.as_deref();
        match form {
            Form::Text => Ok(Self::Text(glob)),
            Form::Number => typed.and_then(number).map(Self::Number).ok_or_else(|| "write a whole number, or * for any".to_owned()),
            Form::Flag => match typed {
                Some("true") => Ok(Self::Flag(true)),
                Some("false") => Ok(Self::Flag(false)),
                _ => Err("write true or false".to_owned()),
            },
            Form::Address => typed
                .and_then(network)
                .map(|(first, bits)| Self::Network(first, bits))
                .ok_or_else(|| "write an address or a network: 203.0.113.7, 10.0.0.0/8, 2001:db8::/32, or * for any".to_owned()),
            Form::Kind => glob
                .family()
                .or(exact)
                .filter(|kind| is_a_kind(kind))
                .map(Self::Kind)
                .ok_or_else(|| format!("kinds: {}", bartizan_model::EventKind::NAMES.join(", "))),
        }
    }

    /// Whether a value is like this.
    pub fn matches(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Anything, _) => true,
            (Self::Number(wanted), Value::Number(number)) => *wanted == number,
            (Self::Flag(wanted), Value::Flag(flag)) => *wanted == flag,
            (Self::Network(first, bits), Value::Address(address)) => is_in(*first, *bits, address),
            (Self::Kind(kind), Value::Text(name)) => std::str::from_utf8(name).is_ok_and(|name| is_of_kind(name, kind)),
            (Self::Text(glob), Value::Text(text)) => glob.matches(text),
            (Self::Text(glob), Value::Key(key)) => glob.matches(key.to_string().as_bytes()),
            (Self::Text(glob), Value::Digest(digest)) => glob.matches(digest.to_string().as_bytes()),
            (Self::Text(glob), Value::Id(id)) => glob.matches(id.to_string().as_bytes()),
            (Self::Text(_) | Self::Number(_) | Self::Flag(_) | Self::Network(..) | Self::Kind(_), _) => false,
        }
    }

    /// A text that stands in every text that it matches; empty when there is none.
    pub fn literal(&self) -> Vec<u8> {
        match self {
            Self::Text(glob) => glob.literal(),
            Self::Anything | Self::Number(_) | Self::Flag(_) | Self::Network(..) | Self::Kind(_) => Vec::new(),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// An address alone is a network of one. Bits behind the prefix may be anything: who types 10.1.2.3/8 means the network.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(u8::try_from(number(bits)?).ok()?)),
        None => (text, None),
    };
    let typed: IpAddr = address.parse().ok()?;
    let width = if typed.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    if bits > width {
        return None;
    }
    // An IPv4 address written the IPv6 way is the IPv4 address, as far as the prefix covers what only says so.
    match (typed.to_canonical(), typed) {
        (IpAddr::V4(v4), IpAddr::V6(_)) if bits >= 96 => Some((v4.into(), bits - 96)),
        _ => Some((typed, bits)),
    }
}

fn is_in(first: IpAddr, bits: u8, address: IpAddr) -> bool {
    let shift = |width: u32| width - u32::from(bits).min(width);
    match (first, address.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(own)) => (first.to_bits() ^ own.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0,
        (IpAddr::V6(first), IpAddr::V6(own)) => (first.to_bits() ^ own.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0,
        _ => false,
    }
}
