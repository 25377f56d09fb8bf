//! A real sshd is attacked by real ssh clients: one alert, every line counted, over rotation and restarts of the agent.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::Home;
use crate::support::guarded::Guarded;
use crate::support::network::{HOST, Network, STRANGER};
use crate::support::ssh::SshServer;
use crate::support::{can_run, wait_for};

const LOG: &str = "/var/log/auth.log";
/// Devices of its own, so that the socket of syslog is nobody else's.
const OWN_DEVICES: &str = "mkdir /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs -o mode=0755 devices /dev && \
    for name in null zero full random urandom tty; do touch /dev/$name && mount --bind /run/dev/$name /dev/$name; done && \
    mkdir /dev/pts /dev/shm && mount --bind /run/dev/pts /dev/pts && ln -s pts/ptmx /dev/ptmx && ln -s /proc/self/fd /dev/fd";

/// Writes what comes to `/dev/log` into the log, as a syslog daemon does.
struct Syslog {
    lines: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Syslog {
    fn start(host: &Guarded) -> Self {
        let socket = UnixDatagram::bind(host.path("/dev/log")).unwrap();
        host.shell("chmod 666 /dev/log");
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (lines, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over, path) = (Arc::clone(&lines), Arc::clone(&ends), host.path(LOG));
        std::thread::spawn(move || {
            let mut packet = [0; 8192];
            while !over.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut packet) else { continue };
                let text = String::from_utf8_lossy(&packet[..length]).into_owned();
                // `<38>Nov 28 10:00:00 sshd[1]: ...`: the stamp is 15 characters long.
                let said = text.split_once('>').unwrap().1.trim_end_matches(['\n', '\0']);
                let line = format!("{} guarded{}\n", &said[..15], &said[15..]);
                let mut log = OpenOptions::new().append(true).create(true).open(&path).unwrap();
                log.write_all(line.as_bytes()).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { lines, ends }
    }

    fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Ended with its test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ssh client that tries wrong passwords, so many on one connection.
fn guess(from: &Network, source: &str, guesses: u32, askpass: &std::path::Path) -> Child {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", from.file())).args(["setsid", "-w", "ssh", "-F", "/dev/null", "-p", "2222", "-b", source]);
    for option in [
        "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "PreferredAuthentications=password",
        "PubkeyAuthentication=no",
    ] {
        command.args(["-o", option]);
    }
    command.args(["-o", &format!("NumberOfPasswordPrompts={guesses}")]).arg(format!("owner@{HOST}")).arg("true");
    command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env_remove("SSH_AUTH_SOCK");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn log_row(home: &Home) -> Value {
    home.json(&["logs"]).into_iter().find(|row| row["name"] == LOG).unwrap_or_default()
}

/// Until every line is read that was written behind these first ones.
fn all_read(home: &Home, syslog: &Syslog, before: u64) {
    let read = || (log_row(home)["lines"].as_u64() == Some(syslog.lines() - before)).then_some(());
    wait_for("every line to be read, once", Duration::from_secs(15), read, || format!("{} written: {}", syslog.lines(), log_row(home)));
}

#[test]
fn a_brute_force_and_sixty_addresses_that_spray_are_one_alert_and_no_line_is_lost() {
    if !can_run(&["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/sbin/logrotate"]) {
        return;
    }
    let (network, stranger) = Network::pair();
    let crowd: Vec<String> = (100..160).map(|last| format!("198.51.100.{last}")).collect();
    for address in &crowd {
        let added = Command::new("ip").args(["-n", stranger.name(), "address", "add", &format!("{address}/24"), "dev", "wire"]).output();
        assert!(added.unwrap().status.success());
    }
    let host = Guarded::new(network);
    host.shell(OWN_DEVICES);
    host.shell(&format!("touch {LOG}"));
    let syslog = Syslog::start(&host);
    // Its account, keys and configuration; the daemon that is attacked writes to syslog, as in life.
    let _owner = SshServer::start(&host, "MaxAuthTries 10\nMatch all\nPasswordAuthentication yes");
    let _sshd = Daemon(host.command("/usr/sbin/sshd", &["-D", "-p", "2222"]).stderr(Stdio::null()).spawn().unwrap());
    let home = Home::on(&host);
    let askpass = home.path("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho wrong\n").unwrap();
    std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    wait_for("sshd to listen", Duration::from_secs(10), || host.network.within(|| TcpStream::connect((HOST, 2222)).ok()), String::new);
    std::thread::sleep(Duration::from_millis(500));
    // What stood in a log before it is followed is not read.
    let before = syslog.lines();
    let agent = home.start();

    // Twelve guesses of one address: found by itself, told once, with its address and its line.
    for mut client in [guess(&stranger, STRANGER, 6, &askpass), guess(&stranger, STRANGER, 6, &askpass)] {
        client.wait().unwrap();
    }
    let alerts = || Some(home.json(&["alerts"])).filter(|alerts| !alerts.is_empty());
    let told = || format!("{}\n{}", log_row(&home), std::fs::read_to_string(host.path(LOG)).unwrap());
    let first = wait_for("the alert", Duration::from_secs(15), alerts, told);
    assert!(first[0]["sentence"].as_str().unwrap().contains(&format!("most from {STRANGER} (")), "{first:#?}");
    let signal = home.json(&["signals"]).into_iter().find(|signal| signal["detector"] == "login_brute_force").unwrap();
    assert_eq!(signal["hostile"], STRANGER, "{signal:#}");
    let failed = home.json(&["events", "--kind", "auth.fail"]);
    let event = failed.iter().find(|event| event["id"] == signal["events"][0]).unwrap();
    let line = &event["auth"]["line"];
    let (offset, text) = (line["offset"].as_u64().unwrap() as usize, line["text"].as_str().unwrap());
    assert_eq!(line["source"], LOG);
    assert!(std::fs::read_to_string(host.path(LOG)).unwrap()[offset..].starts_with(text), "the line stands where the signal points to");
    all_read(&home, &syslog, before);

    // Sixty addresses spray; meanwhile the log is rotated, and the agent ends and is started again.
    let rules = home.path("rotate.conf");
    std::fs::write(&rules, format!("{LOG} {{\nrotate 5\ncreate\nsu root root\n}}\n")).unwrap();
    std::fs::set_permissions(&rules, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let rotate = || {
        let (rules, state) = (rules.display().to_string(), home.path("rotate.state").display().to_string());
        let output = host.command("logrotate", &["-f", "-s", &state, &rules]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let spray = |some: &[String]| {
        for few in some.chunks(10) {
            let clients: Vec<Child> = few.iter().map(|address| guess(&stranger, address, 1, &askpass)).collect();
            clients.into_iter().for_each(|mut client| drop(client.wait()));
        }
    };
    spray(&crowd[..20]);
    rotate();
    spray(&crowd[20..40]);
    all_read(&home, &syslog, before);
    assert!(agent.stop().success());
    spray(&crowd[40..50]);
    rotate();
    let agent = home.start();
    spray(&crowd[50..]);
    all_read(&home, &syslog, before);
    let known = || Some(home.json(&["logs", "attackers"])).filter(|rows| rows.len() > 60);
    let attackers = wait_for("all sources", Duration::from_secs(10), known, || format!("{:#?}", home.json(&["logs", "attackers"])));
    assert_eq!((&attackers[0]["address"], &attackers[0]["attempts"]), (&STRANGER.into(), &12.into()), "{:#}", attackers[0]);
    // That we ended the agent is an alert of its own.
    let about_logins =
        |rows: Vec<Value>| rows.into_iter().filter(|row| row["sentence"].as_str().unwrap().contains("failed login")).collect::<Vec<_>>();
    let (alerts, incidents) = (about_logins(home.json(&["alerts"])), about_logins(home.json(&["incidents"])));
    assert_eq!((alerts.len(), incidents.len()), (1, 1), "{alerts:#?}\n{incidents:#?}");
    assert!(agent.stop().success());
}
