//! On a host with systemd: every action ends at its time although the agent was killed, hangs or is gone from the disk;
//! uninstalling undoes everything at once; and a reboot in the middle leaves nothing that nobody owns.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::Duration;

use support::agent::told;
use support::state::State;
use support::systemd_host::{self, SystemdHost};
use support::{wait_for, wait_until};

/// How long actions last here, in seconds: long enough to do them all, short enough to wait for.
const LAST: u32 = 20;
/// How much later than its time the last of them may end, and be gone, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every kind of action that needs no container, as its owner asks for it. `{last}` and `{victim}` are filled in.
const DEEDS: [&str; 8] = [
    "block 203.0.113.5 --for {last}s",
    "block --out 2001:db8::5 --for {last}s",
    "limit 203.0.113.6 --packets 5 --for {last}s",
    "block --out 203.0.113.7 --user alice --for {last}s",
    "freeze {victim} --for {last}s",
    "disable-user alice --for {last}s",
    "restore /etc/ssh/sshd_config --for {last}s",
    "contain --for {last}s",
];

/// The host with an agent that knows it, an account and a program to act on.
struct Ground {
    host: SystemdHost,
    victim: u32,
}

impl Ground {
    fn prepare() -> Self {
        let host = SystemdHost::boot();
        host.shell("useradd -m -s /bin/sh alice && useradd -m -s /bin/sh -G sudo owner && usermod -p '$5$x$y' owner");
        // Nobody is there to confirm: what may cut people off ends by the shorter of the two times.
        host.shell("printf '[actions]\\nconfirm_within = \"20s\"\\n' >/etc/bartizan/policy.toml");
        let ground = Self { host, victim: 0 };
        ground.host.start_agent();
        let kept = || ground.host.shell("bartizan copies").contains("/etc/ssh/sshd_config").then_some(());
        wait_for("a copy of sshd_config", Duration::from_secs(30), kept, || ground.host.shell("bartizan copies"));
        ground.host.shell("echo '# changed since' >>/etc/ssh/sshd_config");
        Self { victim: ground.victim(), ..ground }
    }

    /// A service of alice's that the agent sees.
    fn victim(&self) -> u32 {
        self.host.shell("systemctl stop victim.service 2>/dev/null; systemd-run --quiet --unit=victim --uid=alice sleep 10000");
        let pid = self.host.shell("systemctl show -p MainPID --value victim.service").trim().parse().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        pid
    }

    fn state(&self) -> State {
        State::by_shell(&|line| self.host.shell(line), &[self.victim])
    }

    fn asked(&self, deed: &str, last: u32) {
        let words = deed.replace("{last}", &last.to_string()).replace("{victim}", &self.victim.to_string());
        let output = self.host.try_shell(&format!("bartizan {words}"));
        assert!(output.status.success(), "bartizan {words}: {}", told(&output));
    }

    /// Everything at once; gives the state under it.
    fn do_everything(&self) -> State {
        DEEDS.iter().for_each(|deed| self.asked(deed, LAST));
        self.state()
    }

    /// Waits until the host is as it was, without anybody's help.
    fn wait_until_as(&self, before: &State, when: &str) {
        let same = || before.differences(&self.state()).is_empty().then_some(());
        wait_for(&format!("the host to be as it was, {when}"), PATIENCE, same, || before.differences(&self.state()));
    }

    /// The same when nobody of ours lives: an empty table may stand in the packet filter, without effect.
    fn wait_until_no_effect(&self, before: &State, when: &str) {
        let same = || before.differences(&self.state().effective()).is_empty().then_some(());
        wait_for(&format!("nothing to have an effect, {when}"), PATIENCE, same, || before.differences(&self.state().effective()));
    }
}

fn assert_changed(before: &State, under: &State) {
    let differences = before.differences(under);
    for trace in ["nft", "/etc/shadow", "/etc/ssh/sshd_config", "process"] {
        assert!(differences.contains(trace), "nothing was done to {trace}:\n{differences}");
    }
}

#[test]
fn actions_end_at_their_time_whatever_became_of_the_agent() {
    if !systemd_host::can_run() {
        return;
    }
    let ground = Ground::prepare();
    let host = &ground.host;
    let before = ground.state();
    // Restarted it would do the work itself: here it must be done by others.
    let stays_dead = "mkdir -p /run/systemd/system/bartizan.service.d && printf '[Service]\\nRestart=no\\nWatchdogSec=0\\n' >/run/systemd/system/bartizan.service.d/dead.conf && systemctl daemon-reload";
    host.shell(stays_dead);
    for (when, how, back) in [
        ("the agent killed", "systemctl kill -s KILL --kill-who=main bartizan.service", "true"),
        (
            "the agent hanging",
            "systemctl kill -s STOP --kill-who=main bartizan.service",
            "systemctl kill -s KILL --kill-who=main bartizan.service",
        ),
        (
            "the agent killed and its program gone",
            "mv /usr/local/bin/bartizan /root/kept && systemctl kill -s KILL --kill-who=main bartizan.service",
            "mv /root/kept /usr/local/bin/bartizan",
        ),
    ] {
        let under = ground.do_everything();
        assert_changed(&before, &under);
        host.shell(how);
        ground.wait_until_no_effect(&before, when);
        host.shell(back);
        wait_until("the agent to have ended", Duration::from_secs(20), || {
            host.try_shell("systemctl is-active bartizan.service").stdout != b"active\n"
        });
        host.start_agent();
        // What it finds is settled: nothing is half done, nothing is taken for alive.
        let open = || host.json("actions --active").is_empty().then_some(());
        wait_for("the rows to be settled", PATIENCE, open, || host.shell("bartizan actions"));
        ground.wait_until_as(&before, "after the restart");
    }
}

#[test]
fn uninstalling_and_the_emergency_script_undo_everything_at_once() {
    if !systemd_host::can_run() {
        return;
    }
    let ground = Ground::prepare();
    let host = &ground.host;
    let before = ground.state();
    DEEDS.iter().for_each(|deed| ground.asked(deed, 600));
    assert_changed(&before, &ground.state());
    // The script alone, beside a living agent, which must not bring anything back.
    let said = host.shell("sh /usr/local/bin/bartizan-emergency");
    ground.wait_until_as(&before, &format!("after the emergency script, which said: {said}"));
    std::thread::sleep(Duration::from_secs(3));
    ground.wait_until_as(&before, "some seconds after the emergency script");

    DEEDS.iter().for_each(|deed| ground.asked(deed, 600));
    assert_changed(&before, &ground.state());
    let output = host.try_shell("BARTIZAN_PURGE=yes sh /usr/local/src/install.sh --uninstall");
    assert!(output.status.success(), "{}", told(&output));
    let left = before.differences(&ground.state());
    // Its own files go with it, as they should.
    let own = |line: &&str| !line.contains("/etc/systemd/system/bartizan.service") && !line.contains("/etc/bartizan") && !line.is_empty();
    let left: Vec<&str> = left.lines().filter(own).collect();
    assert!(left.is_empty(), "left after uninstalling:\n{}\n{}", left.join("\n"), told(&output));
    let kept = host.shell("ls /var/lib/systemd/timers; systemctl --failed --no-legend --plain");
    assert!(!kept.contains("bartizan"), "left with systemd: {kept}");
    let traces =
        host.shell("ls -d /run/bartizan /var/lib/bartizan /etc/bartizan /usr/local/bin/bartizan* 2>/dev/null; pgrep -xa bartizan; true");
    assert_eq!(traces, "", "left after uninstalling");
}

#[test]
fn a_reboot_in_the_middle_leaves_nothing_without_an_owner() {
    if !systemd_host::can_run() {
        return;
    }
    let mut ground = Ground::prepare();
    let before = ground.state();
    // The unit is not enabled: after the reboot nobody of ours runs, and what outlives it must end all the same.
    for deed in DEEDS {
        ground.asked(deed, 600);
    }
    assert_changed(&before, &ground.state());
    ground.host.reboot();
    // The victim died with its kernel.
    ground.victim = ground.victim();
    let files = || {
        let differences = before.differences(&ground.state().effective());
        let lines: Vec<&str> =
            differences.lines().filter(|line| ["/etc/", "nft", "note", "unit"].iter().any(|part| line.contains(part))).collect();
        lines.join("\n")
    };
    // Unconfirmed, they end 20 seconds after they began.
    wait_for("what outlived the reboot to end", PATIENCE, || files().is_empty().then_some(()), files);

    ground.host.start_agent();
    let rows = ground.host.json("actions");
    let half: Vec<_> = rows.iter().filter(|row| matches!(row["state"].as_str().unwrap(), "applying" | "planned" | "unknown")).collect();
    assert!(half.is_empty(), "{half:#?}");
    let rules = ground.host.shell("nft list ruleset");
    for (address, kind) in [("203.0.113.5", "block-address"), ("203.0.113.6", "limit-source")] {
        let live = rows.iter().any(|row| row["kind"] == kind && row["state"] == "live" && row["target"].to_string().contains(address));
        assert_eq!(live, rules.contains(address), "{address}: {rows:#?}\n{rules}");
    }
    ground.host.shell("bartizan emergency-stop");
    assert!(ground.host.json("actions --active").is_empty());
    assert!(!ground.host.shell("nft list ruleset").contains("bartizan"));
}

#[test]
fn without_the_standing_watchdog_a_freeze_ends_in_its_unit_through_a_daemon_reload() {
    if !systemd_host::can_run() {
        return;
    }
    let ground = Ground::prepare();
    let host = &ground.host;
    let group = || host.shell(&format!("cat /proc/{}/cgroup", ground.victim));
    let (before, unit) = (ground.state(), group());
    // A watchdog that cannot be started: its mark is a directory.
    host.shell("kill -9 $(cut -d' ' -f1 /run/bartizan/freeze/.watchdog); rm -f /run/bartizan/freeze/.watchdog; mkdir /run/bartizan/freeze/.watchdog");
    wait_until("the agent to do without it", Duration::from_secs(20), || host.shell("bartizan status").contains("degraded  watchdog"));
    ground.asked("freeze {victim} --for 15s", LAST);
    assert_ne!(group(), unit, "it is held");
    let units = host.shell("systemctl list-units --all --no-pager --plain 'bartizan-expiry-*'");
    assert!(units.contains("bartizan-expiry-A1-") && units.lines().count() < 12, "short descriptions, no script:\n{units}");
    host.shell("systemctl daemon-reload");
    assert_eq!(host.shell("systemctl is-active 'bartizan-expiry-*.timer'"), "active\n", "it outlives a daemon-reload");
    // Nobody of ours is left, and nobody who bears no name of ours either: the timer alone.
    host.shell("mkdir -p /run/systemd/system/bartizan.service.d && printf '[Service]\\nRestart=no\\n' >/run/systemd/system/bartizan.service.d/dead.conf && systemctl daemon-reload");
    host.shell("kill -9 $(cut -d' ' -f1 /run/bartizan/freeze/.second); systemctl kill -s KILL --kill-who=main bartizan.service");
    wait_for("it to run again in its unit", PATIENCE, || (group() == unit).then_some(()), group);
    assert_eq!(host.shell(&format!("ps -o state= -p {}", ground.victim)).trim(), "S");
    assert_eq!(host.shell("systemctl is-active victim.service"), "active\n");
    wait_until("its timer to be gone", Duration::from_secs(20), || {
        host.shell("systemctl list-units --all --no-legend --no-pager 'bartizan-expiry-*'").is_empty()
    });
    host.shell("rmdir /run/bartizan/freeze/.watchdog; rm -r /run/systemd/system/bartizan.service.d; systemctl daemon-reload; systemctl reset-failed");
    host.start_agent();
    ground.wait_until_as(&before, "after the restart");
}
