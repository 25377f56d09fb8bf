//! PAM modules: pam_unix, pam_faillock, pam_tally2 and whoever writes `authentication failure; ... rhost=` as they do.
//!
//! `ruser=` and `user=` may hold anything: pam_sss and pam_unix with `audit` write a name that no account has. The module's own order is
//! `logname= uid= euid= tty= ruser= rhost=  user=` (Linux-PAM modules/pam_unix/support.c), so where two different hosts could be its
//! own, one of them stands in a name, and none is taken. What the connection itself named (sshd) stands.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::Peer;
use crate::record::{AccountChange, MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_last, cut_once, first_word, leading_number, trim};

pub(super) const PARSER: Parser = Parser { name: "pam", service: Service::Pam, tags: &["PAM", "pam"], writer: Writer::Caller, read };

/// Reads what a module says: `pam_unix(sshd:auth): ...`, `(pam_unix) ...`, `pam_unix: ...`.
pub(super) fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let message = frame.message;
    let rest = message.strip_prefix(b"(").unwrap_or(message);
    if !rest.starts_with(b"pam_") {
        return None;
    }
    let (name, said) = match message.strip_prefix(b"(") {
        Some(old) => cut_once(old, b") ")?,
        None => cut_once(message, b": ")?,
    };
    of_module(name, said)
}

/// What the module of this name said, for example `pam_unix(sshd:auth)`.
pub(super) fn of_module<'a>(name: &'a [u8], said: &'a [u8]) -> Option<Raw<'a>> {
    let mut record = match said.first()? {
        b'a' if said.starts_with(b"authentication failure; ") => failure(said.get(24..)?)?,
        b's' if said.starts_with(b"session opened for user ") => {
            let mut record = Raw::new(Service::Pam, What::SessionOpened);
            let (user, by) = cut_last(said.get(24..)?, b" by ")?;
            // `user alice(uid=1000) by bob(uid=0)`; `by (uid=0)` when nobody is logged in.
            record.user = Some(clip(without_uid(user), MAX_NAME));
            record.target = Some(without_uid(by)).filter(|by| !by.is_empty()).map(|by| clip(by, MAX_NAME));
            record
        }
        b's' if said.starts_with(b"session closed for user ") => {
            let mut record = Raw::new(Service::Pam, What::SessionClosed);
            record.user = Some(clip(trim(said.get(24..)?), MAX_NAME));
            record
        }
        b'C' if said.starts_with(b"Consecutive login failures for user ") => locked(said.get(36..)?, b" account temporarily locked")?,
        b'p' if said.starts_with(b"password changed for ") => {
            let mut record = Raw::new(Service::Pam, What::Account(AccountChange::PasswordChanged));
            record.user = Some(clip(said.get(21..)?, MAX_NAME));
            record
        }
        b'u' if said.starts_with(b"user ") => locked(said.get(5..)?, b" tally ").or_else(|| locked(said.get(5..)?, b" has been locked"))?,
        _ => return None,
    };
    if record.what == What::LoginFailed {
        record.attempts = 1;
        record.detail = Some(name);
    }
    Some(record)
}

/// `logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`
fn failure(said: &[u8]) -> Option<Raw<'_>> {
    let mut record = Raw::new(Service::Pam, What::LoginFailed);
    record.method = Method::Pam;
    let (before, after) = cut_last(said, b" rhost=")?;
    let (host, rest) = first_word(after);
    let user = trim(rest).strip_prefix(b"user=");
    // Behind the module's own host stands `user=` or nothing.
    let mut hosts = memchr::memmem::find_iter(said, b" rhost=").map(|at| first_word(said.get(at + 7..).unwrap_or_default()));
    let is_the_only = hosts.all(|(other, rest)| other == host || !(rest.is_empty() || trim(rest).starts_with(b"user=")));
    if let Some(peer) = Peer::read(host).filter(|_| is_the_only) {
        peer.into_record(&mut record);
    }
    let remote = cut_once(before, b" ruser=").map(|(_, remote)| remote).filter(|remote| !remote.is_empty());
    record.user = user.or(remote).map(|user| clip(user, MAX_NAME));
    record.target = remote.map(|remote| clip(remote, MAX_NAME)).filter(|_| user.is_some());
    Some(record)
}

/// `alice account temporarily locked`, `alice (1000) tally 6, deny 5`, `alice has been locked due to 3 failed logins`
fn locked<'a>(said: &'a [u8], after: &[u8]) -> Option<Raw<'a>> {
    let (user, _) = cut_last(said, after)?;
    let mut record = Raw::new(Service::Pam, What::LockedOut);
    record.user = Some(clip(trim(without_uid(user)), MAX_NAME));
    Some(record)
}

/// `alice(uid=1000)` and `alice (1000)` are alice.
fn without_uid(user: &[u8]) -> &[u8] {
    let numbered = |inside: &[u8]| {
        let number = inside.strip_prefix(b"uid=").unwrap_or(inside);
        leading_number(number).is_some_and(|(_, rest)| rest == b")")
    };
    match cut_last(user, b"(") {
        Some((name, inside)) if numbered(inside) => trim(name),
        _ => user,
    }
}
