//! The whole loop by hand: an attack, one key to contain it, one key to undo it, and the kernel asked each time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use support::agent::{Home, is_alive};
use support::attack::{WebServer, intrude};
use support::guarded::Guarded;
use support::network::{Network, STRANGER};
use support::terminal::Terminal;
use support::{can_run, wait_for, wait_until};

const TOOLS: &[&str] = &["ip", "nft", "nsenter", "tmux", "busybox", "bash"];

fn pending(home: &Home) -> Vec<Value> {
    home.json(&["approvals"]).into_iter().filter(|approval| approval["state"] == "pending").collect()
}

fn active(home: &Home) -> Vec<Value> {
    home.json(&["actions", "--active"])
}

fn can_reach(host: &Network) -> bool {
    let address = format!("{STRANGER}:4445").parse().unwrap();
    // Refused is reached; a dropped packet times out.
    host.within(|| match TcpStream::connect_timeout(&address, Duration::from_millis(700)) {
        Ok(_) => true,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionRefused,
    })
}

/// Approves every question by key, each after looking at what the console says of it.
fn approve_all(home: &Home, terminal: &Terminal) {
    terminal.press(&["6"]);
    for _ in 0..8 {
        if pending(home).is_empty() {
            return;
        }
        terminal.wait("a question in the list", |screen| screen.contains("freeze") || screen.contains("block"));
        terminal.press(&["g", "a"]);
        let screen = terminal.wait_for("Approve Q");
        for essential in ["What ", "Lasts ", "Stays ", "Undo "] {
            assert!(screen.contains(essential), "the question does not say {essential}:\n{screen}");
        }
        // Others may be asked meanwhile.
        let number = screen.split("Approve Q").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()).unwrap();
        let asked = format!("Q{number}");
        terminal.say_yes("the answer to be taken", || pending(home).iter().all(|question| question["id"] != asked.as_str()));
    }
    panic!("questions never end:\n{}", terminal.screen());
}

/// Undoes every active action by key.
fn undo_all(home: &Home, terminal: &Terminal) {
    terminal.press(&["7"]);
    for _ in 0..8 {
        let before = active(home).len();
        if before == 0 {
            return;
        }
        terminal.press(&["g", "u"]);
        terminal.wait("a confirmation", |screen| screen.contains('?') && screen.to_lowercase().contains("undo"));
        terminal.say_yes("the action to be undone", || active(home).len() < before);
        terminal.press(&["g", "j"]);
    }
    panic!("actions never end:\n{}", terminal.screen());
}

/// Without this, an agent that sees nothing could look like an attack that did nothing.
#[test]
fn the_attack_itself_is_real() {
    if !can_run(TOOLS) {
        return;
    }
    let (host, stranger) = Network::pair();
    let web = WebServer::start(&host);
    let mut shell = intrude(&stranger);
    let pid: u32 = shell.type_line("echo $$", Duration::from_secs(3)).unwrap().parse().unwrap();
    let input = std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap();
    assert!(input.to_string_lossy().starts_with("socket:"), "{input:?}");
    assert_eq!(std::fs::read_link(format!("/proc/{}/exe", web.pid())).unwrap().file_name().unwrap(), "nginx");
    assert!(can_reach(&host));
    assert_eq!(host.ruleset(), "");
    let terminal = Terminal::new(80, 24);
    terminal.type_line("stty size");
    terminal.wait_for("24 80");
    terminal.resize(200, 60);
    terminal.type_line("stty size");
    terminal.wait_for("60 200");
    drop(web);
    wait_until("the shell to end with its server", Duration::from_secs(5), || !is_alive(pid));
}

#[test]
fn an_attack_is_seen_contained_by_one_key_and_undone_by_another() {
    if !can_run(TOOLS) {
        return;
    }
    let (network, stranger) = Network::pair();
    let web = WebServer::start(&network);
    let guarded = Guarded::new(network);
    let (host, home) = (&guarded.network, Home::on(&guarded));
    // The owner of a real host has more to keep than fits on the screen.
    let kept: Vec<String> = (1..=12).map(|n| format!("\"192.0.2.{n}\"")).collect();
    std::fs::write(home.path("policy.toml"), format!("[containment]\nallow = [{}]\n", kept.join(", "))).unwrap();
    let (rules_before, terminal) = (host.ruleset(), Terminal::new(80, 24));
    terminal.type_line(&home.shell_line(&[]));
    terminal.wait_for("PARANOID");
    wait_until("the agent to answer", Duration::from_secs(20), || home.answers());

    let mut shell = intrude(&stranger);
    let pid: u32 = shell.type_line("echo $$", Duration::from_secs(3)).expect("the stolen shell works").parse().unwrap();
    // A program below it that holds no connection: it must run on where it was.
    let below: u32 = shell.type_line("sleep 300 </dev/null >/dev/null 2>&1 & echo $!", Duration::from_secs(3)).unwrap().parse().unwrap();
    let place = || support::state::groups_of(below);
    let place_before = place();

    // Seen: one incident that names the shell's tree, and questions, for PARANOID does nothing alone.
    wait_for("a question", Duration::from_secs(10), || (!pending(&home).is_empty()).then_some(()), || terminal.screen());
    let incidents = home.json(&["incidents"]);
    assert!(incidents.iter().any(|incident| incident["confidence"].as_f64().unwrap() >= 0.75), "{incidents:#?}");
    assert_eq!(host.ruleset(), rules_before, "something was done without asking");
    assert!(shell.type_line("echo on", Duration::from_secs(2)).is_some(), "something was done without asking");

    approve_all(&home, &terminal);

    // Contained: what the screen says, what the agent says and what the kernel does are the same.
    let live = active(&home);
    assert!(!live.is_empty(), "{}", terminal.screen());
    terminal.press(&["7"]);
    for action in &live {
        assert_eq!(action["state"], "live", "{action:#}");
        let id = action["id"].as_str().unwrap();
        let screen = terminal.wait_for(id);
        // The header counts down what waits to be confirmed.
        let row = screen.lines().find(|line| line.contains(id) && !line.contains("CONFIRM")).unwrap();
        assert!(row.contains("live"), "{row}");
    }
    let has = |kind: &str| live.iter().any(|action| action["kind"] == kind);
    assert!(has("freeze-tree"), "{live:#?}");
    assert!(is_alive(pid), "a frozen process is kept, not ended");
    assert_eq!(shell.type_line("echo frozen", Duration::from_secs(1)), None, "the shell still runs");
    assert!(is_alive(web.pid()), "the web server itself must not be touched");
    assert!(host.within(|| TcpStream::connect((support::network::HOST, 8080)).is_ok()), "the web server no longer answers");
    if has("block-address") {
        let rules = host.ruleset();
        assert!(rules.contains(STRANGER) && rules.contains("timeout") && rules.contains("expires"), "{rules}");
        assert!(!can_reach(host), "a blocked address is still reached");
    }

    // Another size and back, in the middle of it.
    terminal.resize(200, 60);
    terminal.wait_for("live");
    terminal.resize(80, 24);
    terminal.wait_for("live");

    undo_all(&home, &terminal);

    // As before, says the kernel.
    assert_eq!(host.ruleset(), rules_before);
    assert!(is_alive(below), "what was frozen runs again");
    assert_eq!(place(), place_before);
    if has("block-address") {
        // A block closes what is open with the address, and no undo opens it again: the shell finds that out and ends.
        assert_eq!(shell.type_line("echo again", Duration::from_secs(1)), None);
    } else {
        assert_eq!(shell.type_line("echo again", Duration::from_secs(5)).as_deref(), Some("again"));
    }
    support::agent::signal(below, nix::sys::signal::Signal::SIGKILL);
    assert!(can_reach(host));
    assert!(home.run(&["audit", "verify"]).status.success());
    home.end_agent();
    terminal.wait_for("prompt>");
}

#[test]
fn text_written_at_once_answers_nothing_on_terminals_that_do_not_mark_a_paste() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let guarded = Guarded::new(network);
    let home = Home::on(&guarded);
    let agent = home.start();
    let blocked = home.run(&["block", "198.51.100.99", "--for", "10m"]);
    assert!(blocked.status.success(), "{}", support::agent::told(&blocked));
    for term in ["linux", "vt100", "tmux-256color"] {
        let terminal = Terminal::new(80, 24);
        terminal.type_line(&format!("TERM={term} {}", home.shell_line(&["attach"])));
        terminal.wait_for("PARANOID");
        for text in ["hello!y there", "7uy", "6 a y", "!y", "!!", "7u\ny\n"] {
            terminal.write_at_once(text);
            // Whatever it did is done by then.
            std::thread::sleep(Duration::from_millis(700));
            let screen = terminal.screen();
            assert_eq!(active(&home).len(), 1, "{term} {text:?} undid something:\n{screen}");
            assert!(screen.contains("ignored") || screen.contains("read it first"), "{term} {text:?} is not told:\n{screen}");
            terminal.press(&["Escape"]);
            // A key in the same breath would be one with Alt: terminals say both as ESC and the key.
            std::thread::sleep(Duration::from_millis(300));
        }
        terminal.press(&["!"]);
        terminal.wait_for("Emergency stop");
        terminal.write_at_once("y there");
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(active(&home).len(), 1, "{term}: {}", terminal.screen());
        terminal.press(&["n"]);
    }
    // And the same keys by a person do it.
    let terminal = Terminal::new(80, 24);
    terminal.type_line(&format!("TERM=linux {}", home.shell_line(&["attach"])));
    terminal.wait_for("PARANOID");
    terminal.press(&["!"]);
    terminal.wait_for("Emergency stop");
    terminal.say_yes("the emergency stop", || active(&home).is_empty());
    agent.stop();
}
