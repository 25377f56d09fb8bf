//! `bartizan rules` without an agent: packs, switches, coverage, examples and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::process::{Command, Output};

use serde_json::Value;

const RULE: &str = "title: Needle\nname: needle\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: 'needle'\n  condition: s\nlevel: high\ntags: [attack.execution, attack.t1685]\n";

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("agent.toml"), "").unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn rules(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.arg("--config").arg(self.path("agent.toml")).arg("--data").arg(self.path("data"));
        command.arg("rules").args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.rules(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn row(&self, id: &str) -> Option<Value> {
        self.json(&["coverage"]).as_array().unwrap().iter().find(|row| row["id"] == id).cloned()
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn a_pack_is_imported_without_its_bad_rule_which_is_named() {
    let host = Host::new();
    host.file("pack/good.yml", RULE);
    host.file("pack/deeper/bad.yml", "title: [");
    host.file("pack/deeper/windows.yml", &RULE.replace("linux", "windows").replace("needle", "other"));
    let output = host.rules(&["import", host.path("pack").to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("refused: ") && told.contains("bad.yml: "), "{told}");
    let (good, other) = (host.row("needle").unwrap(), host.row("other").unwrap());
    assert_eq!((&good["evaluated"], &good["tier"], &good["pack"]), (&true.into(), &"experimental".into(), &"imported".into()));
    assert_eq!(other["evaluated"], false);
    host.file("twice/a.yml", &RULE.replace("needle", "third"));
    host.file("twice/b.yml", RULE);
    let twice = host.rules(&["import", host.path("twice").to_str().unwrap()]);
    let (told, refused) = (String::from_utf8_lossy(&twice.stdout), String::from_utf8_lossy(&twice.stderr));
    assert!(refused.contains("b.yml: another rule is called needle"), "{refused}");
    assert!(
        told.contains("imported 1 rule files") && told.contains("; 1 of their rules are evaluated here"),
        "what it refused counts not: {told}"
    );
    assert!(other["reason"].as_str().unwrap().contains("windows"), "{other}");
}

#[test]
fn a_rule_is_switched_off_listed_and_switched_on_again() {
    let host = Host::new();
    host.file("rules/own.yml", RULE);
    assert_eq!(host.row("needle").unwrap()["pack"], "host");
    assert!(host.rules(&["disable", "needle"]).status.success());
    let row = host.row("needle").unwrap();
    assert_eq!((&row["enabled"], &row["evaluated"], &row["reason"]), (&false.into(), &false.into(), &"it is switched off".into()));
    assert!(host.rules(&["enable", "needle"]).status.success());
    assert_eq!(host.row("needle").unwrap()["enabled"], true);
    host.file("policy.toml", "[rules]\noff = [\"needle\"]\n");
    assert_eq!(host.row("needle").unwrap()["enabled"], false);
    let refused = host.rules(&["enable", "needle"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("policy.toml switches needle off ([rules] off)") && told.contains("remove it there and reload"), "{told}");
    let unknown = host.rules(&["disable", "nothing"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn an_old_and_a_new_technique_id_find_the_same_rules() {
    let host = Host::new();
    host.file("rules/own.yml", RULE);
    for id in ["T1685", "T1562.001", "t1562"] {
        let found = host.json(&["list", "--technique", id]);
        assert!(found.as_array().unwrap().iter().any(|row| row["id"] == "needle"), "{id}: {found}");
    }
}

#[test]
fn rules_are_tested_against_the_examples_beside_them() {
    let host = Host::new();
    assert!(host.rules(&["test"]).status.success(), "our own pack passes");
    host.file("x/own.yml", RULE);
    let file = host.path("x/own.yml");
    let file = file.to_str().unwrap();
    host.file("x/own.examples.jsonl", "{\"match\": true, \"exe\": \"/usr/bin/x\", \"argv\": [\"x\", \"needle\"]}\n");
    assert_eq!(host.rules(&["test", file]).status.code(), Some(0));
    host.file("x/own.examples.jsonl", "{\"match\": false, \"note\": \"sewing\", \"exe\": \"/usr/bin/x\", \"argv\": [\"x\", \"needle\"]}\n");
    let failed = host.rules(&["test", file]);
    let told = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert_eq!(failed.status.code(), Some(5));
    assert!(told.contains("line 1: matched, but must not (sewing)"), "{told}");
}

#[test]
fn why_names_the_rule_and_the_part_that_holds() {
    let host = Host::new();
    host.file("rules/own.yml", RULE);
    let process = serde_json::json!({ "key": "00000001-7-7", "pid": 7, "ppid": 1, "parent": null, "exe": "/usr/bin/x",
        "exe_file": { "device": 1, "inode": 1, "memfd": false, "deleted": false }, "argv": ["x", "a needle"], "cwd": "/", "uid": 0, "euid": 0,
        "user": "root", "loginuid": null, "session": null, "capabilities": 0, "cgroup": "/", "container": null, "unit": null, "netns": 0,
        "stdio_sockets": 0, "since": "2026-01-01T00:00:00Z", "lineage": [] });
    let event = serde_json::json!({ "id": "E1", "at": "2026-01-01T00:00:00Z", "kind": "process.exec", "process": process, "source": "ebpf", "complete": true });
    host.file("events.ndjson", &format!("{event}\n"));
    let told = host.json(&["why", host.path("events.ndjson").to_str().unwrap()]);
    let rule = told["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "needle").unwrap();
    assert_eq!(rule["matched"], true);
    let text = host.rules(&["why", host.path("events.ndjson").to_str().unwrap(), "--rule", "needle"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("s: holds"), "{}", String::from_utf8_lossy(&text.stdout));

    // A correlation of it, completed by the third of three.
    host.file(
        "rules/burst.yml",
        "title: Burst\nname: burst\ncorrelation:\n  type: event_count\n  rules: [needle]\n  group-by: [User]\n  timespan: 1m\n  condition:\n    gte: 3\n",
    );
    let three: String = (1..4).map(|n| format!("{event}\n").replace("\"E1\"", &format!("\"E{n}\""))).collect();
    host.file("three.ndjson", &three);
    let text = host.rules(&["why", host.path("three.ndjson").to_str().unwrap(), "--rule", "burst"]);
    let told = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(told.contains("burst is completed: Burst") && told.contains("E1 E2 E3"), "{told}{}", String::from_utf8_lossy(&text.stderr));
    assert_eq!(told.matches("is completed").count(), 1, "{told}");
}
