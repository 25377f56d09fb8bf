//! Stopping one process at once, by SIGSTOP, until its group holds it; and letting it run again.

use super::record::Record;
use super::{FreezeError, Freezer, Frozen, Member, Purpose, file};
use bartizan_model::ProcessKey;
use bartizan_sys::pidfd::{PidError, PidFd};
use bartizan_sys::process_stat::Stat;

/// One who was told to stop and waits to be moved.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) member: Member,
    pub(super) hold: PidFd,
}

/// Notes one process down and stops it; `None` when it ended meanwhile.
pub(super) fn stop_one(
    freezer: &Freezer,
    record: &mut Record,
    frozen: &Frozen,
    purpose: Purpose,
    key: ProcessKey,
) -> Result<Option<Stopped>, FreezeError> {
    let (Ok(hold), Some(stat)) = (PidFd::open(key), Stat::read(key.pid)) else { return Ok(None) };
    let Some(origin) = freezer.origin(frozen, purpose, &stat)? else { return Ok(None) };
    let member = Member { key, origin, was_stopped: stat.state == b'T' };
    record.add(&member).map_err(file("write the note of the freeze"))?;
    match hold.signal(libc::SIGSTOP) {
        Ok(()) => Ok(Some(Stopped { member, hold })),
        Err(PidError::Gone(_)) => Ok(None),
        Err(error) => Err(FreezeError::Unconfirmed(error.to_string())),
    }
}

/// It is held by its group: what stopped it until then is taken back.
pub(super) fn release(member: &Member, hold: &PidFd) -> Result<(), FreezeError> {
    if member.was_stopped {
        return Ok(());
    }
    match hold.signal(libc::SIGCONT) {
        Ok(()) | Err(PidError::Gone(_)) => Ok(()),
        Err(error) => Err(FreezeError::Unconfirmed(error.to_string())),
    }
}

/// Lets those run again whom we stopped.
pub(super) fn continue_stopped(members: &[Member]) -> Result<Vec<ProcessKey>, FreezeError> {
    let mut released = Vec::new();
    for member in members.iter().filter(|member| !member.was_stopped) {
        match PidFd::open(member.key).and_then(|hold| hold.signal(libc::SIGCONT)) {
            Ok(()) => released.push(member.key),
            Err(PidError::Gone(_)) => {}
            Err(error) => return Err(FreezeError::Unconfirmed(error.to_string())),
        }
    }
    Ok(released)
}
