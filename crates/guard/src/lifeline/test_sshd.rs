//! For tests: real SSH servers with a key of their own, and real clients that log in and stay.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Gives these addresses to loopback.
pub(crate) fn reach(addresses: &[&str]) {
    for addr in addresses {
        let more: &[&str] = if addr.contains(':') { &["nodad"] } else { &[] };
        assert!(Command::new("ip").args(["addr", "add", addr, "dev", "lo"]).args(more).status().unwrap().success(), "{addr}");
    }
}

/// A server; ended with the test, however that ends.
pub(crate) struct Sshd {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Sshd {
    /// A real one of root's; `None` when there is none here.
    pub(crate) fn start(which: &str, port: u16) -> Option<Self> {
        Self::start_as(which, port, 0)
    }

    /// As another user.
    pub(crate) fn start_as(which: &str, port: u16, uid: u32) -> Option<Self> {
        use std::os::unix::fs::{PermissionsExt, chown};
        use std::os::unix::process::CommandExt;
        let program = format!("/usr/sbin/{}", if which == "dropbear" { "dropbear" } else { "sshd" });
        if ![program.as_str(), "/usr/bin/ssh"].iter().all(|file| std::path::Path::new(file).exists()) {
            eprintln!("skipped: needs {program} and ssh");
            return None;
        }
        std::fs::create_dir_all("/run/sshd").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for key in ["host", "id"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key)).status().unwrap();
            assert!(made.success());
        }
        chown(dir.path().join("host"), Some(uid), None).unwrap();
        std::fs::copy(dir.path().join("id.pub"), dir.path().join("authorized_keys")).unwrap();
        let mut command;
        if which == "dropbear" {
            let key = dir.path().join("dropbear");
            let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&key).stdout(Stdio::null()).status().unwrap();
            assert!(made.success());
            // It takes keys from root's home alone: this one has a home of its own.
            let line = "mount -t tmpfs -o mode=700 home /root && mkdir -m 700 /root/.ssh && cp \"$1/id.pub\" /root/.ssh/authorized_keys \
                && exec /usr/sbin/dropbear -F -E -p \"$2\" -P \"$1/pid\" -r \"$1/dropbear\"";
            command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", line, "sh"]).arg(dir.path()).arg(port.to_string());
        } else {
            command = Command::new(program);
            let keys = format!("AuthorizedKeysFile={}", dir.path().join("authorized_keys").display());
            command.args(["-D", "-e", "-f", "/dev/null", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", &keys]);
            command.args(["-o", "MaxStartups=200", "-p", &port.to_string(), "-h"]).arg(dir.path().join("host"));
        }
        let child = command.uid(uid).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, dir, port };
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{which} does not listen on {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("id")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that is logged in.
pub(crate) struct Login(Child);

impl Login {
    /// Logs in from this address to 198.51.100.1 and stays. Without a terminal: a session with one is written into the logs of
    /// this machine.
    pub(crate) fn with(server: &Sshd, account: &str, from: &str, more: &[&str]) -> Self {
        let marked = server.dir.path().join(format!("in-{from}"));
        let _ = std::fs::remove_file(&marked);
        let done = format!("LocalCommand=touch {}", marked.display());
        let login = Self::spawn(server, account, from, &[&["-o", "PermitLocalCommand=yes", "-o", &done], more].concat());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !marked.exists() {
            assert!(Instant::now() < deadline, "{account} does not get in from {from}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The server's own process for the session begins a moment after the client is let in.
        std::thread::sleep(Duration::from_millis(300));
        login
    }

    /// Tries, and hangs where it comes to.
    pub(crate) fn try_with(server: &Sshd, account: &str, from: &str, more: &[&str]) -> Self {
        let login = Self::spawn(server, account, from, more);
        std::thread::sleep(Duration::from_millis(700));
        login
    }

    fn spawn(server: &Sshd, account: &str, from: &str, more: &[&str]) -> Self {
        let mut command = Command::new("ssh");
        command.args(["-F", "/dev/null", "-p", &server.port.to_string(), "-b", from, "-i"]).arg(server.key());
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR"] {
            command.args(["-o", option]);
        }
        command.args(more).arg(format!("{account}@198.51.100.1"));
        if !more.contains(&"-N") {
            command.arg("sleep 60");
        }
        let command = command.env_remove("SSH_AUTH_SOCK").env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", "/bin/cat");
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
