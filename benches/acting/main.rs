//! How soon an intrusion is stopped when the agent acts alone, and what its rules cost: the whole agent in AGGRESSIVE
//! mode, looked at from outside, and the packet filter by itself.
//!
//! `cargo bench --bench acting` as root runs every section; `-- flood block` only these. Everything happens in network
//! namespaces of its own. What each figure means stands in docs/benchmarks.md.

#![allow(
    clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing, unreachable_pub, missing_docs
)] // a bench fails by panic

mod agent;
mod block;
mod enforcement;
#[allow(dead_code)] // not every figure of the other bench is one here
#[path = "../sensing/figures.rs"]
mod figures;
mod namespace;
mod packets;
mod reconcile;

use figures::Table;

/// What measures one section.
type Measure = fn(&mut Table);

/// Every section: its name, and what measures it.
const SECTIONS: [(&str, Measure); 5] = [
    ("idle", enforcement::idle),
    ("flood", enforcement::flood),
    ("block", block::measure),
    ("reconcile", reconcile::measure),
    ("packets", packets::measure),
];

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: acting needs root");
        return;
    }
    // cargo adds flags of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| !SECTIONS.iter().any(|(section, _)| section == name)) {
        println!("no section is called {unknown}; there are {}", SECTIONS.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    let mut table = Table::new();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            eprintln!("... {name}");
            table.section(name);
            measure(&mut table);
        }
    }
    table.print();
    println!("load of the machine when it began: {}", load.trim());
}
