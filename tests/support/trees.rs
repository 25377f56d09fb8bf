//! Small process trees that may be held and ended: a shell with two sleeping children, each in a group of its own.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A tree; ended with all below it in `Drop`.
pub struct Tree(Child);

impl Tree {
    pub fn grow() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000 & wait"]).process_group(0);
        let tree = Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        super::wait_until("a tree to grow", std::time::Duration::from_secs(10), || tree.members().len() == 3);
        tree
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Everybody in it that lives, by pid.
    pub fn members(&self) -> Vec<u32> {
        let group = self.pid().to_string();
        // The process group is field 5 of stat (proc(5)).
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit(')').next().unwrap_or_default();
            let fields: Vec<&str> = after.split_whitespace().collect();
            fields.get(2) == Some(&group.as_str()) && fields.first() != Some(&"Z")
        })
        .collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Its leader is ours and not yet reaped; SIGKILL ends the frozen and the stopped too.
        let group = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
