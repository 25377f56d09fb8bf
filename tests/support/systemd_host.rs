//! A host with systemd, sshd and real accounts: a Debian in a container, made once and kept, in which the agent runs as the
//! unit that is shipped. Its network has no cable, its reboot is a restart of the container.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::agent::told;
use super::docker::Docker;
use super::{BINARY, wait_for};

/// What the Debian holds.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,nftables,openssh-server,openssh-client,iproute2,procps,passwd";
const RELEASE: &str = "bookworm";
/// Names another release of Debian, and with it another systemd (bullseye 247, bookworm 252, trixie 257).
const OTHER: &str = "BARTIZAN_TEST_RELEASE";
/// Names another program to install: one of `scripts/static.sh` where the C library is older than ours (bullseye).
const PROGRAM: &str = "BARTIZAN_TEST_PROGRAM";
/// Where it is kept between runs.
const CACHE: &str = "/var/cache/bartizan-tests";

/// Whether such a host can be made here; says aloud why not.
pub fn can_run() -> bool {
    super::can_run(&["docker", "dockerd", "nft", "ip", "nsenter", "tar"]) && image().is_some()
}

/// The Debian as a tar file: made when it is not there yet, which takes a minute and a mirror.
fn image() -> Option<PathBuf> {
    let release = std::env::var(OTHER).unwrap_or_else(|_| RELEASE.to_owned());
    let mark = blake3::hash(format!("{release} {PACKAGES}").as_bytes()).to_hex();
    let file = Path::new(CACHE).join(format!("systemd-host-{}.tar", &mark[..8]));
    if file.is_file() {
        return Some(file);
    }
    if !super::can_run(&["debootstrap"]) {
        return None;
    }
    std::fs::create_dir_all(CACHE).unwrap();
    // In the same file system, and not below /tmp, which may forbid device files.
    let place = tempfile::Builder::new().prefix("making-").tempdir_in(CACHE).unwrap();
    let root = place.path().join("root");
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &format!("--include={PACKAGES}"), &release]).arg(&root).arg(mirror());
    let made = command.output().unwrap();
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stdout).lines().last().unwrap_or_default().to_owned();
        eprintln!("skipped: debootstrap could not make a Debian here: {said}");
        return None;
    }
    let _ = std::fs::remove_dir_all(root.join("var/cache/apt/archives"));
    let half = place.path().join("half.tar");
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&half).arg(".").output().unwrap();
    assert!(packed.status.success(), "{}", told(&packed));
    // Whole or not at all, should two tests make it at once.
    std::fs::rename(&half, &file).unwrap();
    Some(file)
}

/// Where this machine gets its own packages from, if it is a Debian.
fn mirror() -> String {
    let lists = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let text: String = lists.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let found = text.split_whitespace().find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    found.unwrap_or("http://deb.debian.org/debian").to_owned()
}

/// A running host.
pub struct SystemdHost {
    docker: Docker,
    name: &'static str,
}

impl SystemdHost {
    /// Boots it with the agent installed as its unit, not yet started.
    pub fn boot() -> Self {
        let host = Self::boot_bare();
        host.install();
        host
    }

    /// Boots it without any of ours on it.
    pub fn boot_bare() -> Self {
        let docker = Docker::start();
        let imported = docker.run(&["import", image().unwrap().to_str().unwrap(), "debian"]);
        assert!(imported.status.success(), "{}", told(&imported));
        let host = Self { docker, name: "host" };
        let capabilities = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"];
        let mut arguments = vec!["run", "-d", "--name", host.name, "--network", "none", "--cgroupns=host"];
        capabilities.iter().for_each(|capability| arguments.extend(["--cap-add", capability]));
        arguments.extend(["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]);
        arguments.extend(["--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "debian", "/sbin/init"]);
        let started = host.docker.run(&arguments);
        assert!(started.status.success(), "{}", told(&started));
        host.wait_until_up();
        host
    }

    fn wait_until_up(&self) {
        let up = || matches!(self.try_shell("systemctl is-system-running").stdout.as_slice(), b"running\n" | b"degraded\n").then_some(());
        wait_for("systemd to be up", Duration::from_secs(60), up, || {
            told(&self.try_shell("systemctl list-jobs; journalctl -n 20 --no-pager"))
        });
    }

    /// As install.sh does, but for the building.
    fn install(&self) {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = [
            (std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from(BINARY), PathBuf::from), "/usr/local/bin/bartizan"),
            (repository.join("config/bartizan.service"), "/etc/systemd/system/bartizan.service"),
            (repository.join("install.sh"), "/usr/local/src/install.sh"),
            (repository.join("config"), "/usr/local/src/config"),
        ];
        for (from, to) in files {
            let copied = self.docker.run(&["cp", from.to_str().unwrap(), &format!("{}:{to}", self.name)]);
            assert!(copied.status.success(), "{}", told(&copied));
        }
        self.shell("bartizan emergency-script >/usr/local/bin/bartizan-emergency");
        self.shell(
            "chown root: /usr/local/bin/* /etc/systemd/system/bartizan.service && chmod 755 /usr/local/bin/* && mkdir -p /etc/bartizan",
        );
        self.shell("systemctl daemon-reload");
    }

    /// Starts the unit and waits until the agent answers.
    pub fn start_agent(&self) {
        self.shell("systemctl reset-failed bartizan.service 2>/dev/null; systemctl start bartizan.service");
        let up = || self.try_shell("bartizan status --json").status.success().then_some(());
        wait_for("the agent to answer", Duration::from_secs(60), up, || told(&self.try_shell("journalctl -u bartizan -n 30 --no-pager")));
    }

    pub fn try_shell(&self, line: &str) -> Output {
        self.docker.run(&["exec", self.name, "sh", "-c", line])
    }

    pub fn shell(&self, line: &str) -> String {
        let output = self.try_shell(line);
        assert!(output.status.success(), "{line}: {}", told(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Puts a file of this machine onto it.
    pub fn copy_in(&self, from: &Path, to: &str) {
        let copied = self.docker.run(&["cp", from.to_str().unwrap(), &format!("{}:{to}", self.name)]);
        assert!(copied.status.success(), "{}", told(&copied));
    }

    /// What a verb prints as JSON: one document, or one a line.
    pub fn json(&self, verb: &str) -> Vec<Value> {
        let text = self.shell(&format!("bartizan {verb} --json"));
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
        values.flat_map(|value| if let Value::Array(list) = value { list } else { vec![value] }).collect()
    }

    /// Down and up again: memory, mounts, cgroups, processes and the packet filter are new, the disk is not.
    pub fn reboot(&self) {
        let restarted = self.docker.run(&["restart", "-t", "10", self.name]);
        assert!(restarted.status.success(), "{}", told(&restarted));
        self.wait_until_up();
    }

    /// The same by the road that a person takes: systemd stops everything in its own order, then the host is off.
    pub fn shut_down_and_boot(&self) {
        self.try_shell("systemctl --no-block poweroff");
        let waited = self.docker.run(&["wait", self.name]);
        assert!(waited.status.success(), "{}", told(&waited));
        let started = self.docker.run(&["start", self.name]);
        assert!(started.status.success(), "{}", told(&started));
        self.wait_until_up();
    }

    pub fn docker(&self) -> &Docker {
        &self.docker
    }
}

impl Drop for SystemdHost {
    fn drop(&mut self) {
        self.docker.run(&["rm", "-f", self.name]);
    }
}
