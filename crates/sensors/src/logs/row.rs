//! The row of a source: what it shows at first, what comes of a reading, and what went wrong.

use super::LogSink;
use super::kept::KeptSource;
use bartizan_model::{HostText, LogSource, LogState, SetAsideLine};
use bartizan_worker::{Batch, Died, SAMPLES, Verdict};

/// Lines set aside that a row lists, and characters of what went wrong.
const SET_ASIDE: usize = 8;
const WORDS: usize = 300;

/// So many lines without one that is understood show that the format is wrong.
const NOT_ONE: u64 = 50;

/// With the counts of an earlier run.
pub(super) fn row(name: HostText, format: String, kept: Option<&KeptSource>) -> LogSource {
    let count = |of: fn(&KeptSource) -> u64| kept.map_or(0, of);
    LogSource {
        name,
        format,
        state: LogState::Missing,
        lines: count(|kept| kept.lines),
        parsed: count(|kept| kept.parsed),
        unparsed: count(|kept| kept.unparsed),
        cut: count(|kept| kept.cut),
        records: count(|kept| kept.records),
        skipped: count(|kept| kept.skipped),
        lag: None,
        last_line: None,
        samples: Vec::new(),
        set_aside: Vec::new(),
        set_aside_count: count(|kept| kept.set_aside_count),
        trouble: None,
        troubles: 0,
    }
}

/// As it is shown: a log of which no line was ever understood is not one that is watched.
pub(super) fn shown(row: &LogSource) -> LogSource {
    let mut row = row.clone();
    if row.state.is_read() && row.parsed == 0 && row.unparsed >= NOT_ONE {
        row.state = LogState::NotUnderstood;
        row.trouble.get_or_insert(format!(
            "none of its {} lines is of the format {}: name the right one in [[logs]]; `bartizan logs --samples` shows lines",
            row.unparsed, row.format
        ));
    }
    row
}

/// The child died at this place of a source.
pub(super) fn died(row: &mut LogSource, verdict: Verdict, offset: u64, died: &Died) {
    match verdict {
        Verdict::Excused | Verdict::Again => {}
        Verdict::SetAside => {
            row.set_aside_count += 1;
            row.set_aside.push(SetAsideLine { offset, at: chrono::Utc::now(), why: died.how.chars().take(WORDS).collect() });
            let surplus = row.set_aside.len().saturating_sub(SET_ASIDE);
            row.set_aside.drain(..surplus);
        }
        Verdict::Waits => row.state = LogState::SetAside,
    }
    note(row, format!("{died} at byte {offset}"));
}

/// Something went wrong with a source.
pub(super) fn note(row: &mut LogSource, trouble: String) {
    if row.trouble.as_ref() != Some(&trouble) {
        row.troubles += 1;
        row.trouble = Some(trouble.chars().take(WORDS).collect());
    }
}

/// What came of one reading.
pub(super) fn tally<R: bartizan_worker::Record, K: LogSink<R>>(row: &mut LogSource, batch: Batch<R>, sink: &K) {
    if batch.lines > 0 {
        row.last_line = Some(chrono::Utc::now());
        if row.state == LogState::SetAside {
            row.state = LogState::Following;
        }
    }
    row.lines += u64::from(batch.lines);
    row.parsed += u64::from(batch.parsed);
    row.unparsed += u64::from(batch.unparsed);
    row.cut += u64::from(batch.cut);
    row.records += batch.records.len() as u64;
    batch.notes.into_iter().for_each(|text| note(row, text));
    row.samples.extend(batch.samples.into_iter().map(HostText::from));
    let surplus = row.samples.len().saturating_sub(SAMPLES);
    row.samples.drain(..surplus);
    batch.records.into_iter().for_each(|record| sink.take(&row.name, record));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_which_no_line_is_understood_is_dead_and_says_what_to_do() {
        let read = |parsed, unparsed| {
            let row = row("/srv/app.log".into(), "access".to_owned(), None);
            shown(&LogSource { state: LogState::Following, lines: parsed + unparsed, parsed, unparsed, ..row })
        };
        for (parsed, unparsed) in [(0, 0), (0, NOT_ONE - 1), (1, 1_000_000)] {
            assert_eq!(read(parsed, unparsed).state, LogState::Following);
        }
        let wrong = read(0, NOT_ONE);
        assert!(wrong.state.is_dead() && !wrong.state.is_read());
        assert!(wrong.trouble.unwrap().starts_with("none of its 50 lines is of the format access: name the right one in [[logs]]"));
    }
}
