//! From the system call that completes a case to the last instruction of the intruder, measured from outside: the intruder
//! itself writes what time it is until it is stopped.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::agent::Agent;
use crate::figures::{Table, median};
use crate::namespace::Namespace;

const ROUNDS: usize = 100;
/// Without a sign of life for so long it was stopped.
const QUIET: Duration = Duration::from_millis(250);
/// After so long it was not stopped: the round is lost.
const PATIENCE: Duration = Duration::from_secs(4);

/// Programs of the bench: where nobody but root may write, so that only what they do speaks against them.
struct Programs(tempfile::TempDir);

impl Programs {
    fn compile() -> Self {
        let programs = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        programs.cc("nginx", include_str!("programs/victim.c"), &["-O2"]);
        for name in ["sh", "farm"] {
            std::fs::copy(programs.path("nginx"), programs.path(name)).unwrap();
        }
        programs.cc("flood", include_str!("programs/flood.c"), &["-O2"]);
        programs.cc("tiny", include_str!("../sensing/programs/tiny.c"), &["-static", "-nostdlib"]);
        programs
    }

    fn cc(&self, name: &str, source: &str, flags: &[&str]) {
        let file = self.path(name).with_extension("c");
        std::fs::write(&file, source).unwrap();
        assert!(Command::new("cc").args(flags).arg("-o").arg(self.path(name)).arg(file).status().unwrap().success(), "cc {name}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The page that the intruder writes into, a file in memory.
struct Page(tempfile::NamedTempFile);

impl Page {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        file.as_file().set_len(4096).unwrap();
        Self(file)
    }

    /// Nanoseconds of the monotonic clock: 0 the begin, 1 the last sign of life. 2: the server's pid,
    /// which is also its process group.
    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.as_file().read_exact_at(&mut bytes, at * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Who starts the servers: a child of init, older than the agent.
struct Farm(ChildStdin);

impl Farm {
    fn begin(namespace: &Namespace, programs: &Programs) -> Self {
        let mut command = Command::new("setsid");
        command.args(["--fork", "nsenter"]).arg(namespace.flag()).arg(programs.path("farm"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        assert!(child.wait().unwrap().success());
        Self(stdin)
    }

    /// A server that will be broken into. It is there long before: what a service does is urgent once it is known as one.
    fn server(&mut self, address: &str) -> Server {
        let page = Page::new();
        writeln!(self.0, "{} {address}", page.path().display()).unwrap();
        while page.word(2) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        Server(page)
    }
}

/// A server, then with its intruder; ended in `Drop`.
struct Server(Page);

impl Server {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.word(2) as i32)
    }

    fn break_in(&self) {
        kill(self.pid(), Signal::SIGUSR1).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        // It is there when the intruder was stopped before he could remove it.
        let _ = std::fs::remove_file(format!("{}.dropped", self.0.path().display()));
    }
}

/// How a round ended.
enum Round {
    /// Milliseconds until the intruder was stopped.
    Stopped(f64),
    /// He was not.
    Free,
    /// He had no processor time to begin within [`PATIENCE`]: on a host that a flood takes whole nothing was there to stop.
    NotBegun,
}

fn watch(page: &Page) -> Round {
    let started = Instant::now();
    while page.word(0) == 0 {
        if started.elapsed() > PATIENCE {
            return Round::NotBegun;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Who is stopped inside the call never comes to its first sign of life: then the begin is the last instruction.
    let last_sign = || page.word(1).max(page.word(0));
    let (begun, mut last, mut heard) = (Instant::now(), last_sign(), Instant::now());
    while heard.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(20));
        let now = last_sign();
        if now != last {
            (last, heard) = (now, Instant::now());
        }
        if begun.elapsed() > PATIENCE {
            return Round::Free;
        }
    }
    Round::Stopped((last - page.word(0)) as f64 / 1e6)
}

/// Processes that this kernel ever made, and when (proc(5), stat).
fn forks() -> (f64, Instant) {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    (text.lines().find_map(|line| line.strip_prefix("processes ")).unwrap().parse().unwrap(), Instant::now())
}

pub fn idle(table: &mut Table) {
    measure(table, "idle", false);
}

pub fn flood(table: &mut Table) {
    measure(table, "in an exec flood", true);
}

fn measure(table: &mut Table, name: &str, stormy: bool) {
    let (namespace, programs) = (Namespace::new(), Programs::compile());
    let mut farm = Farm::begin(&namespace, &programs);
    let servers: Vec<Server> = (1..=ROUNDS).map(|number| farm.server(&format!("203.0.113.{number}"))).collect();
    let agent = Agent::start(&namespace);
    let storm = stormy.then(|| Storm::begin(&programs));
    let (before, began) = forks();
    let (mut took, mut lost, mut not_begun) = (Vec::new(), 0, 0);
    for server in servers {
        server.break_in();
        let round = watch(&server.0);
        // Whoever else watches this machine may have been faster: that is no figure of ours.
        let by_us = agent.settle(matches!(round, Round::Stopped(_)));
        match round {
            Round::Stopped(ms) if by_us => took.push(ms),
            Round::Stopped(_) | Round::Free => lost += 1,
            Round::NotBegun => not_begun += 1,
        }
    }
    let (after, ended) = forks();
    drop(storm);
    took.sort_by(f64::total_cmp);
    if std::env::var_os("ACTING_LOG_FILE").is_some() {
        eprintln!("    all: {took:.2?}");
    }
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    table.row(&format!("{name}: rounds, of these lost"), format!("{}, {lost}", ROUNDS - not_begun), ">= 100, 0");
    if not_begun > 0 {
        table.row(&format!("{name}: rounds more in which the intruder had no time to begin"), not_begun.to_string(), "");
    }
    let at_once = took.iter().filter(|ms| **ms == 0.0).count();
    table.row(&format!("{name}: stopped before the first instruction of the program"), at_once.to_string(), "");
    table.row(&format!("{name}: event to enforcement, median"), format!("{:.2} ms", median(took.clone())), "<= 2 ms");
    table.row(&format!("{name}: event to enforcement, 99 of 100"), format!("{:.2} ms", at(0.99)), "<= 10 ms");
    table.row(&format!("{name}: the longest"), format!("{:.2} ms", took.last().copied().unwrap_or(f64::NAN)), "");
    if stormy {
        table.row("processes made a second meanwhile", format!("{:.0}", (after - before) / (ended - began).as_secs_f64()), "20000");
    }
}

/// Executions without end on both cores, in a process group of its own.
struct Storm(Child);

impl Storm {
    fn begin(programs: &Programs) -> Self {
        let mut command = Command::new(programs.path("flood"));
        command.arg(programs.path("tiny")).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.process_group(0).spawn().unwrap())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
