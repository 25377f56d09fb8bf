//! Changes of the watched files: what changed, how it differs, who did it, and to which incident that belongs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{count, moment, plural};
use super::sheet::{self, Listing};
use crate::paint::Paint;
use crate::state::{State, sheet_rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, column, fill};
use bartizan_model::{Event, EventKind, FilesWatched};

const COLUMNS: [Column; 6] =
    [column("WHEN", 16, 0), column("INCIDENT", 8, 90), column("WHO", 26, 70), column("FILE", 30, 0), column("MARK", 6, 50), fill("WHAT")];

pub(super) fn page(area: Rect, state: &State) -> u16 {
    sheet::page(area, state)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let rows = sheet_rows::files(state);
    let all = state.sheets.files.data.as_ref().map_or(0, Vec::len);
    let watched = state.mirror.health.as_ref().map(|health| &health.files);
    let listing = Listing {
        title: "File changes",
        // The agent pushes how many changes there are: without a new one the answer stays right.
        old: i64::MAX,
        sheet: &state.sheets.files,
        columns: &COLUMNS,
        all,
        remark: watched.map(|files| watch(files, all)).unwrap_or_default(),
        none: match watched {
            Some(files) if files.version == 0 => {
                "no file is watched: there is no baseline, or one that was edited; `bartizan fim scan --baseline` makes one"
            }
            _ => "no change of a watched file is recorded",
        },
    };
    listing.draw(buf, area, state, paint, |at| rows.get(at).map(|row| cells(state, row, paint)).unwrap_or_default());
}

/// How watch is kept.
fn watch(files: &FilesWatched, shown: usize) -> String {
    if files.version == 0 {
        return "not watched: no baseline".to_owned();
    }
    let refused = if files.refused > 0 { format!(", {} refused by the kernel", count(files.refused)) } else { String::new() };
    let waits = if files.to_look_at > 0 { format!(", {} to look at", count(files.to_look_at)) } else { String::new() };
    let directories = if files.directories == 1 { "1 directory".to_owned() } else { format!("{} directories", count(files.directories)) };
    format!("{}; {directories} watched{refused}{waits}, baseline version {}", plural(shown, "change"), files.version)
}

fn cells(state: &State, row: &Event, paint: &Paint) -> Vec<Cell> {
    let EventKind::FileChange { file } = &row.kind else { return Vec::new() };
    let incident = sheet_rows::incident_of(state, row);
    let danger = file.integrity.as_ref().is_some_and(|integrity| !integrity.findings.is_empty());
    let worst = incident.and_then(|id| state.mirror.incidents.get(&id)).map(|incident| paint.severity(incident.severity));
    let style = worst.unwrap_or(if danger { paint.danger } else { paint.base });
    let what = file.integrity.as_ref().map(|integrity| integrity.sentence.as_str()).unwrap_or_default();
    vec![
        Cell::new(moment(state, row.at), paint.muted),
        Cell::new(incident.map(|id| id.to_string()).unwrap_or_default(), style),
        Cell::new(safe(&sheet_rows::who(row)), paint.base),
        Cell::path(safe(&file.path.to_string()), style),
        Cell::new(if danger { "DANGER" } else { "" }, paint.danger),
        Cell::new(safe(what), paint.base),
    ]
}
