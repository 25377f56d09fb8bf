//! systemd-logind: `New session 5 of user alice.`, and since 254 `New session '5' of user 'alice' with class 'user' and type 'tty'.`

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::record::{MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once};

pub(super) const PARSER: Parser = Parser {
    name: "systemd-logind",
    service: Service::Logind,
    tags: &["systemd-logind", "elogind-daemon"],
    writer: Writer::Root(&["systemd-logind", "elogind-daemon"]),
    read,
};

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    if let Some(rest) = frame.message.strip_prefix(b"New session ") {
        let (session, rest) = cut_once(rest, b" of user ")?;
        let mut record = Raw::new(Service::Logind, What::SessionOpened);
        let user = match rest.strip_prefix(b"'") {
            Some(rest) => cut_at(rest, b'\'')?.0,
            None => rest.strip_suffix(b".").unwrap_or(rest),
        };
        (record.user, record.detail) = (Some(clip(user, MAX_NAME)), Some(clip(session, MAX_NAME)));
        return Some(record);
    }
    let session = frame.message.strip_prefix(b"Removed session ")?;
    let mut record = Raw::new(Service::Logind, What::SessionClosed);
    record.detail = Some(clip(session.strip_suffix(b".").unwrap_or(session), MAX_NAME));
    Some(record)
}
