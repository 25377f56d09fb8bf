//! How far the sender of a line can be believed, by what the journal itself saw of it.
//!
//! A program may be gone before the journal looks (no `_EXE`), and a daemon's child may run as the user that it serves. Neither is a forgery,
//! and neither proves anything: any local user can send a line and be gone.

use crate::frame::Sender;
use crate::record::{Origin, Raw, What};

/// Who may write the lines of a service, as the journal sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writer {
    /// A process of root; its program has one of these names.
    Root(&'static [&'static str]),
    /// A process of root or a system account; its program has one of these names.
    System(&'static [&'static str]),
    /// One of these programs from a system directory, whoever runs it (set-user-ID programs keep the real user id of their caller).
    Program(&'static [&'static str]),
    /// Whoever calls a module of PAM: no list can name them all. A module speaks through syslog(3) from a program of the system; what a
    /// service prints may be a client's words.
    Caller,
    /// The kernel.
    Kernel,
}

/// User ids below this belong to the system (login.defs(5), `UID_MIN`); 65534 is nobody.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65534;
/// Where programs lie that only root writes.
const SYSTEM_DIRS: [&str; 6] = ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/nix/store/"];

/// What the journal saw of a sender, held against who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is the service.
    Proven,
    /// Nobody says who it was.
    Unknown,
    /// Nothing contradicts it, and any local process could look so.
    Doubtful,
    /// It may be a child of the service that runs as the user whom it let in.
    Child,
    /// It is another.
    Other,
    /// Anybody in a container.
    Anybody,
}

/// Marks how far the record can be believed. What is doubtful names no address and adds no attempt, so nobody is held to it; what a
/// container wrote is no login here either. `false`: a child's farewell, which nobody needs.
pub(super) fn mark(record: &mut Raw<'_>, sender: Sender<'_>, writer: Writer) -> bool {
    record.origin = match standing(sender, writer) {
        Standing::Proven => Origin::Proven,
        Standing::Unknown => Origin::Unproven,
        // No program of a person's own calls PAM for a client from elsewhere.
        Standing::Doubtful if matches!(writer, Writer::Caller) && record.has_peer() && is_person(sender) => Origin::Forged,
        Standing::Doubtful => {
            (record.address, record.host, record.attempts) = (None, None, 0);
            Origin::Unproven
        }
        Standing::Anybody => {
            (record.address, record.host, record.attempts) = (None, None, 0);
            if record.what == What::LoginAccepted {
                record.what = What::Connected;
            }
            Origin::Unproven
        }
        Standing::Child if matches!(record.what, What::Disconnected | What::GaveUp) => return false,
        Standing::Child | Standing::Other => Origin::Forged,
    };
    true
}

fn standing(sender: Sender<'_>, writer: Writer) -> Standing {
    let (uid, exe, printed) = match (sender, writer) {
        (Sender::Container, _) => return Standing::Anybody,
        (Sender::Unknown, _) => return Standing::Unknown,
        (Sender::Kernel, Writer::Kernel) => return Standing::Proven,
        (Sender::Kernel, _) | (Sender::Process { .. }, Writer::Kernel) => return Standing::Other,
        (Sender::Process { uid, exe, printed }, _) => (uid, exe.map(|exe| str::from_utf8(exe).unwrap_or_default()), printed),
    };
    let is_root = uid == Some(0);
    // Of root any directory will do: it can write any line in any case.
    let fits = |names: &[&str]| exe.map(|exe| is_one_of(names, exe) && (is_root || is_of_the_system(exe)));
    match writer {
        Writer::Root(names) => match (fits(names), uid) {
            (Some(false), _) | (_, None) => Standing::Other,
            (_, Some(0)) => Standing::Proven,
            _ => Standing::Child,
        },
        Writer::System(names) => match fits(names) {
            Some(true) if uid.is_some() && !is_person(sender) => Standing::Proven,
            None if is_root => Standing::Proven,
            Some(false) => Standing::Other,
            Some(true) | None => Standing::Doubtful,
        },
        Writer::Program(names) => match fits(names) {
            Some(true) => Standing::Proven,
            None if is_root => Standing::Proven,
            Some(false) => Standing::Other,
            None => Standing::Doubtful,
        },
        Writer::Caller if is_root && !printed && exe.is_some_and(is_of_the_system) => Standing::Unknown,
        Writer::Caller => Standing::Doubtful,
        Writer::Kernel => Standing::Other,
    }
}

fn is_person(sender: Sender<'_>) -> bool {
    matches!(sender, Sender::Process { uid: Some(uid), .. } if uid >= FIRST_PERSON && uid != NOBODY)
}

fn is_one_of(names: &[&str], exe: &str) -> bool {
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
    exe.rsplit('/').next().is_some_and(|name| names.contains(&name))
}

fn is_of_the_system(exe: &str) -> bool {
    SYSTEM_DIRS.iter().any(|dir| exe.starts_with(dir))
}
