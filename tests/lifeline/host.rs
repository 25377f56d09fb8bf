//! A guarded host with sshd and an agent, and what the agent says to a block or a freeze.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::agent::{Home, told};
pub use crate::support::ends::{Program, below};
use crate::support::lan::Lan;
use crate::support::network::Network;
use crate::support::ssh::SshServer;
use crate::support::{can_run, wait_for};

/// What becomes of an action that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nobody can have it done.
    Refused,
    /// It is done for its whole time.
    Done,
    /// It is done, and undone early unless it is confirmed.
    ToBeConfirmed,
}

/// The host, its network, its server.
pub struct Host {
    pub home: Home,
    pub server: SshServer,
    pub lan: Lan,
}

impl Host {
    /// `None` where it cannot be: it says why.
    pub fn new(needs: &[&str], more: &str) -> Option<Self> {
        if !can_run(&[&["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen"], needs].concat()) {
            return None;
        }
        if !std::path::Path::new("/usr/sbin/sshd").is_file() {
            eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
            return None;
        }
        let lan = Lan::new();
        let server = SshServer::start(&lan.host, more);
        let home = Home::on(&lan.host);
        // Ended when the host goes.
        std::mem::forget(home.start());
        Some(Self { home, server, lan })
    }

    /// Asks, and takes back what was done.
    pub fn says(&self, words: &[&str]) -> Said {
        let output = self.home.run(words);
        let said = match output.status.code() {
            Some(4) => return Said::Refused,
            Some(0) => self.home.json(&["actions", "--active"]),
            _ => panic!("{words:?}: {}", told(&output)),
        };
        assert_eq!(said.len(), 1, "{words:?}: {said:?}");
        let rolled = self.home.run(&["rollback", "--all"]);
        assert!(rolled.status.success(), "{}", told(&rolled));
        if said[0]["confirmation"].is_null() { Said::Done } else { Said::ToBeConfirmed }
    }

    pub fn to_block(&self, addr: &str) -> Said {
        self.says(&["block", addr, "--for", "10m"])
    }

    pub fn to_freeze(&self, pid: u32) -> Said {
        self.says(&["freeze", &pid.to_string(), "--for", "1m"])
    }

    pub fn preview(&self, addr: &str) -> String {
        told(&self.home.run(&["block", addr, "--preview"]))
    }

    /// A program of the host's own.
    pub fn runs(&self, program: &str, arguments: &[&str]) -> Program {
        Program(self.lan.host.command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// A program on another network.
    pub fn elsewhere(&self, network: &Network, program: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", network.file())).arg(program).args(arguments);
        Program(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Processes in the host's network that run a program of this name.
    pub fn pids_of(&self, name: &str) -> Vec<u32> {
        use std::os::unix::fs::MetadataExt;
        let network = |file: &str| std::fs::metadata(file).ok().map(|metadata| metadata.ino());
        let here = network(&self.lan.host.network.file());
        let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let runs = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with(name));
        all.filter(runs).filter(|pid| network(&format!("/proc/{pid}/ns/net")) == here).collect()
    }

    /// Waits until somebody answers at this port.
    pub fn wait_port(&self, network: &Network, addr: &str, port: u16) {
        let at = SocketAddr::new(addr.parse().unwrap(), port);
        let open = || network.within(|| TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok());
        wait_for(&format!("port {port} of {addr}"), Duration::from_secs(10), open, String::new);
    }

    /// What the agent derived before is too old by then.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_secs(6));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.home.run(&["emergency-stop"]);
        self.home.end_agent();
    }
}
