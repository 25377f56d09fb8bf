//! Undoing: each action by itself, and all at once in an emergency, by key, by command and by the script that needs nobody;
//! afterwards the host is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::path::PathBuf;
use std::time::Duration;

use bartizan_store::ledger::Ledger;
use support::agent::{Agent, Home, told};
use support::docker::Docker;
use support::guarded::Guarded;
use support::network::Network;
use support::state::{Scene, State};
use support::terminal::Terminal;
use support::trees::Tree;
use support::{alone_on_this_host, can_run, wait_for, wait_until};

const NEEDS: [&str; 9] = ["ip", "nft", "nsenter", "unshare", "dockerd", "docker", "tmux", "useradd", "busybox"];

/// Every kind of action, as its owner asks for it.
const DEEDS: [&str; 10] = [
    "block 203.0.113.5",
    "block --out 2001:db8::5",
    "limit 203.0.113.6 --packets 5",
    "block 203.0.113.7 --user alice",
    "block 203.0.113.8 --cgroup /bartizan-emergency-test",
    "isolate web",
    "isolate db --pause",
    "freeze {tree}",
    "disable-user alice",
    "restore /etc/ssh/sshd_config",
];
/// The last: it closes the host.
const CONTAIN: &str = "contain";

struct Full {
    host: Guarded,
    docker: Docker,
    home: Home,
    tree: Tree,
    group: PathBuf,
    instance: String,
}

impl Full {
    fn prepare() -> Self {
        let host = Guarded::new(Network::new());
        host.shell("useradd -m -s /bin/sh alice && useradd -m -s /bin/sh owner && usermod -p '$5$x$y' owner && { ! getent group sudo >/dev/null || usermod -aG sudo owner; }");
        host.shell("mkdir -p /etc/ssh && echo 'UsePAM no' >/etc/ssh/sshd_config");
        let docker = Docker::start_on(&host);
        for line in [
            "network create --subnet 10.97.1.0/24 blue",
            "run -d --name web --network blue busybox /bin/busybox sleep 10000",
            "run -d --name db --network blue busybox /bin/busybox sleep 10000",
        ] {
            let output = docker.run(&line.split(' ').collect::<Vec<_>>());
            assert!(output.status.success(), "docker {line}: {}", told(&output));
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let unified = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[2] == "cgroup2");
        let group = PathBuf::from(unified.expect("no cgroup 2")[1]).join("bartizan-emergency-test");
        std::fs::create_dir_all(&group).unwrap();
        let home = Home::on(&host);
        let instance = Ledger::open(&home.path("data"), chrono::Utc::now()).unwrap().instance().to_owned();
        Self { host, docker, home, tree: Tree::grow(), group, instance }
    }

    fn state(&self) -> State {
        let notes = vec![self.home.path("data/run/freeze"), self.home.path("data/expiry")];
        // The agent's own marks come and go with it.
        State::read(&Scene { host: &self.host, pids: self.tree.members(), notes, instance: &self.instance, docker: Some(&self.docker) })
            .without(|what| what.starts_with("note ") && what.rsplit('/').next().is_some_and(|name| name.starts_with('.')))
    }

    fn fill(&self, before: &State) {
        let _alone = alone_on_this_host();
        for deed in DEEDS.iter().chain([&CONTAIN]) {
            let words = deed.replace("{tree}", &self.tree.pid().to_string());
            let output = self.home.run(&words.split(' ').collect::<Vec<_>>());
            assert!(output.status.success(), "bartizan {words}: {}", told(&output));
        }
        let differences = before.differences(&self.state());
        for trace in ["nft", "/etc/shadow", "/etc/ssh/sshd_config", "process", "container", "group", "note"] {
            assert!(differences.contains(trace), "nothing was done to {trace}:\n{differences}");
        }
        assert_eq!(self.home.json(&["actions", "--active"]).len(), DEEDS.len() + 1);
    }

    fn nothing_is_left(&self, before: &State, when: &str) {
        let same = || before.differences(&self.state()).is_empty().then_some(());
        wait_for(&format!("nothing to be left, {when}"), Duration::from_secs(30), same, || before.differences(&self.state()));
    }

    fn script(&self) -> String {
        let script = self.home.path("emergency.sh");
        std::fs::write(&script, self.home.run(&["emergency-script"]).stdout).unwrap();
        let arguments = [script, self.home.path("data/run"), self.home.path("data")].map(|path| path.display().to_string());
        let output = self.host.command("sh", &arguments.each_ref().map(String::as_str)).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.group);
    }
}

impl Full {
    /// With an agent that sees the tree and keeps copies; gives it and the state before anything is done.
    fn begin(&self) -> (Agent<'_>, State) {
        let agent = self.home.start();
        let kept = || self.home.json(&["copies"]).iter().any(|copy| copy["path"] == "/etc/ssh/sshd_config").then_some(());
        wait_for("a copy of sshd_config", Duration::from_secs(30), kept, String::new);
        self.host.shell("echo '# changed since' >>/etc/ssh/sshd_config");
        let tree = self.tree.pid().to_string();
        wait_until("the agent to see the tree", Duration::from_secs(20), || {
            self.home.run(&["freeze", &tree, "--preview"]).status.success()
        });
        let before = self.state();
        assert!(before.size() > 100, "only {} things are compared", before.size());
        (agent, before)
    }
}

#[test]
fn each_action_undone_leaves_the_host_as_it_was() {
    if !can_run(&NEEDS) {
        return;
    }
    let full = Full::prepare();
    let (agent, before) = full.begin();
    for deed in DEEDS.iter().chain([&CONTAIN]) {
        let words = deed.replace("{tree}", &full.tree.pid().to_string());
        let alone = alone_on_this_host();
        let output = full.home.run(&words.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "bartizan {words}: {}", told(&output));
        assert!(!before.differences(&full.state()).is_empty(), "bartizan {words} changed nothing");
        drop(alone);
        let id = full.home.json(&["actions", "--active"])[0]["id"].as_str().unwrap().to_owned();
        let output = full.home.run(&["rollback", &id]);
        assert!(output.status.success(), "rollback of {words}: {}", told(&output));
        full.nothing_is_left(&before, &format!("bartizan {words}, undone"));
        // Once more changes nothing.
        let output = full.home.run(&["rollback", &id]);
        assert!(output.status.success(), "second rollback of {words}: {}", told(&output));
        full.nothing_is_left(&before, &format!("bartizan {words}, undone twice"));
    }
    assert!(agent.stop().success());
}

#[test]
fn nothing_of_ours_is_left_however_it_is_stopped() {
    if !can_run(&NEEDS) {
        return;
    }
    let full = Full::prepare();
    let (agent, before) = full.begin();

    full.fill(&before);
    let output = full.home.run(&["emergency-stop"]);
    assert!(output.status.success(), "{}", told(&output));
    full.nothing_is_left(&before, "by command");
    assert!(full.home.json(&["actions", "--active"]).is_empty());

    full.fill(&before);
    let console = Terminal::new(120, 40);
    console.type_line(&full.home.shell_line(&["attach"]));
    console.wait_for("PARANOID");
    console.press(&["!"]);
    console.wait("the question of the emergency stop", |screen| screen.to_lowercase().contains("emergency"));
    console.say_yes("the emergency stop", || full.home.json(&["actions", "--active"]).is_empty());
    full.nothing_is_left(&before, "by key");
    wait_until("the rows to say so", Duration::from_secs(20), || full.home.json(&["actions", "--active"]).is_empty());
    drop(console);

    full.fill(&before);
    let said = full.script();
    full.nothing_is_left(&before, &format!("by script beside a living agent: {said}"));
    wait_until("the agent to take it over", Duration::from_secs(20), || full.home.json(&["actions", "--active"]).is_empty());
    full.nothing_is_left(&before, "some seconds after the script");

    full.fill(&before);
    agent.kill();
    let said = full.script();
    full.nothing_is_left(&before, &format!("by script, the agent dead: {said}"));
    let agent = full.home.start();
    full.nothing_is_left(&before, "after a restart");
    assert!(full.home.json(&["actions", "--active"]).is_empty());
    assert!(agent.stop().success());
}
