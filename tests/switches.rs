//! What a person switches off is silent, said everywhere while it is off, and on again; what watches over Bartizan itself cannot be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use support::agent::{Home, told};
use support::wait_for;

fn row(home: &Home, name: &str) -> Value {
    home.json(&["detectors"]).into_iter().find(|row| row["id"] == name).unwrap()
}

#[test]
fn a_detector_is_switched_off_by_name_and_the_agents_own_alarms_are_not() {
    let home = Home::new(None);
    assert!(home.run(&["detectors", "disable", "web_server_shell", "failed_logins"]).status.code() == Some(1), "one of them is unknown");
    assert_eq!(row(&home, "web_server_shell")["enabled"], true, "all or nothing");
    let near = told(&home.run(&["detectors", "disable", "web_server_shel"]));
    assert!(near.contains("no detector is called \"web_server_shel\" (did you mean web_server_shell?)"), "{near}");
    for name in ["guard_attacked", "guard_alarm"] {
        let refused = home.run(&["detectors", "disable", name]);
        assert_eq!(refused.status.code(), Some(4), "{}", told(&refused));
    }
    assert!(home.run(&["detectors", "disable", "web_server_shell"]).status.success());
    assert_eq!(
        (&row(&home, "web_server_shell")["enabled"], &row(&home, "web_server_shell")["off_by"]),
        (&false.into(), &"command line".into())
    );
    let offline = told(&home.run(&["doctor"]));
    assert!(offline.contains("switched off: detectors web_server_shell"), "{offline}");
    assert!(home.run(&["detectors", "enable", "web_server_shell"]).status.success());
    assert_eq!(row(&home, "web_server_shell")["enabled"], true);

    std::fs::write(home.path("policy.toml"), "[detectors]\noff = [\"ptrace_other\"]\n").unwrap();
    let refused = home.run(&["detectors", "enable", "ptrace_other"]);
    assert!(told(&refused).contains("policy.toml switches ptrace_other off"), "{}", told(&refused));
    std::fs::write(home.path("policy.toml"), "[detectors]\noff = [\"guard_alarm\"]\n").unwrap();
    assert!(told(&home.run(&["detectors"])).contains("guard_alarm reports attacks on Bartizan itself"));
}

#[test]
fn a_running_agent_is_silent_about_what_is_off_says_so_and_hears_again_after_a_reload() {
    let home = Home::new(None);
    let log = home.path("auth.log");
    std::fs::write(&log, "").unwrap();
    home.configure(&format!("[[logs]]\npath = {log:?}\nformat = \"auth\""));
    std::fs::create_dir(home.path("indicators")).unwrap();
    std::fs::write(home.path("indicators/own.txt"), "45.9.20.0/24\n").unwrap();
    std::fs::write(home.path("policy.toml"), "[detectors]\noff = [\"indicator_match\"]\n[actions]\noff = [\"kill-tree\"]\n").unwrap();
    let _agent = home.start();
    let login = |number: u32| {
        let line = format!("Nov 28 10:00:00 host sshd[{number}]: Accepted password for nobody from 45.9.20.7 port 4242 ssh2\n");
        std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(line.as_bytes()).unwrap();
    };
    let logins = || home.json(&["events", "--kind", "auth.ok"]).len();
    let matches = || home.json(&["signals"]).into_iter().filter(|signal| signal["detector"] == "indicator_match").count();
    wait_for(
        "the log to be followed",
        Duration::from_secs(20),
        || {
            let rows = home.json(&["logs"]);
            rows.into_iter().find(|row| row["name"].as_str().unwrap().ends_with("auth.log") && row["state"] == "following")
        },
        String::new,
    );
    login(1);
    wait_for("the login", Duration::from_secs(20), || (logins() == 1).then_some(()), String::new);
    assert_eq!(matches(), 0);
    let off = "switched off: detectors indicator_match; actions kill-tree";
    assert!(home.json(&["status"])[0].to_string().contains(off));
    assert!(told(&home.run(&["doctor"])).contains(off));

    let from_start = |entry: &Value| entry["what"] == "switches.in-force" && entry.to_string().contains(&off["switched off: ".len()..]);
    assert_eq!(home.json(&["audit", "show"]).iter().filter(|entry| from_start(entry)).count(), 1);

    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let killed = home.run(&["kill", &child.id().to_string(), "--reason", "a test"]);
    assert!(told(&killed).contains("policy.toml switches kill-tree off"), "{}", told(&killed));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();

    std::fs::write(home.path("policy.toml"), "").unwrap();
    assert!(home.run(&["reload"]).status.success());
    login(2);
    wait_for("the match", Duration::from_secs(20), || (matches() == 1).then_some(()), String::new);
    assert!(!home.json(&["status"])[0].to_string().contains("switched off"));
    let audited = home.json(&["audit", "show"]);
    assert!(audited.iter().any(|entry| entry.to_string().contains("switched off now: nothing")), "{audited:?}");
}
