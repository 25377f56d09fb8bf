//! `cargo bench --bench baseline`: how long one event takes to be found normal among 10,000 profiles, a million to be learned, and how much
//! memory both hold.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)] // a bench prints, and fails by panic

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_baseline::{Asked, Baseline, Circumstances, Settings, Wanted, list, review, status, take_changes};
use bartizan_model::{
    Ancestor, BootId, Event, EventId, EventKind, Flow, HabitId, HostText, Lineage, Process, ProcessKey, Protocol, Source, Timestamp,
};

/// Profiles of a busy host.
const PROFILES: u32 = 10_000;
/// Destinations of each.
const DESTINATIONS: u32 = 6;

/// Resident memory in KiB (proc(5), statm).
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4
}

fn process(number: u32) -> Arc<Process> {
    let key = ProcessKey { boot: BootId(1), pid: number + 10, start: u64::from(number) };
    let mut process = Process::unknown(key, Timestamp::UNIX_EPOCH);
    process.exe = HostText::from(format!("/usr/lib/service{number}/bin/daemon").as_str());
    process.unit = Some(format!("service{number}.service"));
    process.user = Some("daemon".into());
    process.package = Some(HostText::from(format!("package{number}").as_str()));
    let parent = Ancestor { key: ProcessKey { boot: BootId(1), pid: 1, start: 1 }, exe: "/usr/lib/systemd/systemd".into() };
    process.lineage = Lineage { ancestors: Arc::from([parent]), elided: 0, roots: Arc::from([]) };
    Arc::new(process)
}

fn event(process: &Arc<Process>, kind: EventKind, second: i64) -> Event {
    let at = Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap();
    Event { id: EventId(1), at, kind, process: Some(Arc::clone(process)), source: Source::Ebpf, complete: true }
}

fn call(number: u32) -> EventKind {
    let dst = std::net::Ipv4Addr::new(45, 9, u8::try_from(number % 250).unwrap(), 7);
    let net = Flow { proto: Protocol::Tcp, src: [10, 0, 0, 1].into(), sport: 40_000, dst: Some(dst.into()), dport: Some(443), name: None };
    EventKind::Connect { net }
}

/// Asks as the agent does, and takes the time of each part.
struct Desk {
    baseline: RefCell<Baseline>,
    longest: Cell<Duration>,
}

impl Asked for Desk {
    type Error = std::convert::Infallible;

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Baseline) -> T + Send + 'static) -> Result<T, Self::Error> {
        let begin = Instant::now();
        let answer = question(&mut self.baseline.borrow_mut());
        self.longest.set(self.longest.get().max(begin.elapsed()));
        Ok(answer)
    }
}

fn main() {
    let processes: Vec<Arc<Process>> = (0..PROFILES).map(process).collect();
    let before = resident();
    let mut baseline = Baseline::new(Settings { learn_for: 3_600, ..Settings::default() });
    let ask = Circumstances::default;
    let begin = Instant::now();
    let mut learned = 0_u64;
    for round in 0..100 / (DESTINATIONS + 1) + 1 {
        for process in &processes {
            baseline.observe(&event(process, EventKind::Exec, i64::from(round)), &ask);
            for destination in 0..DESTINATIONS {
                baseline.observe(&event(process, call(destination), i64::from(round)), &ask);
            }
            learned += u64::from(DESTINATIONS) + 1;
        }
    }
    let took = begin.elapsed().as_secs_f64();
    let memory = resident().saturating_sub(before);
    println!("{PROFILES} profiles with {DESTINATIONS} destinations each");
    println!("learning                {:>10.2} s a million events", took * 1e6 / learned as f64);
    println!("memory                  {:>10.1} MiB", memory as f64 / 1024.0);
    let normal: Vec<Event> = processes.iter().map(|process| event(process, call(3), 10_000)).collect();
    let mut times: Vec<f64> = Vec::with_capacity(200);
    for round in 0..200 {
        let part: Vec<&Event> = normal.iter().skip(round * 37 % 5_000).step_by(50).collect();
        let begin = Instant::now();
        part.iter().for_each(|event| assert!(baseline.observe(event, &ask).is_empty()));
        times.push(begin.elapsed().as_secs_f64() * 1e9 / part.len() as f64);
    }
    times.sort_by(f64::total_cmp);
    println!("a normal connection     {:>10.0} ns (median)", times[times.len() / 2]);
    let now = Timestamp::from_timestamp(1_700_010_000, 0).unwrap();
    let timed = |what: &str, question: &mut dyn FnMut() -> usize| {
        let begin = Instant::now();
        let rows = question();
        println!("{what:<16} {rows:>6} rows {:>9.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    };
    timed("all in one piece", &mut || baseline.habits(|_| true, HabitId(0), 2_000).len());
    let desk = Desk { baseline: RefCell::new(baseline), longest: Cell::default() };
    let asked = |what: &str, question: &mut dyn FnMut() -> usize| {
        desk.longest.set(Duration::ZERO);
        timed(what, question);
        println!("{:<16} {:>28.2} ms", "  longest part", desk.longest.get().as_secs_f64() * 1e3);
    };
    asked("show, a page", &mut || list(&desk, Wanted::default(), &|_| true, 2_000).unwrap().len());
    asked("show, by text", &mut || {
        list(&desk, Wanted::default(), &|habit| habit.value.escaped().contains("nothing"), 2_000).unwrap().len()
    });
    asked("review", &mut || review(&desk, now, (None, None)).unwrap().learned.len());
    asked("status", &mut || status(&desk, now, None).unwrap().profiles.len());
    asked("to be written", &mut || take_changes(&desk).map_err(|_| ()).unwrap().habits.len());
    let mut baseline = desk.baseline.into_inner();
    let ids: Vec<HabitId> = (1..=10_000).map(HabitId).collect();
    timed("decide", &mut || baseline.decide(&ids, true, "ann").unwrap().len());
    timed("revert", &mut || usize::try_from(baseline.revert(&std::collections::HashMap::new(), "ann")).unwrap());
    timed("tick", &mut || baseline.tick(now, &|_| true).len());
    let begin = Instant::now();
    let changes = baseline.take_changes();
    println!("handing over {:>6} rows {:>9.1} ms", changes.habits.len(), begin.elapsed().as_secs_f64() * 1e3);
}
