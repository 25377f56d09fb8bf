//! The same storm beside the agent's peers, each in turn with a storm that nobody watches.

use crate::agent::Agent;
use crate::figures::{Table, median, ratio, share};
use crate::load::{Programs, Run};
use crate::peer::{Auditd, Execsnoop, Peer};

const EXECS: usize = 20_000;
const ROUNDS: usize = 3;

pub fn measure(programs: &Programs, table: &mut Table) {
    one(programs, table, "bartizan", || Ok(Ourselves(Agent::start(&[]))));
    one(programs, table, "auditd", Auditd::start);
    one(programs, table, "execsnoop (libbpf-tools)", Execsnoop::start);
}

struct Ourselves(Agent);

impl Peer for Ourselves {
    fn cpu(&self) -> f64 {
        self.0.cpu()
    }

    fn settle(&self) {
        self.0.settle();
    }

    fn kept(&self, token: &str, execs: usize) -> usize {
        self.0.execs_of(token, execs)
    }
}

fn one<P: Peer>(programs: &Programs, table: &mut Table, name: &str, start: impl Fn() -> Result<P, String>) {
    let (mut without, mut with) = (Vec::<Run>::new(), Vec::<Run>::new());
    let (mut cpu, mut kept) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        eprintln!("... peers: {name}, round {} of {ROUNDS}", round + 1);
        without.push(programs.storm(EXECS, "bare"));
        let token = format!("peer{round}");
        let peer = match start() {
            Ok(peer) => peer,
            Err(why) => return table.row(name, why, ""),
        };
        let before = peer.cpu();
        with.push(programs.storm(EXECS, &token));
        peer.settle();
        cpu.push(peer.cpu() - before);
        kept.push(peer.kept(&token, EXECS));
    }
    let column = |runs: &[Run], part: fn(&Run) -> f64| runs.iter().map(part).collect::<Vec<_>>();
    table.row(&format!("{name}: kept, worst of {ROUNDS} rounds"), share(kept.into_iter().min().unwrap(), EXECS), "");
    table.row(&format!("{name}: wall, with / without"), ratio(&column(&with, |run| run.wall), &column(&without, |run| run.wall)), "");
    table.row(&format!("{name}: CPU, with / without"), ratio(&column(&with, |run| run.cpu), &column(&without, |run| run.cpu)), "");
    table.row(&format!("{name}: its own CPU seconds"), format!("{:.2}", median(cpu)), "");
}
