//! sshd, sshd-session and sshd-auth of OpenSSH, by the format strings of auth.c, auth2.c, packet.c, kex.c and sshd.c, from 3.9 to 10.
//!
//! A client chooses its user name (up to 100 bytes of it are logged, auth.c), its banner, its algorithms and the words with which it
//! leaves. Where such text stands left of the address, the line is read from its right end, which sshd wrote; where it stands right of
//! the address, from the left. Where it can stand on both sides (the name on the left, the id of a certificate or a host's own user name
//! on the right) and the line has two addresses, none is taken: the one that the same connection named before stands.

use super::origin::Writer;
use super::{Parser, pam};
use crate::frame::Frame;
use crate::peer::{Peer, address};
use crate::record::{MAX_DETAIL, MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_last, cut_once, first_word, last_word, number, places, port, trim};

mod probe;

pub(super) const PARSER: Parser = Parser {
    name: "sshd",
    service: Service::Sshd,
    tags: &["sshd", "sshd-session", "sshd-auth"],
    writer: Writer::Root(&["sshd", "sshd-session", "sshd-auth"]),
    read,
};

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (message, preauth) = match bare(frame.message).strip_suffix(b" [preauth]") {
        Some(message) => (message, true),
        None => (bare(frame.message), false),
    };
    let mut record = said(message)?;
    record.preauth |= preauth;
    Some(record)
}

/// Without what stands before some messages: the level, Solaris's message id, a kernel clock that some set-ups add.
fn bare(message: &[u8]) -> &[u8] {
    let mut message = message;
    if let Some((_, rest)) = message.strip_prefix(b"[ID ").and_then(|rest| cut_once(rest, b"] ")) {
        message = rest;
    }
    if let Some((_, rest)) = message.strip_prefix(b"kernel:").and_then(|rest| cut_at(rest, b']')) {
        message = trim(rest.strip_prefix(b":").unwrap_or(rest));
    }
    message.strip_prefix(b"error: ").or_else(|| message.strip_prefix(b"fatal: ")).unwrap_or(message)
}

/// One message, by its first letters: the commonest first.
fn said(message: &[u8]) -> Option<Raw<'_>> {
    match message.first()? {
        b'F' => outcome(message.strip_prefix(b"Failed ")?, What::LoginFailed),
        b'I' => invalid(message.strip_prefix(b"Invalid user ").or_else(|| message.strip_prefix(b"Illegal user "))?),
        b'C' => connection(message.strip_prefix(b"Connection ")?),
        b'D' => disconnect(message),
        b'R' => match message.strip_prefix(b"Received disconnect from ") {
            Some(rest) => received_disconnect(rest),
            None => root_refused(message).or_else(|| probe::read(message)),
        },
        b'A' => match message.strip_prefix(b"Accepted ") {
            Some(rest) => outcome(rest, What::LoginAccepted),
            None => revoked(message.strip_prefix(b"Authentication key ")?),
        },
        b'p' | b'(' => sshd_pam(message).or_else(|| probe::read(message)),
        b'm' => attempts_exceeded(message.strip_prefix(b"maximum authentication attempts exceeded for ")?),
        b'U' => not_allowed(message).or_else(|| probe::read(message)),
        b'P' => match message.strip_prefix(b"PAM: ") {
            Some(rest) => pam_error(rest),
            None => probe::read(message),
        },
        b'r' => tcp_wrappers(message.strip_prefix(b"refused connect from ")?),
        _ => probe::read(message),
    }
}

/// `password for [invalid user ]U from A port N ssh2[: KEY]`
fn outcome(rest: &[u8], what: What) -> Option<Raw<'_>> {
    let (method, rest) = first_word(rest);
    let rest = rest.strip_prefix(b"for ")?;
    let mut record = Raw::new(Service::Sshd, what);
    record.method = method_of(method);
    let (valid, rest) = validity(rest);
    record.known_user = Some(valid);
    // Only these methods have anything behind `ssh2` (auth2.c, auth2_record_key and auth2_record_info).
    let keyed = matches!(record.method, Method::PublicKey | Method::HostBased | Method::Gssapi | Method::Unknown);
    if !keyed && let Some((user, host, port)) = at_end(rest, true) {
        return Some(with_peer(record, user, host, Some(port)));
    }
    if let Some(Found { user, peer, port, extra }) = between(rest, valid) {
        record.fingerprint = extra.filter(|_| record.method == Method::PublicKey).map(|extra| clip(extra, MAX_NAME));
        return Some(with_peer(record, user, peer, Some(port)));
    }
    // Two addresses and no way to tell: the account is what stands before the first.
    if let Some((user, _)) = cut_once(rest, b" from ").filter(|_| keyed && cut_once(rest, b" ssh2").is_some()) {
        record.user = Some(clip(user, MAX_NAME));
        return Some(record);
    }
    // As before 3.9: no protocol, or no port either.
    let (user, host, port) = older_end(rest)?;
    Some(with_peer(record, user, host, port))
}

fn method_of(method: &[u8]) -> Method {
    match method {
        b"password" => Method::Password,
        b"publickey" => Method::PublicKey,
        b"none" => Method::None,
        b"hostbased" => Method::HostBased,
        _ if method.starts_with(b"keyboard-interactive") => Method::KeyboardInteractive,
        _ if method.starts_with(b"gssapi") => Method::Gssapi,
        _ => Method::Unknown,
    }
}

/// Whether the account exists, and what follows.
fn validity(rest: &[u8]) -> (bool, &[u8]) {
    match rest.strip_prefix(b"invalid user ").or_else(|| rest.strip_prefix(b"illegal user ")) {
        Some(rest) => (false, rest),
        None => (!rest.starts_with(b"<invalid username>"), rest),
    }
}

/// `U from A port N[ ssh2]` at the right end.
fn at_end(text: &[u8], protocol: bool) -> Option<(&[u8], Peer<'_>, u16)> {
    let text = match protocol {
        true => text.strip_suffix(b" ssh2").or_else(|| text.strip_suffix(b" ssh1"))?,
        false => text,
    };
    let (left, number) = last_word(text);
    let (left, word) = last_word(left);
    let (left, host) = last_word(left);
    // An empty user leaves two spaces: `Invalid user  from 192.0.2.1`.
    let user = left.strip_suffix(b" from").or_else(|| (left == b"from").then_some(&b""[..]))?;
    (word == b"port").then_some(())?;
    Some((user, Peer::read(host)?, port(number)?))
}

/// `U from A port N ssh2[: EXTRA]` within a line.
struct Found<'a> {
    user: &'a [u8],
    peer: Peer<'a>,
    port: u16,
    extra: Option<&'a [u8]>,
}

/// The only one; of several the left one, if that is certain because the account exists. A name may end in ` from`, so they may overlap;
/// what sshd wrote is always among them, so where they disagree nobody is taken.
fn between(text: &[u8], valid: bool) -> Option<Found<'_>> {
    let mut found: Option<Found<'_>> = None;
    for at in places(text, b" from ") {
        let (user, rest) = (text.get(..at)?, text.get(at + 6..)?);
        let Some((peer, port, extra)) = peer_and_extra(rest) else { continue };
        match &found {
            None => found = Some(Found { user, peer, port, extra }),
            Some(first) if first.peer == peer => {}
            Some(_) => return None,
        }
        if valid {
            break;
        }
    }
    found
}

/// `A port N ssh2`, then nothing or `: EXTRA`
fn peer_and_extra(rest: &[u8]) -> Option<(Peer<'_>, u16, Option<&[u8]>)> {
    let (host, rest) = first_word(rest);
    let (number, rest) = first_word(rest.strip_prefix(b"port ")?);
    let extra = match rest.strip_prefix(b"ssh2").or_else(|| rest.strip_prefix(b"ssh1"))? {
        b"" => None,
        rest => Some(rest.strip_prefix(b": ")?),
    };
    Some((Peer::read(host)?, port(number)?, extra))
}

/// `U from A[ port N]` at the right end.
fn older_end(text: &[u8]) -> Option<(&[u8], Peer<'_>, Option<u16>)> {
    if let Some((user, host, port)) = at_end(text, false) {
        return Some((user, host, Some(port)));
    }
    let (left, host) = last_word(trim(text));
    let user = left.strip_suffix(b" from").or_else(|| (left == b"from").then_some(&b""[..]))?;
    Some((user, Peer::read(host)?, None))
}

fn with_peer<'a>(mut record: Raw<'a>, user: &'a [u8], peer: Peer<'a>, port: Option<u16>) -> Raw<'a> {
    record.user = Some(clip(user, MAX_NAME));
    record.port = port;
    peer.into_record(&mut record);
    record
}

/// `U from A[ port N]`
fn invalid(rest: &[u8]) -> Option<Raw<'_>> {
    let (user, host, port) = older_end(rest)?;
    let mut record = Raw::new(Service::Sshd, What::InvalidUser);
    record.known_user = Some(false);
    Some(with_peer(record, user, host, port))
}

/// `[invalid user ]U from A port N ssh2`
fn attempts_exceeded(rest: &[u8]) -> Option<Raw<'_>> {
    let (valid, rest) = validity(rest);
    let (user, host, port) = at_end(rest, true)?;
    let mut record = Raw::new(Service::Sshd, What::TooManyFailures);
    (record.known_user, record.preauth) = (Some(valid), true);
    Some(with_peer(record, user, host, Some(port)))
}

/// `closed by ID`, `reset by ID`, `from A port N[ on ...]`, `from ID timed out`
fn connection(rest: &[u8]) -> Option<Raw<'_>> {
    if let Some(id) = rest.strip_prefix(b"closed by ").or_else(|| rest.strip_prefix(b"reset by ")) {
        return ended(id);
    }
    let rest = rest.strip_prefix(b"from ")?;
    if let Some(id) = rest.strip_suffix(b" timed out") {
        return ended(id);
    }
    let (host, after) = first_word(rest);
    // `Connection from A: refusing non-sftp session` and others are of no interest.
    let host = Peer::read(host)?;
    let mut record = Raw::new(Service::Sshd, What::Connected);
    record.port = after.strip_prefix(b"port ").and_then(|rest| port(first_word(rest).0));
    host.into_record(&mut record);
    record.preauth = true;
    Some(record)
}

/// `[invalid user U |authenticating user U |user U ]A[ port N]` at the right end (packet.c, sshpkt_fmt_connection_id).
fn ended(id: &[u8]) -> Option<Raw<'_>> {
    let mut record = Raw::new(Service::Sshd, What::Disconnected);
    let (left, last) = last_word(id);
    let (left, host) = match last_word(left) {
        (left, b"port") => {
            record.port = port(last);
            last_word(left)
        }
        _ => (left, last),
    };
    Peer::read(host)?.into_record(&mut record);
    for (prefix, valid, preauth) in
        [(&b"invalid user"[..], Some(false), true), (b"authenticating user", Some(true), true), (b"user", Some(true), false)]
    {
        if let Some(user) = left.strip_prefix(prefix) {
            record.user = Some(clip(user.strip_prefix(b" ").unwrap_or(user), MAX_NAME));
            (record.known_user, record.preauth) = (valid, preauth);
            break;
        }
    }
    Some(record)
}

/// `Disconnected from ID`, `Disconnecting[ ID]: WHY`, `Did not receive identification string from A`
fn disconnect(message: &[u8]) -> Option<Raw<'_>> {
    if let Some(id) = message.strip_prefix(b"Disconnected from ") {
        return ended(id);
    }
    let Some(rest) = message.strip_prefix(b"Disconnecting") else { return probe::read(message) };
    let (id, why) = match rest.strip_prefix(b": ") {
        Some(why) => (None, why),
        None => disconnecting(rest.strip_prefix(b" ")?)?,
    };
    let what = if why.starts_with(b"Too many authentication failures") {
        What::TooManyFailures
    } else if why.starts_with(b"Change of username or service not allowed") {
        // Another name in the middle of a login: no client of a person does that.
        What::LoginFailed
    } else {
        What::Disconnected
    };
    let mut record = match id {
        Some(id) => ended(id)?,
        None => Raw::new(Service::Sshd, what),
    };
    (record.what, record.detail, record.preauth) = (what, Some(clip(why, MAX_DETAIL)), true);
    Some(record)
}

/// `ID: WHY`, where ID ends in `A port N`. A name on the left and a name within the reason can both hold such an end: then there is no ID.
fn disconnecting(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (mut found, mut several) = (None, false);
    for at in memchr::memmem::find_iter(rest, b": ") {
        let (id, why) = (rest.get(..at)?, rest.get(at + 2..)?);
        let (left, number) = last_word(id);
        let (left, word) = last_word(left);
        if word == b"port" && port(number).is_some() && address(last_word(left).1).is_some() {
            several = found.is_some();
            found = Some((id, why));
        }
        if several {
            break;
        }
    }
    found.map(|(id, why)| ((!several).then_some(id), why))
}

/// `A port N:CODE: WORDS`, `A: CODE: WORDS`; the words are the client's.
fn received_disconnect(rest: &[u8]) -> Option<Raw<'_>> {
    let (host, after) = first_word(rest);
    let mut record = Raw::new(Service::Sshd, What::Disconnected);
    Peer::read(host.strip_suffix(b":").unwrap_or(host))?.into_record(&mut record);
    let words = match after.strip_prefix(b"port ") {
        Some(after) => {
            let (number, words) = cut_at(after, b':')?;
            record.port = port(number);
            words
        }
        None => after,
    };
    let (_code, words) = cut_at(words, b':')?;
    let words = trim(words);
    // Java's JSch says this when it has run out of secrets.
    if words.ends_with(b"Auth fail") {
        record.what = What::GaveUp;
    }
    // It follows `Disconnected from` or `Connection closed by` of the same connection, which ends it.
    record.detail = Some(clip(words, MAX_DETAIL));
    Some(record)
}

/// `ROOT LOGIN REFUSED FROM A[ port N]`
fn root_refused(message: &[u8]) -> Option<Raw<'_>> {
    let (host, after) = first_word(message.strip_prefix(b"ROOT LOGIN REFUSED FROM ")?);
    let record = Raw::new(Service::Sshd, What::NotAllowed);
    Some(with_peer(record, b"root", Peer::read(host)?, after.strip_prefix(b"port ").and_then(port)))
}

/// `User U[ from A] not allowed because WHY`; the account exists, so its name holds no such words.
fn not_allowed(message: &[u8]) -> Option<Raw<'_>> {
    let (who, why) = cut_once(message.strip_prefix(b"User ")?, b" not allowed because ")?;
    let mut record = Raw::new(Service::Sshd, What::NotAllowed);
    (record.known_user, record.detail) = (Some(true), Some(clip(why, MAX_DETAIL)));
    Some(match cut_last(who, b" from ") {
        Some((user, host)) => with_peer(record, user, Peer::read(host)?, None),
        None => {
            record.user = Some(clip(who, MAX_NAME));
            record
        }
    })
}

/// `WHAT for [illegal user ]U from A[ via B]` (auth-pam.c, sshpam_query; `via` is Apple's).
fn pam_error(rest: &[u8]) -> Option<Raw<'_>> {
    let (_why, rest) = cut_once(rest, b" for ")?;
    let (valid, rest) = validity(rest);
    let mut record = Raw::new(Service::Sshd, What::LoginFailed);
    (record.method, record.known_user, record.preauth) = (Method::Pam, Some(valid), true);
    let (user, host, port) = older_end(rest).or_else(|| {
        let (left, _own) = last_word(trim(rest));
        older_end(left.strip_suffix(b" via")?)
    })?;
    Some(with_peer(record, user, host, port))
}

/// `NAME@HOST (A)`, of libwrap.
fn tcp_wrappers(rest: &[u8]) -> Option<Raw<'_>> {
    let (_, host) = last_word(rest);
    let host = host.strip_prefix(b"(").and_then(|host| host.strip_suffix(b")")).unwrap_or(host);
    let mut record = Raw::new(Service::Sshd, What::NotAllowed);
    Peer::read(host)?.into_record(&mut record);
    Some(record)
}

/// `TYPE FINGERPRINT revoked by file F` (auth.c, auth_key_is_revoked); the connection's address is known from its other lines.
fn revoked(rest: &[u8]) -> Option<Raw<'_>> {
    let (key, _) = cut_once(rest, b" revoked by file ")?;
    let mut record = Raw::new(Service::Sshd, What::KeyRevoked);
    (record.method, record.fingerprint, record.preauth) = (Method::PublicKey, Some(clip(key, MAX_NAME)), true);
    Some(record)
}

fn sshd_pam(message: &[u8]) -> Option<Raw<'_>> {
    let (name, said) = match message.strip_prefix(b"(") {
        Some(old) => cut_once(old, b") ")?,
        None => cut_once(message, b": ")?,
    };
    name.starts_with(b"pam_").then(|| pam::of_module(name, said))?
}

/// The pid that a message of the listening sshd names for its child.
fn child_pid(message: &[u8]) -> Option<u32> {
    let (_, pid) = cut_last(message, b"pid = ")?;
    u32::try_from(number(first_word(pid).0)?).ok()
}
