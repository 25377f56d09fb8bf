//! Private networks of a test, removed in `Drop`: the machine's own stack is never touched.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use super::unique;

/// One named network namespace.
pub struct Network {
    name: String,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Network {
    /// A new one with loopback up.
    pub fn new() -> Self {
        let network = Self { name: unique("bz") };
        run("ip", &["netns", "add", &network.name]);
        run("ip", &["-n", &network.name, "link", "set", "lo", "up"]);
        network
    }

    /// Two of them joined by a cable: the guarded host has 198.51.100.1, the stranger 198.51.100.7 (RFC 5737).
    pub fn pair() -> (Self, Self) {
        let (host, stranger) = (Self::new(), Self::new());
        run("ip", &["-n", &host.name, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", &stranger.name]);
        for (network, address) in [(&host, HOST), (&stranger, STRANGER)] {
            run("ip", &["-n", &network.name, "address", "add", &format!("{address}/24"), "dev", "wire"]);
            run("ip", &["-n", &network.name, "link", "set", "wire", "up"]);
        }
        (host, stranger)
    }

    /// For `ip -n`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For `nsenter --net=`.
    pub fn file(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `work` inside on a thread of its own; sockets that it makes stay inside.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let handle = File::open(self.file()).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                nix::sched::setns(handle.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    /// What the kernel's packet filter holds here, told by the `nft` program and not by us.
    pub fn ruleset(&self) -> String {
        run("nsenter", &[&format!("--net={}", self.file()), "nft", "list", "ruleset"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

pub const HOST: &str = "198.51.100.1";
pub const STRANGER: &str = "198.51.100.7";
