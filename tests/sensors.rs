//! The sensors against the running kernel: what really happened must come out as events, on every rung.
//! Needs root; without it each test says aloud that it was skipped.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan::collector::{Collector, Ladder, Sink, Stop, World, process_collectors};
use bartizan::config::policy::Policy;
use bartizan::model::{Event, EventKind, Exit, HostText, Process, Rung, ServiceRole};

/// Keeps every event.
#[derive(Default)]
struct Kept {
    events: Mutex<Vec<Event>>,
    accounts: Mutex<Vec<(&'static str, u64, u64)>>,
}

impl Sink for Kept {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn account(&self, hop: &'static str, received: u64, dropped: u64) {
        self.accounts.lock().unwrap().push((hop, received, dropped));
    }
}

/// A ladder whose collectors run.
struct Running {
    world: Arc<World>,
    ladder: Ladder,
    kept: Arc<Kept>,
    stop: Stop,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// On this rung, or `None`, said aloud, when it is refused here.
    fn on(rung: Rung) -> Option<Self> {
        let world = Arc::new(World::default());
        let roles = Policy::built_in().unwrap().roles;
        let ladder = process_collectors(&roles, Some(rung), world.clone());
        if !ladder.is_open() {
            eprintln!("skipped: {} is refused here: {:?}", rung.noun(), ladder.blind_spots());
            return None;
        }
        assert_eq!(ladder.rung(), rung);
        let (kept, stop) = (Arc::new(Kept::default()), Stop::default());
        let start = |mut collector: Box<dyn Collector>| {
            let (kept, stop) = (kept.clone(), stop.clone());
            std::thread::spawn(move || collector.run(&*kept, &stop).unwrap())
        };
        let threads = ladder.collectors().into_iter().map(start).collect();
        let running = Self { world, ladder, kept, stop, threads };
        // Polling rungs must have looked once before anything happens.
        std::thread::sleep(Duration::from_millis(if rung == Rung::Ebpf { 20 } else { 700 }));
        Some(running)
    }

    /// The first event that fits, waiting for it.
    fn find(&self, mut fits: impl FnMut(&Event) -> bool) -> Option<Event> {
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            if let Some(event) = self.kept.events.lock().unwrap().iter().find(|event| fits(event)) {
                return Some(event.clone());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn exec_of(&self, pid: u32) -> Option<Event> {
        self.find(|event| event.kind == EventKind::Exec && pid_of(event) == Some(pid))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set();
        for thread in self.threads.drain(..) {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "a collector ended badly");
        }
    }
}

fn pid_of(event: &Event) -> Option<u32> {
    event.process.as_ref().map(|process| process.pid)
}

fn process(event: &Event) -> &Process {
    event.process.as_ref().unwrap()
}

fn argv(parts: &[&[u8]]) -> Vec<HostText> {
    parts.iter().map(|part| HostText::from(*part)).collect()
}

#[test]
fn ebpf_sees_two_thousand_rapid_execs_each_with_its_own_arguments() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let token = format!("storm-{}", std::process::id());
    for i in 0..2000 {
        assert!(Command::new("/bin/true").arg(format!("{token}-{i}")).status().unwrap().success());
    }
    let last = format!("{token}-1999");
    assert!(running.find(|e| e.kind == EventKind::Exec && process(e).argv.get(1).is_some_and(|a| *a == *last)).is_some());
    let events = running.kept.events.lock().unwrap();
    let mut seen: Vec<u32> = events
        .iter()
        .filter(|e| e.kind == EventKind::Exec)
        .filter_map(|e| process(e).argv.get(1)?.lossy().strip_prefix(&token)?.strip_prefix('-')?.parse().ok())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..2000).collect::<Vec<u32>>());
    assert!(events.iter().all(|e| !matches!(e.kind, EventKind::Loss { .. })));
}

#[test]
fn ebpf_sees_exec_fork_and_exit_exactly() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b[31m");
    let mut child = Command::new("/bin/sh").arg("-c").arg("exit 3").arg(odd).arg("").current_dir("/usr").uid(65_534).spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let exec = running.exec_of(pid).unwrap();
    let p = process(&exec);
    assert_eq!(p.argv, argv(&[b"/bin/sh", b"-c", b"exit 3", b"\xff\x1b[31m", b""]));
    assert_eq!((p.ppid, p.uid, p.euid, p.capabilities), (std::process::id(), 65_534, 65_534, 0));
    assert_eq!((&p.cwd, p.user.as_ref(), p.stdio_sockets), (&"/usr".into(), Some(&"nobody".into()), 0));
    assert!(exec.complete && p.netns != 0 && !p.cgroup.is_empty() && p.exe_file.inode != 0);
    assert_eq!(p.exe, HostText::from(std::fs::canonicalize("/bin/sh").unwrap().to_str().unwrap()));
    assert_eq!(p.parent, running.world.by_pid(std::process::id()).map(|me| me.key));
    let exit = running.find(|e| matches!(e.kind, EventKind::Exit { .. }) && pid_of(e) == Some(pid)).unwrap();
    assert_eq!(exit.kind, EventKind::Exit { exit: Exit { code: Some(3), signal: None } });
    assert!(running.find(|e| e.kind == EventKind::Fork && pid_of(e) == Some(pid)).is_some());
    assert!(!running.world.is_alive(p.key) && running.world.by_pid(pid).is_some());
}

#[test]
fn a_long_argument_list_is_cut_and_says_so() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let long = "x".repeat(10_000);
    let mut child = Command::new("/bin/true").arg(&long).spawn().unwrap();
    child.wait().unwrap();
    let p = running.exec_of(child.id()).unwrap().process.unwrap();
    assert!(p.argv_truncated);
    assert_eq!(p.argv.iter().map(|a| a.as_bytes().len() + 1).sum::<usize>(), 4097);
}
