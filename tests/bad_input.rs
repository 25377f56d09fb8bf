//! What is wrong is said in one line with the mend and the right exit code, and nothing is lost by it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::{Command, Output, Stdio};

use support::agent::{Home, told};
use support::ends::Program;
use support::network::Network;
use support::{BINARY, can_run};

/// One line on stderr that holds all of `words`, and this exit code.
fn refuses(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
    assert_eq!(stderr.trim_end().lines().count(), 1, "not one line: {}", told(output));
    for word in words {
        assert!(stderr.contains(word), "\"{word}\" is not said: {}", told(output));
    }
    assert!(!stderr.contains("panicked"), "{}", told(output));
}

#[test]
fn a_malformed_configuration_is_named() {
    let home = Home::new(None);
    std::fs::write(home.path("agent.toml"), "data = [\n").unwrap();
    refuses(&home.run(&["--headless"]), 1, &["agent.toml"]);
    assert!(!home.path("data").exists(), "something was made all the same");
}

#[test]
fn an_unknown_key_is_named() {
    let home = Home::new(None);
    home.configure("colour_of_the_bikeshed = 7");
    refuses(&home.run(&["--headless"]), 1, &["agent.toml", "colour_of_the_bikeshed"]);
}

#[test]
fn an_unknown_policy_key_is_named() {
    let home = Home::new(None);
    std::fs::write(home.path("policy.toml"), "[weights]\nlinaege = 0.5\n").unwrap();
    refuses(&home.run(&["--headless"]), 1, &["policy.toml", "linaege"]);
}

#[test]
fn without_an_agent_the_exit_code_says_so() {
    let home = Home::new(None);
    for verb in ["status", "incidents", "approvals", "actions"] {
        refuses(&home.run(&[verb]), 3, &["agent.sock"]);
    }
}

#[test]
fn a_bad_address_is_refused_before_anything_is_asked() {
    let home = Home::new(None);
    for bad in ["not-an-address", "300.1.1.1", "10.0.0.0/8", ""] {
        let output = home.run(&["block", bad, "--for", "10m"]);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(bad), "{}", told(&output));
    }
    let output = home.run(&["block", "203.0.113.9", "--for", "for ever"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[test]
fn a_socket_in_use_is_left_to_its_owner() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let first = Home::new(Some(&network));
    let agent = first.start();
    let second = Home::new(Some(&network));
    let socket = first.path("agent.sock").display().to_string();
    let mut argv = second.argv(&["--headless"]);
    *argv.last_mut().unwrap() = socket.clone();
    let output = Command::new(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).output().unwrap();
    refuses(&output, 1, &[&socket]);
    assert_eq!(first.pid(), agent.pid(), "the first agent was pushed aside");
}

#[test]
fn a_socket_left_by_a_dead_agent_is_no_obstacle() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    home.start().kill();
    assert!(home.path("agent.sock").exists());
    home.start();
}

#[test]
fn a_database_from_a_newer_version_is_not_touched() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    for name in ["archive.db", "ledger.db"] {
        let home = Home::new(Some(&network));
        home.start().stop();
        let file = home.path("data").join(name);
        assert!(file.exists(), "no {name}");
        let database = rusqlite::Connection::open(&file).unwrap();
        database.pragma_update(None, "user_version", 9_999).unwrap();
        database.pragma_update(None, "journal_mode", "DELETE").unwrap();
        database.close().unwrap();
        let before = std::fs::read(&file).unwrap();
        refuses(&home.run(&["--headless"]), 1, &[name, "newer"]);
        assert!(std::fs::read(&file).unwrap() == before, "{name} was changed");
    }
}

#[test]
fn without_root_it_says_what_to_do() {
    if !can_run(&["setpriv"]) {
        return;
    }
    let home = Home::new(None);
    // The build directory may lie where nobody else can look.
    let binary = home.path("bartizan");
    std::fs::copy(BINARY, &binary).unwrap();
    Command::new("chmod").args(["-R", "a+rwX"]).arg(home.directory.path()).status().unwrap();
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).args(arguments).args(home.flags());
        command.stdin(Stdio::null()).output().unwrap()
    };
    // It watches what it may, and says what it cannot do.
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .arg("--headless")
        .args(home.flags())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut agent = Program::start(&mut command);
    let status = || serde_json::from_slice::<serde_json::Value>(&nobody(&["status", "--json"]).stdout).ok();
    let status = support::wait_for("the agent to answer", std::time::Duration::from_secs(20), status, String::new);
    let degraded = status["degraded"].to_string();
    assert!(degraded.contains("not root") && degraded.contains("run it as root"), "{status:#}");
    assert!(nobody(&["stop"]).status.success());
    assert!(agent.wait().unwrap().success());
    let doctor = nobody(&["doctor"]);
    assert!(matches!(doctor.status.code(), Some(1 | 5)), "{}", told(&doctor));
    assert!(!String::from_utf8_lossy(&doctor.stderr).contains("panicked"), "{}", told(&doctor));
}

#[test]
fn the_agent_blocks_without_the_nft_program() {
    if !can_run(&["ip", "nsenter", "nft"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let agent = home.start_with(&[("PATH", "/usr/bin/nowhere:/usr/bin")]);
    if std::path::Path::new("/usr/bin/nft").exists() {
        eprintln!("note: nft lies in /usr/bin here, so it stays on the agent's PATH");
    }
    let output = home.run(&["block", "203.0.113.9", "--for", "10m"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(network.ruleset().contains("203.0.113.9"), "{}", network.ruleset());
    assert!(home.run(&["rollback", "--all"]).status.success());
    assert!(!network.ruleset().contains("203.0.113.9"), "{}", network.ruleset());
    assert!(agent.stop().success());
}

#[test]
fn every_rung_can_be_forced_and_is_told() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    for rung in ["procfs", "process-connector"] {
        let home = Home::new(Some(&network));
        home.configure(&format!("rung = \"{rung}\""));
        let _agent = home.start();
        let status = home.json(&["status"]).remove(0);
        // The process connector speaks only in the host's own network; there the rung below takes over, aloud.
        assert!(status["rung"] == rung || status["rung"] == "procfs", "{status:#}");
        assert!(!status["blind_spots"].as_array().unwrap().is_empty(), "a lower rung must say what it cannot see: {status:#}");
    }
}

#[test]
fn the_owners_way_in_is_refused_as_a_target() {
    if !can_run(&["ip", "nsenter", "nft"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let _agent = home.start();
    for held in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let output = home.run(&["block", held, "--for", "1m"]);
        assert_eq!(output.status.code(), Some(4), "{held}: {}", told(&output));
    }
    assert!(!network.ruleset().contains("drop"), "{}", network.ruleset());
}
