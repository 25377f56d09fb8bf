//! What reading and judging lines of logs costs: `cargo bench --bench logs`. One table: ours, and `fail2ban-regex` and `fail2ban-rs` in the
//! same run where they are installed (or named by `FAIL2BAN_REGEX`, `FAIL2BAN_RS`). Lines a second of one core's CPU time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::print_stdout)]

mod lines;
#[path = "../../../logs/tests/ordinary/mod.rs"]
mod ordinary;
mod peers;
mod web;

use std::time::Duration;

use bartizan_config::Policy;
use bartizan_detect::detectors::logins::LoginDetectors;
use bartizan_logs::{Context, Format, Parsed, parse};
use bartizan_model::Timestamp;

/// Lines of the comparison.
const LINES: usize = 200_000;
/// Lines of the crowd, and addresses that they come from.
const CROWD: u32 = 10_000_000;
const ADDRESSES: u32 = 1_000_000;

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// How often `work` does its `lines` a CPU second: the best of five.
fn rate(lines: usize, mut work: impl FnMut()) -> f64 {
    let best = (0..5)
        .map(|_| {
            let began = cpu();
            work();
            cpu() - began
        })
        .min()
        .unwrap();
    lines as f64 / best.as_secs_f64()
}

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn detectors() -> LoginDetectors {
    LoginDetectors::new(&Policy::built_in().unwrap(), 0x5eed, [])
}

fn main() {
    // `BARTIZAN_BENCH=web`: the rows of the web alone.
    if std::env::var_os("BARTIZAN_BENCH").is_some_and(|only| only == "web") {
        web::rows().iter().for_each(|row| println!("{row}"));
        return;
    }
    // `BARTIZAN_BENCH=lines`: those of sshd alone.
    if std::env::var_os("BARTIZAN_BENCH").is_some_and(|only| only == "lines") {
        let text = lines::mixed(LINES);
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        rows_of_sshd(&text, &lines);
        return;
    }
    // First, while nothing else has taken memory that it could use again.
    let (crowd, visitors) = (crowd(), web::crowd());
    let text = lines::mixed(LINES);
    let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    let judged = rows_of_sshd(&text, &lines);
    for row in peers::rows(&text) {
        println!("{row}");
    }
    for row in web::rows() {
        println!("{row}");
    }
    println!("{crowd}\n{visitors}");
    // The floor that the issue of speed is held to; a slow machine is told by the figure of the peers.
    assert!(judged > 300_000.0, "{judged:.0} lines a second: something is quadratic");
}

/// What our own parser and detectors do of these lines; the rate with both.
fn rows_of_sshd(text: &str, lines: &[&[u8]]) -> f64 {
    println!(
        "{} lines of sshd, mixed, {} bytes each on average; lines a second of one core's CPU time\n",
        lines.len(),
        text.len() / lines.len()
    );
    println!("| | lines a CPU second | found | memory |\n|--|--:|--:|--:|");
    let (mut found, mut attempts) = (0, 0);
    let parsed = rate(lines.len(), || {
        let mut context = Context::new(now(), 0);
        (found, attempts) = (0, 0);
        for line in lines {
            if let Parsed::Record(record) = parse(Format::Auth, line, &mut context) {
                found += u64::from(matches!(record.what, bartizan_logs::What::LoginFailed | bartizan_logs::What::InvalidUser));
                attempts += u64::from(record.attempts);
            }
        }
    });
    println!("| bartizan, parsed | {parsed:.0} | {found} failure lines, {attempts} attempts | |");
    let (mut findings, at) = (0, now());
    let judged = rate(lines.len(), || {
        let (mut context, mut detectors) = (Context::new(now(), 0), detectors());
        findings = 0;
        for line in lines {
            if let Parsed::Record(record) = parse(Format::Auth, line, &mut context) {
                findings += u64::from(detectors.observe(&record, at).is_some());
            }
        }
    });
    println!("| bartizan, parsed and judged | {judged:.0} | {findings} findings | {:.1} MiB |", mib(detectors().memory() as u64));
    judged
}

/// Ten million lines from a million addresses: memory stays where it was.
fn crowd() -> String {
    let before = resident();
    let (mut context, mut detectors) = (Context::new(now(), 0), detectors());
    let (mut line, mut findings, at) = (String::new(), 0_u64, now());
    let began = cpu();
    for n in 0..CROWD {
        lines::of_crowd(n, ADDRESSES, &mut line);
        if let Parsed::Record(record) = parse(Format::Auth, line.as_bytes(), &mut context) {
            findings += u64::from(detectors.observe(&record, at).is_some());
        }
    }
    let spent = cpu() - began;
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    format!(
        "\n{CROWD} lines from {ADDRESSES} addresses, writing them included: {:.0} lines a CPU second; resident memory grew by {:.1} MiB; {findings} findings, {} alert(s), {} attempts counted, {} sources crowded out",
        f64::from(CROWD) / spent.as_secs_f64(),
        mib(grown),
        detectors.campaigns().len(),
        detectors.counts().attempts,
        detectors.counts().crowded_out
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
