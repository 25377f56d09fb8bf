//! What earlier runs left behind, as far as the archive can be read; without it, what the ledger remembers for such a day.

use crate::ingest::{GAPS, WATCHED_UNTIL};
use crate::record::Numbers;
use bartizan_model::{Approval, ApprovalState, Event, EventKind, Loss, Mode, Timestamp};
use bartizan_protocol::EventQuery;
use bartizan_store::ledger::{Ledger, LedgerError};
use bartizan_store::{Reader, StoreError};

/// Name under which the ledger keeps [`Numbers`], and of the mode that was set last.
const NUMBERS: &str = "numbers";
const MODE: &str = "mode";
/// Numbers are remembered every half minute: so many may have been given out since.
const SINCE: Numbers = Numbers { events: 10_000_000, incidents: 1_000, alerts: 1_000, approvals: 1_000 };
/// Where an archive lies that cannot be read and no number was ever remembered.
const FAR: Numbers = Numbers { events: 1 << 40, incidents: 1 << 20, alerts: 1 << 20, approvals: 1 << 20 };

/// The past as this run finds it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// When a run is known to have watched last.
    pub(crate) watched_until: Option<Timestamp>,
    /// Gaps as the run before wrote them down, and the newest losses, oldest first.
    pub(crate) gaps: Option<String>,
    pub(crate) losses: Vec<(Loss, Timestamp)>,
    /// The highest numbers that were given out.
    pub(crate) numbers: Numbers,
    pub(crate) mode: Option<Mode>,
    /// Questions that nobody has answered.
    pub(crate) pending: Vec<Approval>,
    /// When the last console left.
    pub(crate) away_since: Option<Timestamp>,
}

impl Past {
    pub(crate) fn read(reader: &Reader) -> Result<Self, StoreError> {
        let time = |name| Ok::<_, StoreError>(reader.meta(name)?.and_then(|at| at.parse::<Timestamp>().ok()));
        let newest = reader.events(&EventQuery { limit: 1, ..EventQuery::default() })?.records.first().map(|event| event.at);
        Ok(Self {
            watched_until: time(WATCHED_UNTIL)?.max(newest),
            gaps: reader.meta(GAPS)?,
            losses: losses(reader)?,
            numbers: Numbers {
                events: reader.max_event_id()?.0,
                incidents: reader.max_incident_id()?.0,
                alerts: reader.max_alert_id()?.0,
                approvals: reader.max_approval_id()?.0,
            },
            mode: reader.meta(MODE)?.and_then(|mode| mode.parse().ok()),
            pending: reader.approvals(1_000)?.records.into_iter().filter(|approval| approval.state == ApprovalState::Pending).collect(),
            away_since: time("away_since")?,
        })
    }

    /// Without an archive; `unread` tells that there is one, whose numbers must not be given out again.
    pub(crate) fn remembered(ledger: &Ledger, unread: bool) -> Self {
        let said = ledger.remembered(NUMBERS).ok().flatten();
        let known: Option<(Numbers, Timestamp)> = said.and_then(|text| serde_json::from_str(&text).ok());
        let numbers = match known {
            Some((known, _)) => known.plus(SINCE),
            None if unread => FAR,
            None => Numbers::default(),
        };
        Self { numbers, watched_until: known.map(|(_, at)| at), ..Self::default() }
    }

    /// The mode that was set last: where ledger and archive differ, the one that asks more.
    pub(crate) fn mode(&self, ledger: &Ledger) -> Option<Mode> {
        let remembered = ledger.remembered(MODE).ok().flatten().and_then(|mode| mode.parse().ok());
        self.mode.into_iter().chain(remembered).min()
    }
}

/// So that numbers are not given out twice should the archive not be there at the next start.
pub(crate) fn remember_numbers(ledger: &Ledger, numbers: Numbers, now: Timestamp) -> Result<(), LedgerError> {
    ledger.remember(NUMBERS, &serde_json::to_string(&(numbers, now)).unwrap_or_default())
}

/// So that the mode is found without the archive.
pub(crate) fn remember_mode(ledger: &Ledger, mode: Mode) -> Result<(), LedgerError> {
    ledger.remember(MODE, &mode.to_string())
}

/// The newest losses in the archive, oldest first.
fn losses(reader: &Reader) -> Result<Vec<(Loss, Timestamp)>, StoreError> {
    let filter = EventQuery { kind: Some("sensor.loss".to_owned()), limit: 64, ..EventQuery::default() };
    let loss = |event: Event| if let EventKind::Loss { loss } = event.kind { Some((loss, event.at)) } else { None };
    Ok(reader.events(&filter)?.records.into_iter().filter_map(loss).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_without_the_archive_and_the_stricter_mode_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, now) = (Ledger::open(dir.path(), chrono::Utc::now()).unwrap(), chrono::Utc::now());
        assert_eq!(Past::remembered(&ledger, false).numbers, Numbers::default(), "the first run of all");
        assert_eq!(Past::remembered(&ledger, true).numbers, FAR);
        remember_numbers(&ledger, Numbers { events: 5, incidents: 7, alerts: 1, approvals: 0 }, now).unwrap();
        let past = Past::remembered(&ledger, true);
        assert_eq!((past.numbers.events, past.numbers.incidents), (10_000_005, 1_007));
        assert_eq!(past.watched_until, Some(now));
        assert_eq!(past.mode(&ledger), None);
        remember_mode(&ledger, Mode::Balanced).unwrap();
        assert_eq!(past.mode(&ledger), Some(Mode::Balanced));
        assert_eq!(Past { mode: Some(Mode::Paranoid), ..past }.mode(&ledger), Some(Mode::Paranoid));
    }
}
