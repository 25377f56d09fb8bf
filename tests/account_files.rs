//! The account files are everybody's: while passwd(1) and usermod(8) change them, neither their changes nor ours are lost,
//! whether the agent undoes an account or its script does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bartizan_enforce::accounts::{AccountError, line_of, rewrite};
use bartizan_guard::watchdog::EXPIRE_SCRIPT;
use bartizan_model::HostText;
use nix::sched::{CloneFlags, setns, unshare};
use support::can_run;
use support::ends::Program;
use support::guarded::Guarded;
use support::network::Network;

const LASTS: Duration = Duration::from_secs(15);

/// `$1` is whose line it is; `change` changes it, and what it left must be there when the next change begins.
const LOOP: &str = r#"
line() { grep "^$1:" /etc/shadow; }
n=0 lost=0 kept=$(line "$1")
while [ ! -e /run/over ]; do
    n=$((n + 1))
    [ "$(line "$1")" = "$kept" ] || { lost=$((lost + 1)); echo "lost before $n: $(line "$1"), not $kept" >&2; }
    change "$1" || exit 1
    kept=$(line "$1")
    sleep 0.02
done
echo "$n $lost"
"#;

/// A shell on the host that changes one account's line again and again.
fn changes(host: &Guarded, account: &str, change: &str) -> Program {
    let script = format!("change() {{\n{change}\n}}\n{LOOP}");
    Program::start(host.command("sh", &["-c", &script, "changes", account]).stdout(Stdio::piped()))
}

/// How often it changed something, and how many of its changes went.
fn told(child: Program, who: &str) -> (usize, usize) {
    let output = child.output();
    assert!(output.status.success(), "{who} could not change its account");
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<usize> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

/// The agent's own way, on a thread that stands on the host's files.
fn by_the_agent(mounts: &File, until: Instant) -> (usize, usize) {
    unshare(CloneFlags::CLONE_FS).unwrap();
    setns(mounts.as_fd(), CloneFlags::CLONE_NEWNS).unwrap();
    let dave = HostText::from("dave");
    let (mut times, mut lost, mut kept) = (0, 0, line_of(&dave).unwrap());
    while Instant::now() < until {
        lost += usize::from(line_of(&dave).unwrap() != kept);
        let line = format!("dave:!:{}:0:99999:7:::", 10_000 + times).into_bytes();
        match rewrite(&dave, |_| Ok::<_, AccountError>(Some(line.clone()))) {
            Ok(_) => (times, kept) = (times + 1, Some(line)),
            // The others came first for five seconds.
            Err(AccountError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    (times, lost)
}

#[test]
fn no_change_of_an_account_is_lost_beside_passwd_and_usermod() {
    if !can_run(&["ip", "nsenter", "unshare", "useradd", "usermod", "passwd", "vipw"]) {
        return;
    }
    let host = Guarded::new(Network::new());
    for name in ["alice", "bob", "carol", "dave"] {
        host.shell(&format!("useradd -M -s /bin/sh {name} && usermod -p '$5$x$y' {name}"));
    }
    std::fs::write(host.path("/run/expire"), EXPIRE_SCRIPT).unwrap();
    // Locked as the agent locks it, under the same locks; then undone by the script, which must leave the line as it was.
    let by_script = r#"
    before=$(line "$1")
    usermod -p '!$5$x$y' -e 1 "$1" || return 1
    printf 'account\n%s\n%s\n%s\n' "$1" "$before" "$(line "$1")" >/run/note
    sh /run/expire 0 /run/note >/dev/null || return 1
    [ "$(line "$1")" = "$before" ] || { echo "not undone: $(line "$1")" >&2; return 1; }"#;
    let children = [
        ("passwd", changes(&host, "carol", r#"printf 'p%s\np%s\n' "$n" "$n" | passwd "$1" >/dev/null 2>&1"#)),
        ("usermod", changes(&host, "bob", r#"usermod -e "$((20000 + n))" "$1" >/dev/null"#)),
        ("the script", changes(&host, "alice", by_script)),
    ];
    let mounts = File::open(host.mounts()).unwrap();
    let until = Instant::now() + LASTS;
    let ours = std::thread::scope(|scope| scope.spawn(|| by_the_agent(&mounts, until)).join().unwrap());
    std::fs::write(host.path("/run/over"), "").unwrap();
    let mut all: Vec<_> = children.into_iter().map(|(who, child)| (who, told(child, who))).collect();
    all.push(("the agent", ours));
    eprintln!("account files: changes and losses: {all:?}");
    for (who, (times, lost)) in all {
        assert!(lost == 0, "{lost} of {times} changes by {who} were lost");
        assert!(times >= 5, "{who} changed only {times} times in {LASTS:?}");
    }
    let left = host.shell("ls -A /etc | grep -E 'bartizan|\\.lock$|\\.edit$' | grep -v '^.pwd.lock$' || true");
    assert_eq!(left, "", "something is left in /etc");
}
