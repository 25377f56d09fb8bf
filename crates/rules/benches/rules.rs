//! `cargo bench --bench rules`: how long rules take to load, how many events a second meet them, and how much memory they hold.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench prints, and fails by panic

use std::path::{Path, PathBuf};
use std::time::Instant;

use bartizan_model::Event;
use bartizan_rules::{EXAMPLES, Example, Memory, Pack, RuleSet, Switches};

/// Ordinary programs as a server starts them all day.
const ORDINARY: &str = r#"{"match": false, "exe": "/usr/bin/dash", "argv": ["/bin/sh", "-c", "run-parts --report /etc/cron.hourly"], "parents": ["/usr/sbin/cron"], "roles": ["scheduler"]}
{"match": false, "exe": "/usr/bin/make", "argv": ["make", "-j2", "all"], "parents": ["/usr/bin/bash"], "roles": ["login-session"]}
{"match": false, "exe": "/usr/bin/x86_64-linux-gnu-gcc-12", "argv": ["gcc", "-O2", "-Wall", "-c", "src/main.c", "-o", "build/main.o"], "parents": ["/usr/bin/make"], "roles": ["login-session"]}
{"match": false, "exe": "/usr/bin/git", "argv": ["git", "status", "--porcelain=v2"], "parents": ["/usr/bin/bash"], "roles": ["login-session"]}
{"match": false, "exe": "/usr/lib/postgresql/15/bin/postgres", "argv": ["postgres: autovacuum worker"], "parents": ["/usr/lib/postgresql/15/bin/postgres"], "roles": ["database"]}
{"match": false, "exe": "/usr/bin/sed", "argv": ["sed", "-n", "s/^VERSION=//p", "/etc/os-release"], "parents": ["/usr/bin/dash"]}
{"match": false, "exe": "/usr/bin/tar", "argv": ["tar", "czf", "/backup/www.tgz", "/var/www"], "parents": ["/usr/bin/dash", "/usr/sbin/cron"], "roles": ["scheduler"]}
{"match": false, "exe": "/usr/bin/python3.11", "argv": ["python3", "/usr/bin/fail2ban-client", "status"], "parents": ["/usr/bin/bash"], "roles": ["login-session"]}"#;

fn sigma() -> Vec<(String, String, Pack)> {
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|dir| Some(dir.join("shared/data")).filter(|dir| dir.is_dir()));
    let Some(corpus) = std::env::var_os("BARTIZAN_CORPUS").map(PathBuf::from).or_else(beside) else { return Vec::new() };
    let mut files = Vec::new();
    walk(&corpus.join("sigma/rules/linux"), &mut files);
    files
}

fn walk(dir: &Path, out: &mut Vec<(String, String, Pack)>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match std::fs::read_to_string(&path) {
            Ok(text) => out.push((path.display().to_string(), text, Pack::Imported)),
            Err(_) => walk(&path, out),
        }
    }
}

/// Resident memory in KiB (proc(5), statm).
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4
}

fn rate(set: &RuleSet, events: &[Event]) -> (f64, usize) {
    let memory = Memory::default();
    let (begin, mut rounds, mut matches) = (Instant::now(), 0_usize, 0);
    while begin.elapsed().as_secs_f64() < 2.0 {
        matches += events.iter().map(|event| set.evaluate(event, &memory).len()).sum::<usize>();
        rounds += 1;
    }
    ((rounds * events.len()) as f64 / begin.elapsed().as_secs_f64(), matches / rounds.max(1))
}

fn main() {
    let ordinary: Vec<Event> = Example::parse_all(ORDINARY).unwrap().into_iter().map(|one| one.event).collect();
    let attacks: Vec<Event> =
        EXAMPLES.iter().flat_map(|(_, text)| Example::parse_all(text).unwrap()).filter(|one| one.matches).map(|one| one.event).collect();
    let files = sigma();
    let (none, _) = RuleSet::new(Vec::new(), &Switches::default());
    let before = resident();
    let begin = Instant::now();
    let (own, _) = RuleSet::load(&[], &Switches::default());
    let own_load = begin.elapsed();
    let begin = Instant::now();
    let (all, refused) = RuleSet::load(&files, &Switches::default());
    let load = begin.elapsed();
    let held = resident().saturating_sub(before);
    println!("load: our {} rules in {own_load:.0?}; all {} in {load:.0?}, {} refused", own.rules().len(), all.rules().len(), refused.len());
    println!("memory: {held} KiB for both sets");
    for (name, set) in [("no rules", &none), ("our pack", &own), ("all", &all)] {
        let ((quiet, false_matches), (loud, matches)) = (rate(set, &ordinary), rate(set, &attacks));
        println!(
            "{name}: ordinary {quiet:.0} events/s ({false_matches} matches of {}), attacks {loud:.0} events/s ({matches} matches of {})",
            ordinary.len(),
            attacks.len()
        );
    }
}
