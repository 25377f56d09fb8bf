//! vsftpd, in its own log (`[pid 7] [U] FAIL LOGIN: Client "A"`) and through syslog. A client's name stands left of the address: the last one
//! counts. Behind an anonymous login stands what the client gave as a password: with two addresses there, none is taken.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::Peer;
use crate::record::{MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_last, cut_once};

pub(super) const PARSER: Parser =
    Parser { name: "vsftpd", service: Service::Vsftpd, tags: &["vsftpd"], writer: Writer::System(&["vsftpd"]), read };

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
    let anonymous = user.starts_with(b"anonymous] ") || user.starts_with(b"ftp] ");
    if anonymous && cut_once(user, b"\", anon password \"").is_some() {
        record.attempts = 0;
        return Some(record);
    }
    Peer::read(cut_at(rest, b'"')?.0)?.into_record(&mut record);
    Some(record)
}
