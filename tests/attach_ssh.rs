//! A console on another host's agent, over ssh: a real sshd, a real ssh, a terminal on the operator's host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use support::agent::Home;
use support::lan::{HOST, Lan, OPERATOR};
use support::ssh::{ACCOUNT, SshServer};
use support::terminal::Terminal;
use support::{BINARY, can_run, wait_until};

const NEEDS: [&str; 7] = ["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen", "tmux"];

fn prepared() -> bool {
    let sshd = std::path::Path::new("/usr/sbin/sshd").is_file();
    if !sshd {
        eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
    }
    can_run(&NEEDS) && sshd
}

/// The operator's ssh: the machine's own, with this test's key and without its host keys.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new(server: &SshServer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let wrapper = directory.path().join("ssh");
        let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes";
        let text = format!("#!/bin/sh\nexec /usr/bin/ssh -F /dev/null {options} -b {} -i {} \"$@\"\n", OPERATOR[0], server.key().display());
        std::fs::write(&wrapper, text).unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    fn attach(&self, lan: &Lan, user: &str, relay: &str) -> Terminal {
        let terminal = Terminal::new(100, 30);
        let path = format!("PATH={}:$PATH", self.directory.path().display());
        let net = lan.operator.file();
        terminal.type_line(&format!("{path} nsenter --net={net} {BINARY} attach ssh://{user}@{} --relay '{relay}'", HOST[0]));
        terminal
    }
}

/// The program on that host: at a place that every account reaches, wherever it was built.
const PROGRAM: &str = "/run/bartizan-program";

/// Root may log in here, with the key of the test's account.
fn server(lan: &Lan) -> SshServer {
    lan.host.shell(&format!("touch {PROGRAM} && mount --bind {BINARY} {PROGRAM}"));
    let keys = format!("PermitRootLogin yes\nStrictModes no\nAuthorizedKeysFile /home/{ACCOUNT}/.ssh/authorized_keys");
    SshServer::start(&lan.host, &keys)
}

#[test]
fn another_hosts_console_acts_there_survives_the_connection_and_says_whose_it_is() {
    if !prepared() {
        return;
    }
    let lan = Lan::new();
    let server = server(&lan);
    let home = Home::on(&lan.host);
    let _agent = home.start();
    // The shell there talks before the relay does.
    lan.host.shell(&format!("echo 'echo Welcome to this host' >/home/{ACCOUNT}/noise"));
    let noisy = format!("sh /home/{ACCOUNT}/noise; exec {}", relay(&home));
    let desk = Desk::new(&server);
    let terminal = desk.attach(&lan, "root", &noisy);
    let screen = terminal.wait_for("ssh root@198.51.100.1");
    assert!(!screen.contains("Welcome"), "{screen}");

    // What is done here is done there.
    let blocked = home.run(&["block", "203.0.113.5", "--for", "5m"]);
    assert!(blocked.status.success());
    terminal.press(&["7"]);
    terminal.wait_for("203.0.113.5");
    terminal.press(&["u"]);
    terminal.wait("a question", |screen| screen.to_lowercase().contains("undo"));
    terminal.say_yes("the block to be undone", || home.json(&["actions", "--active"]).is_empty());

    // sshd's session is ended from outside; the console says so, comes back by itself, and it was always the same terminal.
    end_sessions(&lan);
    terminal.wait_for("NOT CONNECTED");
    terminal.wait("the connection to be back", |screen| screen.contains("the agent is back") && !screen.contains("NOT CONNECTED"));
    terminal.wait_for("ssh root@198.51.100.1");

    terminal.press(&["q"]);
    terminal.wait("the prompt, and a terminal as it was", |screen| screen.contains("prompt>") && !screen.contains("ssh root@198.51.100.1"));
    wait_until("no relay to be left", Duration::from_secs(10), || relays(&lan).is_empty());
    assert!(home.answers());
}

#[test]
fn who_may_not_or_finds_nobody_is_told_in_a_sentence() {
    if !prepared() {
        return;
    }
    let lan = Lan::new();
    let server = server(&lan);
    let home = Home::on(&lan.host);
    let desk = Desk::new(&server);
    let program = relay(&home);
    let nobody = desk.attach(&lan, "root", &program);
    nobody.wait_for("no agent answers at");
    let agent = home.start();
    let missing = desk.attach(&lan, "root", "/nowhere/bartizan relay");
    missing.wait("a sentence", |screen| screen.contains("cannot be attached to") && screen.contains("--relay"));
    // An account that the agent does not serve.
    lan.host.shell(&format!("chmod 755 {}", home.path("").display()));
    let stranger = desk.attach(&lan, ACCOUNT, &program);
    stranger.wait("a refusal", |screen| screen.contains("cannot be attached to") && screen.contains("may not be opened by this user"));
    drop(agent);
}

/// As the other host's owner would name it; network and mounts are those of the login already.
fn relay(home: &Home) -> String {
    format!("{PROGRAM} {} relay", home.flags().join(" "))
}

/// What runs in the host's network namespace under sshd as a relay.
fn relays(lan: &Lan) -> Vec<u32> {
    let inside = lan.host.shell("readlink /proc/self/ns/net");
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        let net = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
        let argv = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        net.to_string_lossy() == inside.trim() && argv.starts_with(PROGRAM.as_bytes()) && argv.ends_with(b"relay\0")
    };
    pids.filter(ours).collect()
}

/// As if the network had taken the connection: the relays there end.
fn end_sessions(lan: &Lan) {
    let found = relays(lan);
    assert!(!found.is_empty(), "no relay runs");
    found.into_iter().for_each(|pid| support::agent::signal(pid, nix::sys::signal::Signal::SIGKILL));
}
