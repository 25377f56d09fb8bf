//! Findings of the last scans on request: the worst first, and accepted by a person for a time.

use chrono::Utc;

use crate::answer::refusal;
use crate::parts::Parts;
use crate::scan_history::{Stored, StoredError};
use bartizan_model::{Finding, Severity, Timestamp};
use bartizan_protocol::{ErrorCode, FindingRequest, FindingsPage, Refusal, Reply};
use bartizan_scan::report::verdict;

/// Most findings of one answer.
const MOST: usize = 1_000;
/// Longest reason, in bytes.
const MAX_REASON: usize = 500;

/// The answer to one question about findings.
pub(crate) fn answer(parts: &Parts, request: FindingRequest, actor: &str) -> Result<Reply, Refusal> {
    let now = Utc::now();
    match request {
        FindingRequest::List => {
            let history = Stored::read(&parts.settings.data).map_err(|error| unread(&error))?;
            let report = history.report(Severity::Medium, now);
            let (verdict, scanned) = (verdict(&report), report.scanners.values().map(|run| run.at).max());
            let mut findings: Vec<Finding> = report.findings;
            // Stable: the worst first among the open ones, then the others.
            findings.sort_by_key(|finding| !finding.state.is_open(now));
            let more = report.more_findings + findings.len().saturating_sub(MOST) as u64;
            findings.truncate(MOST);
            Ok(Reply::Findings(Box::new(FindingsPage { findings, more, verdict, scanned })))
        }
        FindingRequest::Accept { id, until, reason } => accept(parts, (&id, &reason), until, (actor, now)),
    }
}

fn accept(parts: &Parts, (id, reason): (&str, &str), until: Timestamp, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(refusal(
            ErrorCode::Usage,
            &format!("accepting needs a reason of at most {MAX_REASON} bytes"),
            "say why you live with it",
        ));
    }
    let accepted = Stored::change(&parts.settings.data, |history| history.accept(id, until, reason, actor, now).cloned());
    let finding = accepted.map_err(|error| unread(&error))?;
    let finding = finding.map_err(|why| refusal(ErrorCode::Usage, &why.to_string(), "`bartizan findings` lists them"))?;
    parts.response.audit(now, actor, "finding.accepted", &finding.id, reason);
    let until = until.format("%Y-%m-%d %H:%M UTC");
    Ok(Reply::Done(format!("{} accepted until {until}: it fails no scan until then", finding.id)))
}

fn unread(error: &StoredError) -> Refusal {
    refusal(ErrorCode::Failed, &error.message, &error.mend)
}
