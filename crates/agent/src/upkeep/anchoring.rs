//! Looks after the audit log's end: what was found cut is an alarm, and where it ends is told to the system's log.

use std::time::{Duration, Instant};

use super::Ties;
use crate::record::Record;
use bartizan_model::{Alarm, AlarmKind};
use bartizan_store::ledger::Head;
use bartizan_sys::system_log;

/// Between two words to the system's log.
const TELL: Duration = Duration::from_secs(60);

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct Anchoring {
    told: Option<(u64, Instant)>,
}

impl Anchoring {
    /// Looks, and tells what is due.
    pub(super) fn tend(&mut self, ties: &Ties) {
        if let Some(cut) = ties.ledger.found_cut() {
            let path = ties.ledger.directory().join("ledger.db").display().to_string();
            let detail = format!("changed the audit log: {cut}").into();
            ties.ingest.alarm(Alarm { what: AlarmKind::DataTouched, detail, action: None, path: Some(path.as_str().into()) });
        }
        ties.troubles.report("audit anchor", ties.ledger.anchor_trouble());
        let lines = ties.ledger.head().lines;
        let due = self.told.is_none_or(|(told, when)| told != lines && when.elapsed() >= TELL);
        if due && lines > 0 {
            tell(ties);
            self.told = Some((lines, Instant::now()));
        }
    }
}

/// Name of the archive's own memory of where the audit log ends.
const HEAD: &str = "audit_head";

/// Compares the log at the start with what is remembered of it outside of the ledger and its anchor: by the archive, and by
/// the journal where there is one. An older ledger put back together with its older anchor shows there.
pub(super) fn compare(ties: &Ties) {
    if ties.ledger.notice().is_some() {
        // Found cut by its anchor, or put aside as damaged: told already, and written into the log itself.
        return;
    }
    let archived = ties.archives.ask(|archive| archive.meta(HEAD)).ok().flatten();
    let archived = archived.and_then(|text| serde_json::from_str::<(String, Head)>(&text).ok());
    if let Some((instance, head)) = archived.as_ref().filter(|(instance, _)| instance != ties.ledger.instance()) {
        // One that could not be read is not missing.
        if head.lines > 0 && ties.ledger.trouble().is_none() {
            ties.ledger.is_another_than(instance, head.lines, "the archive", chrono::Utc::now());
        }
        return;
    }
    let archived = archived.map(|(_, head)| head);
    let journal = system_log::last_said(&said(ties)).and_then(|line| parse(&line));
    for (head, place) in [(archived, "the archive"), (journal, "the system's journal")] {
        let Some(head) = head else { continue };
        match ties.ledger.compare_with(&head, place, chrono::Utc::now()) {
            // Once is enough: the second place would only say the same.
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, place, "the audit log could not be compared"),
        }
    }
}

/// How the word to the system's log begins: other agents may speak there too.
fn said(ties: &Ties) -> String {
    format!("audit log of {}:", ties.ledger.instance())
}

/// What was said of where the log ended.
fn parse(line: &str) -> Option<Head> {
    let words: Vec<&str> = line.rsplit(' ').take(5).collect();
    let [hash, "hash", "last", "lines,", lines] = words.as_slice() else { return None };
    Some(Head { lines: lines.parse().ok()?, hash: (*hash).to_owned(), at: chrono::Utc::now() })
}

/// Tells the system's log and the archive where the audit log ends.
pub(super) fn tell(ties: &Ties) {
    let Some(head) = ties.ledger.settled_head() else { return };
    if let Ok(text) = serde_json::to_string(&(ties.ledger.instance(), &head)) {
        ties.recorder.keep(Record::Note(HEAD, text));
    }
    if let Err(why) = system_log::say(&format!("{} {} lines, last hash {}", said(ties), head.lines, head.hash)) {
        tracing::debug!(%why, "the system's log does not listen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_to_the_journal_is_understood_and_nothing_else() {
        let head = parse("audit log of 1a2b3c4d: 17 lines, last hash 00ff").unwrap();
        assert_eq!((head.lines, head.hash.as_str()), (17, "00ff"));
        for other in ["", "audit log of 1a2b3c4d: x lines, last hash 00ff", "17 lines", "audit log of 1: 17 lines, last hash"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
