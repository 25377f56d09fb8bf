//! Exceptions in a running agent: previewed, added, recorded, removed, and refused where they hide too much.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use support::agent::Home;
use support::wait_for;

const RULE: &str = "title: Needle\nname: needle\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: 'bartizan-needle'\n  condition: s\nlevel: high\ntags: [attack.execution, attack.t1059]\n";

/// Runs the program with a word that the rule looks for, and gives the signal that tells of it.
fn needle(home: &Home, program: &str, word: &str) -> Value {
    // Cargo's runner sets this one: a program that may load other libraries is nobody's exception.
    let mut command = Command::new(program);
    assert!(command.args(["bartizan-needle", word]).env_remove("LD_LIBRARY_PATH").status().unwrap().success());
    let told = |signal: &Value| signal["detector"] == "rule:needle" && signal["sentence"].as_str().unwrap().contains(word);
    wait_for("the rule to match", Duration::from_secs(10), || home.json(&["signals"]).into_iter().find(told), String::new)
}

fn counted(home: &Home) -> u64 {
    home.json(&["incidents"]).iter().map(|incident| incident["signal_count"].as_u64().unwrap()).sum()
}

#[test]
fn an_excepted_signal_is_recorded_and_counts_for_nothing_until_the_exception_ends() {
    let home = Home::new(None);
    std::fs::create_dir(home.path("rules")).unwrap();
    std::fs::write(home.path("rules/needle.yml"), RULE).unwrap();
    let program = std::fs::canonicalize("/usr/bin/true").unwrap().display().to_string();
    let scope = ["--of", "rule:needle", "--exe", &program];
    let agent = home.start();
    assert_eq!(needle(&home, &program, "alpha")["excepted"], Value::Null);
    let before = counted(&home);
    assert!(before >= 1, "it counts without an exception");

    let preview = &home.json(&[&["exceptions", "preview"], &scope[..]].concat())[0];
    assert_eq!((&preview["hidden"], &preview["acted_on"], &preview["other_kind"]), (&1.into(), &0.into(), &0.into()), "{preview}");
    let wide = home.run(&["exceptions", "add", "--of", "rule:needle", "--user", "root", "--reason", "all of it"]);
    assert_eq!(wide.status.code(), Some(2), "{}", String::from_utf8_lossy(&wide.stderr));
    let theirs = home.path("theirs");
    std::fs::copy(&program, &theirs).unwrap();
    let theirs =
        home.run(&["exceptions", "add", "--of", "rule:needle", "--exe", theirs.to_str().unwrap(), "--reason", "a folder of others"]);
    let told = String::from_utf8_lossy(&theirs.stderr).into_owned();
    assert!(theirs.status.code() == Some(2) && told.contains("others than root may change /tmp"), "{told}");
    let shell = std::fs::canonicalize("/bin/sh").unwrap().display().to_string();
    let shell = home.run(&["exceptions", "add", "--of", "rule:needle", "--exe", &shell, "--reason", "scripts"]);
    assert_eq!(shell.status.code(), Some(2), "a shell does whatever it is told");

    for (name, meant) in [("rule:neddle", "did you mean rule:needle?"), ("web_server_shel", "did you mean web_server_shell?")] {
        let mistyped = home.run(&["exceptions", "add", "--of", name, "--exe", &program, "--reason", "mistyped"]);
        let told = String::from_utf8_lossy(&mistyped.stderr).into_owned();
        assert!(mistyped.status.code() == Some(2) && told.contains(meant), "{told}");
    }

    home.json(&[&["exceptions", "add"], &scope[..], &["--reason", "our own check", "--for", "1h"]].concat());
    assert_eq!(needle(&home, &program, "beta")["excepted"], "X1");
    assert_eq!(counted(&home), before, "an excepted signal counts for nothing");
    drop(agent);
    let _agent = home.start();
    assert_eq!(needle(&home, &program, "gamma")["excepted"], "X1", "it outlives a restart");
    home.json(&["exceptions", "remove", "X1", "--reason", "tried"]);
    assert_eq!(needle(&home, &program, "delta")["excepted"], Value::Null);
    let rows = home.json(&["exceptions"]);
    assert_eq!((&rows[0]["reason"], &rows[0]["removed"]["reason"]), (&"our own check".into(), &"tried".into()));
    let audit: Vec<String> = home.json(&["audit"]).iter().map(|line| line["what"].to_string()).collect();
    assert!(["exception.added", "exception.removed"].iter().all(|what| audit.iter().any(|line| line.contains(what))), "{audit:?}");
}
