//! A mark that a run leaves in the ledger while it lasts: a run that finds another's was not ended by its owner.

use bartizan_model::{Alarm, AlarmKind, ProcessKey, Timestamp};
use bartizan_store::ledger::{Ledger, LedgerError};
use bartizan_sys::{clock, pidfd};

/// Name of the mark; its value is the process key of the run, empty after a clean end.
const RUNNING: &str = "running";

/// Leaves the mark. The alarm, when the run before was killed or crashed in this very boot: `until` is when it is known
/// to have watched last. A reboot ends everything and is no attack on us; a newer binary is the same process.
pub(crate) fn begin(ledger: &Ledger, until: Option<Timestamp>) -> Result<Option<Alarm>, LedgerError> {
    let own = pidfd::key_of(std::process::id());
    let before: Option<ProcessKey> = ledger.remembered(RUNNING)?.and_then(|key| key.parse().ok());
    if let Some(own) = own {
        ledger.remember(RUNNING, &own.to_string())?;
    }
    Ok(before.filter(|before| before.boot == clock::boot_id() && Some(*before) != own).map(|before| killed(before, until)))
}

/// Takes the mark away: the run ends because it was told to.
pub(crate) fn end(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.remember(RUNNING, "")
}

fn killed(before: ProcessKey, until: Option<Timestamp>) -> Alarm {
    let when = until.map_or_else(|| "at an unknown time".to_owned(), |at| format!("soon after {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
    let detail = format!("the previous run (pid {}) was killed or crashed {when}", before.pid);
    Alarm { what: AlarmKind::AgentKilled, detail: detail.into(), action: None, path: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_this_boot_that_left_its_mark_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path(), chrono::Utc::now()).unwrap();
        let find = |mark: Option<String>| {
            mark.into_iter().for_each(|mark| ledger.remember(RUNNING, &mark).unwrap());
            begin(&ledger, None).unwrap().map(|alarm| alarm.detail.escaped().to_string())
        };
        let own = pidfd::key_of(std::process::id()).unwrap();
        assert_eq!(find(None), None, "the first run of all");
        assert_eq!(find(None), None, "the same process: a newer binary");
        let earlier = ProcessKey { start: own.start.saturating_sub(1), pid: 4242, ..own };
        assert!(find(Some(earlier.to_string())).unwrap().contains("(pid 4242) was killed or crashed"));
        let rebooted = ProcessKey { boot: bartizan_model::BootId(own.boot.0 ^ 1), ..earlier };
        assert_eq!(find(Some(rebooted.to_string())), None);
        assert_eq!(find(Some("nonsense".to_owned())), None);
        end(&ledger).unwrap();
        assert_eq!((find(None), ledger.remembered(RUNNING).unwrap()), (None, Some(own.to_string())));
    }
}
