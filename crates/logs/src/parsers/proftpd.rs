//! ProFTPD: `SERVER (NAME[A]): USER U: no such user found from ...`. The client stands first, before anything that it wrote.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::address;
use crate::record::{MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_last, cut_once};

pub(super) const PARSER: Parser =
    Parser { name: "proftpd", service: Service::Proftpd, tags: &["proftpd"], writer: Writer::System(&["proftpd"]), read };

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (_server, rest) = cut_once(frame.message, b" (")?;
    let (_name, rest) = cut_at(rest, b'[')?;
    let (found, rest) = cut_at(rest, b']')?;
    let rest = rest.strip_prefix(b"): ").or_else(|| rest.strip_prefix(b") - ")).or_else(|| rest.strip_prefix(b") "))?;
    let said = rest.strip_prefix(b"- ").unwrap_or(rest);
    let mut record = Raw::new(Service::Proftpd, What::LoginFailed);
    (record.address, record.method) = (Some(address(found)?), Method::Password);
    if let Some(words) = said.strip_prefix(b"SECURITY VIOLATION: ") {
        let (user, _) = cut_once(words, b" login attempted")?;
        record.user = Some(clip(user, MAX_NAME));
    } else if said.starts_with(b"Maximum login attempts (") {
        record.what = What::TooManyFailures;
        return Some(record);
    } else {
        let words = said.strip_prefix(b"USER ")?;
        let (user, what) = user_and_outcome(words)?;
        (record.user, record.what) = (Some(clip(user, MAX_NAME)), what);
    }
    record.attempts = u32::from(matches!(record.what, What::LoginFailed | What::InvalidUser));
    Some(record)
}

fn user_and_outcome(words: &[u8]) -> Option<(&[u8], What)> {
    if let Some((user, _)) = cut_last(words, b": no such user") {
        return Some((user, What::InvalidUser));
    }
    if let Some((user, _)) = cut_last(words, b" (Login failed)") {
        return Some((user, What::LoginFailed));
    }
    cut_last(words, b": Login successful").map(|(user, _)| (user, What::LoginAccepted))
}
