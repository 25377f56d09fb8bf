//! For tests of harm: a real sshd, people who log in to it, and a neighbour in a network of its own.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{LookAgain, second_look};
use bartizan_isolation::own_netns::ip;
use bartizan_model::LifelineReason;

/// The system's own sshd on port 22 of this network, into which root may log in, ended with its connections.
pub(super) struct RealSshd {
    daemon: Child,
    keys: tempfile::TempDir,
}

impl RealSshd {
    /// `None` where there is none.
    pub(super) fn begin(more: &str) -> Option<Self> {
        if !std::path::Path::new("/usr/sbin/sshd").is_file() {
            eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
            return None;
        }
        let keys = tempfile::tempdir().unwrap();
        let [key, id, config] = ["host", "id", "sshd_config"].map(|name| keys.path().join(name));
        for key in [&key, &id] {
            assert!(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).status().unwrap().success());
        }
        std::fs::create_dir_all("/run/sshd").unwrap();
        let lines = [
            format!("HostKey {}\nAuthorizedKeysFile {}.pub\n", key.display(), id.display()),
            format!("UsePAM no\nPidFile none\nUseDNS no\nStrictModes no\nPermitRootLogin yes\n{more}\n"),
        ];
        std::fs::write(&config, lines.concat()).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        let daemon = command.args(["-D", "-e", "-f"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { daemon, keys };
        let begun = std::time::Instant::now();
        while TcpStream::connect("127.0.0.1:22").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(sshd)
    }

    /// A session that says nothing: by this command line before `ssh`, with these options.
    pub(super) fn login(&self, before: &[&str], options: &[&str], to: &str) -> Login {
        let marked = self.keys.path().join("logged-in");
        let _ = std::fs::remove_file(&marked);
        let mut command = Command::new(before.first().unwrap_or(&"ssh"));
        command
            .args(before.iter().skip(1))
            .args(before.first().map(|_| "ssh"))
            .args(["-F", "/dev/null", "-i"])
            .arg(self.keys.path().join("id"));
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes", "ConnectTimeout=10"] {
            command.args(["-o", option]);
        }
        command.args(options).arg(format!("root@{to}")).arg(format!("touch {}; exec cat", marked.display()));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).env_remove("SSH_AUTH_SOCK").spawn().unwrap();
        let login = Login(child);
        let begun = std::time::Instant::now();
        while !marked.exists() {
            assert!(begun.elapsed() < Duration::from_secs(15), "no login to {to}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Idle for longer than the kernel waits before it asks.
        std::thread::sleep(Duration::from_millis(1300));
        login
    }

    pub(super) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.daemon.id() as i32), signal).unwrap();
    }
}

impl Drop for RealSshd {
    fn drop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGCONT);
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

/// Somebody logged in; gone with the test.
pub(super) struct Login(Child);

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program beside; gone with the test.
pub(super) fn beside(words: &[&str]) -> Login {
    Login(Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A neighbour in a network of its own, 198.51.100.9; this host is 198.51.100.1. Taken down with the test.
pub(super) struct Neighbour(pub(super) String);

impl Neighbour {
    pub(super) fn move_in() -> Self {
        let name = format!("bartizan-harm-{}", std::process::id());
        ip(&format!("netns add {name}"));
        let neighbour = Self(name);
        let name = &neighbour.0;
        ip("link add wire type veth peer name far");
        ip(&format!("link set far netns {name}"));
        for words in ["addr add 198.51.100.9/24 dev far", "link set far up", "link set lo up"] {
            ip(&format!("-n {name} {words}"));
        }
        ip("addr add 198.51.100.1/24 dev wire");
        ip("link set wire up");
        neighbour
    }

    /// The command line that begins there.
    pub(super) fn here(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.0]
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// The look that ships, for tests that play several hosts in one network namespace: there every address is one of our own,
/// which says nothing about whom it stands for.
pub(super) fn among_ourselves() -> LookAgain {
    let look = second_look();
    Box::new(move |target| look(target).map(|why| why.filter(|why| *why != LifelineReason::OwnAddress)))
}
