//! vsftpd, in its own log (`[pid 7] [U] FAIL LOGIN: Client "A"`) and through syslog. A client's name stands left of the address: the last one
//! counts. Behind an anonymous login, whatever name the configuration gives it, stands what the client gave as a password: with two addresses
//! there, none is taken.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::Peer;
use crate::record::{MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_last, cut_once};

pub(super) const PARSER: Parser =
    Parser { name: "vsftpd", service: Service::Vsftpd, tags: &["vsftpd"], writer: Writer::System(&["vsftpd"]), read };

/// Stands behind the address of an anonymous login, and of no other.
const ANONYMOUS: &[u8] = b", anon password \"";

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    // As it is without the name of the module, which some set-ups cut off.
    if frame.message.starts_with(b"authentication failure; ") {
        return super::pam::of_module(b"pam_unix", frame.message);
    }
    let (what, words) = match cut_once(frame.message, b"] FAIL LOGIN: Client \"") {
        Some(_) => (What::LoginFailed, &b"] FAIL LOGIN: Client \""[..]),
        None => (What::LoginAccepted, &b"] OK LOGIN: Client \""[..]),
    };
    let (user, rest) = cut_last(frame.message, words)?;
    let user = user.strip_prefix(b"[")?;
    let mut record = Raw::new(Service::Vsftpd, what);
    (record.user, record.method) = (Some(clip(user, MAX_NAME)), Method::Password);
    record.attempts = u32::from(what == What::LoginFailed);
    if cut_once(user, ANONYMOUS).is_some() {
        record.attempts = 0;
        return Some(record);
    }
    let (host, after) = cut_at(rest, b'"')?;
    Peer::read(host)?.into_record(&mut record);
    // Anybody gets in so; nobody was.
    if what == What::LoginAccepted && after.starts_with(ANONYMOUS) {
        record.what = What::Connected;
    }
    Some(record)
}
