//! A Docker of a test's own: its data, its socket and its network; ended by pid in `Drop`.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::guarded::Guarded;
use super::network::Network;
use super::{agent, unique, wait_for};

/// A running dockerd with one image, `busybox`.
pub struct Docker {
    daemon: Child,
    directory: tempfile::TempDir,
    /// Kept until the daemon has ended: its own loopback, no bridge, no packet filter.
    _network: Option<Network>,
    /// What a client's command line begins with.
    client: Vec<String>,
    /// The cgroup below which its containers run.
    parent: String,
}

impl Docker {
    pub fn start() -> Self {
        let (network, directory) = (Network::new(), tempfile::Builder::new().prefix("bartizan-docker-").tempdir().unwrap());
        let enter = vec![format!("--net={}", network.file())];
        let socket = format!("unix://{}", directory.path().join("sock").display());
        Self::run_daemon(directory, &enter, &[], &socket, Some(network))
    }

    /// On a guarded host, at the socket where everybody looks for it; the host must outlive it.
    pub fn start_on(host: &Guarded) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-docker-").tempdir().unwrap();
        let enter = vec![format!("--net={}", host.network.file()), format!("--mount={}", host.mounts())];
        let client: Vec<String> = ["nsenter".to_owned()].into_iter().chain(enter.clone()).collect();
        Self::run_daemon(directory, &enter, &client, "unix:///run/docker.sock", None)
    }

    fn run_daemon(directory: tempfile::TempDir, enter: &[String], client: &[String], socket: &str, network: Option<Network>) -> Self {
        let path = |name: &str| directory.path().join(name).display().to_string();
        let parent = format!("/{}", unique("bartizan-docker"));
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.args(enter).arg("dockerd");
        command.args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")]);
        command.args(["-H", socket, "--cgroup-parent", &parent, "--config-file", &path("none.json")]);
        command.args(["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]);
        std::fs::write(directory.path().join("none.json"), "{}").unwrap();
        let daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let client = client.iter().cloned().chain(["docker", "-H", socket].map(str::to_owned)).collect();
        let docker = Self { daemon, directory, _network: network, client, parent };
        let log = || std::fs::read_to_string(docker.path("log")).unwrap_or_default();
        wait_for("dockerd", Duration::from_secs(30), || docker.run(&["version"]).status.success().then_some(()), log);
        docker.import();
        docker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self) {
        let root = self.path("root/bin");
        std::fs::create_dir_all(&root).unwrap();
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).is_file()).unwrap();
        std::fs::copy(busybox, root.join("busybox")).unwrap();
        let tar = self.path("root.tar").display().to_string();
        let packed = Command::new("tar").args(["-C", &self.path("root").display().to_string(), "-cf", &tar, "."]).output().unwrap();
        assert!(packed.status.success(), "{}", agent::told(&packed));
        let imported = self.run(&["import", &tar, "busybox"]);
        assert!(imported.status.success(), "{}", agent::told(&imported));
    }

    /// `docker ARGUMENTS`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.client[0]).args(&self.client[1..]).args(arguments).output().unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // SIGTERM: it ends its containers and the containerd that it started.
        agent::signal(self.daemon.id(), nix::sys::signal::Signal::SIGTERM);
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while self.daemon.try_wait().unwrap().is_none() {
            if std::time::Instant::now() > end {
                let _ = self.daemon.kill();
                let _ = self.daemon.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // What it mounted and where its containers ran; each is empty by now.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.directory.path().display().to_string();
        for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|place| place.starts_with(&below)) {
            let _ = Command::new("umount").args(["-l", place]).output();
        }
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(hierarchy.path().join(self.parent.trim_start_matches('/')));
        }
    }
}
