//! The host is in trouble: its disk is full, has no inodes, is read-only, or another program holds the databases. The guard
//! works on, says so, keeps what is live, undoes it when asked, and recovers by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::agent::{Agent, Home, is_alive, signal, told};
use support::ends::{Program, below};
use support::network::Network;
use support::{can_run, wait_for, wait_until};

/// A data directory that is a file system of its own, and something to act on.
struct Trouble {
    network: Network,
    home: Home,
    victim: Child,
}

impl Trouble {
    /// `options` of the file system, as mount(8) takes them.
    fn new(options: &str) -> Self {
        let network = Network::new();
        let home = Home::new(Some(&network));
        std::fs::create_dir(home.path("data")).unwrap();
        let victim = Command::new("sleep").arg("1000").spawn().unwrap();
        let trouble = Self { network, home, victim };
        trouble.mount(&["-t", "tmpfs", "-o", options, "trouble"]);
        trouble
    }

    fn mount(&self, arguments: &[&str]) {
        let output = Command::new("mount").args(arguments).arg(self.data()).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }

    fn data(&self) -> PathBuf {
        self.home.path("data")
    }

    /// A live block and a live freeze, and the agent killed under them.
    fn killed_with_live_actions(&self) {
        let agent = self.home.start();
        let pid = self.victim.id().to_string();
        for words in [vec!["block", "203.0.113.5", "--for", "10m"], vec!["freeze", &pid, "--for", "10m"]] {
            let output = self.home.run(&words);
            assert!(output.status.success(), "{words:?}: {}", told(&output));
        }
        assert!(self.is_blocked("203.0.113.5") && self.is_frozen());
        agent.kill();
    }

    fn is_blocked(&self, address: &str) -> bool {
        self.network.ruleset().contains(address)
    }

    /// It burns no time and cannot be woken: the kernel says frozen, or stopped.
    fn is_frozen(&self) -> bool {
        let pid = self.victim.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        stat.contains(") T ") || group.contains("bartizan")
    }

    /// Processes outside of the agent that wait for ends.
    fn watchdogs(&self) -> Vec<u32> {
        let (data, running) = (self.data().display().to_string(), Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap());
        let running = String::from_utf8_lossy(&running.stdout).into_owned();
        let ours = running.lines().filter(|line| line.contains(" watchdog ") && line.contains(&data));
        ours.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
    }

    /// What the agent says of itself, one part a line.
    fn degraded(&self) -> String {
        let health = self.home.json(&["status"]);
        health[0]["degraded"].as_array().unwrap().iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect()
    }

    fn says(&self, words: &str) {
        wait_for(&format!("\"{words}\""), Duration::from_secs(20), || self.degraded().contains(words).then_some(()), || self.degraded());
        let doctor = self.home.run(&["doctor"]);
        let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(told.contains(words), "doctor does not say {words}: {told}");
        let log = std::fs::read_to_string(self.home.path("agent.log")).unwrap();
        assert!(log.contains(words), "the journal does not say {words}: {log}");
    }

    /// Both actions are known, and each is undone when asked.
    fn undo(&self) {
        let live = self.home.json(&["actions", "--active"]);
        assert_eq!(live.len(), 2, "{live:#?}\n{}", self.degraded());
        let output = self.home.run(&["rollback", "--all"]);
        assert!(output.status.success(), "{}\n{}", told(&output), self.degraded());
        assert!(!self.is_blocked("203.0.113.5"), "{}", self.network.ruleset());
        assert!(!self.is_frozen());
        assert!(self.home.json(&["actions", "--active"]).is_empty());
    }

    /// Sensors work: a program that is run now is told.
    fn senses(&self) {
        let mut follow = Program::start(self.home.command(&["events", "--follow", "--json"]).stdout(Stdio::piped()));
        let lines = BufReader::new(follow.stdout.take().unwrap());
        std::thread::sleep(Duration::from_secs(1));
        // Found among what the whole machine does, and soon.
        let mark = format!("trouble-{}", self.victim.id());
        let runs = std::thread::spawn({
            let mark = mark.clone();
            move || (0..20).for_each(|_| drop((Command::new("true").arg(&mark).status(), std::thread::sleep(Duration::from_millis(200)))))
        });
        let seen = lines.lines().take(100_000).any(|line| line.is_ok_and(|line| line.contains(&mark)));
        let _ = follow.kill();
        follow.wait().unwrap();
        runs.join().unwrap();
        assert!(seen, "nothing was sensed: {}", self.degraded());
    }

    fn recovers(&self, words: &str) {
        wait_for(
            "the trouble to be over",
            Duration::from_secs(40),
            || (!self.degraded().contains(words)).then_some(()),
            || self.degraded(),
        );
        self.home.json(&["events", "--since", "1m"]);
    }

    /// After a restart the record tells of both, and the chain holds.
    fn is_on_record(&self, agent: Agent<'_>) {
        assert!(agent.stop().success());
        let _agent = self.home.start();
        let rows = self.home.json(&["actions"]);
        let undone = rows.iter().filter(|row| row["state"] == "rolled_back").count();
        assert!(undone >= 2, "{rows:#?}");
        let verdict = self.home.run(&["audit", "verify"]);
        assert!(verdict.status.success(), "{}", told(&verdict));
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = Command::new("umount").arg("--lazy").arg(self.data()).output();
    }
}

/// Fills a file system to the last byte.
fn fill(file: &std::path::Path) {
    let mut filler = std::fs::File::create(file).unwrap();
    for piece in [1 << 20, 4096, 1] {
        let bytes = vec![b'x'; piece];
        while filler.write_all(&bytes).is_ok() {}
    }
}

#[test]
fn a_full_disk_stops_neither_the_guard_nor_an_undo() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=6m");
    trouble.killed_with_live_actions();
    let filler = trouble.data().join("filler");
    fill(&filler);
    let agent = trouble.home.start();
    trouble.says("works on without its archive");
    trouble.senses();
    // The ledger has room of its own: new actions are as well recorded as ever.
    let block = trouble.home.run(&["block", "203.0.113.6", "--for", "10m"]);
    assert!(block.status.success() && trouble.is_blocked("203.0.113.6"), "{}\n{}", told(&block), trouble.degraded());
    assert!(trouble.home.run(&["rollback", "A3"]).status.success());
    trouble.undo();
    std::fs::remove_file(filler).unwrap();
    trouble.recovers("archive");
    trouble.is_on_record(agent);
}

#[test]
fn a_disk_that_fills_under_the_agent_loses_no_action_and_no_end() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=6m");
    let agent = trouble.home.start();
    fill(&trouble.data().join("filler"));
    for round in 0..20 {
        let block = trouble.home.run(&["block", "203.0.113.7", "--for", "10m"]);
        assert!(block.status.success(), "round {round}: {}\n{}", told(&block), trouble.degraded());
        let undone = trouble.home.run(&["rollback", "--all"]);
        assert!(undone.status.success() && !trouble.is_blocked("203.0.113.7"), "round {round}: {}", told(&undone));
    }
    agent.kill();
    let _agent = trouble.home.start();
    let rows = trouble.home.json(&["actions"]);
    assert_eq!(rows.iter().filter(|row| row["state"] == "rolled_back").count(), 20, "{rows:#?}");
}

#[test]
fn a_disk_without_inodes_stops_neither_the_guard_nor_an_undo() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m,nr_inodes=400");
    trouble.killed_with_live_actions();
    let fillers = trouble.data().join("fillers");
    std::fs::create_dir(&fillers).unwrap();
    let mut made = 0;
    while std::fs::File::create(fillers.join(made.to_string())).is_ok() {
        made += 1;
    }
    assert!(made > 50, "{made} inodes were left");
    let agent = trouble.home.start();
    trouble.senses();
    trouble.undo();
    std::fs::remove_dir_all(fillers).unwrap();
    trouble.recovers("archive");
    trouble.is_on_record(agent);
}

#[test]
fn a_read_only_data_directory_stops_neither_the_guard_nor_an_undo() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    trouble.killed_with_live_actions();
    // They hold a file open for writing, which mount(8) would not take away.
    trouble.watchdogs().into_iter().for_each(|pid| signal(pid, nix::sys::signal::Signal::SIGKILL));
    wait_until("the watchdog to be gone", Duration::from_secs(5), || trouble.watchdogs().is_empty());
    trouble.mount(&["-o", "remount,ro"]);
    let agent = trouble.home.start();
    trouble.says("read-write");
    trouble.senses();
    let refused = trouble.home.run(&["block", "203.0.113.6", "--for", "10m"]);
    assert!(!refused.status.success() && told(&refused).contains("Read-only file system"), "{}", told(&refused));
    assert!(!trouble.is_blocked("203.0.113.6"), "nothing is done without a record");
    trouble.undo();
    trouble.mount(&["-o", "remount,rw"]);
    trouble.recovers("cannot be written");
    trouble.is_on_record(agent);
}

#[test]
fn databases_held_by_another_program_stop_neither_the_guard_nor_an_undo() {
    if !can_run(&["ip", "nft", "nsenter", "mount", "python3"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    trouble.killed_with_live_actions();
    let hold = "import sqlite3, sys, time
held = []
for name in sys.argv[1:]:
    held.append(sqlite3.connect(name, isolation_level=None))
    held[-1].execute('PRAGMA locking_mode = EXCLUSIVE')
    held[-1].execute('BEGIN EXCLUSIVE')
print('held', flush=True)
time.sleep(1000)";
    let files = ["archive.db", "ledger.db"].map(|name| trouble.data().join(name));
    let mut holder = Program::start(Command::new("python3").args(["-c", hold]).args(&files).stdout(Stdio::piped()));
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");
    let agent = trouble.home.start();
    trouble.says("end the program that holds it");
    trouble.undo();
    holder.kill().unwrap();
    holder.wait().unwrap();
    trouble.recovers("holds it");
    trouble.is_on_record(agent);
}

#[test]
fn damaged_databases_are_put_aside_and_what_was_live_is_undone() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    trouble.killed_with_live_actions();
    for name in ["archive.db", "ledger.db"] {
        for file in [format!("{name}-wal"), format!("{name}-shm")] {
            let _ = std::fs::remove_file(trouble.data().join(file));
        }
        std::fs::write(trouble.data().join(name), vec![b'?'; 8192]).unwrap();
    }
    let _agent = trouble.home.start();
    trouble.says("was damaged");
    wait_until("nothing of it to be left", Duration::from_secs(20), || !trouble.is_blocked("203.0.113.5") && !trouble.is_frozen());
    let kept: Vec<_> = std::fs::read_dir(trouble.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.iter().any(|name| name.starts_with("ledger.db.damaged-")), "{kept:?}");
    assert!(kept.iter().any(|name| name.starts_with("archive.db.corrupt-")), "{kept:?}");
    trouble.senses();
}

#[test]
fn a_data_directory_that_is_gone_is_made_again() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    trouble.killed_with_live_actions();
    for entry in std::fs::read_dir(trouble.data()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { std::fs::remove_dir_all(entry).unwrap() } else { std::fs::remove_file(entry).unwrap() }
    }
    let _agent = trouble.home.start();
    trouble.senses();
    wait_until("the block without a row to be gone", Duration::from_secs(20), || !trouble.is_blocked("203.0.113.5"));
    assert!(is_alive(trouble.victim.id()));
}

/// Twenty starts, each killed after half a second: nothing is damaged, lost, piled up or cried over.
#[test]
fn a_storm_of_starts_and_deaths_changes_nothing() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    trouble.killed_with_live_actions();
    for _ in 0..20 {
        let log = std::fs::File::create(trouble.home.path("storm.log")).unwrap();
        let mut agent = Program::start(trouble.home.command(&["--headless"]).stdout(Stdio::null()).stderr(log));
        std::thread::sleep(Duration::from_millis(500));
        assert!(agent.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(trouble.home.path("storm.log")).unwrap());
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    let agent = trouble.home.start();
    let degraded = trouble.degraded();
    assert!(!degraded.contains("damaged") && !degraded.contains("cannot"), "{degraded}");
    assert_eq!(trouble.watchdogs().len(), 1, "{:?}", trouble.watchdogs());
    std::thread::sleep(Duration::from_secs(2));
    let alerts = trouble.home.json(&["alerts"]);
    assert!(alerts.len() <= 2, "{alerts:#?}");
    trouble.undo();
    trouble.is_on_record(agent);
}

/// With 64 descriptors, hard, and thirty peers that connect and say nothing: root's questions are answered, actions done and
/// undone, and it is said.
#[test]
fn sixty_four_descriptors_are_enough_to_act() {
    if !can_run(&["ip", "nft", "nsenter", "mount", "prlimit"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    let argv = trouble.home.argv(&["--headless"]);
    let log = std::fs::File::create(trouble.home.path("agent.log")).unwrap();
    let mut command = Command::new("prlimit");
    command.arg("--nofile=64:64").arg("--").args(&argv).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut agent = Program::start(&mut command);
    let log = || std::fs::read_to_string(trouble.home.path("agent.log")).unwrap_or_default();
    wait_for("the agent to answer", Duration::from_secs(30), || trouble.home.answers().then_some(()), log);
    assert!(trouble.degraded().contains("only 64 files may be open"), "{}", trouble.degraded());
    let peers: Vec<_> = (0..30).filter_map(|_| std::os::unix::net::UnixStream::connect(trouble.home.path("agent.sock")).ok()).collect();
    for _ in 0..3 {
        // Whoever connects and says nothing makes room at once.
        let block = trouble.home.run(&["block", "203.0.113.5", "--for", "10m"]);
        assert!(block.status.success() && trouble.is_blocked("203.0.113.5"), "{}\n{}", told(&block), log());
        let undone = trouble.home.run(&["rollback", "--all"]);
        assert!(undone.status.success() && !trouble.is_blocked("203.0.113.5"), "{}\n{}", told(&undone), log());
    }
    drop(peers);
    agent.kill().unwrap();
    agent.wait().unwrap();
}

/// What a failed test leaves running, the next ones find.
#[test]
fn what_a_test_that_fails_has_started_ends_with_it() {
    let failed = std::panic::catch_unwind(|| {
        let program = Program::start(Command::new("sh").args(["-c", "sleep 1000 & wait"]));
        wait_until("both", Duration::from_secs(10), || below(program.id()).len() == 1);
        let all = [vec![program.id()], below(program.id())].concat();
        std::panic::resume_unwind(Box::new(all));
    });
    let all = failed.unwrap_err().downcast::<Vec<u32>>().unwrap();
    wait_until("both to be gone", Duration::from_secs(10), || all.iter().all(|pid| !is_alive(*pid)));
}

/// `head` and `grep -m1` end, and so do we.
#[test]
fn following_events_ends_when_nobody_reads_any_more() {
    if !can_run(&["ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let trouble = Trouble::new("size=64m");
    let _agent = trouble.home.start();
    for reader in ["head -n 1", "grep -m1 process"] {
        let line = format!("{} | {reader}", trouble.home.shell_line(&["events", "--follow", "--json", "--since", "1m"]));
        let mut pipe = Program::start(Command::new("sh").args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::null()));
        let _ = Command::new("true").status();
        let ended = wait_for(reader, Duration::from_secs(20), || pipe.try_wait().unwrap(), String::new);
        assert!(ended.success(), "{reader}: {ended}");
    }
}
