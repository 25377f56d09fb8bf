//! One line of an access log: what the server wrote of one request, in its own order and words.

use std::borrow::Cow;
use std::net::IpAddr;

use bartizan_model::Timestamp;

use super::client::Proxies;
use super::escape::unescape;
use super::format::Field;
use crate::peer::ipv4;

/// A request as one line of an access log has it. What the client sent is as it sent it: the server's escapes are undone, its own are not.
/// What a format does not write, and what the server wrote as `-`, is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access<'l> {
    /// Whom the server talked to. `None` when the format does not say, or not beyond doubt.
    pub peer: Option<IpAddr>,
    /// `X-Forwarded-For`: the client's word, until a configured proxy stands behind it ([`Access::client`]).
    pub forwarded: Cow<'l, [u8]>,
    /// The name that the client gave for HTTP authentication.
    pub user: Cow<'l, [u8]>,
    /// When.
    pub at: Option<Timestamp>,
    /// The whole request line, where the format writes it so.
    pub request: Cow<'l, [u8]>,
    /// `GET`.
    pub method: Cow<'l, [u8]>,
    /// Path and query, as requested.
    pub target: Cow<'l, [u8]>,
    /// The query alone, where the format writes it apart.
    pub query: Cow<'l, [u8]>,
    /// `HTTP/1.1`.
    pub protocol: Cow<'l, [u8]>,
    /// What the server answered.
    pub status: Option<u16>,
    /// Bytes of the answer.
    pub size: Option<u64>,
    /// Where the client says it came from.
    pub referer: Cow<'l, [u8]>,
    /// What the client says it is.
    pub agent: Cow<'l, [u8]>,
    /// The host that was asked for.
    pub host: Cow<'l, [u8]>,
}

/// Method, target and protocol of a request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`; empty when the line was no HTTP.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// `HTTP/1.1`; empty when the client sent none.
    pub protocol: &'a [u8],
}

impl<'a> Request<'a> {
    /// Splits a request line at its first and last space: a target may hold raw spaces. What is no HTTP is all target.
    pub fn split(line: &'a [u8]) -> Self {
        let alone = Self { method: &[], target: line, protocol: &[] };
        let Some(first) = memchr::memchr(b' ', line) else { return alone };
        let (method, rest) = (line.get(..first).unwrap_or_default(), line.get(first + 1..).unwrap_or_default());
        if method.is_empty() || !method.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_')) {
            return alone;
        }
        match memchr::memrchr(b' ', rest) {
            Some(last) if rest.get(last + 1..).is_some_and(|word| word.starts_with(b"HTTP/")) => {
                Self { method, target: rest.get(..last).unwrap_or_default(), protocol: rest.get(last + 1..).unwrap_or_default() }
            }
            _ => Self { method, target: rest, protocol: &[] },
        }
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| Some(sum * 10 + u64::from((*digit as char).to_digit(10)?)))
}

/// An address as servers write it: IPv4, IPv6, IPv6 in brackets. A host name is none.
fn address(text: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = ipv4(text) {
        return Some(IpAddr::V4(v4));
    }
    if text.len() > 47 {
        return None;
    }
    let text = text.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(text);
    std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// An address with or without a port: `192.0.2.1:443`, `[2001:db8::1]:443`.
pub(super) fn with_port(text: &[u8]) -> Option<IpAddr> {
    address(text).or_else(|| {
        let colon = memchr::memrchr(b':', text)?;
        address(text.get(..colon)?).filter(|found| found.is_ipv4() || text.starts_with(b"["))
    })
}

impl<'l> Access<'l> {
    /// Takes what the server wrote for one field of its format.
    pub(super) fn set(&mut self, field: &Field, written: &'l [u8]) {
        if written != b"-" && !written.is_empty() {
            self.take(field, unescape(written));
        }
    }

    /// Takes one field as the client sent it.
    pub(super) fn take(&mut self, field: &Field, value: Cow<'l, [u8]>) {
        match field {
            Field::Peer => self.peer = with_port(&value),
            Field::Connected if self.peer.is_none() => self.peer = with_port(&value),
            Field::Time(shape) => self.at = shape.read(&value),
            Field::Status => {
                self.status = digits(&value).and_then(|code| u16::try_from(code).ok()).filter(|code| (100..1000).contains(code))
            }
            Field::Size => self.size = digits(&value),
            Field::Forwarded => self.forwarded = value,
            Field::User => self.user = value,
            Field::Request => self.request = value,
            Field::Method => self.method = value,
            Field::Target => self.target = value,
            Field::Query => self.query = value,
            Field::Protocol => self.protocol = value,
            Field::Referer => self.referer = value,
            Field::Agent => self.agent = value,
            Field::Host | Field::Site => self.host = value,
            Field::Connected | Field::Number | Field::Other => {}
        }
    }

    /// The same, free of the line that it was read from.
    pub fn into_owned(self) -> Access<'static> {
        let own = |text: Cow<'l, [u8]>| Cow::Owned(text.into_owned());
        Access {
            peer: self.peer,
            forwarded: own(self.forwarded),
            user: own(self.user),
            at: self.at,
            request: own(self.request),
            method: own(self.method),
            target: own(self.target),
            query: own(self.query),
            protocol: own(self.protocol),
            status: self.status,
            size: self.size,
            referer: own(self.referer),
            agent: own(self.agent),
            host: own(self.host),
        }
    }

    /// Method, target and protocol, however the format writes them.
    pub fn asked(&self) -> Request<'_> {
        if self.target.is_empty() && !self.request.is_empty() {
            return Request::split(&self.request);
        }
        Request { method: &self.method, target: &self.target, protocol: &self.protocol }
    }

    /// The query: all after the first `?` of the target, or what the format writes apart.
    pub fn query(&self) -> &[u8] {
        self.path_and_query().1
    }

    /// What stands before the first `?` of the target, and the query.
    pub fn path_and_query(&self) -> (&[u8], &[u8]) {
        let target = self.asked().target;
        match memchr::memchr(b'?', target).and_then(|at| target.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..).unwrap_or_default()),
            None => (target, self.query.strip_prefix(b"?").unwrap_or(&self.query)),
        }
    }

    /// Whom this request is from: the peer, or the nearest address in `X-Forwarded-For` that no configured proxy has. `None` when unknown.
    pub fn client(&self, proxies: &Proxies) -> Option<IpAddr> {
        self.peer.map(|peer| proxies.client(peer, &self.forwarded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_split_whatever_it_holds() {
        for (line, method, target, protocol) in [
            (&b"GET /a?b=c HTTP/1.1"[..], &b"GET"[..], &b"/a?b=c"[..], &b"HTTP/1.1"[..]),
            (b"GET /a b HTTP/9 c HTTP/1.0", b"GET", b"/a b HTTP/9 c", b"HTTP/1.0"),
            (b"GET /old", b"GET", b"/old", b""),
            (b"\x16\x03\x01 x", b"", b"\x16\x03\x01 x", b""),
            (b"", b"", b"", b""),
        ] {
            assert_eq!(Request::split(line), Request { method, target, protocol });
        }
    }

    #[test]
    fn an_address_is_one_only_when_all_of_it_is() {
        assert_eq!(address(b"192.0.2.1"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(address(b"::ffff:192.0.2.1"), Some("192.0.2.1".parse().unwrap()), "IPv4 on an IPv6 socket");
        assert_eq!(address(b"[2001:db8::1]"), Some("2001:db8::1".parse().unwrap()));
        for none in [&b"192.0.2.1.example.com"[..], b"unix:", b"192.0.2.1 ", b"192.0.2.01", &[b'1'; 100]] {
            assert_eq!(address(none), None);
        }
    }
}
