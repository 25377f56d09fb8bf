//! `fim watch`: changes of watched files as the agent sees them, one sentence each; and how it keeps watch.

use crate::cli::args::Global;
use crate::cli::ask::{follow, socket};
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::print;
use bartizan_client::Connection;
use bartizan_model::{Event, EventKind, FilesWatched};
use bartizan_protocol::{EventQuery, FilterError, Reply, Request};

/// Of the changes before this moment, so many are shown.
const EARLIER: u32 = 10;
/// Only events that were compared with the baseline have it.
const COMPARED: &str = "file.integrity.sentence=*";

/// Follows until it is interrupted, or the agent ends.
pub(super) async fn watch(global: &Global) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(&socket(global)?).await?;
    if let Some(state) = state(&mut connection).await?
        && state.version == 0
    {
        let why = "the agent watches no files: it has no baseline, or one that was edited; see `bartizan fim verify`, \
                   or make one with `bartizan fim scan --baseline`";
        return Err(Failure::failed(why));
    }
    let query = EventQuery {
        kind: Some("file.change".to_owned()),
        filter: Some(COMPARED.parse().map_err(|error: FilterError| Failure::usage(error.to_string(), error.mend))?),
        limit: EARLIER,
        follow: true,
        ..EventQuery::default()
    };
    let json = global.json;
    follow(&mut connection, query, &|event| if json { print::event(event, true) } else { print::line(&line(event)) }).await
}

/// How the agent keeps watch; `None` when its answer is none that we know.
pub(super) async fn state(connection: &mut Connection) -> Result<Option<FilesWatched>, Failure> {
    match connection.ask(Request::Status).await? {
        Reply::Health(health) => Ok(Some(health.files)),
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Ok(None),
    }
}

/// How watch is kept, for a person.
pub(super) fn sentence(state: Option<&FilesWatched>) -> String {
    let Some(state) = state else { return "Watched: no; no agent answers here. Start one, or run `fim scan` from a timer.".to_owned() };
    if state.version == 0 {
        return "Watched: no; the agent has no baseline, or one that was edited (`bartizan fim verify`).".to_owned();
    }
    let refused = match state.refused {
        0 => String::new(),
        1 => "; 1 directory is not: the kernel refused".to_owned(),
        many => format!("; {many} directories are not: the kernel refused"),
    };
    let waits = if state.to_look_at > 0 { format!("; {} places wait to be looked at again", state.to_look_at) } else { String::new() };
    let directories = if state.directories == 1 { "1 directory".to_owned() } else { format!("{} directories", state.directories) };
    let changes = if state.reported == 1 { "1 change".to_owned() } else { format!("{} changes", state.reported) };
    let version = state.version;
    format!("Watched: yes, {directories}, compared with version {version}; {changes} reported since the agent started{refused}{waits}.")
}

/// What was not judged, or not whole, with names.
pub(super) fn not_judged(state: &FilesWatched) -> Vec<String> {
    let mut lines = Vec::new();
    if state.long_waiting > 0 {
        let files =
            if state.long_waiting == 1 { "1 long file waits".to_owned() } else { format!("{} long files wait", state.long_waiting) };
        lines.push(format!("{files} to be compared; their ends are judged."));
    }
    if state.unjudged_total > 0 {
        let now = if state.unjudged == 1 { "1 file is".to_owned() } else { format!("{} files are", state.unjudged) };
        lines.push(format!("Not judged: {now} now, {} since the agent started.", times(state.unjudged_total)));
        lines.extend(state.unjudged_latest.iter().map(|one| format!("  {}: {}", one.path, bartizan_model::sentence(&one.why))));
    }
    if state.by_ends > 0 {
        let names: Vec<String> = state.by_ends_latest.iter().map(|path| path.escaped()).collect();
        let (changes, names) = (times(state.by_ends), names.join(" "));
        lines.push(format!(
            "Longer than 1 MiB, so that only the first and last 512 KiB are judged: {changes} since the agent started ({names})."
        ));
    }
    lines
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// When, where, what, and by whom.
fn line(event: &Event) -> String {
    let EventKind::FileChange { file } = &event.kind else { return String::new() };
    let Some(integrity) = &file.integrity else { return String::new() };
    let dangers: Vec<&str> = integrity.findings.iter().map(|finding| finding.sentence.as_str()).collect();
    let danger = if dangers.is_empty() { String::new() } else { format!("; DANGER: {}", dangers.join("; ")) };
    let who = match (&event.process, integrity.late) {
        (Some(process), _) => {
            let user = process.user.as_ref().map_or_else(|| format!("uid {}", process.uid), |user| user.escaped());
            let service = process.lineage.network_facing().filter(|root| root.key != process.key);
            let below = service.map(|root| format!(", below {}", root.exe.basename())).unwrap_or_default();
            // The maker of a new directory stands for a writer whom nobody saw.
            let by = if event.complete { "by" } else { "probably by" };
            format!("{by} {}[{}] as {user}{below}", process.name(), process.pid)
        }
        (None, true) => "while nobody watched".to_owned(),
        (None, false) => match &file.directory_by {
            Some(maker) => format!("by somebody unseen, in a directory that {}[{}] made", maker.name(), maker.pid),
            None => "by somebody unseen".to_owned(),
        },
    };
    let text = format!("{}: {}{danger}; {who}", file.path, integrity.sentence);
    format!("{}  {}", event.at.format("%H:%M:%S"), bartizan_model::sentence(&text))
}
