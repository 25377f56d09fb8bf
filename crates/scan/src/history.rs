//! What the last scans found: when each finding was seen first and last, what a person accepted, what is gone. What is written can always
//! be read again, and what a person accepted outlives bounds and a broken file.

use std::collections::BTreeMap;

use bartizan_model::{Finding, FindingState, HostText, ScannerRun, ScannerState, SecurityReport, Severity, Timestamp};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// Bytes of a stored history that are read.
pub const MAX_BYTES: u64 = 32 << 20;
/// Bytes of one that is too large or broken in which accepted findings are looked for.
pub const MAX_SALVAGED: u64 = 8 * MAX_BYTES;
/// Acceptances that hold at the same time.
const MAX_ACCEPTED: usize = 1_000;
/// Parts of a run that were not scanned, of which each is named; of more, how many they are.
const MAX_NOT_SCANNED: usize = 200;
/// Scanners and targets that are remembered; of more, the one that was scanned longest ago and of which nothing is accepted is forgotten.
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
    /// Accepted, of a target that is not known any more: taken from a broken file. A scan that finds them again takes them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    salvaged: Vec<Finding>,
}

impl Default for History {
    fn default() -> Self {
        Self { format: FORMAT, kept: Vec::new(), salvaged: Vec::new() }
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
    /// More cannot be kept.
    #[error("{MAX_ACCEPTED} findings are accepted already, or they take more than 32 MiB: mend some of them")]
    TooMany,
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

    /// What was accepted, from bytes that [`History::parse`] refuses: too long, cut, or changed by somebody.
    pub fn salvage(bytes: &[u8]) -> Self {
        let mut history = Self::default();
        let begins = memchr::memmem::find_iter(bytes, b"{\"id\":\"F");
        for rest in begins.filter_map(|at| bytes.get(at..)) {
            let Some(Ok(finding)) = serde_json::Deserializer::from_slice(rest).into_iter::<Finding>().next() else { continue };
            let is_known = |known: &Finding| known.id == finding.id;
            if matches!(finding.state, FindingState::Accepted { .. })
                && history.salvaged.len() < MAX_ACCEPTED
                && !history.salvaged.iter().any(is_known)
            {
                history.salvaged.push(finding);
            }
        }
        history
    }

    /// How many acceptances [`History::salvage`] found of which no scan has told yet.
    pub fn salvaged(&self) -> usize {
        self.salvaged.len()
    }

    /// As it is stored: never more than [`MAX_BYTES`]. What is gone is left out first, then the mildest of what is open, which is counted;
    /// what is accepted stays.
    ///
    /// # Errors
    /// [`HistoryError::TooMany`] when what is accepted alone takes more.
    pub fn to_bytes(&mut self) -> Result<Vec<u8>, HistoryError> {
        loop {
            let bytes = serde_json::to_vec(self).map_err(|why| HistoryError::Broken(why.to_string()))?;
            if bytes.len() as u64 <= MAX_BYTES {
                return Ok(bytes);
            }
            if !self.shed() {
                return Err(HistoryError::TooMany);
            }
        }
    }

    /// Leaves out what matters least: all that is gone, or the milder half of what is open, or the oldest runs without anything.
    fn shed(&mut self) -> bool {
        let is_gone = |finding: &Finding| finding.state == FindingState::Gone;
        if self.kept.iter().any(|kept| kept.findings.iter().any(is_gone)) {
            self.kept.iter_mut().for_each(|kept| kept.findings.retain(|finding| !is_gone(finding)));
            return true;
        }
        let is_open = |finding: &Finding| finding.state == FindingState::Open;
        let Some(longest) = self.kept.iter_mut().max_by_key(|kept| kept.findings.iter().filter(|finding| is_open(finding)).count()) else {
            return false;
        };
        let open = longest.findings.iter().filter(|finding| is_open(finding)).count();
        if open == 0 {
            return self.forget_a_run();
        }
        longest.findings.sort_by_key(|finding| (is_open(finding), std::cmp::Reverse(finding.severity)));
        let dropped = open.div_ceil(2);
        longest.findings.truncate(longest.findings.len() - dropped);
        longest.more += dropped as u64;
        true
    }

    /// Of the one that was scanned longest ago, unless something of it is accepted or it is the last one.
    fn forget_a_run(&mut self) -> bool {
        let newest = self.kept.iter().map(|kept| kept.run.at).max();
        let is_accepted = |finding: &Finding| matches!(finding.state, FindingState::Accepted { .. });
        let may_go = |kept: &&Kept| Some(kept.run.at) != newest && !kept.findings.iter().any(is_accepted);
        let Some(oldest) = self.kept.iter().filter(may_go).map(|kept| kept.run.at).min() else { return false };
        let Some(place) = self.kept.iter().position(|kept| kept.run.at == oldest && may_go(&kept)) else { return false };
        self.kept.remove(place);
        true
    }

    /// Takes in a run. What it found again keeps its first time and what a person accepted; what a complete run did not find again is gone;
    /// a run that did not look at everything ends nothing.
    pub fn record(&mut self, source: &str, mut run: ScannerRun, mut found: Vec<Finding>, more: u64) {
        let at = run.at;
        shorten(&mut run);
        let place = self.kept.iter().position(|kept| kept.source == source && kept.run.target == run.target);
        let before = place.map(|place| self.kept.swap_remove(place).findings).unwrap_or_default();
        let mut before: BTreeMap<String, Finding> = before.into_iter().map(|finding| (finding.id.clone(), finding)).collect();
        for finding in &mut found {
            let salvaged = self.salvaged.iter().position(|known| known.id == finding.id).map(|place| self.salvaged.swap_remove(place));
            let Some(old) = before.remove(&finding.id).or(salvaged) else { continue };
            finding.first_seen = old.first_seen;
            if matches!(&old.state, FindingState::Accepted { until, .. } if *until > at) {
                finding.state = old.state;
            }
        }
        let ends = run.state == ScannerState::Complete && more == 0;
        for old in before.values_mut().filter(|_| ends) {
            old.state = FindingState::Gone;
        }
        // What is accepted first, then what is open, the worst first, then what is gone.
        let rank = |finding: &Finding| match finding.state {
            FindingState::Accepted { .. } => 0,
            FindingState::Open => 1,
            FindingState::Gone => 2,
        };
        let mut before: Vec<Finding> = before.into_values().collect();
        before.sort_by_key(|finding| (rank(finding), std::cmp::Reverse(finding.severity)));
        for old in before {
            let forgotten = old.state == FindingState::Gone && old.last_seen + GONE_FOR < at;
            if !forgotten && (found.len() < 2 * crate::findings::MAX_FINDINGS || rank(&old) == 0) {
                found.push(old);
            }
        }
        self.kept.push(Kept { source: source.to_owned(), run, findings: found, more });
        if self.kept.len() > MAX_RUNS {
            self.forget_a_run();
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
        let holds = |finding: &&Finding| matches!(&finding.state, FindingState::Accepted { until, .. } if *until > now);
        let accepted = self.kept.iter().flat_map(|kept| &kept.findings).chain(&self.salvaged).filter(holds).count();
        if accepted >= MAX_ACCEPTED {
            return Err(HistoryError::TooMany);
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

    /// Until when a person accepted the finding of this name, if that is not over.
    pub fn accepted_until(&self, id: &str, now: Timestamp) -> Option<Timestamp> {
        let all = self.kept.iter().flat_map(|kept| &kept.findings).chain(&self.salvaged);
        let until = |finding: &Finding| if let FindingState::Accepted { until, .. } = &finding.state { Some(*until) } else { None };
        all.filter(|finding| finding.id == id).filter_map(until).filter(|until| *until > now).max()
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

/// Names as many parts as are kept; of the rest, how many there are.
fn shorten(run: &mut ScannerRun) {
    if run.not_scanned.len() <= MAX_NOT_SCANNED {
        return;
    }
    run.not_scanned.sort_by_key(|part| !part.matters);
    let rest = run.not_scanned.split_off(MAX_NOT_SCANNED);
    let (matters, count) = (rest.iter().any(|part| part.matters), rest.iter().map(|part| part.count).sum());
    run.leave_out("more parts".into(), "they are too many to be named", count, matters);
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

    /// A scan with so many findings of this severity that take much room.
    fn large(history: &mut History, target: &str, hours: i64, severity: Severity, count: usize) {
        let mut findings = Findings::new("secrets", at(hours));
        for key in 0..count {
            let location = format!("{target}/{}", "\u{1}".repeat(4000)).into();
            let weak = Weakness { rule: "r".to_owned(), key: key.to_string().into(), location, ..Weakness::default() };
            findings.add(severity, weak);
        }
        let (found, more) = findings.finish();
        history.record("secrets", ScannerRun::begin(target.into(), at(hours)), found, more);
    }

    #[test]
    fn what_is_written_can_be_read_again_and_keeps_what_is_accepted_and_the_worst() {
        let mut history = History::default();
        scan(&mut history, 1, ScannerState::Complete, &["a"]);
        let id = history.report(Severity::Medium, at(1)).findings[0].id.clone();
        history.accept(&id, at(90), "old printer", "root", at(1)).unwrap();
        large(&mut history, "/mild", 2, Severity::Low, 2000);
        large(&mut history, "/bad", 3, Severity::Critical, 9);
        let bytes = history.to_bytes().unwrap();
        assert!(bytes.len() as u64 <= MAX_BYTES);
        let report = History::parse(&bytes).unwrap().report(Severity::Medium, at(4));
        assert!(report.more_findings > 0 && !report.passed, "{}", report.more_findings);
        assert_eq!(report.findings.iter().filter(|finding| finding.severity == Severity::Critical).count(), 9);
        assert_eq!(report.findings.iter().find(|finding| finding.id == id).map(|finding| finding.state.word()), Some("accepted"));
    }

    #[test]
    fn of_a_broken_history_what_was_accepted_is_kept() {
        let mut history = History::default();
        scan(&mut history, 1, ScannerState::Complete, &["a", "b"]);
        let id = history.report(Severity::Medium, at(1)).findings[0].id.clone();
        history.accept(&id, at(90), "old printer", "root", at(1)).unwrap();
        let mut bytes = history.to_bytes().unwrap();
        bytes.truncate(bytes.len() - 3);
        assert!(History::parse(&bytes).is_err());
        let mut again = History::salvage(&bytes);
        assert_eq!(again.salvaged(), 1);
        let mut again = History::parse(&again.to_bytes().unwrap()).unwrap();
        scan(&mut again, 2, ScannerState::Complete, &["a", "b"]);
        let states: Vec<_> = again.report(Severity::Medium, at(3)).findings.iter().map(|f| (f.id == id, f.state.word())).collect();
        assert!(states.contains(&(true, "accepted")) && states.contains(&(false, "open")), "{states:?}");
        assert_eq!(History::salvage(b"\0{\"id\":\"F{\"id\":").salvaged(), 0);
    }

    #[test]
    fn a_target_of_which_something_is_accepted_is_not_forgotten() {
        let mut history = History::default();
        scan(&mut history, 1, ScannerState::Complete, &["a"]);
        let id = history.report(Severity::Medium, at(1)).findings[0].id.clone();
        history.accept(&id, at(900), "old printer", "root", at(1)).unwrap();
        (0..2 * MAX_RUNS as i64)
            .for_each(|number| history.record("secrets", ScannerRun::begin(format!("/{number}").into(), at(number + 2)), vec![], 0));
        assert_eq!(history.kept.len(), MAX_RUNS);
        assert_eq!(history.report(Severity::Medium, at(300)).findings[0].state.word(), "accepted");
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
