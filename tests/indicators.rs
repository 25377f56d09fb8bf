//! Indicator lists from disk to signal: shown, looked up, replayed, and matched by a running agent that reloads them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use support::agent::Home;
use support::wait_for;

/// SHA-256 by coreutils: another hand than the agent's.
fn sha256(path: &std::path::Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("agent.toml"), "").unwrap();
        Self(dir)
    }

    fn list(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.arg("--config").arg(self.0.path().join("agent.toml")).arg("--data").arg(self.0.path().join("data"));
        command.args(args).output().unwrap()
    }
}

#[test]
fn lists_are_shown_with_source_age_and_end_and_their_bad_lines_are_named() {
    let host = Host::new();
    host.list("indicators/own.txt", "# source: incident 7\n# expires: 90d\n45.9.20.0/24\nevil.example\nno sense\n10.0.0.0/8\n", 0o644);
    host.list("data/indicators/old.csv", "# fetched: 2020-01-01\nip,seen\n45.9.20.7,2020\n", 0o600);
    host.list("data/indicators/open.txt", "8.8.4.4\n", 0o666);
    let output = host.run(&["indicators", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<(&str, u64)> = rows.iter().map(|row| (row["state"].as_str().unwrap(), row["indicators"].as_u64().unwrap())).collect();
    assert_eq!(states, [("in force", 2), ("expired", 1), ("refused", 0)], "{rows:?}");
    assert_eq!((&rows[0]["source"], &rows[0]["local"], &rows[0]["bad"]), (&"incident 7".into(), &1.into(), &1.into()));
    let shown = host.run(&["indicators", "list"]);
    let (table, said) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(table.contains("own.txt") && table.contains("incident 7") && table.contains("expired"), "{table}");
    assert!(said.contains("own.txt: line 5: \"no sense\": no address, network, domain name or SHA-256"), "{said}");
    assert!(said.contains("open.txt: refused: others than root may write it"), "{said}");

    let found = host.run(&["indicators", "check", "45.9.20.7", "a.evil.example", "notevil.example", "10.1.2.3"]);
    let told = String::from_utf8_lossy(&found.stdout).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(found.status.code(), Some(5), "{told}");
    assert!(lines[0].contains("own.txt as 45.9.20.0/24") && lines[1].contains("own.txt as evil.example"), "{told}");
    assert!(lines[2].ends_with("is on no list that is in force") && lines[3].ends_with("is on no list that is in force"), "{told}");
    assert_eq!(host.run(&["indicators", "check", "8.8.4.4"]).status.code(), Some(0), "what others may write is not matched");
    assert_eq!(host.run(&["indicators", "check", "nonsense"]).status.code(), Some(1));
}

#[test]
fn a_running_agent_matches_a_program_by_its_digest_reloads_its_lists_and_says_when_one_has_expired() {
    let home = Home::new(None);
    let program = home.path("updater");
    std::fs::copy("/usr/bin/true", &program).unwrap();
    // A content that no package has.
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.extend_from_slice(b"not what came with the package");
    std::fs::write(&program, &bytes).unwrap();
    let list = home.path("indicators/own.txt");
    std::fs::create_dir(home.path("indicators")).unwrap();
    std::fs::write(&list, format!("# source: a test\n{}  updater\n", sha256(&program))).unwrap();
    let agent = home.start();
    let matched = || {
        assert!(Command::new(&program).env_remove("LD_LIBRARY_PATH").status().unwrap().success());
        home.json(&["signals"]).into_iter().find(|signal| signal["detector"] == "indicator_match")
    };
    let signal = wait_for("the digest to match", Duration::from_secs(20), matched, String::new);
    assert_eq!((&signal["family"], &signal["tier"]), (&"tools".into(), &"incubating".into()), "{signal}");
    assert!(signal["sentence"].as_str().unwrap().contains("stands in own.txt as "), "{signal}");
    assert!(home.json(&["actions"]).is_empty(), "it never acts");

    std::fs::write(&list, format!("# fetched: 2020-01-01\n{}\n", sha256(&program))).unwrap();
    let reloaded = home.run(&["reload"]);
    let told = String::from_utf8_lossy(&reloaded.stdout).into_owned();
    assert!(told.contains("0 indicators of 0 lists; own.txt expired at 2020-01-31"), "{told}");
    let status = home.json(&["status"]).remove(0).to_string();
    assert!(status.contains("indicator lists: own.txt expired at 2020-01-31"), "{status}");
    drop(agent);
}
