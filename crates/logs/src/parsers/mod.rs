//! Parsers: one service a file. A message in, a record out; each matches from the right where a client controls the left.

mod accounts;
mod cron;
mod dovecot;
mod firewall;
mod login;
mod logind;
mod pam;
mod postfix;
mod proftpd;
mod pure_ftpd;
mod sshd;
mod su;
mod sudo;
mod vsftpd;

use crate::frame::{Frame, Sender};
use crate::record::{Method, Origin, Raw, Service};
use crate::scan::cut_at;

/// Reads the messages of one service.
pub(crate) struct Parser {
    /// Its name on the command line and in health views.
    pub(crate) name: &'static str,
    /// The service.
    pub(crate) service: Service,
    /// The names by which the service's programs call themselves in a log.
    pub(crate) tags: &'static [&'static str],
    /// Who may write such lines, where the transport shows it.
    pub(crate) writer: Writer,
    /// Reads a message; `None`: it says nothing that matters here.
    pub(crate) read: for<'a> fn(&Frame<'a>) -> Option<Raw<'a>>,
}

/// Who may write the lines of a service, as the journal sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Writer {
    /// A process of root; its program has one of these names.
    Root(&'static [&'static str]),
    /// A process of root or a system account; its program has one of these names.
    System(&'static [&'static str]),
    /// One of these programs from a system directory, whoever runs it (set-user-ID programs keep the real user id of their caller).
    Program(&'static [&'static str]),
    /// The kernel.
    Kernel,
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

/// User ids below this belong to the system (login.defs(5), `UID_MIN`); 65534 is nobody.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65534;
/// Where programs lie that only root writes.
const SYSTEM_DIRS: [&str; 6] = ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/nix/store/"];

/// The names of all parsers.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|parser| parser.name)
}

/// Lets the parser of the service read the message, and says how far the sender can be believed.
pub(crate) fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let tag = program(frame.tag);
    let parser = PARSERS.iter().find(|parser| parser.tags.iter().any(|own| own.as_bytes() == tag));
    // A PAM module speaks under the name of the program that called it.
    let (parser, mut record) = match parser.and_then(|parser| Some((parser, (parser.read)(frame)?))) {
        Some(found) => found,
        None => (parser.unwrap_or(&pam::PARSER), pam::read(frame)?),
    };
    record.service = parser.service;
    // These log a refused secret themselves, beside the module.
    if matches!(parser.service, Service::Sudo | Service::Su | Service::Login) && record.method == Method::Pam {
        record.attempts = 0;
    }
    record.at = frame.at;
    record.pid = record.pid.or(frame.pid);
    record.repeated = frame.repeated;
    record.origin = origin(frame.sender, parser);
    Some(record)
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

fn origin(sender: Sender<'_>, parser: &Parser) -> Origin {
    let (uid, exe) = match sender {
        Sender::Unknown => return Origin::Unproven,
        Sender::Kernel if matches!(parser.writer, Writer::Kernel) => return Origin::Proven,
        Sender::Kernel => return Origin::Forged,
        Sender::Process { uid, exe } => (uid, exe.map(str::from_utf8).and_then(Result::ok)),
    };
    let is_one_of = |names: &[&str], exe: &str| {
        let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
        exe.rsplit('/').next().is_some_and(|name| names.contains(&name))
    };
    let proven = match parser.writer {
        // Root can write any line in any case, and its program may be gone before the journal looks.
        Writer::Root(names) => uid == Some(0) && exe.is_none_or(|exe| is_one_of(names, exe)),
        Writer::System(names) => uid.is_some_and(|uid| uid < FIRST_PERSON || uid == NOBODY) && exe.is_some_and(|exe| is_one_of(names, exe)),
        Writer::Program(names) => {
            exe.is_some_and(|exe| SYSTEM_DIRS.iter().any(|dir| exe.starts_with(dir)) && (names.is_empty() || is_one_of(names, exe)))
        }
        Writer::Kernel => false,
    };
    if proven { Origin::Proven } else { Origin::Forged }
}
