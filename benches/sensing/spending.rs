//! What we may spend, in one table: the whole product at rest and under its storm, beside its budget (docs/benchmarks.md).

use std::time::{Duration, Instant};

use crate::agent::{Agent, losses};
use crate::figures::{Table, ratio, share};
use crate::load::{Programs, Run};

/// At rest for so long.
const SECONDS: u64 = 60;
const EXECS: usize = 20_000;
const ROUNDS: usize = 5;
/// Where `test.sh` leaves how long it took, in minutes.
const TEST_MINUTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-minutes");

pub fn measure(programs: &Programs, table: &mut Table) {
    let agent = Agent::start(&[]);
    std::thread::sleep(Duration::from_secs(5));
    let (before, began) = (agent.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let percent = (agent.cpu() - before) / began.elapsed().as_secs_f64() * 100.0;
    table.row("processor at rest, percent of a core", format!("{percent:.2}"), "<= 0.30 (wanted 0.10)");
    table.row("resident at rest, MiB", format!("{:.0}", agent.resident().0), "<= 48");
    drop(agent);
    storm(programs, table);
    table.row("packets while actions live", "cargo bench --bench acting -- packets", "<= 1.05");
    let minutes = std::fs::read_to_string(TEST_MINUTES).unwrap_or_else(|_| "not run in this checkout".to_owned());
    table.row("./test.sh, minutes, when it last ran here", minutes.trim(), "<= 40, clean, two cores");
}

fn storm(programs: &Programs, table: &mut Table) {
    let (mut without, mut with, mut most, mut kept, mut lost) = (Vec::new(), Vec::new(), 0.0_f64, EXECS, "none".to_owned());
    for round in 0..ROUNDS {
        eprintln!("... spending: storm {} of {ROUNDS}", round + 1);
        without.push(programs.storm(EXECS, &format!("free{round}")));
        let (agent, token) = (Agent::start(&[]), format!("spent{round}"));
        with.push(programs.storm(EXECS, &token));
        agent.settle();
        most = most.max(agent.resident().1);
        let losses = losses(&agent.status());
        if losses != "none" {
            lost = losses;
        }
        kept = kept.min(agent.execs_of(&token, EXECS));
    }
    let of = |runs: &[Run], part: fn(&Run) -> f64| runs.iter().map(part).collect::<Vec<f64>>();
    table.row("20,000 executions: kept, worst round", share(kept, EXECS), "100.00 %");
    table.row("20,000 executions: lost at any hop", lost, "none");
    table.row("20,000 executions: wall time", ratio(&of(&with, |run| run.wall), &of(&without, |run| run.wall)), "<= 1.08 (wanted 1.05)");
    table.row("20,000 executions: processor", ratio(&of(&with, |run| run.cpu), &of(&without, |run| run.cpu)), "<= 1.08 (wanted 1.05)");
    table.row("resident in a storm at most, MiB", format!("{most:.0}"), "<= 64 (bound 96)");
}
