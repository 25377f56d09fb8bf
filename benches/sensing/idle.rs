//! What the agent costs on a host where nothing happens.

use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::figures::Table;
use crate::load::Programs;

const SECONDS: u64 = 40;

pub fn measure(_programs: &Programs, table: &mut Table) {
    let agent = Agent::start(&[]);
    std::thread::sleep(Duration::from_secs(3));
    let (events, before, begin) = (agent.status()["events_total"].as_u64().unwrap(), agent.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let percent = (agent.cpu() - before) / begin.elapsed().as_secs_f64() * 100.0;
    let events = agent.status()["events_total"].as_u64().unwrap() - events;
    table.row(&format!("percent of a core, over {SECONDS} s"), format!("{percent:.2}"), "<= 0.30");
    table.row("events a second meanwhile", format!("{:.1}", events as f64 / SECONDS as f64), "");
    table.row("agent resident MiB", format!("{:.0}", agent.resident().0), "<= 64");
}
