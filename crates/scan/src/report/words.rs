//! Sentences that every format of a report uses.

use bartizan_model::{Finding, FindingState, ScannerRun, ScannerState, SecurityReport};

/// Whether it passed, and why not.
pub fn verdict(report: &SecurityReport) -> String {
    if report.scanners.is_empty() {
        return "NOT PASSED: nothing was scanned yet".to_owned();
    }
    let count = |severity: &str| report.counts.get(severity).copied().unwrap_or(0);
    let open: Vec<String> = SecurityReport::SEVERITIES
        .iter()
        .map(|severity| severity.to_string())
        .filter(|severity| count(severity) > 0)
        .map(|severity| format!("{} {severity}", count(&severity)))
        .collect();
    let open = if open.is_empty() { "no open findings".to_owned() } else { format!("open findings: {}", open.join(", ")) };
    let unfinished: Vec<String> = report
        .scanners
        .iter()
        .filter(|(_, run)| run.state != ScannerState::Complete)
        .map(|(name, run)| format!("{name} is {}", run.state.word()))
        .collect();
    let unfinished = if unfinished.is_empty() { String::new() } else { format!("; {}", unfinished.join(", ")) };
    let more = if report.more_findings > 0 { format!("; {} more findings are not listed", report.more_findings) } else { String::new() };
    format!("{}: {open}{unfinished}{more}", if report.passed { "PASSED" } else { "NOT PASSED" })
}

/// Where it was found.
pub(super) fn place(finding: &Finding) -> String {
    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}", finding.location)
}

/// What became of it.
pub(super) fn state(finding: &Finding) -> String {
    match &finding.state {
        FindingState::Accepted { until, reason, by } => format!("accepted by {by} until {}: {reason}", until.format("%Y-%m-%d %H:%M UTC")),
        FindingState::Open | FindingState::Gone => finding.state.word().to_owned(),
    }
}

/// How a scanner's run went.
pub(super) fn run(run: &ScannerRun) -> String {
    let looked: Vec<String> = run.looked_at.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let looked = if looked.is_empty() { String::new() } else { format!(", {}", looked.join(", ")) };
    let reason = if run.reason.is_empty() { String::new() } else { format!(": {}", run.reason) };
    format!("{}{reason} ({}, {} ms{looked})", run.state.word(), run.at.format("%Y-%m-%d %H:%M UTC"), run.milliseconds)
}
