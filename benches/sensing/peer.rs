//! Peers: other programs that watch executions, run as their manuals say, and left as they were found.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::agent::{cpu_of, end};
use crate::load::installed;

/// What is measured of a peer.
pub trait Peer {
    /// CPU seconds that it has used so far.
    fn cpu(&self) -> f64;
    /// Waits until it has written what it saw.
    fn settle(&self) {
        std::thread::sleep(Duration::from_secs(2));
    }
    /// Executions of a storm that it kept with the right argument.
    fn kept(&self, token: &str, execs: usize) -> usize;
}

/// The audit daemon with a rule for executions, as a hardening guide has it.
pub struct Auditd {
    child: Child,
    auditctl: std::path::PathBuf,
    directory: tempfile::TempDir,
    kernel_thread: u32,
    /// `enabled` and `backlog_limit` as they were.
    before: [String; 2],
}

const RULE: [&str; 5] = ["-F", "arch=b64", "-S", "execve,execveat", "-kbartizan-bench"];
const CONFIGURATION: &str = "local_events = yes
write_logs = yes
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 2000
num_logs = 2
max_log_file_action = IGNORE
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
distribute_network = no
";

impl Auditd {
    pub fn start() -> Result<Self, String> {
        let (Some(auditd), Some(auditctl)) = (installed(&["auditd"]), installed(&["auditctl"])) else {
            return Err("not installed".to_owned());
        };
        let status = run(&auditctl, &["-s"])?;
        let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        if of("pid ").is_none_or(|pid| pid != "0") {
            return Err("not measured: an audit daemon runs already, or the kernel refuses".to_owned());
        }
        let before = [of("enabled ").unwrap_or_default(), of("backlog_limit ").unwrap_or_default()];
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("audit.log");
        let plugins = directory.path().join("plugins.d");
        std::fs::create_dir(&plugins).unwrap();
        let configuration = format!("log_file = {}\nplugin_dir = {}\n{CONFIGURATION}", log.display(), plugins.display());
        std::fs::write(directory.path().join("auditd.conf"), configuration).unwrap();
        let mut command = Command::new(auditd);
        command.args(["-n", "-s", "enable", "-c"]).arg(directory.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut daemon = Self { child, auditctl, directory, kernel_thread: kernel_thread("kauditd"), before };
        std::thread::sleep(Duration::from_secs(1));
        if daemon.child.try_wait().unwrap().is_some() {
            return Err("not measured: auditd ended at once".to_owned());
        }
        run(&daemon.auditctl, &["-b", "8192"])?;
        run(&daemon.auditctl, &[&["-a", "always,exit"][..], &RULE].concat())?;
        Ok(daemon)
    }
}

impl Peer for Auditd {
    fn cpu(&self) -> f64 {
        cpu_of(self.child.id()) + cpu_of(self.kernel_thread)
    }

    fn kept(&self, token: &str, execs: usize) -> usize {
        count(&self.directory.path().join("audit.log"), token, execs)
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        let _ = run(&self.auditctl, &[&["-d", "always,exit"][..], &RULE].concat());
        end(&mut self.child, Signal::SIGTERM);
        let _ = run(&self.auditctl, &["-b", &self.before[1]]);
        let _ = run(&self.auditctl, &["-e", &self.before[0]]);
    }
}

/// `execsnoop` of libbpf-tools, printing into a file.
pub struct Execsnoop {
    child: Child,
    directory: tempfile::TempDir,
}

impl Execsnoop {
    pub fn start() -> Result<Self, String> {
        let program = installed(&["execsnoop-libbpf", "execsnoop"]).ok_or("not installed")?;
        let directory = tempfile::tempdir().unwrap();
        let out = File::create(directory.path().join("out")).unwrap();
        // It needs tracefs; where that is not mounted it gets one that only it sees.
        let script = "test -d /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; exec \"$0\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(program);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().unwrap();
        let mut snoop = Self { child, directory };
        std::thread::sleep(Duration::from_secs(2));
        if snoop.child.try_wait().unwrap().is_some() {
            return Err("not measured: it ended at once".to_owned());
        }
        Ok(snoop)
    }
}

impl Peer for Execsnoop {
    fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }

    fn kept(&self, token: &str, execs: usize) -> usize {
        count(&self.directory.path().join("out"), token, execs)
    }
}

impl Drop for Execsnoop {
    fn drop(&mut self) {
        end(&mut self.child, Signal::SIGINT);
    }
}

fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(format!("not measured: {told}")) }
}

/// The pid of a kernel thread.
fn kernel_thread(name: &str) -> u32 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    pids.into_iter().find(named).unwrap_or(0)
}

/// Which arguments `TOKEN-n` stand in a file, each counted once.
fn count(file: &Path, token: &str, execs: usize) -> usize {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let mark = format!("{token}-");
    let numbers = text.split(&mark).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
    numbers.filter(|number| *number < execs).collect::<HashSet<_>>().len()
}
