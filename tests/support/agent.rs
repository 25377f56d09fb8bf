//! An agent of one's own: its data, socket and configuration lie in a temporary directory, gone at the end.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{BINARY, guarded::Guarded, network::Network, wait_for};

/// Where one agent lives. Several may run at once.
pub struct Home {
    pub directory: tempfile::TempDir,
    /// `--net=` file of the network that it watches and changes.
    pub network: Option<String>,
    /// `--mount=` file of the host that it guards, when that has files of its own.
    pub mounts: Option<String>,
}

impl Home {
    pub fn new(network: Option<&Network>) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-test-").tempdir().unwrap();
        let home = Self { directory, network: network.map(Network::file), mounts: None };
        home.configure("");
        home
    }

    /// On a host with files of its own.
    pub fn on(host: &Guarded) -> Self {
        let mut home = Self::new(Some(&host.network));
        home.mounts = Some(host.mounts());
        home
    }

    /// Writes `agent.toml`: where the home is, and `more`.
    pub fn configure(&self, more: &str) {
        let text = format!("data = {:?}\nsocket = {:?}\n{more}\n", self.path("data"), self.path("agent.sock"));
        std::fs::write(self.path("agent.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The flags that make every call meet this agent and no other.
    pub fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        vec!["--config".into(), path("agent.toml"), "--data".into(), path("data"), "--socket".into(), path("agent.sock")]
    }

    /// `bartizan ARGUMENTS FLAGS`, inside the home's network: `nsenter` keeps /sys, so that cgroups stay in sight.
    pub fn argv(&self, arguments: &[&str]) -> Vec<String> {
        let mut argv = Vec::new();
        if let Some(file) = &self.network {
            argv.extend(["nsenter".to_owned(), format!("--net={file}")]);
            argv.extend(self.mounts.iter().map(|mounts| format!("--mount={mounts}")));
            argv.extend(self.mounts.iter().map(|mounts| format!("--uts={}", mounts.replace("/ns/mnt", "/ns/uts"))));
        }
        argv.push(BINARY.to_owned());
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        argv.extend(self.flags());
        argv
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let argv = self.argv(arguments);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    /// One line for a shell in a terminal.
    pub fn shell_line(&self, arguments: &[&str]) -> String {
        self.argv(arguments).iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, expects exit code 0, and reads its JSON: one document or one a line; a list is opened.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "bartizan {arguments:?}: {}", told(&output));
        let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>().map(|value| value.unwrap());
        values.flat_map(|value| if let Value::Array(list) = value { list } else { vec![value] }).collect()
    }

    /// Whether an agent answers here.
    pub fn answers(&self) -> bool {
        self.run(&["status", "--json"]).status.success()
    }

    /// The pid of the agent that answers here.
    pub fn pid(&self) -> u32 {
        self.json(&["status"])[0]["pid"].as_u64().unwrap() as u32
    }

    /// Starts an agent without a console and waits until it answers.
    pub fn start(&self) -> Agent<'_> {
        self.start_with(&[])
    }

    pub fn start_with(&self, environment: &[(&str, &str)]) -> Agent<'_> {
        let log = std::fs::File::create(self.path("agent.log")).unwrap();
        let mut command = self.command(&["--headless"]);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        let mut agent = Agent { home: self, child: command.spawn().unwrap() };
        let log = || std::fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        wait_for(
            "the agent to answer",
            Duration::from_secs(20),
            || {
                assert!(agent.child.try_wait().unwrap().is_none(), "the agent ended: {}", log());
                self.answers().then_some(())
            },
            log,
        );
        agent
    }

    /// Ends whatever agent answers here, by its pid, and waits.
    pub fn end_agent(&self) {
        if self.answers() {
            let pid = self.pid();
            signal(pid, nix::sys::signal::Signal::SIGTERM);
            wait_for("the agent to end", Duration::from_secs(10), || (!is_alive(pid)).then_some(()), String::new);
        }
    }
}

/// A running agent; ended and reaped at the end of the test.
pub struct Agent<'a> {
    pub home: &'a Home,
    child: Child,
}

impl Agent<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no destructor, no flush.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as a service manager does.
    pub fn stop(mut self) -> ExitStatus {
        self.finish()
    }

    fn finish(&mut self) -> ExitStatus {
        if let Some(status) = self.child.try_wait().unwrap() {
            return status;
        }
        // Our own unreaped child: the pid cannot have passed to another.
        signal(self.child.id(), nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

/// An agent that a console started outlives its terminal by design; it must not outlive its test.
impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.run(&["stop"]);
        }
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

pub fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
}

/// Alive, and not merely unreaped.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// What a program said, for a failing test.
pub fn told(output: &Output) -> String {
    format!("{}\nstdout: {}\nstderr: {}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
