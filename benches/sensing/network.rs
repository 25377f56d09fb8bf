//! Ten thousand connections a second and a file storm at the same time.

use std::collections::HashSet;
use std::net::IpAddr;

use serde::Deserialize;

use crate::agent::{Agent, losses};
use crate::figures::{Table, median, ratio, share};
use crate::load::{Programs, Run, finish};

const CONNECTS: usize = 50_000;
const PER_SECOND: &str = "10000";
const FILES: &str = "100000";
const PORT: u16 = 14_999;
const ROUNDS: usize = 3;

#[derive(Deserialize)]
struct Told {
    net: Option<Net>,
}

#[derive(Deserialize)]
struct Net {
    dst: Option<IpAddr>,
    dport: Option<u16>,
}

pub fn measure(programs: &Programs, table: &mut Table) {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut cpu, mut resident, mut kept, mut told) = (Vec::new(), Vec::new(), Vec::new(), "none".to_owned());
    for round in 0..ROUNDS {
        eprintln!("... network: round {} of {ROUNDS}", round + 1);
        without.push(both(programs));
        let agent = Agent::start(&[]);
        let before = agent.cpu();
        with.push(both(programs));
        agent.settle();
        cpu.push(agent.cpu() - before);
        resident.push(agent.resident().1);
        let status = agent.status();
        if told == "none" {
            told = losses(&status);
        }
        kept.push(destinations(&agent));
    }
    let column = |runs: &[(Run, Run)], part: fn(&(Run, Run)) -> f64| runs.iter().map(part).collect::<Vec<_>>();
    let rate = median(with.iter().map(|(connects, _)| CONNECTS as f64 / connects.wall).collect());
    table.row(
        &format!("kept of {CONNECTS} connections, worst of {ROUNDS} rounds"),
        share(kept.into_iter().min().unwrap(), CONNECTS),
        "100.00 %",
    );
    table.row("connections a second, with the agent", format!("{rate:.0}"), "10000");
    table.row("lost at any hop, any round", told, "none");
    table.row("connecting, CPU time, with / without", ratio(&column(&with, |r| r.0.cpu), &column(&without, |r| r.0.cpu)), "<= 1.10");
    table.row("file storm, wall time, with / without", ratio(&column(&with, |r| r.1.wall), &column(&without, |r| r.1.wall)), "<= 1.10");
    table.row("file storm, CPU time, with / without", ratio(&column(&with, |r| r.1.cpu), &column(&without, |r| r.1.cpu)), "<= 1.10");
    table.row("agent CPU seconds", format!("{:.2}", median(cpu)), "<= 0.50");
    table.row("agent resident MiB, at most", format!("{:.0}", median(resident)), "<= 64");
}

/// Both storms at once: connections, files.
fn both(programs: &Programs) -> (Run, Run) {
    let directory = tempfile::tempdir().unwrap();
    let connects = programs.start("connects", &[&CONNECTS.to_string(), PER_SECOND, &PORT.to_string()]);
    let files = programs.start("files", &[directory.path().to_str().unwrap(), FILES]);
    (finish(connects), finish(files))
}

/// Connections stored: each goes to an address of its own. Asked for by the second byte, because one answer has a bound.
fn destinations(agent: &Agent) -> usize {
    let mut seen = HashSet::new();
    for second in 1..=10_u8 {
        let mark = format!("\"dst\":\"127.{second}.");
        let text = agent.told(&["events", "--json", "--kind", "net.connect", "--limit", "100000", "--where", &mark]);
        let events: Vec<Told> = serde_json::from_slice(&text).unwrap();
        let flows = events.iter().filter_map(|event| event.net.as_ref()).filter(|net| net.dport == Some(PORT));
        seen.extend(flows.filter_map(|net| number(net.dst?)).filter(|number| *number < CONNECTS));
    }
    seen.len()
}

/// Which connection goes to this address.
fn number(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(v4) = address else { return None };
    let [127, second, third, fourth] = v4.octets() else { return None };
    let tens = usize::from(third) * 256 + usize::from(fourth);
    Some(tens * 10 + usize::from(second.checked_sub(1)?))
}
