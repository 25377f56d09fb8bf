//! A million events through one agent: its memory stays as it was, its database within its cap.

use std::path::Path;

use crate::agent::{Agent, losses};
use crate::figures::Table;
use crate::load::Programs;

const EXECS: usize = 20_000;
/// Each execution is three events: fork, exec, exit.
const STORMS: usize = 17;
const CAP_MIB: u64 = 64;
/// By then every bounded table has been full once: from here on memory must stay as it is.
const WARM: usize = 4;

pub fn measure(programs: &Programs, table: &mut Table) {
    let cap = format!("{CAP_MIB}MiB");
    let agent = Agent::start(&[("BARTIZAN_STORE_MAX_BYTES", &cap)]);
    let (fresh, _) = agent.resident();
    let mut warm = 0.0;
    for storm in 0..STORMS {
        eprintln!("... million: storm {} of {STORMS}", storm + 1);
        programs.storm(EXECS, &format!("million{storm}"));
        agent.settle();
        if storm + 1 == WARM {
            warm = agent.resident().0;
        }
    }
    let (last, most) = agent.resident();
    let status = agent.status();
    table.row("events", status["events_total"].to_string(), ">= 1000000");
    table.row("lost at any hop", losses(&status), "none");
    table.row("resident MiB: at start, after a quarter", format!("{fresh:.0}, {warm:.0}"), "");
    table.row("resident MiB: after all, at most", format!("{last:.0}, {most:.0}"), "<= 64");
    table.row("resident after all / after a quarter", format!("{:.2}", last / warm), "<= 1.10");
    table.row("database and its journals, MiB", format!("{:.1}", size(agent.data()) as f64 / 1_048_576.0), &format!("<= {CAP_MIB}"));
}

/// Bytes of everything in the archive: the database and what SQLite keeps beside it.
fn size(data: &Path) -> u64 {
    let files = std::fs::read_dir(data).unwrap().flatten();
    let archive = files.filter(|file| file.file_name().to_string_lossy().starts_with("archive"));
    archive.map(|file| file.metadata().unwrap().len()).sum()
}
