//! What the last scans found: when each finding was seen first and last, what a person accepted, what is gone.

use std::collections::BTreeMap;

use bartizan_model::{Finding, FindingState, HostText, ScannerRun, ScannerState, SecurityReport, Severity, Timestamp};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// Bytes of a stored history that are read.
pub const MAX_BYTES: u64 = 32 << 20;
/// Scanners and targets that are remembered; of more, the one that was scanned longest ago is forgotten.
const MAX_RUNS: usize = 64;
/// How long what is gone is remembered.
const GONE_FOR: TimeDelta = TimeDelta::days(90);
/// Longest time for which a finding can be accepted.
pub const LONGEST_ACCEPTANCE: TimeDelta = TimeDelta::days(366);
/// Characters of a reason that are kept.
const MAX_REASON: usize = 400;
/// Written by this version of the format.
const FORMAT: u32 = 1;

/// The last scan of one target by one scanner.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    source: String,
    run: ScannerRun,
    findings: Vec<Finding>,
    more: u64,
}

/// All last scans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    format: u32,
    kept: Vec<Kept>,
}

impl Default for History {
    fn default() -> Self {
        Self { format: FORMAT, kept: Vec::new() }
    }
}

/// Why a history cannot be used, or a finding not accepted.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It is not what we wrote.
    #[error("it is not a history of scans: {0}")]
    Broken(String),
    /// A newer version wrote it.
    #[error("it was written by a newer version (format {0})")]
    Newer(u32),
    /// No finding has this name.
    #[error("no finding is called {0}")]
    Unknown(String),
    /// It is gone.
    #[error("{0} is gone already")]
    Gone(String),
    /// The time is over, or too long.
    #[error("a finding can be accepted until a time to come, at most 366 days")]
    Until,
}

impl History {
    /// Reads what [`History::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`HistoryError::Broken`], [`HistoryError::Newer`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HistoryError> {
        let history: Self = serde_json::from_slice(bytes).map_err(|why| HistoryError::Broken(why.to_string()))?;
        if history.format > FORMAT { Err(HistoryError::Newer(history.format)) } else { Ok(history) }
    }

    /// As it is stored.
    ///
    /// # Errors
    /// Never for what this made.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HistoryError> {
        serde_json::to_vec(self).map_err(|why| HistoryError::Broken(why.to_string()))
    }

    /// Takes in a run. What it found again keeps its first time and what a person accepted; what a complete run did not find again is gone;
    /// a run that did not look at everything ends nothing.
    pub fn record(&mut self, source: &str, run: ScannerRun, mut found: Vec<Finding>, more: u64) {
        let at = run.at;
        let place = self.kept.iter().position(|kept| kept.source == source && kept.run.target == run.target);
        let before = place.map(|place| self.kept.swap_remove(place).findings).unwrap_or_default();
        let mut before: BTreeMap<String, Finding> = before.into_iter().map(|finding| (finding.id.clone(), finding)).collect();
        for finding in &mut found {
            let Some(old) = before.remove(&finding.id) else { continue };
            finding.first_seen = old.first_seen;
            if matches!(&old.state, FindingState::Accepted { until, .. } if *until > at) {
                finding.state = old.state;
            }
        }
        let ends = run.state == ScannerState::Complete && more == 0;
        for mut old in before.into_values() {
            if ends {
                old.state = FindingState::Gone;
            }
            let forgotten = old.state == FindingState::Gone && old.last_seen + GONE_FOR < at;
            if !forgotten && found.len() < 2 * crate::findings::MAX_FINDINGS {
                found.push(old);
            }
        }
        self.kept.push(Kept { source: source.to_owned(), run, findings: found, more });
        if self.kept.len() > MAX_RUNS {
            self.kept.sort_by_key(|kept| kept.run.at);
            self.kept.remove(0);
        }
    }

    /// A person lives with a finding until then.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`], [`HistoryError::Gone`], [`HistoryError::Until`].
    pub fn accept(&mut self, id: &str, until: Timestamp, reason: &str, by: &str, now: Timestamp) -> Result<&Finding, HistoryError> {
        if until <= now || until - now > LONGEST_ACCEPTANCE {
            return Err(HistoryError::Until);
        }
        let mut all = self.kept.iter_mut().flat_map(|kept| &mut kept.findings).filter(|finding| finding.id.eq_ignore_ascii_case(id));
        let mut named = all.next().ok_or_else(|| HistoryError::Unknown(HostText::from(id).escaped().chars().take(40).collect()))?;
        // The same thing may have been found in two targets, and be gone from one of them.
        if named.state == FindingState::Gone {
            named = all.find(|finding| finding.state != FindingState::Gone).ok_or_else(|| HistoryError::Gone(id.to_owned()))?;
        }
        let reason = reason.chars().take(MAX_REASON).collect();
        named.state = FindingState::Accepted { until, reason, by: by.to_owned() };
        Ok(named)
    }

    /// One report of all last scans.
    pub fn report(&self, fail_on: Severity, now: Timestamp) -> SecurityReport {
        self.report_of(|_, _| true, fail_on, now)
    }

    /// One report of the last scans of these scanners and targets.
    pub fn report_of(&self, counts: impl Fn(&str, &HostText) -> bool, fail_on: Severity, now: Timestamp) -> SecurityReport {
        let kept: Vec<&Kept> = self.kept.iter().filter(|kept| counts(&kept.source, &kept.run.target)).collect();
        let mut scanners = BTreeMap::new();
        for one in &kept {
            let is_alone = kept.iter().filter(|other| other.source == one.source).count() == 1;
            let name = if is_alone { one.source.clone() } else { format!("{} {}", one.source, one.run.target) };
            scanners.insert(name, one.run.clone());
        }
        let mut findings: Vec<Finding> = kept.iter().flat_map(|one| one.findings.iter().cloned()).collect();
        for finding in &mut findings {
            if matches!(&finding.state, FindingState::Accepted { until, .. } if *until <= now) {
                finding.state = FindingState::Open;
            }
        }
        SecurityReport::new(findings, scanners, kept.iter().map(|one| one.more).sum(), fail_on, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Findings, Weakness};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_timestamp(hours * 3600, 0).unwrap()
    }

    fn scan(history: &mut History, hours: i64, state: ScannerState, rules: &[&str]) {
        let mut findings = Findings::new("host", at(hours));
        rules.iter().for_each(|rule| findings.add(Severity::High, Weakness { rule: (*rule).to_owned(), ..Weakness::default() }));
        let (found, more) = findings.finish();
        history.record("host", ScannerRun { state, ..ScannerRun::begin("/".into(), at(hours)) }, found, more);
    }

    fn states(history: &History, hours: i64) -> Vec<(String, &'static str, i64)> {
        let report = history.report(Severity::Medium, at(hours));
        report.findings.iter().map(|f| (f.rule.clone(), f.state.word(), f.first_seen.timestamp() / 3600)).collect()
    }

    #[test]
    fn first_time_and_acceptance_outlive_a_scan_and_only_a_complete_one_ends_a_finding() {
        let mut history = History::default();
        scan(&mut history, 1, ScannerState::Complete, &["a", "b"]);
        let id = history.report(Severity::Medium, at(1)).findings[0].id.clone();
        history.accept(&id, at(30), "old printer", "root", at(1)).unwrap();
        scan(&mut history, 2, ScannerState::Incomplete, &["a"]);
        assert_eq!(states(&history, 2), [("a".into(), "accepted", 1), ("b".into(), "open", 1)]);
        scan(&mut history, 3, ScannerState::Failed, &[]);
        assert_eq!(states(&history, 3).len(), 2);
        scan(&mut history, 4, ScannerState::Complete, &["a"]);
        assert_eq!(states(&history, 4), [("a".into(), "accepted", 1), ("b".into(), "gone", 1)]);
        assert!(history.report(Severity::Medium, at(5)).passed, "accepted or gone");
        assert_eq!(states(&history, 30)[0].1, "open", "the acceptance is over");
        assert!(!history.report(Severity::Medium, at(30)).passed);
        let kept = History::parse(&history.to_bytes().unwrap()).unwrap();
        assert_eq!(states(&kept, 5), states(&history, 5));
    }

    #[test]
    fn what_is_not_there_cannot_be_accepted() {
        let mut history = History::default();
        scan(&mut history, 1, ScannerState::Complete, &["a"]);
        let id = history.report(Severity::Medium, at(1)).findings[0].id.clone();
        assert!(matches!(history.accept("F0", at(2), "", "", at(1)), Err(HistoryError::Unknown(_))));
        assert!(matches!(history.accept(&id, at(1), "", "", at(1)), Err(HistoryError::Until)));
        assert!(matches!(history.accept(&id, at(9000), "", "", at(1)), Err(HistoryError::Until)));
        scan(&mut history, 2, ScannerState::Complete, &[]);
        assert!(matches!(history.accept(&id, at(3), "", "", at(2)), Err(HistoryError::Gone(_))));
        assert!(matches!(History::parse(b"{\"format\": 9, \"kept\": []}"), Err(HistoryError::Newer(9))));
        assert!(History::parse(b"[[[[").is_err());
    }

    #[test]
    fn targets_are_kept_apart_and_bounded() {
        let mut history = History::default();
        for number in 0..MAX_RUNS as i64 + 9 {
            let run = ScannerRun::begin(format!("/{number}").into(), at(number));
            history.record("secrets", run, Vec::new(), 0);
        }
        assert_eq!(history.kept.len(), MAX_RUNS);
        let report = history.report(Severity::Medium, at(999));
        assert!(report.scanners.contains_key("secrets /72") && !report.scanners.contains_key("secrets /0"));
    }
}
