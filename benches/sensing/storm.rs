//! An exec storm on both cores, without and with the whole agent, in turn.

use crate::agent::{Agent, losses};
use crate::figures::{Table, median, ratio, share};
use crate::load::{Programs, Run};

const EXECS: usize = 20_000;
const ROUNDS: usize = 5;

/// What one storm cost the agent, and what it kept of it.
struct Watched {
    run: Run,
    until_end: f64,
    after: f64,
    resident: (f64, f64),
    kept: usize,
    losses: String,
}

pub fn measure(programs: &Programs, table: &mut Table) {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        eprintln!("... storm: round {} of {ROUNDS}", round + 1);
        without.push(programs.storm(EXECS, &format!("bare{round}")));
        with.push(watched(programs, &format!("storm{round}")));
    }
    let of = |part: fn(&Watched) -> f64| median(with.iter().map(part).collect());
    let walls = |runs: &[Run]| runs.iter().map(|run| run.wall).collect::<Vec<_>>();
    let cpus = |runs: &[Run]| runs.iter().map(|run| run.cpu).collect::<Vec<_>>();
    let runs: Vec<Run> = with.iter().map(|watched| watched.run).collect();
    let worst = with.iter().map(|watched| watched.kept).min().unwrap();
    let losses = with.iter().map(|watched| watched.losses.as_str()).find(|losses| *losses != "none").unwrap_or("none");
    table.row(&format!("kept with the right argument, of {EXECS}, worst of {ROUNDS} rounds"), share(worst, EXECS), "100.00 %");
    table.row("lost at any hop, any round", losses, "none");
    table.row("storm wall time, with / without", ratio(&walls(&runs), &walls(&without)), "<= 1.10");
    table.row("storm CPU time, with / without", ratio(&cpus(&runs), &cpus(&without)), "<= 1.10");
    table.row("agent CPU seconds", format!("{:.2}", of(|watched| watched.until_end + watched.after)), "<= 0.50");
    table.row("  of these until the storm's end", format!("{:.2}", of(|watched| watched.until_end)), "");
    table.row("  of these afterwards", format!("{:.2}", of(|watched| watched.after)), "");
    table.row("agent resident MiB, afterwards", format!("{:.0}", of(|watched| watched.resident.0)), "<= 64");
    table.row("agent resident MiB, at most", format!("{:.0}", of(|watched| watched.resident.1)), "<= 64");
}

fn watched(programs: &Programs, token: &str) -> Watched {
    let agent = Agent::start(&[]);
    let before = agent.cpu();
    let run = programs.storm(EXECS, token);
    let end = agent.cpu();
    agent.settle();
    let (until_end, after, resident) = (end - before, agent.cpu() - end, agent.resident());
    // Counting asks the agent, which costs it: so last.
    Watched { run, until_end, after, resident, losses: losses(&agent.status()), kept: agent.execs_of(token, EXECS) }
}
