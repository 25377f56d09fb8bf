//! Under systemd: an agent that hangs is started again and keeps its actions, a host that is shut down is no attack, a
//! systemd too busy to answer takes nothing back, and the journal says what was started.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::systemd_host::{self, SystemdHost};
use support::wait_for;

/// Reboots of one run; `BARTIZAN_TEST_REBOOTS` asks for more.
const REBOOTS: usize = 3;
/// How soon a hung agent must be back.
const BACK: Duration = Duration::from_secs(30);

fn main_pid(host: &SystemdHost) -> u32 {
    host.shell("systemctl show -p MainPID --value bartizan.service").trim().parse().unwrap()
}

fn journal(host: &SystemdHost) -> String {
    host.shell("journalctl -u bartizan --no-pager -o cat")
}

/// Somebody writes into the journal what a failed login looks like.
fn log_a_failure(host: &SystemdHost) {
    host.shell("logger -t sshd 'Failed password for root from 192.0.2.9 port 4242 ssh2'");
}

/// How the agent follows the journal.
fn journal_row(host: &SystemdHost) -> Value {
    host.json("logs").into_iter().find(|row| row["name"] == "journal").expect("no row for the journal")
}

/// The agent answers under another pid.
fn wait_until_back(host: &SystemdHost, before: u32, hung: Instant) {
    let back = || {
        let status = host.try_shell("timeout 5 bartizan status --json");
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["pid"].as_u64()? != u64::from(before)).then_some(())
    };
    wait_for("the agent to be started again", BACK + Duration::from_secs(30), back, || journal(host));
    let took = hung.elapsed();
    assert!(took < BACK, "{took:?}\n{}", journal(host));
}

#[test]
fn a_hung_agent_is_started_again_within_half_a_minute_and_keeps_its_actions() {
    if !systemd_host::can_run() {
        return;
    }
    let host = SystemdHost::boot();
    host.start_agent();
    let said = journal(&host);
    let line = said.lines().find(|line| line.contains("bartizan watches")).unwrap_or_else(|| panic!("no word of the start: {said}"));
    assert!(line.contains(env!("CARGO_PKG_VERSION")) && line.contains("rung") && line.contains("mode"), "{line}");
    host.shell("systemd-run --quiet --unit=victim sleep 10000");
    let victim = host.shell("systemctl show -p MainPID --value victim.service").trim().to_owned();
    std::thread::sleep(Duration::from_secs(2));
    for deed in ["block 203.0.113.5 --for 20m".to_owned(), format!("freeze {victim} --for 20m")] {
        host.shell(&format!("bartizan {deed}"));
    }
    log_a_failure(&host);
    // Half a minute of nothing: who feeds systemd does not forget to.
    let fed = main_pid(&host);
    std::thread::sleep(Duration::from_secs(30));
    assert_eq!(main_pid(&host), fed, "restarted without need: {}", journal(&host));

    let read = journal_row(&host);
    assert_eq!(read["state"], "following", "{read}");
    assert!(read["records"].as_u64() >= Some(1), "{read}");

    let hung = Instant::now();
    host.shell("systemctl kill -s STOP --kill-who=main bartizan.service");
    wait_until_back(&host, fed, hung);
    log_a_failure(&host);
    let more = || (journal_row(&host)["records"].as_u64() > read["records"].as_u64()).then_some(());
    wait_for("the journal to be read on", Duration::from_secs(20), more, || format!("{:?}", host.json("logs")));
    let live = host.json("actions --active");
    assert_eq!(live.len(), 2, "{live:#?}\n{}", journal(&host));
    assert!(live.iter().all(|action| action["state"] == "live"), "{live:#?}");
    assert!(host.shell("nft list ruleset").contains("203.0.113.5"));
    host.shell("bartizan rollback --all");
    assert!(host.json("actions --active").is_empty());
    assert!(!journal(&host).contains("could not note the data directory down"), "{}", journal(&host));
}

#[test]
fn a_host_that_is_shut_down_is_no_attack() {
    if !systemd_host::can_run() {
        return;
    }
    let rounds = std::env::var("BARTIZAN_TEST_REBOOTS").ok().and_then(|text| text.parse().ok()).unwrap_or(REBOOTS);
    let host = SystemdHost::boot();
    host.shell("systemctl enable --quiet bartizan.service");
    host.start_agent();
    for round in 1..=rounds {
        std::thread::sleep(Duration::from_secs(3));
        host.shut_down_and_boot();
        host.start_agent();
        // What the run before noticed last is told by this one.
        std::thread::sleep(Duration::from_secs(4));
        // A container keeps the boot id of its machine, and its sshd makes noise of its own: what is told of us counts.
        let told: Vec<_> = host.json("alerts").into_iter().chain(host.json("incidents")).collect();
        let ours: Vec<_> = told.iter().filter(|row| row.to_string().contains("watchdog") || row.to_string().contains("T1562")).collect();
        assert!(ours.is_empty(), "after reboot {round}: {ours:#?}\n{}", journal(&host));
    }
}

/// On a loaded host a `daemon-reload` takes longer than anybody waits for it: what is confirmed all the same stays, and
/// what ends it after a reboot lies on disk.
#[test]
fn a_systemd_too_busy_to_answer_takes_no_confirmation_back() {
    if !systemd_host::can_run() {
        return;
    }
    let host = SystemdHost::boot();
    host.start_agent();
    host.shell("for name in bob owner; do useradd -m -s /bin/sh $name && usermod -p '$5$x$y' $name; done; usermod -aG sudo owner");
    let busy = "#!/bin/sh\ncase \"$*\" in daemon-reload | restart*bartizan-expiry*) sleep 30 ;; esac\nexec /usr/bin/systemctl \"$@\"\n";
    host.shell(&format!("printf '%s' '{busy}' >/usr/local/bin/systemctl && chmod 755 /usr/local/bin/systemctl"));
    let main = main_pid(&host);
    host.shell("bartizan disable-user bob --for 30m");
    let id = host.json("actions --active")[0]["id"].to_string();
    host.shell(&format!("bartizan confirm {}", id.trim_matches('"')));
    let live = host.json("actions --active");
    assert!(live.len() == 1 && !live[0]["confirmation"]["confirmed_at"].is_null(), "{live:#?}\n{}", journal(&host));
    assert!(host.shell("grep ^bob: /etc/shadow").starts_with("bob:!"));
    assert_eq!(main_pid(&host), main, "{}", journal(&host));
    let wanted = "ls /etc/systemd/system/timers.target.wants/bartizan-expiry-*.timer";
    host.shell(wanted);
    host.shell("rm /usr/local/bin/systemctl; bartizan rollback --all");
    assert!(!host.shell("grep ^bob: /etc/shadow").starts_with("bob:!"));
    assert!(!host.try_shell(wanted).status.success(), "its trigger is gone with it");
}
