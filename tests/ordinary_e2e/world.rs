//! A small host at work, in namespaces of its own; ended with everything on it in `Drop`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Home, told};
use crate::support::ends::Program;
use crate::support::guarded::Guarded;
use crate::support::network::Network;
use crate::support::{can_run, wait_for};

/// The work that must end well, by the names under which it says so.
pub const JOBS: [&str; 12] =
    ["backup", "build", "check", "deploy", "editor", "health", "mail", "package", "play", "push", "renew", "rotate"];

/// The host.
pub struct ProcessCache {
    pub host: Guarded,
    pub stranger: Network,
    /// The agent's home, and where the host tells how far it is.
    pub home: Home,
    first: Program,
    agent: Option<Program>,
    /// Pid 1 of the host, as the machine counts.
    pub init: u32,
    place: PathBuf,
}

impl ProcessCache {
    /// Boots it: its daemons listen, its work has not begun.
    pub fn begin() -> Self {
        let (network, stranger) = Network::pair();
        let host = Guarded::new(network);
        let home = Home::on(&host);
        // In a pid namespace no evidence is complete, and then both modes act from here: less than either asks for elsewhere.
        std::fs::write(home.path("policy.toml"), "[mode]\nbalanced_at = 0.65\naggressive_at = 0.65\n").unwrap();
        let place = home.path("world");
        std::fs::create_dir(&place).unwrap();
        // The account anna passes through.
        std::fs::set_permissions(home.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ordinary_e2e/world.sh");
        let log = std::fs::File::create(home.path("world.log")).unwrap();
        let mut command = host.command("unshare", &["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", script]);
        command.arg(&place).stdout(log.try_clone().unwrap()).stderr(log);
        let mut first = Program::start(&mut command);
        let said = || std::fs::read_to_string(home.path("world.log")).unwrap_or_default();
        wait_for(
            "the host to be up",
            Duration::from_secs(20),
            || {
                assert!(first.try_wait().unwrap().is_none(), "the host went down: {}", said());
                place.join("ready").exists().then_some(())
            },
            said,
        );
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.id())).unwrap();
        let init = children.trim().parse().unwrap();
        Self { host, stranger, home, first, agent: None, init, place }
    }

    /// What enters all its namespaces.
    pub fn enter(&self) -> Vec<String> {
        ["nsenter", "--target", &self.init.to_string(), "--pid", "--mount", "--net", "--uts"].map(str::to_owned).into()
    }

    /// `bartizan ARGUMENTS` on it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let enter = self.enter();
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg(crate::support::BINARY).args(arguments).args(self.home.flags());
        command.stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "bartizan {arguments:?}: {}", told(&output));
    }

    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "bartizan {arguments:?}: {}", told(&output));
        let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>().map(Result::unwrap);
        values.flat_map(|value| if let Value::Array(list) = value { list } else { vec![value] }).collect()
    }

    /// Starts an agent on it; it ends with the host.
    pub fn start_agent(&mut self) {
        let log = std::fs::File::create(self.home.path("agent.log")).unwrap();
        self.agent = Some(Program::start(self.command(&["--headless"]).stdout(Stdio::null()).stderr(log)));
        let up = || self.command(&["status", "--json"]).output().unwrap().status.success().then_some(());
        wait_for("the agent to answer", Duration::from_secs(20), up, || {
            std::fs::read_to_string(self.home.path("agent.log")).unwrap_or_default()
        });
    }

    /// Lets it do all its work once, and waits until that ended well.
    pub fn work(&self) {
        for job in JOBS {
            let _ = std::fs::remove_file(self.place.join(format!("done-{job}")));
        }
        std::fs::write(self.place.join("go"), "").unwrap();
        let wanted: Vec<&str> = JOBS.into_iter().filter(|job| *job != "rotate" || can_run(&["logrotate"])).collect();
        let is_missing = |job: &&str| !self.place.join(format!("done-{job}")).exists();
        let missing = || wanted.iter().copied().filter(is_missing).collect::<Vec<_>>();
        let logs = || String::from_utf8_lossy(&self.host.try_shell("tail -n 20 /home/log/*.out").stdout).into_owned();
        wait_for(
            "the work to be done",
            Duration::from_secs(40),
            || missing().is_empty().then_some(()),
            || {
                format!(
                    "{:?} not done\n{}\n{}",
                    missing(),
                    std::fs::read_to_string(self.home.path("world.log")).unwrap_or_default(),
                    logs()
                )
            },
        );
    }

    /// Pid 1 goes, and with it everybody.
    pub fn end(&mut self) {
        if self.agent.as_mut().is_some_and(|agent| matches!(agent.try_wait(), Ok(None))) {
            // What it holds is let go first, and its groups with it.
            let _ = self.command(&["emergency-stop"]).output();
            let _ = self.command(&["stop"]).output();
        }
        let _ = self.first.kill();
        let _ = self.first.wait();
        self.agent.iter_mut().for_each(|agent| drop(agent.wait()));
    }
}

impl Drop for ProcessCache {
    fn drop(&mut self) {
        self.end();
    }
}
