//! What sensing costs, whether it is complete, and how soon it tells: the whole agent under load, beside no agent and
//! beside its peers.
//!
//! `cargo bench --bench sensing` as root runs every section; `-- storm idle` only these. Ratios of runs that alternate
//! are worth more than single times: the machine's own speed drifts. What each figure means stands in docs/benchmarks.md.

#![allow(
    clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing, unreachable_pub, missing_docs
)] // a bench fails by panic

mod agent;
mod figures;
mod hostile;
mod idle;
mod latency;
mod load;
mod million;
mod network;
mod peer;
mod peers;
mod replay;
mod spending;
mod storm;

use std::time::Instant;

use figures::Table;
use load::Programs;

/// A section of the bench.
type Measure = fn(&Programs, &mut Table);

/// Every section: its name, and what measures it.
const SECTIONS: [(&str, Measure); 9] = [
    ("spending", spending::measure),
    ("storm", storm::measure),
    ("peers", peers::measure),
    ("hostile", hostile::measure),
    ("network", network::measure),
    ("latency", latency::measure),
    ("idle", idle::measure),
    ("million", million::measure),
    ("replay", replay::measure),
];

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: the sensors need root");
        return;
    }
    // cargo adds flags of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let known = |name: &String| SECTIONS.iter().any(|(section, _)| section == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        println!("no section is called {unknown}; there are {}", SECTIONS.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    let programs = Programs::compile();
    let mut table = Table::new();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            let begin = Instant::now();
            eprintln!("... {name}");
            table.section(name);
            measure(&programs, &mut table);
            eprintln!("... {name}: {:.0} s", begin.elapsed().as_secs_f64());
        }
    }
    table.print();
}
