//! Pictures of every view of the running agent, drawn by the console's own code.

use std::path::Path;

use super::args::Global;
use super::ask::{runtime, socket};
use super::outcome::{Failure, Outcome};
use bartizan_client::Connection;
use bartizan_config::{Theme, View};
use bartizan_protocol::{Mirror, Push, Reply, Request};

/// Writes `DIR/VIEW.svg` for every view.
pub(super) fn write(global: &Global, directory: &Path, columns: u16, rows: u16) -> Result<Outcome, Failure> {
    if !(40..=400).contains(&columns) || !(10..=200).contains(&rows) {
        return Err(Failure::usage(format!("cannot draw a picture of {columns}x{rows}"), "use 40 to 400 columns and 10 to 200 rows"));
    }
    let theme = Theme::named(global.theme.as_deref().unwrap_or("dark")).map_err(|error| Failure::usage(error.to_string(), ""))?;
    let path = socket(global)?;
    let (mirror, audit) = runtime()?.block_on(async {
        let mut connection = Connection::open(&path).await?;
        connection.ask(Request::Subscribe { console: false, ssh_connection: None }).await?;
        let mut mirror = Mirror::default();
        let push = connection.next_push().await?;
        if !matches!(push, Push::Snapshot(_)) {
            return Err(Failure::failed("unexpected answer from the agent: use the client of the same version"));
        }
        mirror.apply(push);
        let audit = match connection.ask(Request::AuditShow { limit: 100 }).await? {
            Reply::Audit(entries) => entries,
            _ => Vec::new(),
        };
        Ok((mirror, audit))
    })?;
    std::fs::create_dir_all(directory)?;
    for view in View::ALL {
        let file = directory.join(format!("{}.svg", view.name()));
        std::fs::write(&file, bartizan_console::screenshot_with_audit(&mirror, &audit, view, columns, rows, &theme))
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    }
    super::print::done(&format!("{} pictures in {}", View::ALL.len(), directory.display()), global.json)?;
    Ok(Outcome::Done)
}
