//! Uses of privilege that the kernel programs tell of, done for real: namespaces, gained capabilities, io_uring, and a signal
//! to the guard itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::agent::{Home, signal};
use support::network::Network;
use support::programs::Programs;
use support::{can_run, wait_for};

/// The first use of this kind that fits.
fn seen(home: &Home, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for(
        what,
        Duration::from_secs(10),
        || {
            home.json(&["events", "--kind", "privilege.use", "--limit", "1000"])
                .into_iter()
                .find(|event| event["privilege"]["what"] == what && fits(event))
        },
        || {
            let told = home.json(&["events", "--kind", "privilege.use"]);
            told.iter().map(|event| format!("{} {} {}\n", event["process"]["exe"], event["privilege"], event["source"])).collect()
        },
    )
}

#[test]
fn uses_of_privilege_are_told_with_who_and_what() {
    if !can_run(&["ip", "nsenter", "unshare", "setpriv"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let agent = home.start();
    if home.json(&["status"])[0]["rung"] != "ebpf" {
        return eprintln!("skipped: namespaces, capabilities and signals are told by eBPF alone");
    }

    // In a mount namespace of its own; the program that follows gives it away.
    assert!(Command::new("unshare").args(["--mount", "/bin/sleep", "0.01"]).status().unwrap().success());
    let moved = seen(&home, "namespace", |event| event["process"]["exe"].as_str().is_some_and(|exe| exe.ends_with("sleep")));
    assert_eq!(moved["privilege"]["detail"], "mnt");
    // And back into the host's, as from a container.
    let back = format!("exec nsenter --mount=/proc/{}/ns/mnt /usr/bin/env true", std::process::id());
    assert!(Command::new("unshare").args(["--mount", "/bin/sh", "-c", &back]).status().unwrap().success());
    seen(&home, "namespace", |event| event["privilege"]["detail"] == "mnt (the host's)");

    // A set-user-id program of root's, run by nobody.
    let open_to_all = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open_to_all.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let raised = open_to_all.path().join("raised");
    std::fs::copy("/bin/sleep", &raised).unwrap();
    std::fs::set_permissions(&raised, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let raised = raised.to_str().unwrap();
    let status = Command::new("setpriv").args(["--reuid", "65534", "--regid", "65534", "--clear-groups", raised, "0.01"]).status().unwrap();
    assert!(status.success());
    let gained = seen(&home, "capability-gain", |event| event["process"]["exe"] == raised);
    assert_eq!((&gained["privilege"]["new_uid"], &gained["process"]["uid"]), (&Value::from(0), &Value::from(65534)));
    assert!(gained["privilege"]["gained"].as_u64().unwrap() & (1 << 21) != 0, "CAP_SYS_ADMIN: {gained}");

    // An io_uring, where the kernel has them and cc is here to make a program that asks for one.
    if can_run(&["cc"]) {
        let programs = Programs::build(&["uring_connect"]);
        programs.start("uring_connect", "ring", 9, "-").wait().unwrap();
        seen(&home, "io-uring", |event| event["process"]["exe"].as_str().is_some_and(|exe| exe.ends_with("uring_connect")));
    }

    // Whoever stops the guard.
    signal(agent.pid(), Signal::SIGSTOP);
    signal(agent.pid(), Signal::SIGCONT);
    let stopped = seen(&home, "kill", |event| event["privilege"]["signal"] == 19);
    assert_eq!(stopped["process"]["pid"], std::process::id());
    assert!(stopped["privilege"]["target_exe"].as_str().unwrap().ends_with("bartizan"));
}
