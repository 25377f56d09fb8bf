//! Access lines in JSON whose format nobody gave us: fields are known by the names that servers commonly use.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::access::Access;
use super::format::Field;
use super::time::TimeShape;

/// What a key names, in one of the spellings of nginx examples, Apache examples, Caddy, Traefik, HAProxy and ECS.
enum Key {
    Is(Field),
    /// A time in whatever shape.
    When,
    /// An object with more fields: Caddy's `request`.
    Inner,
    /// An object whose names the client chose: Caddy's `headers`.
    Headers,
    Unknown,
}

fn key(name: &str) -> Key {
    Key::Is(match name.to_ascii_lowercase().replace('-', "_").trim_start_matches('@') {
        "remote_addr" | "remote_ip" | "remote_address" | "remoteip" | "clienthost" => Field::Peer,
        "client_ip" | "clientip" | "client" | "ip" | "remote_host" | "clientaddr" => Field::Connected,
        "http_x_forwarded_for" | "x_forwarded_for" | "xff" | "request_x_forwarded_for" => Field::Forwarded,
        "remote_user" | "user" | "user_id" | "clientusername" => Field::User,
        "request_line" => Field::Request,
        "method" | "request_method" | "requestmethod" | "verb" => Field::Method,
        "uri" | "request_uri" | "url" | "requestpath" | "path" => Field::Target,
        "args" | "query_string" | "query" => Field::Query,
        "protocol" | "server_protocol" | "proto" | "requestprotocol" => Field::Protocol,
        "status" | "status_code" | "response" | "downstreamstatus" => Field::Status,
        "body_bytes_sent" | "bytes_sent" | "bytes" | "size" | "downstreamcontentsize" => Field::Size,
        "http_referer" | "http_referrer" | "referer" | "referrer" | "request_referer" => Field::Referer,
        "http_user_agent" | "user_agent" | "useragent" | "agent" | "request_user_agent" => Field::Agent,
        "host" | "http_host" | "vhost" | "requesthost" => Field::Host,
        "time" | "ts" | "timestamp" | "time_local" | "time_iso8601" | "msec" | "startutc" => return Key::When,
        "request" | "http" => return Key::Inner,
        "headers" => return Key::Headers,
        _ => return Key::Unknown,
    })
}

/// What a header of the client's names. It may be called `Uri`, `Status` or `Remote-Ip`, and is none of these.
fn header(name: &str) -> Key {
    Key::Is(match name.to_ascii_lowercase().as_str() {
        "referer" => Field::Referer,
        "user-agent" => Field::Agent,
        "x-forwarded-for" => Field::Forwarded,
        "host" => Field::Host,
        _ => return Key::Unknown,
    })
}

/// Reads an object's fields into an access line.
struct Reader<'a, 'l> {
    access: &'a mut Access<'l>,
    /// Whether a peer was named, and whether two were: then none is believed.
    peers: &'a mut u8,
    key: Key,
}

impl<'l> Reader<'_, 'l> {
    fn take(self, text: Cow<'l, str>) {
        let value = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        if value.is_empty() || *value == *b"-" {
            return;
        }
        match self.key {
            Key::When => self.access.at = TimeShape::guess(&value).or(self.access.at),
            Key::Inner => self.access.take(&Field::Request, value),
            Key::Is(field) => {
                *self.peers = self.peers.saturating_add(u8::from(field == Field::Peer));
                self.access.take(&field, value);
            }
            Key::Headers | Key::Unknown => {}
        }
    }
}

impl<'l> DeserializeSeed<'l> for Reader<'_, 'l> {
    type Value = ();

    fn deserialize<D: Deserializer<'l>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.key {
            Key::Unknown => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            Key::Is(_) | Key::When | Key::Inner | Key::Headers => deserializer.deserialize_any(self),
        }
    }
}

impl<'l> Visitor<'l> for Reader<'_, 'l> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_borrowed_str<E>(self, text: &'l str) -> Result<(), E> {
        self.take(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.take(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.take(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.take(Cow::Owned(format!("{number:.6}")));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'l>>(self, mut seq: A) -> Result<(), A::Error> {
        let Reader { access, peers, key } = self;
        let first = seq.next_element_seed(Reader { access, peers, key })?;
        while first.is_some() && seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<(), A::Error> {
        let Reader { access, peers, key: own } = self;
        let key = match own {
            Key::Inner => key,
            Key::Headers => header,
            Key::Is(_) | Key::When | Key::Unknown => |_: &str| Key::Unknown,
        };
        while let Some(name) = map.next_key::<Cow<'l, str>>()? {
            map.next_value_seed(Reader { access: &mut *access, peers: &mut *peers, key: key(&name) })?;
        }
        Ok(())
    }
}

fn read_text(line: &str) -> Option<Access<'_>> {
    let (mut access, mut peers) = (Access::default(), 0);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    Reader { access: &mut access, peers: &mut peers, key: Key::Inner }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    if peers > 1 {
        access.peer = None;
    }
    let is_request = !access.request.is_empty() || !access.target.is_empty();
    is_request.then_some(access)
}

/// A line in JSON: one object. A name that comes twice for the peer names nobody: a client may have written one of them.
pub(super) fn read(line: &[u8]) -> Option<Access<'_>> {
    if line.first() != Some(&b'{') {
        return None;
    }
    match std::str::from_utf8(line) {
        Ok(text) => read_text(text),
        Err(_) => read_text(&String::from_utf8_lossy(line)).map(Access::into_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_of_common_servers_are_read() {
        let caddy = r#"{"level":"info","ts":1795860000.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"198.51.100.7","remote_port":"1","client_ip":"203.0.113.9","proto":"HTTP/2.0","method":"GET","host":"a.example","uri":"/x?y=1","headers":{"User-Agent":["curl/8"],"Referer":["http://r/"]}},"status":404,"size":12}"#;
        let traefik = r#"{"ClientAddr":"198.51.100.7:5","ClientHost":"198.51.100.7","RequestMethod":"GET","RequestPath":"/x?y=1","DownstreamStatus":404,"StartUTC":"2026-11-28T10:00:00.5Z","request_User-Agent":"curl/8","RequestHost":"a.example"}"#;
        let nginx = r#"{"@timestamp":"2026-11-28T10:00:00.5+00:00","remote_addr":"198.51.100.7","request":"GET /x?y=1 HTTP/1.1","status":"404","http_user_agent":"curl/8","host":"a.example","nested":{"remote_addr":"9.9.9.9"}}"#;
        for line in [caddy, traefik, nginx] {
            let access = read(line.as_bytes()).unwrap();
            assert_eq!(access.peer, Some("198.51.100.7".parse().unwrap()), "{line}");
            assert_eq!(
                (access.asked().method, access.asked().target, access.query()),
                (&b"GET"[..], &b"/x?y=1"[..], &b"y=1"[..]),
                "{line}"
            );
            assert_eq!((access.status, &*access.agent, &*access.host), (Some(404), &b"curl/8"[..], &b"a.example"[..]), "{line}");
            assert_eq!(access.at.unwrap().to_rfc3339(), "2026-11-28T10:00:00.500+00:00", "{line}");
        }
    }

    #[test]
    fn names_that_a_client_gives_its_headers_are_no_fields_of_the_server() {
        let line = r#"{"request":{"remote_ip":"198.51.100.7","method":"GET","uri":"/real","host":"a.example","headers":{"Uri":["/forged"],
            "Remote-Ip":["192.0.2.1"],"Remote_addr":["192.0.2.1"],"Client-Ip":["192.0.2.1"],"Ts":["1"],"Status":["200"],"Method":["POST"],
            "Request":["GET /forged HTTP/1.1"],"Request_line":["GET /forged HTTP/1.1"],"Http":[{"uri":"/forged"}],"Query":["forged=1"],
            "User":["root"],"Size":["9"],"Agent":["forged"],"User_Agent":["forged"],"Xff":["192.0.2.1"],
            "User-Agent":["curl/8"]}},"ts":1795860000.5,"status":404,"size":12}"#;
        let (access, plain) = (
            read(line.as_bytes()).unwrap(),
            r#"{"request":{"remote_ip":"198.51.100.7","method":"GET","uri":"/real",
            "host":"a.example","headers":{"User-Agent":["curl/8"]}},"ts":1795860000.5,"status":404,"size":12}"#,
        );
        assert_eq!(format!("{access:?}"), format!("{:?}", read(plain.as_bytes()).unwrap()));
    }

    #[test]
    fn a_second_peer_written_by_a_client_makes_neither_believed() {
        let line = br#"{"remote_addr":"198.51.100.7","uri":"/","http_user_agent":"x","remote_addr":"192.0.2.1"}"#;
        assert_eq!(read(line).unwrap().peer, None);
    }

    #[test]
    fn what_is_no_access_line_is_refused() {
        for line in [&b""[..], b"{", b"[]", b"{}", br#"{"msg":"hello"}"#, br#"{"uri":"/"} x"#, &b"{\"a\":".repeat(100_000)] {
            assert_eq!(read(line), None);
        }
        assert!(read(b"{\"uri\":\"/\xff\"}").is_some(), "a broken character does not hide a request");
    }
}
