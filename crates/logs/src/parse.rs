//! From a line to a record: frame off, parser of the service, how far the sender can be believed, and the lines of one connection joined.

use bartizan_model::Timestamp;

use super::frame::stamp::Clock;
use super::frame::{Frame, Sender, docker, journal, repeated, syslog};
use super::parsers;
use super::record::{Origin, Raw, Service};
use super::sessions::Sessions;

/// The longest line that is read, in bytes. A longer one is refused whole: where its end was cut off, what a client wrote could stand
/// where the daemon's own words are looked for.
pub const MAX_LINE: usize = 64 * 1024;

/// How a source writes its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lines of a file that a syslog daemon writes (`/var/log/auth.log`, `secure`, `mail.log`, `kern.log`), or of `vsftpd.log`,
    /// `proftpd.log`: RFC 3164, RFC 5424, ISO stamps, each recognised by itself.
    Auth,
    /// Entries of `journalctl --output=json`.
    Journal,
    /// Docker's `json-file`; what the container wrote is read as [`Format::Auth`].
    Docker,
    /// Lines that auditd writes (`/var/log/audit/audit.log`): logins, sessions and accounts.
    Audit,
}

impl Format {
    /// The names that configuration and command line use.
    pub const NAMES: [(&'static str, Self); 4] =
        [("auth", Self::Auth), ("journal", Self::Journal), ("docker", Self::Docker), ("auditd", Self::Audit)];
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parsed<'a> {
    /// A parser read it.
    Record(Raw<'a>),
    /// The frame was understood, and no parser has anything to say about the message.
    Other,
    /// No frame of this format.
    Unparsed,
    /// Longer than [`MAX_LINE`].
    TooLong,
}

/// What the lines of one source have in common, and what of earlier ones is remembered: bounded, about 400 KiB.
#[derive(Debug)]
pub struct Context {
    clock: Clock,
    sessions: Sessions,
    scratch: Vec<u8>,
    broken: docker::Broken,
}

impl Context {
    /// For a source whose local time is `offset` seconds ahead of UTC; it is `now`.
    pub fn new(now: Timestamp, offset: i32) -> Self {
        Self { clock: Clock::new(now, offset), sessions: Sessions::default(), scratch: Vec::new(), broken: docker::Broken::default() }
    }

    /// It is `now`: stamps without a year or zone are completed from this. To be told at least once a day, and when the zone changes.
    pub fn set_time(&mut self, now: Timestamp, offset: i32) {
        self.clock = Clock::new(now, offset);
    }
}

/// Reads one line, without its line end. What is returned borrows from the line and the context.
pub fn parse<'a>(format: Format, line: &'a [u8], context: &'a mut Context) -> Parsed<'a> {
    if line.len() > MAX_LINE {
        return Parsed::TooLong;
    }
    let Context { clock, sessions, scratch, broken } = context;
    let frame = match format {
        Format::Auth => syslog::unwrap(line, clock),
        Format::Journal => journal::unwrap(line, scratch),
        Format::Docker => match docker::unwrap(line, broken, scratch) {
            Some(at) => syslog::unwrap(scratch, clock).map(|frame| Frame { at: at.or(frame.at), ..frame }),
            None => None,
        },
        Format::Audit => {
            return match parsers::audit::read(line, scratch) {
                Some(Some(record)) => Parsed::Record(record),
                Some(None) => Parsed::Other,
                None => Parsed::Unparsed,
            };
        }
    };
    let Some(frame) = frame.map(repeated::unwrap) else { return Parsed::Unparsed };
    match parsers::read(&frame) {
        Some(mut record) => {
            // A forged line says nothing of any connection, and a container's none of this host's.
            if record.service == Service::Sshd && record.origin != Origin::Forged && frame.sender != Sender::Container {
                sessions.settle(&mut record);
            }
            Parsed::Record(record)
        }
        None => Parsed::Other,
    }
}
