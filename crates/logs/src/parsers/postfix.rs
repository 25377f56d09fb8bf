//! Postfix (smtpd, postscreen): failed SASL logins, and clients that it turned away. `NAME[A]` stands left of what a client wrote, and a name
//! of the DNS holds no bracket.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::address;
use crate::record::{MAX_DETAIL, MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once, first_word, port};

/// Programs of Postfix that log what clients did (postfix master(5)).
const PROGRAMS: &[&str] = &["smtpd", "postscreen", "postlogd", "master", "cleanup", "tlsproxy", "dnsblog", "anvil", "qmgr"];

pub(super) const PARSER: Parser =
    Parser { name: "postfix", service: Service::Postfix, tags: &["postfix"], writer: Writer::System(PROGRAMS), read };

/// What our server says when it could not ask: no client's fault.
const OUR_FAULT: &[u8] = b"Connection lost to authentication server";

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let message = frame.message;
    if let Some(rest) = message.strip_prefix(b"warning: ") {
        return warning(rest);
    }
    for start in [
        &b"disconnect from "[..],
        b"lost connection after ",
        b"NOQUEUE: lost connection after ",
        b"PREGREET ",
        b"HANGUP after ",
        b"COMMAND ",
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            let rest = if start.ends_with(b"from ") { rest } else { cut_once(rest, b" from ").or_else(|| cut_once(rest, b"from "))?.1 };
            let mut record = client(What::Probe, rest)?.0;
            record.preauth = true;
            // A connection that broke while a mail came in is a network's fault; after AUTH, `disconnect from` tells the same. A client that
            // came, failed at nothing and went is no probe.
            let elsewhere = message.starts_with(b"lost connection after DATA") || message.starts_with(b"lost connection after AUTH");
            let harmless = start == b"disconnect from " && cut_once(rest, b" auth=0/").is_none();
            return (!elsewhere && !harmless).then_some(record);
        }
    }
    for start in [&b"too many errors after "[..], b"improper command pipelining after "] {
        if let Some(rest) = message.strip_prefix(start) {
            return Some(client(What::Rejected, cut_once(rest, b" from ")?.1)?.0);
        }
    }
    let (queue, rest) = cut_once(message, b": ")?;
    if queue.contains(&b' ') {
        return None;
    }
    if let Some(rest) = rest.strip_prefix(b"client=") {
        let (mut record, rest) = client(What::LoginAccepted, rest)?;
        record.user = Some(clip(cut_once(rest, b", sasl_username=")?.1, MAX_NAME));
        return Some(record);
    }
    let rest = rest.strip_prefix(b"milter-").unwrap_or(rest).strip_prefix(b"reject: ")?;
    let (mut record, why) = client(What::Rejected, first_word(rest).1.strip_prefix(b"from ")?)?;
    record.detail = Some(clip(why, MAX_DETAIL));
    Some(record)
}

/// `NAME[A]: SASL LOGIN authentication failed: WHY, sasl_username=U`, `... limit exceeded: 31 from NAME[A]`
fn warning(rest: &[u8]) -> Option<Raw<'_>> {
    if let Some((_, from)) = cut_once(rest, b" limit exceeded: ").and_then(|(_, rest)| cut_once(rest, b" from ")) {
        let mut record = client(What::Probe, from)?.0;
        record.preauth = true;
        return Some(record);
    }
    let (mut record, said) = client(What::LoginFailed, rest)?;
    let (_method, why) = cut_once(said.strip_prefix(b": SASL ")?, b" authentication failed:")?;
    let (why, user) = cut_once(why, b", sasl_username=").map_or((why, None), |(why, user)| (why, Some(user)));
    if cut_once(why, OUR_FAULT).is_some() {
        return None;
    }
    if cut_once(why, b"Invalid authentication mechanism").is_some() {
        record.what = What::Probe;
    }
    record.attempts = u32::from(record.what == What::LoginFailed);
    (record.method, record.user) = (Method::Password, user.map(|user| clip(user, MAX_NAME)));
    (record.detail, record.preauth) = (Some(clip(why, MAX_DETAIL)), true);
    Some(record)
}

/// `NAME[A][:PORT]` and what follows it.
fn client(what: What, rest: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let (_name, rest) = cut_at(rest, b'[')?;
    let (found, after) = cut_at(rest, b']')?;
    let mut record = Raw::new(Service::Postfix, what);
    record.address = Some(address(found)?);
    let digits = after.strip_prefix(b":").map_or(0, |rest| rest.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count());
    let (number, after) = if digits > 0 { after.split_at_checked(digits + 1)? } else { (&b""[..], after) };
    record.port = number.get(1..).and_then(port);
    Some((record, after))
}
