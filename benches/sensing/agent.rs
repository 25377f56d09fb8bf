//! An agent under measurement: the real one, whole, with data of its own.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_bartizan");
/// Most events that one question returns.
const MOST: &str = "100000";

pub struct Agent {
    child: Child,
    data: tempfile::TempDir,
}

#[derive(Deserialize)]
struct Told {
    process: Option<Args>,
}

#[derive(Deserialize)]
struct Args {
    argv: Vec<String>,
}

impl Agent {
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let child = Command::new(BINARY)
            .args(["--headless", "--data"])
            .arg(data.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, data };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !agent.ask(&["status", "--json"]).status.success() {
            assert!(Instant::now() < deadline, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(agent.status()["rung"], "ebpf", "the figures are about the best rung");
        agent
    }

    fn ask(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(BINARY).args(arguments).arg("--data").arg(self.data.path()).output().unwrap()
    }

    /// What the agent answers, as it is printed.
    pub fn told(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.told(&["status", "--json"])).unwrap()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// CPU seconds so far (proc(5), stat fields 14 and 15, 100 a second).
    pub fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }

    /// Resident memory now and at most since it started, in MiB (proc(5), status).
    pub fn resident(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = |name: &str| {
            let text = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (line("VmRSS:"), line("VmHWM:"))
    }

    /// Sleeps until the agent has nothing more to do, at most ten seconds.
    pub fn settle(&self) {
        let mut before = self.cpu();
        for _ in 0..10 {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.cpu();
            if now - before < 0.02 {
                return;
            }
            before = now;
        }
    }

    /// Executions stored of a storm: those with the right argument, each counted once. Asked for by the first digit,
    /// because one answer has a bound.
    pub fn execs_of(&self, token: &str, execs: usize) -> usize {
        let mut seen = HashSet::new();
        for digit in 0..10 {
            let mark = format!("{token}-{digit}");
            let text = self.told(&["events", "--json", "--kind", "process.exec", "--limit", MOST, "--where", &mark]);
            let events: Vec<Told> = serde_json::from_slice(&text).unwrap();
            let argument =
                |event: &Told| event.process.as_ref()?.argv.get(1)?.strip_prefix(token)?.strip_prefix('-')?.parse::<usize>().ok();
            seen.extend(events.iter().filter_map(argument).filter(|number| *number < execs));
        }
        seen.len()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        end(&mut self.child, nix::sys::signal::Signal::SIGTERM);
    }
}

/// Events lost at hops that `fits`.
pub fn lost(status: &Value, fits: impl Fn(&str) -> bool) -> u64 {
    let hops = status["hops"].as_array().unwrap().iter();
    hops.filter(|hop| fits(hop["hop"].as_str().unwrap())).map(|hop| hop["dropped"].as_u64().unwrap()).sum()
}

/// `none`, or each hop that lost something.
pub fn losses(status: &Value) -> String {
    let hops = status["hops"].as_array().unwrap().iter();
    let lossy = hops.filter(|hop| hop["dropped"] != 0).map(|hop| format!("{} {}", hop["hop"].as_str().unwrap(), hop["dropped"]));
    let lossy: Vec<String> = lossy.collect();
    if lossy.is_empty() { "none".to_owned() } else { lossy.join(", ") }
}

/// CPU seconds that a process has used.
pub fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11..13).map_or(0.0, |times| times.iter().map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0)
}

/// Ends a process that we started, and waits for it.
pub fn end(child: &mut Child, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal);
    let _ = child.wait();
}
