//! `bartizan --headless` as a service manager runs it: ready, reloading, stopping, and a clean end (sd_notify(3)).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use support::agent::{Home, signal, told as said};
use support::ends::Program;
use support::network::Network;
use support::wire::Wire;
use support::{can_run, wait_until};

/// The next thing that the agent tells its service manager.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).expect("the agent tells its service manager");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Reads until this is told; what else is told in between (a status, a sign of life) is well.
fn await_word(socket: &UnixDatagram, word: &str) {
    let heard: Vec<String> = (0..20).map(|_| told(socket)).take_while(|message| !message.contains(word)).collect();
    assert!(heard.len() < 20, "{word} was not told: {heard:?}");
}

#[test]
fn the_service_manager_is_told_what_it_must_know() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let path = home.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut agent = Program::start(home.command(&["--headless"]).env("NOTIFY_SOCKET", &path));
    await_word(&socket, "READY=1");
    // Ready means that it answers.
    assert!(home.answers(), "ready, and nobody answers");
    signal(agent.id(), Signal::SIGHUP);
    await_word(&socket, "RELOADING=1");
    await_word(&socket, "READY=1");
    signal(agent.id(), Signal::SIGTERM);
    await_word(&socket, "STOPPING=1");
    assert!(agent.wait().unwrap().success());
    assert!(!home.path("agent.sock").exists(), "the socket stays behind");
}

/// How long a probe that nobody answers holds up whoever must wait for it.
const SILENT: Duration = Duration::from_secs(3);
/// Whoever need not wait is answered within this, on a busy machine too.
const PROMPT: Duration = Duration::from_millis(1500);

#[test]
fn while_a_change_waits_for_health_probes_nobody_else_waits_for_it() {
    if !can_run(&["ip", "nsenter", "nft"]) {
        return;
    }
    let (network, _stranger) = Network::pair();
    // It accepts, by its backlog, and never says a word.
    let silent = network.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = silent.local_addr().unwrap().port();
    let home = Home::new(Some(&network));
    let words = format!("[vitals]\nwithin = \"{}s\"\nprobes = [\"http://127.0.0.1:{port}/\"]\n", SILENT.as_secs());
    std::fs::write(home.path("policy.toml"), words).unwrap();
    let path = home.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let agent = home.start_with(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);
    // While somebody looks, the thread that tells of life shows them how the agent is.
    let mut console = Wire::open(&home);
    console.ask(&json!({ "subscribe": { "console": false } }));

    let begun = Instant::now();
    let waits = Program::start(home.command(&["contain", "--for", "1m"]).stdout(std::process::Stdio::piped()));
    let over = Mutex::new(false);
    std::thread::scope(|scope| {
        // The longest time without a sign of life.
        let alive = scope.spawn(|| {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !*over.lock().unwrap() {
                let mut buffer = [0; 512];
                let heard = socket.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
                if heard.is_ok_and(|message| message.contains("WATCHDOG=1")) {
                    last = Instant::now();
                }
                longest = longest.max(last.elapsed());
            }
            longest
        });
        std::thread::sleep(Duration::from_millis(500));
        let mut slowest: Vec<(Duration, &[&str])> = Vec::new();
        // The court rules and another change is made meanwhile.
        let asked = Instant::now();
        let blocked = home.run(&["block", "203.0.113.77", "--for", "1m"]);
        slowest.push((asked.elapsed(), &["block"]));
        while begun.elapsed() < SILENT {
            for question in [&["status"][..], &["approvals"], &["mode", "paranoid"]] {
                let asked = Instant::now();
                let answer = home.run(question);
                assert!(answer.status.success(), "{}", said(&answer));
                slowest.push((asked.elapsed(), question));
            }
        }
        let output = waits.output();
        let took = begun.elapsed();
        *over.lock().unwrap() = true;
        let silence = alive.join().unwrap();
        slowest.sort();
        eprintln!(
            "the change took {took:?}; slowest answers {:?}; longest without a sign of life {silence:?}",
            slowest.iter().rev().take(3).collect::<Vec<_>>()
        );
        eprintln!("{}\n{}", said(&output), said(&blocked));
        assert!(took > SILENT, "it did not wait for the probe: {took:?}, {}", said(&output));
        assert!(slowest.iter().all(|(took, _)| *took < PROMPT), "somebody waited: {slowest:?}");
        assert!(silence < PROMPT, "no sign of life for {silence:?}");
    });
    home.run(&["rollback", "--all"]);
    wait_until("the table to be empty", Duration::from_secs(5), || !network.ruleset().contains("203.0.113.77"));
    agent.stop();
}
