//! The drill on the real kernel, watched by a scripted observer: what is done really happens, and nothing is left.

use std::path::Path;

use super::*;
use crate::Verdicts;
use bartizan_model::{BootId, Confidence, EventId, Explanation, Family, IncidentId, ProcessKey, Severity, Stage as Step, Tier};

/// Says what it is told to say; the drill must not take another's signal for its own.
struct Scripted {
    detectors: &'static [&'static str],
    about: fn(&Path) -> Option<u32>,
    under: PathBuf,
}

/// The stand-in web server of the drill below `under`.
fn drilled_server(under: &Path) -> Option<u32> {
    let pids = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("nginx") && exe.starts_with(under)))
        .max()
}

impl Observer for Scripted {
    fn signals_since(&mut self, _since: Timestamp) -> Result<Vec<Signal>, String> {
        let Some(pid) = (self.about)(&self.under) else { return Ok(Vec::new()) };
        let now = Utc::now();
        let signal = |(ordinal, detector): (usize, &&str)| Signal {
            id: SignalId { event: EventId(now.timestamp_millis() as u64), ordinal: ordinal as u16 },
            at: now,
            detector: (*detector).to_owned(),
            technique: Vec::new(),
            severity: Severity::High,
            confidence: Confidence::new(0.9),
            tier: Tier::Stable,
            family: Family::Lineage,
            stage: Step::Execution,
            events: Vec::new(),
            entities: vec![Entity::Lineage(ProcessKey { boot: BootId(1), pid, start: 1 })],
            subject: None,
            act: None,
            hostile: None,
            sentence: format!("{detector} spoke"),
            complete: true,
            excepted: None,
        };
        Ok(self.detectors.iter().enumerate().map(signal).collect())
    }

    fn incidents(&mut self) -> Result<Vec<Incident>, String> {
        Ok(Vec::new())
    }

    fn explain(&mut self, id: IncidentId) -> Result<Explanation, String> {
        Err(format!("{id} is not known"))
    }

    fn verdicts(&mut self, _id: IncidentId) -> Result<Verdicts, String> {
        Ok(Verdicts::default())
    }
}

fn drill(detectors: &'static [&'static str], about: fn(&Path) -> Option<u32>) -> Option<Report> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to make a network namespace");
        return None;
    }
    let under = tempfile::tempdir().unwrap();
    let arguments = ["--exact", "play::tests::stand_in", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec();
    let cast = Cast { program: std::env::current_exe().unwrap(), arguments };
    let options = Options { cast, under: under.path().to_owned(), patience: Duration::from_millis(300), hold: Duration::ZERO };
    let mut observer = Scripted { detectors, about, under: under.path().to_owned() };
    Some(run(&mut observer, &options, &AtomicBool::new(false), &|_| ()).unwrap())
}

#[test]
fn a_drill_that_is_stopped_cleans_up_all_the_same() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to make a network namespace");
        return;
    }
    let under = tempfile::tempdir().unwrap();
    let arguments = ["--exact", "play::tests::stand_in", "--nocapture"].map(str::to_owned).to_vec();
    let cast = Cast { program: std::env::current_exe().unwrap(), arguments };
    let options = Options { cast, under: under.path().to_owned(), patience: Duration::from_secs(3), hold: Duration::ZERO };
    let mut observer = Scripted { detectors: &[], about: |_| None, under: under.path().to_owned() };
    let report = run(&mut observer, &options, &AtomicBool::new(true), &|_| ()).unwrap();
    assert!(report.steps.is_empty());
    assert!(report.ground.is_clean(), "{:?}", report.ground);
    assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 0);
}

#[test]
fn every_step_really_happens_and_nothing_is_left() {
    let Some(report) = drill(&["web_server_shell", "shell-on-socket", "exec_from_writable", "unexpected_listener"], drilled_server) else {
        return;
    };
    println!("{}", report.table());
    assert!(report.steps.iter().all(|step| matches!(step.outcome, Outcome::Seen { .. })), "{:#?}", report.steps);
    assert_eq!(report.steps.len(), TECHNIQUES.len());
    assert!(report.ground.processes_started >= 4, "server, shell, calling shell, back door: {:?}", report.ground);
    assert!(report.ground.is_clean(), "{:?}", report.ground);
    assert!(!std::path::Path::new(&report.ground.directory).exists());
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn a_blind_guard_is_told_apart() {
    let Some(report) = drill(&["web_server_shell"], drilled_server) else { return };
    let missed: Vec<_> = report.steps.iter().filter(|step| step.outcome == Outcome::Missed).map(|step| step.name.as_str()).collect();
    assert_eq!(missed, ["reverse_shell", "exec_from_tmp", "unexpected_listener"]);
    assert_eq!(report.exit_code(), 5);
}

#[test]
fn a_signal_about_somebody_else_does_not_count() {
    let Some(report) = drill(&["web_server_shell"], |_| Some(1)) else { return };
    assert!(report.steps.iter().all(|step| step.outcome == Outcome::Missed), "{:#?}", report.steps);
}
