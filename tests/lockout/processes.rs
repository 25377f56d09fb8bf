//! Holding or ending what the owner's way in is made of: sshd, its sessions, the agent, the console, init.

use std::time::Duration;

use bartizan_sys::pidfd::key_of;
use serde_json::json;

use crate::stage::{Attempt, Must, Stage};
use crate::support::wait_for;

/// Everything below a process, itself first, by name and pid.
fn below(top: u32) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut next = vec![top];
    while let Some(pid) = next.pop() {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        found.push((name, pid));
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        next.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found
}

/// The console that the stage attached.
fn console(stage: &Stage) -> Option<u32> {
    let mark = stage.home.path("agent.sock").display().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(" attach ") && line.contains(&mark) && !line.starts_with("sh ") && !line.starts_with("tmux")
    })
}

pub fn attempts(stage: &Stage) -> Vec<Attempt> {
    // The daemon and two sessions of three processes each, when those of the last login have ended.
    let settled = || Some(below(stage.server.pid())).filter(|found| found.len() == 7);
    let state = || format!("{:?}", below(stage.server.pid()));
    let mut whom = wait_for("sshd to hold two sessions and no more", Duration::from_secs(10), settled, state);
    whom.push(("the agent".to_owned(), stage.agent()));
    whom.push(("this test, which started the agent".to_owned(), std::process::id()));
    whom.push(("the console".to_owned(), console(stage).expect("no console found")));
    whom.push(("init".to_owned(), 1));
    whom.push(("a kernel thread".to_owned(), 2));
    let mut all = Vec::new();
    for (turn, (name, pid)) in whom.into_iter().enumerate() {
        let verb = if turn % 2 == 0 { "freeze" } else { "kill" };
        let mut attempt = Attempt::by_command(Must::BeRefused, &[verb, &pid.to_string()]);
        attempt.name = format!("{} ({name})", attempt.name);
        all.push(attempt);
        let Some(root) = key_of(pid) else { continue };
        for kind in ["freeze-tree", "kill-tree"] {
            let target = json!({ "process-tree": { "root": root.to_string(), "exe": "/tmp/harmless" } });
            let mut attempt = Attempt::by_wire(Must::BeRefused, kind, target, 600);
            attempt.name = format!("{} ({name})", attempt.name);
            all.push(attempt);
        }
    }
    all
}
