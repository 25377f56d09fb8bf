//! Logs are followed by a process without rights, no line is lost or read twice, and what goes wrong is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::agent::{Home, is_alive, signal, told};
use support::can_run;
use support::docker::Docker;
use support::guarded::Guarded;
use support::network::Network;

fn append(home: &Home, lines: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(home.path("auth.log")).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn attempts(count: u32) -> String {
    let line = |number: u32| {
        format!("Nov 28 10:00:00 host sshd[{number}]: Failed password for root from 192.0.2.{} port 4242 ssh2\n", number % 250 + 1)
    };
    (1..=count).map(line).collect()
}

/// The row of our log, as soon as it is as wanted.
fn row(home: &Home, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = home.json(&["logs"]);
        let row = rows
            .into_iter()
            .find(|row| row["name"].as_str().is_some_and(|name| name.ends_with("/auth.log") && name.contains("bartizan-test-")));
        if let Some(row) = row.clone().filter(&wanted) {
            return row;
        }
        assert!(Instant::now() < until, "{row:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn worker_of(agent: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{agent}/task/{agent}/children")).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{agent}/task")).unwrap().flatten();
    let all =
        tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect::<Vec<_>>().join(" ") + " " + &children;
    let mut pids = all.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.find(|pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "bartizan-worker\n")).unwrap()
}

#[test]
fn a_process_without_rights_reads_the_logs_and_its_death_costs_no_line() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    home.configure(&format!("[[logs]]\npath = {:?}\nformat = \"auth\"", home.path("auth.log")));
    append(&home, "the past is nobody's news\n");
    let agent = home.start();
    row(&home, |row| row["state"] == "following");
    append(&home, &(attempts(500) + "what is this?\n"));
    let read = row(&home, |row| row["lines"] == 501);
    assert_eq!((&read["records"], &read["unparsed"], &read["lag"]), (&500.into(), &1.into(), &0.into()), "{read}");
    assert_eq!(read["samples"][0], "what is this?");

    let worker = worker_of(agent.pid());
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let has = |line: &str| assert!(status.contains(line), "{line}: {status}");
    ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"]
        .into_iter()
        .for_each(has);
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    let held: Vec<String> = fs::read_dir(format!("/proc/{worker}/fd"))
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .collect();
    let known = |link: &String| link.starts_with("socket:") || link == "/dev/null" || link.contains("log");
    assert!(held.iter().all(known) && held.iter().filter(|link| link.starts_with("socket:")).count() == 1, "{held:?}");

    signal(worker, nix::sys::signal::Signal::SIGKILL);
    append(&home, &attempts(100));
    let read = row(&home, |row| row["lines"] == 601);
    assert!(read["trouble"].as_str().unwrap().starts_with("the process that reads logs died: it was ended by SIGKILL"), "{read}");
    assert_eq!((&read["set_aside_count"], &read["records"]), (&0.into(), &600.into()), "{read}");
    let health = &home.json(&["status"])[0];
    let degraded: Vec<&str> = health["degraded"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(degraded.iter().any(|line| line.starts_with("log reader: the process that reads logs died")), "{degraded:?}");
    let table = String::from_utf8(home.run(&["logs", "--samples"]).stdout).unwrap();
    assert!(table.starts_with("STATE") && table.contains("not understood: what is this?"), "{table}");

    // Five seconds are enough for what was read to be kept: then nothing of it is read again, however the agent ends.
    std::thread::sleep(Duration::from_millis(6500));
    let worker = worker_of(agent.pid());
    agent.kill();
    let until = Instant::now() + Duration::from_secs(5);
    while is_alive(worker) {
        assert!(Instant::now() < until, "the worker outlived its agent");
        std::thread::sleep(Duration::from_millis(5));
    }
    append(&home, &attempts(50));
    let agent = home.start();
    let read = row(&home, |row| row["lines"] == 651);
    assert_eq!(read["records"], 650, "{read}");
    assert!(agent.stop().success());
}

#[test]
fn a_log_that_cannot_be_read_is_a_row_with_a_name() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    let log = |name: &str, more: &str| format!("[[logs]]\npath = {:?}\n{more}\n", home.path(name));
    home.configure(&[log("nothing", ""), log("data", ""), log("odd", "format = \"nonsense\""), log("off", "off = true")].concat());
    let _agent = home.start();
    let states = || -> Vec<(String, String)> {
        let rows = home.json(&["logs"]);
        let ours = rows.iter().filter(|row| row["name"].as_str().is_some_and(|name| name.contains("bartizan-test-")));
        ours.map(|row| (row["state"].as_str().unwrap().to_owned(), row["trouble"].as_str().unwrap_or_default().to_owned())).collect()
    };
    let until = Instant::now() + Duration::from_secs(10);
    while states().len() < 4 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let states = states();
    let known: Vec<&str> = states.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(known, ["off", "off", "not-a-file", "missing"], "{states:?}");
    assert!(states[1].1.starts_with("there is no format \"nonsense\": one of auth"), "{states:?}");
    let output = home.run(&["logs"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn what_containers_write_is_read_under_their_names_and_what_cannot_be_says_why() {
    if !can_run(&["dockerd", "docker", "busybox", "ip", "nsenter", "tar"]) {
        return;
    }
    let host = Guarded::new(Network::new());
    let docker = Docker::start_on(&host);
    let line = "Nov 28 10:00:00 box sshd[7]: Accepted publickey for root from 192.0.2.7 port 4242 ssh2";
    let says = format!("while true; do echo '{line}'; /bin/busybox sleep 1; done");
    for (name, driver) in [("web", "json-file"), ("odd", "local")] {
        let options = ["run", "-d", "--network", "none", "--name", name, "--log-driver", driver];
        let ran = docker.run(&[&options[..], &["busybox", "/bin/busybox", "sh", "-c", &says]].concat());
        assert!(ran.status.success(), "{}", told(&ran));
    }
    let home = Home::on(&host);
    let agent = home.start();
    let until = Instant::now() + Duration::from_secs(20);
    let (web, odd) = loop {
        let rows = home.json(&["logs"]);
        let of = |name: &str| rows.iter().find(|row| row["name"] == name).cloned();
        match (of("docker:web"), of("docker:odd")) {
            (Some(web), Some(odd)) if web["records"].as_u64() > Some(1) => break (web, odd),
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((&web["state"], &web["format"], &web["unparsed"]), (&"following".into(), &"docker".into(), &0.into()), "{web}");
    assert_eq!((&odd["state"], &odd["lines"]), (&"unreadable".into(), &0.into()), "{odd}");
    assert!(odd["trouble"].as_str().unwrap().starts_with("the log driver \"local\" keeps lines in a form that is not read"), "{odd}");
    // Their shell would not end by itself, and the daemon would wait for it.
    docker.run(&["rm", "--force", "web", "odd"]);
    assert!(agent.stop().success());
}
