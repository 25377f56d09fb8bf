//! The owner's way in: a real sshd on the guarded host, real ssh clients on the operator's, and a session that must live.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::agent::told;
use super::guarded::Guarded;
use super::lan::HOST;
use super::network::Network;
use super::wait_for;

/// The account through which the operator comes.
pub const ACCOUNT: &str = "owner";

/// A running sshd with one account and its key.
pub struct SshServer {
    daemon: Child,
    keys: tempfile::TempDir,
}

impl SshServer {
    /// Starts it; `more` are lines for its configuration.
    pub fn start(host: &Guarded, more: &str) -> Self {
        let keys = tempfile::Builder::new().prefix("bartizan-keys-").tempdir().unwrap();
        let key = keys.path().join("id");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{}", told(&made));
        host.shell("getent passwd sshd >/dev/null || useradd -r -d /run/sshd -s /usr/sbin/nologin sshd");
        host.shell(&format!("useradd -m -s /bin/sh {ACCOUNT} && usermod -p '*' {ACCOUNT} && {{ ! getent group sudo >/dev/null || usermod -aG sudo {ACCOUNT}; }}"));
        host.shell(&format!(
            "mkdir -p -m 700 ~{ACCOUNT}/.ssh && cp {}.pub ~{ACCOUNT}/.ssh/authorized_keys && chown -R {ACCOUNT} ~{ACCOUNT}/.ssh",
            key.display()
        ));
        host.shell("rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key");
        // MaxStartups: a hundred logins in a minute are this test's own.
        let config = format!(
            "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100:30:200\nUseDNS no\nPidFile none\n{more}\nPermitRootLogin no\n"
        );
        std::fs::write(host.path("/etc/ssh/sshd_config"), config).unwrap();
        let log = std::fs::File::create(keys.path().join("log")).unwrap();
        let daemon = host.command("/usr/sbin/sshd", &["-D", "-e"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let server = Self { daemon, keys };
        let open = || host.network.within(|| TcpStream::connect((HOST[0], 22)).ok());
        wait_for("sshd to listen", Duration::from_secs(10), open, || server.log());
        server
    }

    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.keys.path().join("log")).unwrap_or_default()
    }

    pub fn key(&self) -> PathBuf {
        self.keys.path().join("id")
    }

    /// An ssh client on this network, from this address of it.
    pub fn client(&self, from: &Network, source: &str, to: &str, line: &str) -> Command {
        self.client_with(from, source, to, &[], line)
    }

    /// The same with more options: another port, a remote forward.
    pub fn client_with(&self, from: &Network, source: &str, to: &str, more: &[&str], line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", from.file())).args(["ssh", "-F", "/dev/null", "-i"]).arg(self.key());
        for option in [
            "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
            "ConnectTimeout=10", "BatchMode=yes", "IdentitiesOnly=yes",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-b", source]).args(more).arg(format!("{ACCOUNT}@{to}")).env_remove("SSH_AUTH_SOCK");
        command.args(if line.is_empty() { None } else { Some(line) });
        command
    }

    /// Whether a new login succeeds now; why not, if not.
    pub fn lets_in(&self, from: &Network, source: &str, to: &str) -> Result<(), String> {
        let output = self.client(from, source, to, "echo in").stdin(Stdio::null()).output().unwrap();
        if output.status.success() && output.stdout == b"in\n" {
            return Ok(());
        }
        Err(format!("{}\nsshd: {}", told(&output), self.log().lines().rev().take(5).collect::<Vec<_>>().join("\n      ")))
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        // Its sessions outlive it, and would wait for ever for clients in networks that are gone.
        let below = below(self.daemon.id());
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        below.into_iter().for_each(|pid| super::agent::signal(pid, nix::sys::signal::Signal::SIGKILL));
    }
}

/// Every process below one that lives.
fn below(root: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let all: Vec<u32> =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(above) = found.get(at).copied() {
        found.extend(all.iter().copied().filter(|pid| parent(*pid) == Some(above)));
        at += 1;
    }
    found.split_off(1)
}

/// A session that stays open: what is typed comes back.
pub struct Session {
    client: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    turn: u64,
}

impl Session {
    pub fn open(server: &SshServer, from: &Network, source: &str, to: &str) -> Self {
        Self::try_open(server, from, source, to).unwrap_or_else(|| panic!("no session from {source}: {}", server.log()))
    }

    /// `None` when the login does not succeed within ten seconds.
    pub fn try_open(server: &SshServer, from: &Network, source: &str, to: &str) -> Option<Self> {
        Self::try_over(server, from, source, to, &[])
    }

    /// With more options for ssh.
    pub fn over(server: &SshServer, from: &Network, source: &str, to: &str, more: &[&str]) -> Self {
        let session = Self::try_over(server, from, source, to, more);
        session.unwrap_or_else(|| panic!("no session from {source} with {more:?}: {}", server.log()))
    }

    fn try_over(server: &SshServer, from: &Network, source: &str, to: &str, more: &[&str]) -> Option<Self> {
        let mut command = server.client_with(from, source, to, more, "exec cat");
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut session = Self { client, stdin, lines, turn: 0 };
        session.echoes(Duration::from_secs(10)).then_some(session)
    }

    /// Whether what is typed now comes back within this time.
    pub fn echoes(&mut self, patience: Duration) -> bool {
        self.turn += 1;
        let word = format!("still here {}", self.turn);
        if writeln!(self.stdin, "{word}").and_then(|()| self.stdin.flush()).is_err() {
            return false;
        }
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == word => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// The client's own pid.
    pub fn pid(&self) -> u32 {
        self.client.id()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
