//! What sensing costs and whether it is complete: an exec storm without and with the whole agent, in turn.
//!
//! `cargo bench --bench sensing` as root prints one table. Ratios of runs that alternate are worth more than single
//! times: the machine's own speed drifts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)] // a bench fails by panic

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const EXECS: usize = 20_000;
const ROUNDS: usize = 5;
/// The smallest program there is: nothing of its own hides the cost of starting it.
const TINY: &str =
    "__attribute__((noreturn)) void _start(void){ __asm__ volatile(\"mov $60,%eax; xor %edi,%edi; syscall\"); __builtin_unreachable(); }";

/// One storm: wall and CPU seconds.
struct Storm {
    wall: f64,
    cpu: f64,
}

/// What one storm cost the agent, and what it kept of it.
struct Watched {
    storm: Storm,
    agent_cpu: f64,
    rss_mib: f64,
    stored: usize,
    lost: u64,
}

struct Agent {
    child: Child,
    data: tempfile::TempDir,
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: the sensors need root");
        return;
    }
    let tools = tempfile::tempdir().unwrap();
    compile(tools.path(), "storm", include_str!("storm.c"), &["-O2"]);
    compile(tools.path(), "tiny", TINY, &["-static", "-nostdlib"]);
    storm(tools.path(), "warm");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        without.push(storm(tools.path(), &format!("bare{round}")));
        with.push(watched(tools.path(), &format!("run{round}")));
    }
    let idle = idle_percent();
    report(&without, &with, idle);
}

fn compile(tools: &Path, name: &str, source: &str, flags: &[&str]) {
    let file = tools.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    assert!(Command::new("cc").args(flags).arg("-o").arg(tools.join(name)).arg(file).status().unwrap().success(), "cc {name}");
}

fn storm(tools: &Path, token: &str) -> Storm {
    let output = Command::new(tools.join("storm")).arg(EXECS.to_string()).arg(token).arg(tools.join("tiny")).output().unwrap();
    assert!(output.status.success(), "the storm failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Storm { wall: numbers[0], cpu: numbers[1] }
}

impl Agent {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["--headless", "--data"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, data };
        let deadline = Instant::now() + Duration::from_secs(20);
        while agent.ask(&["status", "--json"]).is_none() {
            assert!(Instant::now() < deadline, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(1));
        agent
    }

    fn ask(&self, arguments: &[&str]) -> Option<serde_json::Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_bartizan")).args(arguments).arg("--data").arg(self.data.path()).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// CPU seconds so far (proc(5), stat fields 14 and 15, 100 a second).
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn watched(tools: &Path, token: &str) -> Watched {
    let agent = Agent::start();
    let before = agent.cpu();
    let storm = storm(tools, token);
    std::thread::sleep(Duration::from_secs(3));
    let agent_cpu = agent.cpu() - before;
    let status = agent.ask(&["status", "--json"]).unwrap();
    let lost = status["hops"].as_array().unwrap().iter().map(|hop| hop["dropped"].as_u64().unwrap()).sum();
    let rss_mib = status["rss_bytes"].as_f64().unwrap() / 1_048_576.0;
    let events = agent.ask(&["events", "--json", "--kind", "process.exec", "--limit", "100000", "--where", token]).unwrap();
    let mark = format!("{token}-");
    let stored = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["process"]["argv"][1].as_str().is_some_and(|text| text.starts_with(&mark)))
        .count();
    Watched { storm, agent_cpu, rss_mib, stored, lost }
}

/// CPU of an agent on an otherwise quiet host, in percent of one core.
fn idle_percent() -> f64 {
    let agent = Agent::start();
    std::thread::sleep(Duration::from_secs(3));
    let before = agent.cpu();
    std::thread::sleep(Duration::from_secs(20));
    (agent.cpu() - before) / 20.0 * 100.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(without: &[Storm], with: &[Watched], idle: f64) {
    let over = |part: fn(&Storm) -> f64| median(without.iter().zip(with).map(|(bare, run)| part(&run.storm) / part(bare)).collect());
    let worst = with.iter().map(|run| run.stored).min().unwrap_or(0);
    let rows = [
        ("execs a round, rounds", format!("{EXECS}, {ROUNDS}")),
        ("kept with the right argument, worst round", format!("{worst} of {EXECS}")),
        ("events lost at any hop, all rounds", with.iter().map(|run| run.lost).sum::<u64>().to_string()),
        ("storm wall time, with / without", format!("{:.2}", over(|storm| storm.wall))),
        ("storm CPU time, with / without", format!("{:.2}", over(|storm| storm.cpu))),
        ("agent CPU a round, seconds", format!("{:.2}", median(with.iter().map(|run| run.agent_cpu).collect()))),
        ("agent resident memory, MiB", format!("{:.0}", median(with.iter().map(|run| run.rss_mib).collect()))),
        ("agent idle, percent of a core", format!("{idle:.2}")),
    ];
    println!("{:<44} median", "sensing");
    for (what, figure) in rows {
        println!("{what:<44} {figure}");
    }
}
