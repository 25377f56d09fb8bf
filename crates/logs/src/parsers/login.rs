//! login of util-linux (login-utils/login.c) and of the shadow package (login.c): at a terminal, or with a host from telnetd and its kin.
//!
//! What is typed as a name stands on the right of the host, so both are read from the left.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::Peer;
use crate::record::{MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_last, cut_once, first_word};

pub(super) const PARSER: Parser =
    Parser { name: "login", service: Service::Login, tags: &["login"], writer: Writer::Root(&["login"]), read };

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let message = frame.message;
    if message.starts_with(b"FAILED LOGIN") || message.starts_with(b"TOO MANY LOGIN TRIES") {
        return failed(message);
    }
    let mut record = Raw::new(Service::Login, What::LoginAccepted);
    if let Some(rest) = message.strip_prefix(b"ROOT LOGIN ") {
        record.user = Some(b"root");
        host_of(&mut record, cut_once(rest, b" FROM ").map(|(_, host)| host));
    } else {
        let (_, rest) = cut_once(message.strip_prefix(b"LOGIN ON ")?, b" BY ")?;
        let (user, host) = cut_last(rest, b" FROM ").map_or((rest, None), |(user, host)| (user, Some(host)));
        record.user = Some(clip(user, MAX_NAME));
        host_of(&mut record, host);
    }
    Some(record)
}

/// `FAILED LOGIN 1 FROM A FOR U, WHY`, `FAILED LOGIN (1) on '/dev/tty1' [from 'A' ]FOR 'U', WHY`
fn failed(message: &[u8]) -> Option<Raw<'_>> {
    let what = if message.starts_with(b"FAILED") { What::LoginFailed } else { What::TooManyFailures };
    let mut record = Raw::new(Service::Login, what);
    record.attempts = u32::from(what == What::LoginFailed && !message.starts_with(b"FAILED LOGIN SESSION"));
    let (place, user) = cut_once(message, b" FOR ")?;
    let host = cut_once(place, b" FROM ").map(|(_, host)| host);
    let quoted = || cut_once(place, b" from '").and_then(|(_, rest)| cut_at(rest, b'\'')).map(|(host, _)| host);
    host_of(&mut record, host.or_else(quoted));
    let user = cut_last(user, b", ").map_or(user, |(user, _)| user);
    let bare = user.strip_prefix(b"'").and_then(|user| user.strip_suffix(b"'")).unwrap_or(user);
    record.user = Some(clip(bare, MAX_NAME));
    Some(record)
}

fn host_of<'a>(record: &mut Raw<'a>, host: Option<&'a [u8]>) {
    // Without a host util-linux names the terminal.
    if let Some(peer) = host.map(first_word).and_then(|(host, _)| Peer::read(host)).filter(|peer| !is_terminal(peer)) {
        peer.into_record(record);
    }
}

fn is_terminal(peer: &Peer<'_>) -> bool {
    matches!(peer, Peer::Name(name) if name.starts_with(b"tty") || name.starts_with(b"pts") || name.starts_with(b"console"))
}
