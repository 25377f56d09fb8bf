//! Reports and findings for a person at a terminal, or as JSON.

use std::io::{self, Write};

use crate::cli::outcome::Failure;
use crate::cli::print::{self, table};
use bartizan_model::{Finding, FindingState, ScannerState, SecurityReport, sentence};
use bartizan_scan::report::verdict;

/// The report of one run.
pub(super) fn report(report: &SecurityReport, json: bool) -> Result<(), Failure> {
    if json {
        return print::document(report);
    }
    print::written(write(&mut io::stdout().lock(), report))
}

fn write(out: &mut impl Write, report: &SecurityReport) -> io::Result<()> {
    for finding in report.findings.iter().filter(|finding| finding.state != FindingState::Gone) {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let state = if finding.state.is_open(report.at) { String::new() } else { format!(" ({})", finding.state.word()) };
        writeln!(out, "{:<8}  {}{state}", finding.severity.to_string().to_uppercase(), sentence(&finding.title))?;
        writeln!(out, "          {}  {}  {}{line}", finding.id, sentence(&finding.rule), finding.location)?;
        if !finding.evidence.is_empty() {
            writeln!(out, "          seen: {}", finding.evidence)?;
        }
        if !finding.fix.is_empty() {
            writeln!(out, "          fix:  {}", sentence(&finding.fix))?;
        }
    }
    for (name, run) in &report.scanners {
        let looked = run.looked_at.iter().map(|(what, count)| format!("{count} {what}"));
        let looked: Vec<String> = looked.chain([format!("{} ms", run.milliseconds)]).collect();
        let reason = if run.reason.is_empty() { String::new() } else { format!(": {}", sentence(&run.reason)) };
        writeln!(out, "{name}: {}{reason} ({})", run.state.word(), looked.join(", "))?;
        for left_out in run.not_scanned.iter().filter(|one| one.matters || run.state == ScannerState::Complete) {
            let times = if left_out.count == 1 { String::new() } else { format!(" ({})", left_out.count) };
            writeln!(out, "  not scanned: {}: {}{times}", left_out.what, sentence(&left_out.why))?;
        }
    }
    writeln!(out, "{}", sentence(&verdict(report)))
}

/// A table of findings.
pub(in crate::cli) fn findings(findings: &[&Finding], json: bool) -> Result<(), Failure> {
    if json {
        return print::items(findings);
    }
    let row = |finding: &&Finding| {
        [
            finding.id.clone(),
            finding.severity.to_string(),
            finding.state.word().to_owned(),
            finding.first_seen.format("%Y-%m-%d").to_string(),
            sentence(&finding.rule),
            sentence(&finding.title),
        ]
    };
    let rows: Vec<[String; 6]> = findings.iter().map(row).collect();
    print::written(table::write(&mut io::stdout().lock(), ["ID", "SEVERITY", "STATE", "SINCE", "RULE", "WHAT"], &rows))
}
