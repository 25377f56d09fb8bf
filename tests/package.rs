//! The Debian package: made twice with the same bytes, installed by dpkg on a host with systemd, upgraded without a gap, removed
//! without a trace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::agent::told;
use support::systemd_host::{self, SystemdHost};
use support::{BINARY, can_run, wait_for};

const NEEDS: [&str; 6] = ["dpkg-deb", "readelf", "strip", "gzip", "sha256sum", "lintian"];

/// Makes a package of this program, named as that version.
fn make(program: &Path, to: &Path, version: Option<&str>) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg("--from").arg(program).arg("--to").arg(to).env("BARTIZAN_COMPRESSION", "gzip 1");
    command.envs(version.map(|version| ("BARTIZAN_PACKAGE_VERSION", version)));
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

/// The program under test without its symbols, as the release build is.
fn program(directory: &Path) -> PathBuf {
    let stripped = directory.join("bartizan");
    let output = Command::new("strip").arg("-o").arg(&stripped).arg(BINARY).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    stripped
}

#[test]
fn the_same_program_gives_the_same_bytes_and_debians_own_check_finds_nothing() {
    if !can_run(&NEEDS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let [first, second] = ["one", "two"].map(|name| make(&program, &directory.path().join(name), None));
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap(), "two packages of the same program differ");
    let sum =
        Command::new("sha256sum").arg("-c").arg(first.with_extension("deb.sha256")).current_dir(first.parent().unwrap()).output().unwrap();
    assert!(sum.status.success(), "{}", told(&sum));
    // Whatever the person's umask and file times are.
    let checked = Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).arg(&first).output().unwrap();
    assert!(checked.status.success(), "{}", told(&checked));
}

/// Every file of the host that is neither state of the package manager nor of what runs all the time.
fn files(host: &SystemdHost) -> Vec<String> {
    let places = "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/cache \
        -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path '/etc/.pwd.lock' \\) -prune -o -print | sort";
    host.shell(places).lines().map(str::to_owned).collect()
}

#[test]
fn a_stranger_installs_it_acts_upgrades_without_a_gap_and_removes_it_without_a_trace() {
    if !can_run(&NEEDS[..5]) || !systemd_host::can_run() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let old = make(&program, &directory.path().join("old"), None);
    let new = make(&program, &directory.path().join("new"), Some("9.0.0"));
    let host = SystemdHost::boot_bare();
    let before = files(&host);
    let ruleset = host.shell("nft list ruleset");
    host.copy_in(&old, "/root/old.deb");
    host.copy_in(&new, "/root/new.deb");
    host.shell("dpkg -i /root/old.deb");
    let answers = || host.try_shell("bartizan status --json").status.success().then_some(());
    let journal = || told(&host.try_shell("journalctl -u bartizan -n 30 --no-pager"));
    wait_for("the agent to answer", Duration::from_secs(60), answers, journal);
    assert_eq!(host.shell("systemctl is-enabled bartizan.service").trim(), "enabled");
    let health = host.json("status");
    assert_eq!(health[0]["mode"], "paranoid", "who installs it has asked for nothing to be changed by itself");

    host.shell("echo '# mine' >>/etc/bartizan/policy.toml");
    host.shell("bartizan block 203.0.113.5 --for 1h");
    assert!(host.shell("nft list ruleset").contains("203.0.113.5"));
    let pid = host.shell("systemctl show -P MainPID bartizan.service");
    host.shell("dpkg -i /root/new.deb");
    wait_for("the agent to answer after the upgrade", Duration::from_secs(60), answers, journal);
    assert_eq!(host.shell("systemctl show -P MainPID bartizan.service"), pid, "the same process became the new program: {}", journal());
    assert!(host.shell("nft list ruleset").contains("203.0.113.5"), "an upgrade undoes nothing");
    assert!(host.shell("cat /etc/bartizan/policy.toml").contains("# mine"));

    // Its owner's word outlives an upgrade.
    host.shell("systemctl disable --now bartizan.service");
    host.shell("dpkg -i /root/new.deb");
    assert_eq!(host.try_shell("systemctl is-enabled bartizan.service").stdout.trim_ascii(), b"disabled");
    assert!(!host.try_shell("systemctl -q is-active bartizan.service").status.success());
    host.shell("systemctl enable --now bartizan.service");
    wait_for("the agent to answer again", Duration::from_secs(60), answers, journal);

    let removed = host.try_shell("dpkg -r bartizan");
    assert!(removed.status.success(), "{}", told(&removed));
    assert_eq!(host.shell("nft list ruleset"), ruleset, "{}", told(&removed));
    assert_eq!(host.shell("pgrep -a bartizan; true"), "", "{}", told(&removed));
    assert!(host.shell("ls /var/lib/bartizan /etc/bartizan").contains("ledger.db"), "records and settings wait for a purge");
    let purged = host.try_shell("dpkg -P bartizan");
    assert!(purged.status.success(), "{}", told(&purged));
    // Until then it is masked, as any removed service of Debian.
    assert_eq!(host.shell("systemctl daemon-reload; systemctl list-units --all --plain --no-legend 'bartizan*'"), "");
    host.shell("rm -f /root/old.deb /root/new.deb");
    let after = files(&host);
    let left: Vec<_> = after.iter().filter(|file| !before.contains(file)).collect();
    let gone: Vec<_> = before.iter().filter(|file| !after.contains(file)).collect();
    assert!(left.is_empty() && gone.is_empty(), "left: {left:?}, gone: {gone:?}\n{}", told(&purged));
}
