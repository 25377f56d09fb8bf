//! What failed, was undone, expired or was stopped never comes alive again, whatever kept it from being undone at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::Duration;

use serde_json::Value;
use support::agent::{Home, told};
use support::can_run;
use support::guarded::Guarded;
use support::network::Network;
use support::obstacles::{AccountsLocked, OwnedTable, ReadOnly};
use support::trees::Tree;
use support::{wait_for, wait_until};

/// Longer than several rounds of the reconciler.
const ROUNDS: Duration = Duration::from_secs(7);
/// Within this an undo that is pending is done once nothing keeps it.
const PATIENCE: Duration = Duration::from_secs(40);

struct Ground {
    host: Guarded,
}

impl Ground {
    fn prepare() -> Self {
        let host = Guarded::new(Network::new());
        host.shell("useradd -m -s /bin/sh bob && useradd -m -s /bin/sh owner && usermod -p '$5$x$y' bob && usermod -p '$5$x$y' owner");
        host.shell("! getent group sudo >/dev/null || usermod -aG sudo owner");
        Self { host }
    }

    fn bob(&self) -> String {
        self.host.shell("grep ^bob: /etc/shadow")
    }

    fn blocked(&self, address: &str) -> bool {
        self.host.shell("nft list ruleset").contains(address)
    }
}

/// The action of this name.
fn row(home: &Home, id: &str) -> Value {
    home.json(&["actions"]).into_iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no action {id}"))
}

fn refused(home: &Home, words: &str) -> String {
    let output = home.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1), "bartizan {words}: {}", told(&output));
    told(&output)
}

fn done(home: &Home, words: &str) -> String {
    let output = home.run(&words.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "bartizan {words}: {}", told(&output));
    told(&output)
}

/// Nothing of it is applied for several rounds, and its row stays over.
fn stays_gone(home: &Home, id: &str, live: impl Fn() -> bool, outcome: &str) {
    std::thread::sleep(ROUNDS);
    assert!(!live(), "{id} came alive again: {:#}", row(home, id));
    let row = row(home, id);
    assert_eq!((row["state"].as_str(), row["desired"]["state"].as_str()), (Some(outcome), Some("gone")), "{row:#}");
    let audit = home.run(&["audit", "show"]);
    assert!(!told(&audit).contains("action.reapplied"), "{}", told(&audit));
}

fn undo_is_pending(home: &Home, id: &str) {
    let row = row(home, id);
    assert_eq!(row["desired"]["state"], "gone", "{row:#}");
    assert!(row["desired"]["last_error"].as_str().is_some_and(|error| !error.is_empty()), "{row:#}");
    assert!(done(home, "actions").contains("undo pending"), "{}", done(home, "actions"));
    wait_until("status to count it", Duration::from_secs(10), || {
        let health = &home.json(&["status"])[0];
        health["counts"]["undo_pending"] == 1 && health["degraded"].to_string().contains(id)
    });
}

#[test]
fn an_account_that_could_not_be_locked_is_not_locked_when_the_obstacle_goes() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "useradd"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let (agent, before) = (home.start(), ground.bob());

    let lock = AccountsLocked::on(&ground.host);
    let said = refused(&home, "disable-user bob --for 1m");
    assert!(said.contains(".pwd.lock"), "{said}");
    drop(lock);
    stays_gone(&home, "A1", || ground.bob() != before, "failed");

    let read_only = ReadOnly::on(&ground.host, "/etc");
    let said = refused(&home, "disable-user bob --for 1m");
    assert!(said.to_lowercase().contains("read-only"), "{said}");
    drop(read_only);
    stays_gone(&home, "A2", || ground.bob() != before, "failed");
    drop(agent);
}

#[test]
fn an_account_whose_undo_was_kept_is_unlocked_as_soon_as_it_can_be_and_not_locked_again() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "useradd"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let (agent, before) = (home.start(), ground.bob());
    done(&home, "disable-user bob --for 1m");
    assert_ne!(ground.bob(), before);
    let lock = AccountsLocked::on(&ground.host);
    let said = refused(&home, "rollback A1");
    assert!(said.contains("A1 could not be undone yet") && said.contains(".pwd.lock"), "{said}");
    undo_is_pending(&home, "A1");
    // Killed meanwhile, the next one goes on undoing.
    agent.kill();
    let agent = home.start();
    undo_is_pending(&home, "A1");
    drop(lock);
    wait_for("bob to be let in again", PATIENCE, || (ground.bob() == before).then_some(()), || format!("{:#}", row(&home, "A1")));
    stays_gone(&home, "A1", || ground.bob() != before, "rolled_back");
    drop(agent);
}

#[test]
fn a_block_that_failed_because_somebody_owns_our_table_is_not_applied_when_that_one_ends() {
    if !can_run(&["ip", "nft", "nsenter", "unshare"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let agent = home.start();
    let owner = OwnedTable::on(&ground.host, "");
    let said = refused(&home, "block 198.51.100.9 --for 5m");
    assert!(said.contains("another program owns table inet bartizan") && said.contains("nft (pid "), "{said}");
    assert!(!said.contains("root"), "{said}");
    drop(owner);
    stays_gone(&home, "A1", || ground.blocked("198.51.100.9"), "failed");
    drop(agent);
}

#[test]
fn a_block_that_was_undone_or_stopped_while_somebody_owned_our_table_stays_gone() {
    if !can_run(&["ip", "nft", "nsenter", "unshare"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let agent = home.start();
    let same = |address: &str| {
        format!(
            "add set inet bartizan block_in4 {{ type ipv4_addr; flags timeout; }}; add element inet bartizan block_in4 {{ {address} timeout 5m }}"
        )
    };
    // Whoever owns the table holds the very address too: then the undo is pending until the table goes.
    for (id, address, holds, words) in [
        ("A1", "198.51.100.1", false, "rollback A1"),
        ("A2", "198.51.100.2", true, "rollback A2"),
        ("A3", "198.51.100.3", false, "emergency-stop"),
        ("A4", "198.51.100.4", true, "emergency-stop"),
    ] {
        done(&home, &format!("block {address} --for 5m"));
        assert!(ground.blocked(address));
        let owner = OwnedTable::on(&ground.host, &if holds { same(address) } else { String::new() });
        // The reconciler tries in vain to bring it back: it is still meant to be live.
        std::thread::sleep(Duration::from_secs(3));
        let output = home.run(&words.split(' ').collect::<Vec<_>>());
        if holds {
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            undo_is_pending(&home, id);
        }
        drop(owner);
        wait_for(
            "it to be over",
            PATIENCE,
            || (row(&home, id)["state"] == "rolled_back").then_some(()),
            || format!("{:#}", row(&home, id)),
        );
        stays_gone(&home, id, || ground.blocked(address), "rolled_back");
        // An earlier stop does not keep what is asked for afterwards.
        assert!(home.json(&["actions", "--active"]).is_empty());
    }
    drop(agent);
}

#[test]
fn what_was_stopped_while_no_agent_ran_is_not_applied_by_the_next_one() {
    if !can_run(&["ip", "nft", "nsenter", "unshare"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let agent = home.start();
    done(&home, "block 198.51.100.1 --for 5m");
    agent.kill();
    done(&home, "emergency-stop");
    assert!(!ground.blocked("198.51.100.1"));
    // Even when the sign that it leaves for the next agent is lost.
    std::fs::remove_file(home.path("data/run/emergency-stop")).unwrap();
    let agent = home.start();
    stays_gone(&home, "A1", || ground.blocked("198.51.100.1"), "rolled_back");
    drop(agent);
}

#[test]
fn a_freeze_ends_although_agent_and_watchdog_are_killed_together() {
    if !can_run(&["ip", "nft", "nsenter", "unshare"]) {
        return;
    }
    let ground = Ground::prepare();
    let home = Home::on(&ground.host);
    let (agent, tree) = (home.start(), Tree::grow());
    let group = |pid: u32| support::state::groups_of(pid).join(" ");
    let before = group(tree.pid());
    wait_until("the agent to see the tree", Duration::from_secs(20), || {
        home.run(&["freeze", &tree.pid().to_string(), "--preview"]).status.success()
    });
    done(&home, &format!("freeze {} --for 6s", tree.pid()));
    assert_ne!(group(tree.pid()), before);
    // The second end is begun beside the freeze, which does not wait for it.
    let written = |name: &str| -> Option<i32> {
        let text = std::fs::read_to_string(home.path("data/run/freeze").join(name)).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    let pid_in = |name: &str| wait_for(name, Duration::from_secs(10), || written(name), String::new);
    let second = pid_in(".second");
    let words = std::fs::read(format!("/proc/{second}/cmdline")).unwrap();
    let name = std::fs::read_to_string(format!("/proc/{second}/comm")).unwrap();
    assert_eq!((words.as_slice(), name.as_str()), (b"sh\0".as_slice(), "sh\n"), "whatever ends us by name leaves it be");
    // As one `killall -9 bartizan` does.
    for pid in [pid_in(".watchdog"), agent.pid() as i32] {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    drop(agent);
    wait_for(
        "the tree to run again where it was",
        Duration::from_secs(25),
        || (group(tree.pid()) == before).then_some(()),
        || group(tree.pid()),
    );
    wait_until("the second end to go", Duration::from_secs(60), || !std::path::Path::new(&format!("/proc/{second}")).exists());
}
