//! `bartizan replay`: the same attack recorded and judged again by the built binary, without an agent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use bartizan_model::*;
use serde_json::Value;

fn process(pid: u32, exe: &str, argv: &[&str], parent: Option<&Process>, role: Option<ServiceRole>) -> Arc<Process> {
    let key = ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    let mut ancestors: Vec<Ancestor> = parent.iter().map(|p| Ancestor { key: p.key, exe: p.exe.clone() }).collect();
    let mut roots: Vec<Root> = role.iter().map(|role| Root { role: *role, key, exe: exe.into() }).collect();
    if let Some(parent) = parent {
        ancestors.extend(parent.lineage.ancestors.iter().cloned());
        roots.extend(parent.lineage.roots.iter().cloned());
    }
    Arc::new(Process {
        exe: exe.into(),
        argv: argv.iter().map(|a| HostText::from(*a)).collect(),
        lineage: Lineage { ancestors: ancestors.into(), elided: 0, roots: roots.into() },
        ..Process::unknown(key, chrono::DateTime::from_timestamp(1_800_000_000, 1).unwrap())
    })
}

/// A web server that starts a shell, which calls out.
fn attack() -> String {
    let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
    let shell = process(900, "/usr/bin/bash", &["bash", "-i"], Some(&nginx), None);
    let net = Flow {
        proto: Protocol::Tcp,
        src: "0.0.0.0".parse().unwrap(),
        sport: 0,
        dst: Some("198.51.100.7".parse().unwrap()),
        dport: Some(4444),
        name: None,
    };
    let kinds =
        [EventKind::Fork, EventKind::Exec, EventKind::Connect { net }, EventKind::Exit { exit: Exit { code: Some(0), signal: None } }];
    let events = kinds.into_iter().enumerate().map(|(number, kind)| Event {
        id: EventId(number as u64 + 1),
        at: chrono::DateTime::from_timestamp(1_800_000_000 + number as i64, 5_000).unwrap(),
        kind,
        process: Some(Arc::clone(&shell)),
        source: Source::Ebpf,
        complete: true,
    });
    events.map(|event| serde_json::to_string(&event).unwrap() + "\n").collect()
}

fn replay(arguments: &[&str], recording: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .arg("replay")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(recording);
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_recorded_attack_is_told_with_its_lines_and_twice_alike() {
    let recording = format!("{}not an event\n", attack());
    let output = replay(&["--json", "-"], recording.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = told(&output);
    let signals: Vec<(u64, &str)> =
        told.iter().filter_map(|one| Some((one["line"].as_u64()?, one["signal"]["detector"].as_str()?))).collect();
    assert_eq!(signals, [(2, "web_server_shell"), (3, "shell_connects")]);
    let incident = told.iter().find(|one| one["incident"].is_object()).unwrap();
    assert_eq!((incident["line"].as_u64(), incident["incident"]["id"].as_str()), (Some(2), Some("I1")));
    let summary = &told.last().unwrap()["summary"];
    let counts = ["lines", "events", "unreadable", "signals", "incidents"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [5, 4, 1, 2, 1]);
    assert_eq!(summary["unreadable_lines"][0]["line"], 5);
    assert_eq!(replay(&["--json", "-"], recording.as_bytes()).stdout, output.stdout);
    let people = String::from_utf8(replay(&["-"], recording.as_bytes()).stdout).unwrap();
    assert!(people.contains("2: S2.0 web_server_shell [high, initial access, 0.90]: nginx (pid 812) ran "), "{people}");
    assert!(people.ends_with("5 lines, 4 events, 1 unreadable, 2 signals (0 folded), 1 incidents (0 forgotten)\n"), "{people}");
}

#[test]
fn exceptions_hold_where_they_are_given_and_it_is_said_where_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("exceptions.json");
    let row = |id: &str, scope: &str, until: &str, removed: &str| {
        let end = r#"{"at":"2026-01-02T00:00:00Z","by":"ann","reason":""}"#;
        let removed = if removed.is_empty() { String::new() } else { format!(r#","removed":{end}"#) };
        format!(
            r#"{{"id":"{id}","scope":{scope},"reason":"ours","author":"ann","added":"2026-01-01T00:00:00Z","until":"{until}"{removed}}}"#
        )
    };
    let (ours, ever, over) = (r#"{"source":"shell_connects","address":"198.51.100.0/24"}"#, "2199-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let with = |rows: &[String]| {
        std::fs::write(&file, format!("[\n{}\n]\n", rows.join(",\n"))).unwrap();
        replay(&["--exceptions", file.to_str().unwrap(), "-"], attack().as_bytes())
    };
    let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8_lossy(&output.stderr);

    let held = text(&with(&[row("X7", ours, ever, "")]));
    assert!(held.contains("3: S3.0 shell_connects ") && held.contains("[excepted by X7]"), "{held}");
    assert!(held.contains("2 signals (0 folded, 1 excepted), 1 incidents") && held.contains("exceptions in force: 1"), "{held}");
    assert!(held.contains("incident I1 [high, initial access,"), "what is excepted is no stage of it: {held}");
    // Over, ended by a person, or about a shell alone, which runs anything.
    let shell = r#"{"source":"shell_connects","exe":"/usr/bin/bash"}"#;
    for (row, count) in [(row("X1", ours, over, ""), 0), (row("X1", ours, ever, "removed"), 0), (row("X1", shell, ever, ""), 1)] {
        let held = text(&with(&[row]));
        assert!(held.contains("2 signals (0 folded), 1 incidents") && held.contains(&format!("exceptions in force: {count}")), "{held}");
    }
    let without = text(&replay(&["-"], attack().as_bytes()));
    assert!(without.contains("judged without exceptions"), "{without}");
    std::fs::write(&file, "{}").unwrap();
    let bad = replay(&["--exceptions", file.to_str().unwrap(), "-"], attack().as_bytes());
    assert!(bad.status.code() == Some(1) && text(&bad).contains("holds no list of exceptions"), "{}", text(&bad));
}

#[test]
fn a_policy_of_ones_own_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("p.toml");
    std::fs::write(&policy, "[roles]\nshells = [\"fish\"]\n").unwrap();
    let output = replay(&["--json", "--policy", policy.to_str().unwrap(), "-"], attack().as_bytes());
    assert_eq!(told(&output).last().unwrap()["summary"]["signals"], 0, "bash is no shell in this policy");
    std::fs::write(&policy, "[roles]\nshels = []\n").unwrap();
    assert_eq!(replay(&["--policy", policy.to_str().unwrap(), "-"], b"").status.code(), Some(1));
}

#[test]
fn several_recordings_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    std::fs::write(&one, "").unwrap();
    std::fs::write(&two, attack()).unwrap();
    let output = replay(&["--json", one.to_str().unwrap(), two.to_str().unwrap()], b"");
    let first = told(&output).remove(0);
    assert_eq!((first["file"].as_str(), first["line"].as_u64()), (two.to_str(), Some(2)));
}

#[test]
fn what_cannot_be_replayed_is_said_with_the_right_exit_code() {
    let cases: [(&[&str], &[u8], i32, &str); 5] = [
        (&["--format", "xml", "-"], b"", 2, "events"),
        (&[], b"", 2, "FILE"),
        (&["/nonexistent/x"], b"", 1, "/nonexistent/x"),
        (&["/"], b"", 1, "cannot read /"),
        (&["-"], b"type=SYSCALL msg=audit(1364481363.243:24287)\n", 1, "no event in what was read; lines: 1"),
    ];
    for (arguments, recording, code, word) in cases {
        let output = replay(arguments, recording);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word), "{arguments:?}: {stderr}");
    }
    assert_eq!(replay(&["-"], b"").status.code(), Some(0), "nothing recorded is nothing wrong");
}

/// Lines of a log: a guess that goes on, somebody who mistypes, and what no parser understands.
fn auth_log() -> String {
    let mut log = String::new();
    for second in 0..20 {
        log.push_str(&format!(
            "2026-11-28T09:00:{second:02}+00:00 vps sshd[{second}]: Failed password for root from 203.0.113.9 port 5 ssh2\n"
        ));
    }
    log.push_str("2026-11-28T09:01:00+00:00 vps sshd[77]: Failed password for anna from 192.0.2.7 port 5 ssh2\n");
    log.push_str("no line of any log\n");
    log
}

#[test]
fn a_log_is_judged_again_and_each_signal_points_to_its_line() {
    let output = replay(&["--json", "--format", "auth", "-"], auth_log().as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let all = told(&output);
    let signals: Vec<_> = all.iter().filter(|one| one["signal"].is_object()).collect();
    assert_eq!((signals.len(), signals[0]["line"].as_u64()), (1, Some(10)), "{all:#?}");
    assert_eq!(
        (signals[0]["signal"]["detector"].as_str(), signals[0]["signal"]["hostile"].as_str()),
        (Some("login_brute_force"), Some("203.0.113.9"))
    );
    let incident = all.iter().find(|one| one["incident"].is_object()).unwrap();
    assert_eq!(incident["line"].as_u64(), Some(10), "where it opened");
    let summary = &all.last().unwrap()["summary"];
    assert_eq!((summary["failed_logins"].as_u64(), summary["unparsed"].as_u64()), (Some(21), Some(1)), "{summary}");
    let again = replay(&["--json", "--format", "auto", "-"], auth_log().as_bytes());
    assert_eq!(again.stdout, output.stdout, "each line recognised by itself");
}

#[test]
fn attacks_on_a_web_server_are_found_in_its_log_and_in_that_of_auditd_who_guesses() {
    let attack = |n: u32| {
        let target =
            [format!("/i?id={n}%20UNION%20SELECT%20{n},null--"), format!("/p?f=../../../../etc/passwd%00{n}")][n as usize % 2].clone();
        format!("198.51.100.7 - - [28/Nov/2026:10:00:{n:02} +0000] \"GET {target} HTTP/1.1\" 404 5 \"-\" \"curl/8\"\n")
    };
    let mut log: String = (0..12).map(attack).collect();
    log.push_str("192.0.2.1 - - [28/Nov/2026:10:00:20 +0000] \"GET /?s=union+street HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n");
    let output = replay(&["--json", "--format", "access", "-"], log.as_bytes());
    let all = told(&output);
    let signal = all.iter().find(|one| one["signal"].is_object()).unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!((signal["signal"]["family"].as_str(), signal["signal"]["hostile"].as_str()), (Some("web"), Some("198.51.100.7")));
    assert_eq!(all.last().unwrap()["summary"]["attack_requests"].as_u64(), Some(12));
    let line = |n: u32| {
        format!(
            "type=USER_AUTH msg=audit(1764320400.{n:03}:{n}): pid={n} uid=0 auid=4294967295 ses=4294967295 msg='op=PAM:authentication grantors=? acct=\"root\" exe=\"/usr/sbin/sshd\" hostname=203.0.113.9 addr=203.0.113.9 terminal=ssh res=failed'\n"
        )
    };
    let log: String = (1..=12).map(line).collect();
    let all = told(&replay(&["--json", "--format", "auditd", "-"], log.as_bytes()));
    let signal = all.iter().find(|one| one["signal"].is_object()).unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!((signal["line"].as_u64(), signal["signal"]["detector"].as_str()), (Some(10), Some("login_brute_force")));
}

#[test]
fn lines_that_nobody_meant_are_counted_and_nothing_stops() {
    let mut log = vec![b'x'; 100_000];
    log.push(b'\n');
    log.extend_from_slice(b"\xff\xfe\0\n\n");
    log.extend_from_slice(auth_log().replace("2026", "2093").as_bytes());
    log.extend_from_slice(auth_log().as_bytes());
    let output = replay(&["--json", "--format", "auto", "-"], &log);
    let summary = told(&output).pop().unwrap()["summary"].clone();
    assert_eq!(
        (output.status.code(), summary["failed_logins"].as_u64(), summary["unparsed"].as_u64()),
        (Some(0), Some(42), Some(4)),
        "{summary}"
    );
    assert_eq!(replay(&["--format", "nginx-error", "-"], b"x\n").status.code(), Some(1), "nothing of it is such a log");
}
