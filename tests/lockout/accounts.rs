//! The owner's account and the files that decide who gets in.

use std::time::Duration;

use serde_json::json;

use crate::stage::{Attempt, Must, Stage};
use crate::support::agent::told;
use crate::support::lan::{HOST, OPERATOR};
use crate::support::ssh::ACCOUNT;

fn uid(stage: &Stage, name: &str) -> u32 {
    stage.lan.host.shell(&format!("id -u {name}")).trim().parse().unwrap()
}

/// Somebody wipes the owner's keys; the owner puts the backup back.
fn keys_wiped(stage: &Stage, wipe: &'static str) -> Result<bool, String> {
    let file = format!("/home/{ACCOUNT}/.ssh/authorized_keys");
    let original = stage.lan.host.shell(&format!("cat {file}"));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !stage.home.json(&["copies"]).iter().any(|copy| copy["path"] == file.as_str()) {
        if std::time::Instant::now() > deadline {
            return Err(format!("no copy of {file} is kept"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    stage.lan.host.shell(&wipe.replace("{file}", &file));
    std::thread::sleep(Duration::from_millis(500));
    let copy = blake3::hash(original.as_bytes()).to_hex();
    let restored = stage.home.run(&["restore", &file, "--copy", &copy[..16], "--for", "10m"]);
    let mut said = told(&restored);
    let restoring = stage.home.json(&["actions", "--active"]).into_iter().find(|action| action["kind"] == "restore-file");
    let confirmed = restoring.is_some_and(|action| {
        let output = stage.home.run(&["confirm", action["id"].as_str().unwrap()]);
        said = format!("{said}\n{}", told(&output));
        output.status.success()
    });
    let entered = stage.server.lets_in(&stage.lan.operator, OPERATOR[0], HOST[0]);
    // Undone, the intruder's file would be back: the next attempt needs its owner's.
    stage.home.run(&["rollback", "--all"]);
    let put = format!("cat >{file} <<'END'\n{original}END\nchown {ACCOUNT} {file}; chmod 644 {file}");
    stage.lan.host.shell(&put);
    match entered {
        Ok(()) if restored.status.success() && confirmed => Ok(false),
        Ok(()) => Err(format!("not put back: {said}")),
        Err(why) => Err(format!("put back, and no login: {why}\n{said}")),
    }
}

pub fn attempts(stage: &Stage) -> Vec<Attempt> {
    let owner = uid(stage, ACCOUNT);
    let user = |name: &str, uid: u32| json!({ "user": { "name": name, "uid": uid } });
    let mut all = vec![
        Attempt::by_command(Must::BeRefused, &["disable-user", "root"]),
        Attempt::by_command(Must::BeRefused, &["disable-user", ACCOUNT]),
        Attempt::by_command(Must::BeRefused, &["disable-user", "sshd"]),
        Attempt::by_command(Must::DoNoHarm, &["disable-user", "nobody"]),
        Attempt::by_wire(Must::BeRefused, "disable-user", user("root", 0), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user(ACCOUNT, owner), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user("nobody", owner), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user(ACCOUNT, 65534), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user("nobody", 0), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user(&format!("{ACCOUNT}:"), owner), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user(&format!("x\n{ACCOUNT}"), owner), 600),
        Attempt::by_wire(Must::BeRefused, "disable-user", user("", owner), 600),
    ];
    let zeros = "0".repeat(64);
    for path in [
        "/etc/shadow", "/etc/passwd", "/etc/ssh/sshd_config", "/home/owner/.ssh/authorized_keys", "/etc/../etc/ssh/sshd_config", "relative",
    ] {
        all.push(Attempt::by_wire(Must::DoNoHarm, "restore-file", json!({ "file": { "path": path, "copy": zeros } }), 600));
    }
    for id in ["0123456789ab", "not-hex", ""] {
        let target = json!({ "container": { "id": id, "name": "x", "isolation": "network" } });
        all.push(Attempt::by_wire(Must::DoNoHarm, "isolate-container", target, 600));
    }
    for wipe in ["rm {file}", ": >{file}", "echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ intruder' >{file}"] {
        all.push(Attempt::new(format!("the owner's keys: {wipe}"), Must::DoNoHarm, move |stage| keys_wiped(stage, wipe)));
    }
    all
}
