//! How soon the detectors hear of a shell below a web server, on a quiet host and in a storm. The agent measures it
//! itself: from the kernel's time stamp of the event to the detector's answer.

use crate::agent::Agent;
use crate::figures::Table;
use crate::load::{Programs, finish};

const SHELLS: &str = "300";
/// Long enough to outlast the shells.
const EXECS: usize = 200_000;

pub fn measure(programs: &Programs, table: &mut Table) {
    one(programs, table, "quiet host", false);
    one(programs, table, "in a storm", true);
}

fn one(programs: &Programs, table: &mut Table, name: &str, stormy: bool) {
    eprintln!("... latency: {name}");
    let agent = Agent::start(&[]);
    let storm = stormy.then(|| programs.start_storm(EXECS, "latency"));
    finish(programs.start("nginx", &[SHELLS]));
    let status = agent.status();
    storm.map(finish);
    let figure = |key: &str| status["urgent_latency"][key].as_u64();
    let told = |key: &str| figure(key).map_or_else(|| "not told".to_owned(), |micros| format!("{micros} us"));
    table.row(&format!("{name}: events that a detector spoke of"), figure("count").unwrap_or(0).to_string(), ">= 300");
    table.row(&format!("{name}: median"), told("median_us"), "<= 200 us");
    table.row(&format!("{name}: 99 of 100"), told("p99_us"), "<= 2000 us");
}
