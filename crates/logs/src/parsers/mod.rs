//! Parsers: one service a file. A message in, a record out; each matches from the right where a client controls the left.

mod accounts;
pub(crate) mod audit;
mod cron;
mod dovecot;
mod firewall;
mod login;
mod logind;
mod origin;
mod pam;
mod postfix;
mod proftpd;
mod pure_ftpd;
mod sshd;
mod su;
mod sudo;
mod vsftpd;

use crate::frame::Frame;
use crate::record::{Method, Raw, Service, What};
use crate::scan::cut_at;
use origin::Writer;

/// Reads the messages of one service.
pub(crate) struct Parser {
    /// Its name on the command line and in health views.
    pub(crate) name: &'static str,
    /// The service.
    pub(crate) service: Service,
    /// The names by which the service's programs call themselves in a log.
    pub(crate) tags: &'static [&'static str],
    /// Who may write such lines, where the transport shows it.
    writer: Writer,
    /// Reads a message; `None`: it says nothing that matters here.
    pub(crate) read: for<'a> fn(&Frame<'a>) -> Option<Raw<'a>>,
}

/// The registry: one line a parser. The first whose tag fits reads.
const PARSERS: &[Parser] = &[
    sshd::PARSER,
    sudo::PARSER,
    cron::PARSER,
    firewall::PARSER,
    logind::PARSER,
    postfix::PARSER,
    dovecot::PARSER,
    su::PARSER,
    login::PARSER,
    accounts::PARSER,
    vsftpd::PARSER,
    proftpd::PARSER,
    pure_ftpd::PARSER,
    pam::PARSER,
];

/// The names of all parsers.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|parser| parser.name)
}

/// Lets the parser of the service read the message, and says how far the sender can be believed.
pub(crate) fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let tag = program(frame.tag);
    let parser = PARSERS.iter().find(|parser| parser.tags.iter().any(|own| own.as_bytes() == tag));
    // A PAM module speaks under the name of the program that called it.
    let mut record = match parser.and_then(|parser| (parser.read)(frame)) {
        Some(record) => record,
        None => pam::read(frame)?,
    };
    let parser = parser.unwrap_or(&pam::PARSER);
    record.service = parser.service;
    // Anybody gets in so; nobody was.
    let is_ftp = matches!(parser.service, Service::Vsftpd | Service::Proftpd | Service::PureFtpd);
    if is_ftp && record.what == What::LoginAccepted && matches!(record.user, Some(b"anonymous" | b"ftp")) {
        record.what = What::Connected;
    }
    record.at = frame.at;
    record.pid = record.pid.or(frame.pid);
    record.repeated = frame.repeated;
    if record.method == Method::Pam && logs_refusals(parser.service) {
        record.attempts = 0;
    }
    // What sshd says is joined over the lines of a connection, which counts.
    if parser.service != Service::Sshd {
        record.attempts = record.attempts.saturating_mul(frame.repeated);
    }
    origin::mark(&mut record, frame.sender, parser.writer).then_some(record)
}

/// Whether the service logs a refused secret itself, beside the module of PAM. vsftpd does so in a file of its own, if at all.
fn logs_refusals(service: Service) -> bool {
    matches!(service, Service::Sudo | Service::Su | Service::Login | Service::Dovecot | Service::Proftpd | Service::PureFtpd)
}

/// `/usr/sbin/cron` is cron, `postfix-in/smtpd` is postfix, `vsftpd(pam_unix)` is vsftpd.
fn program(tag: &[u8]) -> &[u8] {
    if tag.starts_with(b"postfix") {
        return b"postfix";
    }
    let tag = cut_at(tag, b'(').map_or(tag, |(name, _)| name);
    match tag.iter().rposition(|byte| *byte == b'/') {
        Some(at) => tag.get(at + 1..).unwrap_or_default(),
        None => tag,
    }
}
