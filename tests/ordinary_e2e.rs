//! Ordinary work that looks bad, done by real programs beside an agent that may act alone; and a real intrusion among them.
//! A host of its own: a pid namespace, a network, an `/etc` and `/home`; so nothing of the machine is in the agent's reach.

#![allow(unreachable_pub, missing_docs)] // parts of one test program
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

#[path = "ordinary_e2e/recorded.rs"]
mod recorded;
#[path = "ordinary_e2e/world.rs"]
mod world;

use std::time::Duration;

use bartizan_model::Mode;
use support::agent::told;
use support::attack::intrude;
use support::{can_run, wait_for};
use world::{JOBS, ProcessCache};

const NEEDS: [&str; 18] = [
    "ip", "nft", "nsenter", "unshare", "busybox", "nginx", "cron", "git", "curl", "socat", "python3", "ssh", "ssh-keygen", "tmux", "cc",
    "ss", "dpkg-deb", "useradd",
];

fn is_possible() -> bool {
    let daemon = ["/usr/lib/git-core/git-daemon", "/usr/libexec/git-core/git-daemon", "/usr/local/libexec/git-core/git-daemon"];
    can_run(&NEEDS) && (daemon.iter().any(|file| std::path::Path::new(file).is_file()) || can_run(&["git-daemon"]))
}

/// The agent acts alone and sees what its sensors see from within a pid namespace: what lives half a second.
#[test]
fn an_agent_that_acts_alone_leaves_a_host_at_work_alone_and_holds_an_intruder() {
    if !is_possible() {
        return;
    }
    let mut world = ProcessCache::begin();
    world.start_agent();
    for mode in ["balanced", "aggressive"] {
        world.run(&["mode", mode]);
        world.work();
        // Whatever is still being weighed.
        std::thread::sleep(Duration::from_secs(2));
        let actions = world.json(&["actions"]);
        assert!(actions.is_empty(), "{mode}: ordinary work was acted on: {actions:#?}\n{:#?}", world.json(&["incidents"]));
    }
    let seen = world.json(&["incidents"]);
    eprintln!("incidents of ordinary work:");
    seen.iter().for_each(|incident| eprintln!("  {} {}", incident["confidence"], incident["sentence"]));
    assert!(!seen.is_empty(), "nothing at all was seen of ordinary work: this test proves nothing");

    // One of its web applications has a hole, and a stranger knows it.
    let mut shell = intrude(&world.stranger);
    assert!(shell.type_line("id", Duration::from_secs(5)).is_some(), "the stolen shell does not work");
    std::thread::sleep(Duration::from_secs(1));
    let _ = shell.type_line("exec 4</etc/shadow", Duration::from_secs(1));
    wait_for(
        "the intruder to be held",
        Duration::from_secs(15),
        || world.json(&["actions"]).iter().any(|action| action["kind"] == "freeze-tree" && action["state"] == "live").then_some(()),
        || format!("{:#?}\n{:#?}", world.json(&["incidents"]).last(), told(&world.command(&["approvals"]).output().unwrap())),
    );
    assert_eq!(shell.type_line("echo still here", Duration::from_secs(1)), None, "the shell still answers");
    // Nobody else was touched: the host goes on with its work.
    world.work();
    let others: Vec<_> = world.json(&["actions"]).into_iter().filter(|action| action["kind"] != "freeze-tree").collect();
    let strangers_only = others.iter().all(|action| action["target"].to_string().contains(support::network::STRANGER));
    assert!(strangers_only, "{others:#?}");
    world.run(&["emergency-stop"]);
}

/// The same work under the best sensors, recorded from outside and judged as each mode would.
#[test]
fn what_the_best_sensors_see_of_a_host_at_work_is_acted_on_in_no_mode() {
    if !is_possible() {
        return;
    }
    let mut world = ProcessCache::begin();
    let recording = recorded::Recording::begin(&world);
    world.work();
    let events = recording.end();
    let execs = events.iter().filter(|event| event.kind == bartizan_model::EventKind::Exec).count();
    assert!(execs >= 3 * JOBS.len(), "only {execs} programs were recorded of {} jobs", JOBS.len());
    for mode in Mode::ALL {
        let verdict = recorded::judge(&events, mode);
        eprintln!("{mode}: {} signals, asked: {:?}", verdict.signals.len(), verdict.asked);
        assert!(verdict.acted.is_empty(), "{mode}: {:#?}\n{:#?}", verdict.acted, verdict.signals);
        assert!(!verdict.signals.is_empty(), "no detector spoke: this proves nothing");
    }
    world.end();
}
