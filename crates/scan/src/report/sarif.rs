//! The report as SARIF 2.1.0 (OASIS), which code hosts and editors read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::words;
use bartizan_model::{Finding, FindingState, ScannerRun, ScannerState, SecurityReport, Severity, sentence};

/// One run for each scanner.
///
/// # Errors
/// Never for a report that was made by this program.
pub fn sarif(report: &SecurityReport) -> Result<String, serde_json::Error> {
    let runs: Vec<Value> = report.scanners.iter().map(|(name, run)| one_run(name, run, report)).collect();
    let schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
    serde_json::to_string_pretty(&json!({ "$schema": schema, "version": "2.1.0", "runs": runs }))
}

fn one_run(name: &str, run: &ScannerRun, report: &SecurityReport) -> Value {
    let source = name.split(' ').next().unwrap_or(name);
    // With several targets of one scanner, a finding belongs to the target that its place is in.
    let is_alone = !name.contains(' ');
    let is_here = |finding: &&Finding| finding.source == source && (is_alone || finding.location.starts_with(run.target.as_bytes()));
    let findings: Vec<&Finding> = report.findings.iter().filter(is_here).collect();
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in &findings {
        let text = sentence(if finding.why.is_empty() { &finding.title } else { &finding.why });
        rules.entry(&finding.rule).or_insert_with(|| json!({ "id": sentence(&finding.rule), "shortDescription": { "text": text } }));
    }
    let results: Vec<Value> = findings.iter().map(|finding| one_result(finding, report)).collect();
    let notes: Vec<Value> = run
        .not_scanned
        .iter()
        .map(|left_out| {
            let text = format!("not scanned: {}: {} ({})", left_out.what, sentence(&left_out.why), left_out.count);
            json!({ "level": if left_out.matters { "warning" } else { "note" }, "message": { "text": text } })
        })
        .collect();
    let invocation = json!({
        "executionSuccessful": matches!(run.state, ScannerState::Complete | ScannerState::Incomplete),
        "exitCodeDescription": sentence(&words::run(run)),
        "toolExecutionNotifications": notes,
    });
    let driver = json!({ "name": format!("bartizan {}", sentence(name)), "rules": rules.into_values().collect::<Vec<_>>() });
    json!({ "tool": { "driver": driver }, "invocations": [invocation], "results": results })
}

fn one_result(finding: &Finding, report: &SecurityReport) -> Value {
    let level = match finding.severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    };
    let mut text = sentence(&finding.title);
    if !finding.fix.is_empty() {
        let _ = write!(text, ". To fix: {}", sentence(&finding.fix));
    }
    let is_file = finding.location.starts_with(b"/");
    let location = if is_file {
        let artifact = json!({ "uri": uri(finding.location.as_bytes()) });
        json!({ "physicalLocation": { "artifactLocation": artifact, "region": { "startLine": finding.line.unwrap_or(1).max(1) } } })
    } else {
        json!({ "logicalLocations": [{ "fullyQualifiedName": finding.location.escaped() }] })
    };
    let mut result = json!({
        "ruleId": sentence(&finding.rule),
        "level": level,
        "message": { "text": text },
        "locations": [location],
        "partialFingerprints": { "bartizanFinding/v1": finding.id },
        "baselineState": if finding.state == FindingState::Gone { "absent" } else { "unchanged" },
        "properties": { "severity": finding.severity.to_string(), "state": finding.state.word(), "evidence": finding.evidence.escaped() },
    });
    if !finding.state.is_open(report.at)
        && finding.state != FindingState::Gone
        && let Some(fields) = result.as_object_mut()
    {
        fields.insert("suppressions".to_owned(), json!([{ "kind": "external", "justification": sentence(&words::state(finding)) }]));
    }
    result
}

/// A path as a URI (RFC 8089): every byte that is not plain stands in percent.
fn uri(path: &[u8]) -> String {
    let mut out = String::from("file://");
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
