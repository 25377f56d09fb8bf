//! What sshd says of clients that did not get as far as a login: scanners, nonsense, silence, and those that it turned away.

use super::{child_pid, ended};
use crate::peer::{Peer, address};
use crate::record::{MAX_DETAIL, MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once, first_word, last_word, port, trim};

/// Messages without an address: the connection's other lines name it.
const WITHOUT_ADDRESS: [&[u8]; 8] = [
    b"kex_exchange_identification: client sent invalid protocol identifier",
    b"kex_exchange_identification: Connection closed by remote host",
    b"kex_exchange_identification: read: ",
    b"kex_exchange_identification: banner line",
    b"Read from socket failed: ",
    b"Unable to negotiate a key exchange method",
    b"no matching ",
    b"Bad packet length",
];

pub(super) fn read(message: &[u8]) -> Option<Raw<'_>> {
    let mut record = match message.first()? {
        b'D' => closing_host(message.strip_prefix(b"Did not receive identification string from ")?, true)?,
        b'B' => bad_banner(message)?,
        b'P' => versions_differ(message.strip_prefix(b"Protocol major versions differ for ")?)?,
        b'U' if message.starts_with(b"Unable to negotiate with ") => negotiation(message.get(25..)?)?,
        b'T' => timeout(message.strip_prefix(b"Timeout before authentication for ")?)?,
        b'd' => dropped(message.strip_prefix(b"drop connection #")?)?,
        b'S' => return high_performance(message.strip_prefix(b"SSH: Server;")?),
        _ => return middle(message).or_else(|| nameless(message)),
    };
    record.preauth = true;
    Some(record)
}

/// `A[ port N]`, which is all that is left.
fn closing_host(rest: &[u8], whole: bool) -> Option<Raw<'_>> {
    let (host, after) = first_word(rest);
    let mut record = Raw::new(Service::Sshd, What::Probe);
    Peer::read(host)?.into_record(&mut record);
    record.port = after.strip_prefix(b"port ").and_then(|rest| port(if whole { rest } else { first_word(rest).0 }));
    Some(record)
}

/// `Bad protocol version identification 'WORDS' from A port N`, read from the right: the words are the client's.
fn bad_banner(message: &[u8]) -> Option<Raw<'_>> {
    let Some(rest) = message.strip_prefix(b"Bad protocol version identification ") else { return nameless(message) };
    let (_, host, port) = super::older_end(rest)?;
    let mut record = Raw::new(Service::Sshd, What::Probe);
    host.into_record(&mut record);
    record.port = port;
    Some(record)
}

/// `A port N: OURS vs. THEIRS`, `A: OURS vs. THEIRS` of older ones; the last words are the client's, so it is read from the left.
fn versions_differ(rest: &[u8]) -> Option<Raw<'_>> {
    let (host, after) = first_word(rest);
    let mut record = Raw::new(Service::Sshd, What::Probe);
    Peer::read(host.strip_suffix(b":").unwrap_or(host))?.into_record(&mut record);
    record.port = after.strip_prefix(b"port ").and_then(|rest| port(cut_at(rest, b':')?.0));
    Some(record)
}

/// `A port N: no matching ... found. Their offer: WORDS`; the words are the client's, so it is read from the left.
fn negotiation(rest: &[u8]) -> Option<Raw<'_>> {
    let (host, after) = first_word(rest);
    address(host)?;
    let (number, _) = cut_at(after.strip_prefix(b"port ")?, b':')?;
    let mut record = Raw::new(Service::Sshd, What::Probe);
    Peer::read(host)?.into_record(&mut record);
    record.port = port(number);
    Some(record)
}

/// `A port N[, pid = P]`, `connection from A to B, pid = P`
fn timeout(rest: &[u8]) -> Option<Raw<'_>> {
    let child = child_pid(rest);
    let rest = rest.strip_prefix(b"connection from ").unwrap_or(rest);
    let rest = cut_at(rest, b',').map_or(rest, |(before, _)| before);
    let mut record = closing_host(rest, false)?;
    record.pid = child;
    Some(record)
}

/// `#N from [A]:P on [B]:Q past MaxStartups`, `... penalty: failed authentication` (sshd.c, should_drop_connection).
fn dropped(rest: &[u8]) -> Option<Raw<'_>> {
    let (_, rest) = cut_once(rest, b" from [")?;
    let (host, rest) = cut_at(rest, b']')?;
    let mut record = Raw::new(Service::Sshd, What::Probe);
    record.address = Some(address(host)?);
    record.port = rest.strip_prefix(b":").and_then(|rest| port(first_word(rest).0));
    record.detail = Some(clip(rest, MAX_DETAIL));
    // The listening process says this; it is no connection of its own.
    record.pid = Some(0);
    Some(record)
}

/// `Ltype: Version;Remote: A-N;...` of the patches for high performance: names the connection, no more.
fn high_performance(rest: &[u8]) -> Option<Raw<'_>> {
    let (_, rest) = cut_once(rest, b"Remote: ")?;
    let (peer, rest) = cut_at(rest, b';')?;
    let (host, number) = memchr::memrchr(b'-', peer).and_then(|at| Some((peer.get(..at)?, peer.get(at + 1..)?)))?;
    let mut record = Raw::new(Service::Sshd, What::Connected);
    record.address = Some(address(host)?);
    (record.port, record.preauth) = (port(number), true);
    record.user = rest.strip_prefix(b"Name: ").map(|name| clip(trim(name), MAX_NAME));
    Some(record)
}

/// `banner exchange: Connection from A port N: WHY`, `ssh_dispatch_run_fatal: Connection from ID: WHY`: the reason is sshd's own
/// (ssherr.c), the ID may hold a client's name, so the last `A port N: ` counts.
fn middle(message: &[u8]) -> Option<Raw<'_>> {
    let (tag, rest) = cut_once(message, b": Connection from ")?;
    if tag != b"banner exchange" && tag != b"ssh_dispatch_run_fatal" && tag != b"ssh_packet_write_poll" {
        return None;
    }
    let id = memchr::memmem::rfind_iter(rest, b": ").find_map(|at| {
        let id = rest.get(..at)?;
        let (left, number) = last_word(id);
        let (left, word) = last_word(left);
        (word == b"port" && port(number).is_some() && address(last_word(left).1).is_some()).then_some(id)
    })?;
    let mut record = ended(id)?;
    (record.what, record.preauth) = (What::Probe, true);
    Some(record)
}

fn nameless(message: &[u8]) -> Option<Raw<'_>> {
    WITHOUT_ADDRESS.iter().any(|start| message.starts_with(start)).then(|| {
        let mut record = Raw::new(Service::Sshd, What::Probe);
        record.preauth = true;
        record
    })
}
