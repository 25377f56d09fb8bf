//! How the agent is, put together from what each part shows. No part is waited for: what a busy one shows has an age.

use crate::parts::Parts;
use crate::upkeep::disk_bytes;
use bartizan_model::{Action, ActionKind, Counts, FilesWatched, Health, HopDrops, LogSource, Messages, Posture, SinkRow, SinkState};
use bartizan_sys::own_usage;

/// Health as of now.
pub(crate) fn measure(parts: &Parts) -> Health {
    let at = chrono::Utc::now();
    let (cost, books_are_old) = parts.accounting.cost();
    let (watching_since, gaps) = parts.ingest.coverage(at);
    let active = parts.response.active_actions();
    let mut degraded: Vec<String> = parts.troubles.all().iter().map(|(name, trouble)| format!("{name}: {trouble}")).collect();
    degraded.extend(parts.response.age().map(|age| format!("court: {age}")));
    let files = parts.files.state();
    degraded.extend((files.refused > 0).then(|| {
        format!("files: {} directories of the baseline are not watched, the kernel refused; see fs.fanotify.max_user_marks", files.refused)
    }));
    degraded.extend(unjudged(&files));
    let sinks = parts.alerts.rows();
    degraded.extend(sinks.iter().filter_map(lost));
    degraded.extend(books_are_old.map(|age| format!("accounting: {age}")));
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        host: own_usage::host_name(),
        kernel: own_usage::kernel_release(),
        watching_since,
        at,
        mode: parts.response.standing().mode,
        posture: posture(&active),
        rung: parts.ladder.rung(),
        bpf_object: parts.ladder.bpf_object().to_owned(),
        blind_spots: parts.blind_spots(),
        hops: hops(parts),
        events_per_second: cost.events_per_second,
        events_total: parts.accounting.counters.read().events,
        cpu_percent: cost.cpu_percent,
        rss_bytes: own_usage::resident_bytes(),
        store_bytes: disk_bytes(&parts.settings),
        learning: parts.ingest.habits.progress(at),
        files,
        counts: counts(parts, &active),
        gaps,
        logs: parts.ingest.log_rows().iter().map(LogSource::in_brief).collect(),
        budget: cost.budget,
        urgent_latency: parts.accounting.latency(),
        messages: Messages::of(&sinks),
        degraded,
    }
}

/// Changed files whose content nobody knows, with the names of some.
fn unjudged(files: &FilesWatched) -> Option<String> {
    let named: Vec<String> = files.unjudged_latest.iter().take(3).map(|one| one.path.escaped()).collect();
    let more = if files.unjudged > named.len() as u64 { " and others" } else { "" };
    let (count, noun) = (files.unjudged, if files.unjudged == 1 { "file was" } else { "files were" });
    let names = named.join(", ");
    (count > 0).then(|| format!("files: {count} changed {noun} not judged ({names}{more}); `bartizan fim status` says why"))
}

/// Loss at every hop, behind the events too: questions not asked because there were too many, and what was not looked into.
pub(crate) fn hops(parts: &Parts) -> Vec<HopDrops> {
    let mut hops = parts.ingest.hops();
    let (asked, unasked) = parts.response.standing().asked;
    hops.push(parts.accounting.hop());
    hops.push(HopDrops { hop: "questions".to_owned(), received: asked + unasked, dropped: unasked });
    hops.extend(parts.processes.enrichment().hops());
    hops.extend(parts.alerts.hop());
    hops
}

/// A sink that takes nothing, in one line.
fn lost(row: &SinkRow) -> Option<String> {
    let why = row.error.as_deref().unwrap_or("it failed");
    (row.state == SinkState::Lost).then(|| format!("alerts: {} takes none: {why}; {} wait", row.name, row.waiting))
}

fn counts(parts: &Parts, active: &[Action]) -> Counts {
    let (open_incidents, new_alerts, pending_approvals) = parts.console.open();
    Counts {
        processes: parts.processes.living().len() as u64,
        open_incidents,
        new_alerts,
        pending_approvals,
        active_actions: active.len() as u64,
        undo_pending: active.iter().filter(|action| action.undo_pending().is_some()).count() as u64,
    }
}

/// How far the response has gone: what is live, not what would be allowed.
fn posture(active: &[Action]) -> Posture {
    match active {
        [] => Posture::Observe,
        some if some.iter().any(|action| action.kind == ActionKind::ContainHost) => Posture::Lockdown,
        _ => Posture::Contain,
    }
}
