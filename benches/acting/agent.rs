//! The agent that acts: the real one, whole, in AGGRESSIVE mode, in a network namespace of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::namespace::Namespace;

const BINARY: &str = env!("CARGO_BIN_EXE_bartizan");
/// What keeps an agent from acting a hundred times within minutes; nothing else differs from what is built in.
const LIMITS: &str = "[actions]\nmost_per_minute = 1000\nmost_active = 4096\n\n[sentinel]\nmost_undone = 1000\nmost_repeated = 1000\n";

pub struct Agent<'a> {
    child: Child,
    home: tempfile::TempDir,
    /// Where it is in real life: in memory.
    runtime: PathBuf,
    namespace: &'a Namespace,
}

impl<'a> Agent<'a> {
    pub fn start(namespace: &'a Namespace) -> Self {
        let home = tempfile::tempdir().unwrap();
        let runtime = PathBuf::from(format!("/run/bartizan-bench-{}", std::process::id()));
        let path = |name: &str| home.path().join(name);
        let level = std::env::var("ACTING_LOG").unwrap_or_else(|_| "warn".to_owned());
        let settings = format!("data = {:?}\nsocket = {:?}\nruntime = {runtime:?}\nlog = {level:?}\n", path("data"), path("agent.sock"));
        std::fs::write(path("agent.toml"), settings).unwrap();
        std::fs::write(path("policy.toml"), LIMITS).unwrap();
        let log = match std::env::var_os("ACTING_LOG_FILE") {
            Some(file) => std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap().into(),
            None => Stdio::null(),
        };
        let mut command = Command::new("nsenter");
        command.arg(namespace.flag()).args([BINARY, "--headless"]).args(flags(home.path()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let agent = Self { child, home, runtime, namespace };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !agent.ask(&["status", "--json"]).status.success() {
            assert!(Instant::now() < deadline, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        agent.told(&["mode", "aggressive", "--json"]);
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(agent.told(&["status", "--json"])["rung"], "ebpf", "the figures are about the best rung");
        agent
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.arg(self.namespace.flag()).arg(BINARY).args(arguments).args(flags(self.home.path()));
        command.output().unwrap()
    }

    pub fn told(&self, arguments: &[&str]) -> Value {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        // One document, or one a line.
        let mut values: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
        if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
    }

    /// Waits until a tree is held and nothing is under way any more, then undoes everything; whether a tree was held.
    pub fn settle(&self, acted: bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        let (mut held, mut before) = (false, Vec::new());
        while acted && Instant::now() < deadline {
            let active = serde_json::from_slice::<Value>(&self.ask(&["actions", "--active", "--json"]).stdout).unwrap_or_default();
            let rows = if let Value::Array(rows) = active { rows } else { vec![active] };
            let states: Vec<Value> = rows.iter().map(|row| serde_json::json!([row["id"], row["kind"], row["state"]])).collect();
            held |= rows.iter().any(|row| row["kind"] == "freeze-tree" && row["state"] == "live");
            // The blocks of the same case follow the freeze.
            if held && states == before && rows.iter().all(|row| row["state"] == "live") {
                break;
            }
            before = states;
            std::thread::sleep(Duration::from_millis(150));
        }
        self.roll_back();
        held
    }

    fn roll_back(&self) {
        for _ in 0..3 {
            if self.ask(&["rollback", "--all", "--json"]).status.success() {
                return;
            }
        }
    }
}

fn flags(home: &std::path::Path) -> [String; 4] {
    let path = |name: &str| home.join(name).display().to_string();
    ["--config".to_owned(), path("agent.toml"), "--data".to_owned(), path("data")]
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        self.roll_back();
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
        // Its watchdog ends with it.
        std::thread::sleep(Duration::from_millis(500));
        let _ = std::fs::remove_dir_all(&self.runtime);
    }
}
