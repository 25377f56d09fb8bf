//! A long storm beside busy loops, when the agent gets the least of the processor.

use nix::sys::signal::Signal;

use crate::agent::{Agent, end, losses, lost};
use crate::figures::{Table, share};
use crate::load::{Programs, Run};

/// Several storms, because one answer of the agent has a bound.
const STORMS: usize = 4;
const EXECS: usize = 50_000;
const BUSY_LOOPS: usize = 4;
/// Longest life of a busy loop, in seconds, should nobody end it.
const LONGEST: &str = "120";

pub fn measure(programs: &Programs, table: &mut Table) {
    eprintln!("... hostile: without the agent");
    let without = storms(programs, "bare");
    eprintln!("... hostile: with the agent");
    let agent = Agent::start(&[]);
    let before = agent.cpu();
    let with = storms(programs, "hostile");
    agent.settle();
    let (cpu, (resident, most)) = (agent.cpu() - before, agent.resident());
    let status = agent.status();
    let kept: usize = (0..STORMS).map(|storm| agent.execs_of(&format!("hostile{storm}"), EXECS)).sum();
    table.row(
        &format!("kept with the right argument, of {} beside {BUSY_LOOPS} busy loops", STORMS * EXECS),
        share(kept, STORMS * EXECS),
        "",
    );
    table.row("lost of what matters to security", lost(&status, |hop| hop == "lane-security").to_string(), "0");
    table.row("lost at any hop", losses(&status), "");
    table.row("wall time, with / without", format!("{:.2}", with.wall / without.wall), "");
    table.row("CPU time, with / without", format!("{:.2}", with.cpu / without.cpu), "");
    table.row("agent CPU seconds", format!("{cpu:.2}"), "");
    table.row("agent resident MiB, afterwards and at most", format!("{resident:.0}, {most:.0}"), "<= 64");
}

fn storms(programs: &Programs, token: &str) -> Run {
    let mut loops: Vec<_> = (0..BUSY_LOOPS).map(|_| programs.start("busy", &[LONGEST])).collect();
    let mut total = Run { wall: 0.0, cpu: 0.0 };
    for storm in 0..STORMS {
        let run = programs.storm(EXECS, &format!("{token}{storm}"));
        total = Run { wall: total.wall + run.wall, cpu: total.cpu + run.cpu };
    }
    loops.iter_mut().for_each(|child| end(child, Signal::SIGTERM));
    total
}
