//! Pure-FTPd: `(?@A) [WARNING] Authentication failed for user [U]`. The client stands first; before a login its name there is `?`.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::Peer;
use crate::record::{MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_last, cut_once};

pub(super) const PARSER: Parser = Parser {
    name: "pure-ftpd",
    service: Service::PureFtpd,
    tags: &["pure-ftpd"],
    // Debian builds one for each place where accounts may lie.
    writer: Writer::System(&["pure-ftpd", "pure-ftpd-mysql", "pure-ftpd-ldap", "pure-ftpd-postgresql"]),
    read,
};

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (client, said) = cut_once(frame.message.strip_prefix(b"(")?, b") [")?;
    let (_, host) = cut_last(client, b"@")?;
    let mut record = Raw::new(Service::PureFtpd, What::LoginFailed);
    Peer::read(host)?.into_record(&mut record);
    record.method = Method::Password;
    if let Some(user) = said.strip_prefix(b"WARNING] Authentication failed for user [") {
        (record.user, record.attempts) = (Some(clip(user.strip_suffix(b"]").unwrap_or(user), MAX_NAME)), 1);
    } else {
        let user = said.strip_prefix(b"INFO] ")?.strip_suffix(b" is now logged in")?;
        (record.user, record.what) = (Some(clip(user, MAX_NAME)), What::LoginAccepted);
    }
    Some(record)
}
