//! What a scan found to be weak, and what it could not look at: one finding, one report, whichever scanner made it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HostText, Severity, Timestamp};

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum FindingState {
    /// It is there, and nobody has decided about it.
    #[default]
    Open,
    /// A person lives with it for a time; afterwards it is open again.
    Accepted {
        /// When that ends.
        until: Timestamp,
        /// Why.
        reason: String,
        /// Who decided.
        by: String,
    },
    /// A later scan of the same place looked at everything and did not find it again.
    Gone,
}

impl FindingState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted { .. } => "accepted",
            Self::Gone => "gone",
        }
    }

    /// Whether it is a weakness that nobody has accepted, at this moment.
    pub fn is_open(&self, now: Timestamp) -> bool {
        match self {
            Self::Open => true,
            Self::Accepted { until, .. } => *until <= now,
            Self::Gone => false,
        }
    }
}

/// One weakness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name: `F` and twelve hex digits, the same in every scan that finds it again.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// One plain sentence. Names of the host stand escaped in it.
    pub title: String,
    /// Which scanner: `host`, `secrets`, `deps`.
    pub source: String,
    /// Which rule, check or advisory: `sshd-root-login`, `aws-access-key`, `CVE-2024-3094`.
    pub rule: String,
    /// Other names of the same thing: CVE, CWE, GHSA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The file, or what else it is about.
    pub location: HostText,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What was seen, with secrets redacted.
    #[serde(default, skip_serializing_if = "HostText::is_empty")]
    pub evidence: HostText,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What to do, exactly.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// When a scan found it first.
    pub first_seen: Timestamp,
    /// When a scan found it last.
    pub last_seen: Timestamp,
    /// What became of it.
    pub state: FindingState,
}

/// How a scanner's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScannerState {
    /// It looked at everything that it is made for.
    Complete,
    /// It ran, and something that it should have looked at was not looked at.
    Incomplete,
    /// It could not do its work.
    Failed,
    /// It, or what it needs, is not there.
    Missing,
}

impl ScannerState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotScanned {
    /// What: a check, a path, a kind of file.
    pub what: HostText,
    /// Why not.
    pub why: String,
    /// How many of them.
    pub count: u64,
    /// It should have been: the scan is incomplete without it.
    pub matters: bool,
}

/// One scanner's run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerRun {
    /// How it ended.
    pub state: ScannerState,
    /// Why it did not look at everything; empty when it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it looked at: a directory, the host.
    pub target: HostText,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How much it looked at: `files`, `bytes`, `checks`, `packages`.
    #[serde(default)]
    pub looked_at: BTreeMap<String, u64>,
    /// What it did not look at.
    #[serde(default)]
    pub not_scanned: Vec<NotScanned>,
}

impl ScannerRun {
    /// A run that has not looked at anything yet.
    pub fn begin(target: HostText, at: Timestamp) -> Self {
        Self {
            state: ScannerState::Complete,
            reason: String::new(),
            target,
            at,
            milliseconds: 0,
            looked_at: BTreeMap::new(),
            not_scanned: Vec::new(),
        }
    }

    /// A run that never was: the scanner, or what it needs, is not there, or it failed.
    pub fn without(target: HostText, at: Timestamp, state: ScannerState, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), ..Self::begin(target, at) }
    }

    /// Notes something that was not looked at; what should have been makes the run incomplete.
    pub fn leave_out(&mut self, what: HostText, why: impl Into<String>, count: u64, matters: bool) {
        if count == 0 {
            return;
        }
        let why = why.into();
        if matters && self.state == ScannerState::Complete {
            self.state = ScannerState::Incomplete;
            self.reason = format!("not everything was looked at: {what}: {why}");
        }
        self.not_scanned.push(NotScanned { what, why, count, matters });
    }
}

/// What all scanners of one run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityReport {
    /// Every scanner looked at everything, and no open finding is as bad as `fail_on` or worse.
    pub passed: bool,
    /// From which severity on a finding counts.
    pub fail_on: Severity,
    /// When it was made.
    pub at: Timestamp,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Open findings by severity, all severities named.
    pub counts: BTreeMap<String, u64>,
    /// Each scanner's run, by name.
    pub scanners: BTreeMap<String, ScannerRun>,
    /// Findings beyond the bound of a report, which are not listed.
    #[serde(default)]
    pub more_findings: u64,
}

impl SecurityReport {
    /// All severities, the worst first.
    pub const SEVERITIES: [Severity; 5] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    /// Puts findings in order, counts them and says whether that passes. Without a single scanner nothing passes.
    pub fn new(
        mut findings: Vec<Finding>,
        scanners: BTreeMap<String, ScannerRun>,
        more_findings: u64,
        fail_on: Severity,
        at: Timestamp,
    ) -> Self {
        findings
            .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| (&a.location, a.line, &a.rule).cmp(&(&b.location, b.line, &b.rule))));
        let open = || findings.iter().filter(|finding| finding.state.is_open(at));
        let of = |severity: Severity| open().filter(|finding| finding.severity == severity).count() as u64;
        let counts = Self::SEVERITIES.iter().map(|severity| (severity.to_string(), of(*severity))).collect();
        let whole = !scanners.is_empty() && scanners.values().all(|run| run.state == ScannerState::Complete);
        let passed = whole && more_findings == 0 && !open().any(|finding| finding.severity >= fail_on);
        Self { passed, fail_on, at, findings, counts, scanners, more_findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn finding(severity: Severity, state: FindingState) -> Finding {
        Finding {
            id: "F0".into(),
            severity,
            title: "x".into(),
            source: "host".into(),
            rule: "x".into(),
            aliases: Vec::new(),
            location: "/x".into(),
            line: None,
            evidence: HostText::default(),
            why: String::new(),
            fix: String::new(),
            first_seen: at(0),
            last_seen: at(0),
            state,
        }
    }

    fn passes(findings: Vec<Finding>, state: ScannerState) -> bool {
        let run = ScannerRun { state, ..ScannerRun::begin("/".into(), at(0)) };
        SecurityReport::new(findings, BTreeMap::from([("host".into(), run)]), 0, Severity::Medium, at(10)).passed
    }

    #[test]
    fn only_a_complete_scan_without_open_findings_passes() {
        assert!(passes(Vec::new(), ScannerState::Complete));
        assert!(passes(vec![finding(Severity::Low, FindingState::Open)], ScannerState::Complete));
        assert!(!passes(vec![finding(Severity::High, FindingState::Open)], ScannerState::Complete));
        for state in [ScannerState::Missing, ScannerState::Failed, ScannerState::Incomplete] {
            assert!(!passes(Vec::new(), state), "{state:?}");
        }
        assert!(!SecurityReport::new(Vec::new(), BTreeMap::new(), 0, Severity::Medium, at(0)).passed, "nobody looked");
    }

    #[test]
    fn an_acceptance_ends() {
        let until = |second| FindingState::Accepted { until: at(second), reason: "r".into(), by: "b".into() };
        assert!(passes(vec![finding(Severity::High, until(11))], ScannerState::Complete));
        assert!(!passes(vec![finding(Severity::High, until(10))], ScannerState::Complete));
    }

    #[test]
    fn what_should_have_been_looked_at_makes_a_run_incomplete() {
        let mut run = ScannerRun::begin("/".into(), at(0));
        run.leave_out("binary files".into(), "no text", 3, false);
        run.leave_out("nothing".into(), "no such", 0, true);
        assert_eq!((run.state, run.not_scanned.len()), (ScannerState::Complete, 1));
        run.leave_out("/x".into(), "permission denied", 1, true);
        assert_eq!(run.state, ScannerState::Incomplete);
        assert!(run.reason.contains("/x: permission denied"));
    }
}
