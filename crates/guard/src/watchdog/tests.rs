//! Ends that come without us: the agent killed, hung, its program gone; the watchdog killed, stopped; a reboot.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use bartizan_enforce::freeze::{Freezer, Method, Purpose};
use bartizan_isolation::forked::{Became, Forked, strike_me};
use bartizan_isolation::own_netns::alone_on_this_host;
use bartizan_sys::pidfd::{PidFd, everything, key_of};
use bartizan_sys::process_stat::Stat;

/// Not a test: what the test program is when it plays the watchdog.
#[test]
#[ignore = "played by other tests as a process of its own"]
fn the_watchdog_itself() {
    let dirs: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).filter(|word| word.is_absolute()).collect();
    if dirs.is_empty() {
        eprintln!("skipped: no other test asked for a watchdog");
        return;
    }
    serve(&dirs).unwrap();
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to make cgroups");
    }
    root
}

fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    done()
}

/// Ends the watchdog of a test however the test ends.
struct Guarded(Standing);

impl Guarded {
    fn new(dir: &Path) -> Self {
        let standing = Standing::of(&dir.join("run"), &dir.join("data")).unwrap();
        assert_eq!(standing.look(), Seen::Started);
        assert_eq!(standing.look(), Seen::Watches);
        Self(standing)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(hold) = self.0.key().and_then(|key| PidFd::open(key).ok()) {
            let _ = hold.signal(libc::SIGKILL);
        }
    }
}

fn expiry(note: &Path, after: Duration, lasting: bool) -> Expiry {
    let name = note.file_name().unwrap().to_str().unwrap().to_owned();
    Expiry { name, note: note.to_owned(), after, lasting }
}

/// Where a process is in the hierarchies in which we may freeze; others come and go as somebody mounts them.
fn cgroups(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines()
        .filter(|line| line.starts_with("0::") || line.contains("freezer"))
        .map(|line| line.rsplit(':').next().unwrap().to_owned())
        .collect()
}

/// The process that froze is stopped or killed; the freeze ends all the same.
fn expires_without_us(signal: i32, standing: bool) {
    if !is_root() {
        return;
    }
    let _alone = alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    let guarded = standing.then(|| Guarded::new(dir.path()));
    let freezer = Freezer::open(&dir.path().join("run")).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let root = key_of(child.id()).unwrap();
    let before = cgroups(root.pid);
    let name = format!("watchdog-{}-{signal}-{standing}", std::process::id());
    let note = freezer.note(&name);
    let mut agent = Forked::running(|| {
        let set = set(&expiry(&note, Duration::from_secs(1), false));
        let right = set.is_ok_and(|set| standing == (*set.keeper() == Keeper::Standing) && is_set(&set));
        let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &|_| Ok(()));
        if frozen.is_err() || !right {
            return 9;
        }
        strike_me(signal);
        8
    });
    let became = agent.wait();
    assert!(matches!(became, Became::Killed(_) | Became::Stopped(_)), "{became:?}");
    assert!(freezer.look(&freezer.recall(&name).unwrap()).frozen);
    assert!(until(Duration::from_secs(8), || !freezer.noted().contains(&name)), "it was not ended");
    drop(agent);
    assert!(!note.exists() && until(Duration::from_secs(1), || !deadline::path(&note).exists()), "nothing is left beside the note");
    assert!(freezer.method() == Method::Stop || !freezer.group_dir(&name).unwrap().exists(), "the group is gone");
    assert_eq!(cgroups(root.pid), before, "it is back in its cgroup");
    assert_eq!(Stat::read(root.pid).unwrap().state, b'S');
    child.kill().unwrap();
    child.wait().unwrap();
    drop(guarded);
}

#[test]
fn a_freeze_ends_although_the_agent_was_killed() {
    expires_without_us(libc::SIGKILL, true);
}

#[test]
fn a_freeze_ends_although_the_agent_hangs() {
    expires_without_us(libc::SIGSTOP, true);
}

#[test]
fn without_a_standing_watchdog_a_freeze_ends_too() {
    expires_without_us(libc::SIGKILL, false);
    expires_without_us(libc::SIGSTOP, false);
}

#[test]
fn a_freeze_ends_although_everything_that_bears_our_name_was_killed() {
    if !is_root() {
        return;
    }
    let _alone = alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    let guarded = Guarded::new(dir.path());
    let (notes, lasting) = (dir.path().join("run/freeze"), dir.path().join("data/expiry"));
    let freezer = Freezer::open(&dir.path().join("run")).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let root = key_of(child.id()).unwrap();
    let before = cgroups(root.pid);
    let name = format!("second-{}", std::process::id());
    set(&expiry(&freezer.note(&name), Duration::from_secs(1), false)).unwrap();
    freezer.freeze(&name, Purpose::Hold, &|| vec![root], &|_| Ok(())).unwrap();
    look_after_second(&notes, &lasting).unwrap();
    look_after_second(&notes, &lasting).unwrap();
    let shell = standing::read_key(&fs::read_to_string(notes.join(".second")).unwrap()).unwrap();
    assert_eq!(fs::read(format!("/proc/{}/cmdline", shell.pid)).unwrap(), b"sh\0", "nothing of it bears our name");
    assert_eq!(Stat::read(shell.pid).unwrap().session, shell.pid, "a session of its own");
    PidFd::open(guarded.0.key().unwrap()).unwrap().signal(libc::SIGKILL).unwrap();
    assert!(until(Duration::from_secs(20), || !freezer.noted().contains(&name)), "it was not ended");
    assert_eq!(cgroups(root.pid), before, "it is back in its cgroup");
    assert!(until(Duration::from_secs(1), || !deadline::path(&freezer.note(&name)).exists()));
    // With nothing left to wait for it goes.
    look_after_second(&notes, &lasting).unwrap();
    assert!(until(Duration::from_secs(2), || key_of(shell.pid) != Some(shell)) && !notes.join(".second").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_shell_called_off_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("called-off");
    let watchdog = set(&expiry(&note, Duration::from_secs(600), false)).unwrap();
    let Keeper::Shell(key) = *watchdog.keeper() else { return eprintln!("skipped: this host has systemd") };
    assert!(is_set(&watchdog));
    let stat = Stat::read(key.pid).unwrap();
    assert_eq!((stat.session, stat.group), (key.pid, key.pid), "a session of its own");
    call_off(&watchdog);
    assert!(!is_set(&watchdog));
    let sleeps = || everything().unwrap().iter().any(|stat| stat.session == key.pid);
    assert!(until(Duration::from_secs(1), || !sleeps()), "its sleep ended too");
    assert_eq!(names(dir.path()), BTreeSet::new());
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A note that tells of nothing that runs: only its end is looked at.
fn empty_note(path: &Path) {
    fs::write(path, "stop\n\nnobody\n").unwrap();
}

#[test]
fn it_lives_in_a_session_of_its_own_and_is_replaced_when_killed_or_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let guarded = Guarded::new(dir.path());
    let first = guarded.0.key().unwrap();
    let stat = Stat::read(first.pid).unwrap();
    assert_eq!(stat.session, first.pid);
    assert_ne!(stat.session, Stat::read(std::process::id()).unwrap().session);
    let note = dir.path().join("run/freeze/x");
    empty_note(&note);
    let watchdog = set(&expiry(&note, Duration::from_secs(600), false)).unwrap();
    assert!(is_set(&watchdog));

    PidFd::open(first).unwrap().signal(libc::SIGKILL).unwrap();
    assert!(until(Duration::from_secs(2), || !is_set(&watchdog)), "a dead one does not watch");
    assert!(matches!(guarded.0.look(), Seen::StartedAnew(_)));
    assert!(is_set(&watchdog), "the new one watches the old note");

    let second = guarded.0.key().unwrap();
    PidFd::open(second).unwrap().signal(libc::SIGSTOP).unwrap();
    assert!(until(Duration::from_secs(2), || !is_set(&watchdog)), "a stopped one does not watch");
    assert!(matches!(guarded.0.look(), Seen::StartedAnew(_)));
    assert!(key_of(second.pid) != Some(second) && is_set(&watchdog));

    let sooner = prolong(&watchdog, &expiry(&note, Duration::from_millis(200), false)).unwrap();
    assert!(until(Duration::from_secs(4), || !note.exists()), "a moved end is kept");
    assert!(until(Duration::from_secs(1), || !is_set(&sooner)));
}

#[test]
fn it_keeps_its_time_and_stays_for_the_last_note_of_a_dead_agent() {
    let dir = tempfile::tempdir().unwrap();
    let guarded = Guarded::new(dir.path());
    let key = guarded.0.key().unwrap();
    let note = dir.path().join("data/expiry/A1-x");
    empty_note(&note);
    let began = Instant::now();
    set(&Expiry { lasting: false, ..expiry(&note, Duration::from_millis(1500), false) }).unwrap();
    // As if the agent had died: its name is now that of a process that has ended.
    let mut gone = Command::new("true").spawn().unwrap();
    let dead = key_of(gone.id());
    gone.wait().unwrap();
    let file = dir.path().join("run/freeze/.agent");
    fs::write(file.with_extension("tmp"), format!("{} {}\n", gone.id(), dead.map_or(1, |key| key.start))).unwrap();
    fs::rename(file.with_extension("tmp"), &file).unwrap();
    assert!(until(Duration::from_secs(8), || !note.exists()));
    let took = began.elapsed();
    // The script itself needs up to some hundred milliseconds on a busy host.
    assert!((Duration::from_millis(1500)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(until(Duration::from_secs(4), || key_of(key.pid) != Some(key)), "with nothing left it ends");
    assert_eq!(guarded.0.look(), Seen::Started, "that is no reason for an alarm");
}

#[test]
fn a_note_and_its_deadline_are_written_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let _guarded = Guarded::new(dir.path());
    let note = dir.path().join("run/freeze/quick");
    let mut took: Vec<Duration> = (0..200)
        .map(|_| {
            let began = Instant::now();
            let watchdog = set(&expiry(&note, Duration::from_secs(60), false)).unwrap();
            let took = began.elapsed();
            call_off(&watchdog);
            took
        })
        .collect();
    took.sort();
    eprintln!("set: least {:?}, median {:?}, p99 {:?}", took[0], took[100], took[198]);
    assert!(took[100] < Duration::from_millis(2), "{:?}", took[100]);
}

#[test]
fn what_outlives_a_reboot_has_a_trigger_on_disk_that_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (units, cron, expiry) = (dir.path().join("units"), dir.path().join("cron"), dir.path().join("expiry"));
    for dir in [&units, &cron, &expiry] {
        fs::create_dir(dir).unwrap();
    }
    let note = expiry.join("A7-x");
    empty_note(&note);
    for places in [lasting::Places { units: Some(units.clone()), cron: None }, lasting::Places { units: None, cron: Some(cron.clone()) }] {
        let trigger = places.write("A7-x", &note, Duration::from_secs(60)).unwrap().unwrap();
        // The tables themselves and nothing half written.
        let text = match &trigger {
            Trigger::Unit(unit) => {
                assert_eq!(names(&units), [format!("{unit}.service"), format!("{unit}.timer"), "timers.target.wants".into()].into());
                assert!(fs::read_to_string(units.join(format!("{unit}.timer"))).unwrap().contains("Persistent=true"));
                fs::read_to_string(units.join(format!("{unit}.service"))).unwrap()
            }
            Trigger::Cron(file) => {
                assert_eq!(names(&cron), [file.clone()].into());
                fs::read_to_string(cron.join(file)).unwrap()
            }
        };
        // After the reboot: another boot id, the time is over, and nobody but the trigger lives.
        empty_note(&note);
        fs::write(deadline::path(&note), "another-boot 5 1700000000\n").unwrap();
        let run = text.lines().find_map(|line| line.strip_prefix("ExecStart=").or(line.strip_prefix("@reboot root "))).unwrap();
        let began = Instant::now();
        assert!(Command::new("sh").args(["-c", run]).stdout(std::process::Stdio::null()).status().unwrap().success());
        assert!(!note.exists() && !deadline::path(&note).exists() && began.elapsed() < Duration::from_secs(20));
        places.remove("A7-x");
    }
    assert_eq!((names(&units), names(&cron)), (["timers.target.wants".to_owned()].into(), BTreeSet::new()));
    let odd = lasting::Places { units: None, cron: Some(cron) };
    assert!(odd.write("A7 x%", &note, Duration::from_secs(60)).is_err());
}

#[test]
fn the_emergency_script_needs_no_program_of_ours_to_be_printed() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/emergency-script.sh");
    let printed = std::process::Command::new("sh").arg(script).output().unwrap().stdout;
    assert!(printed == EMERGENCY_SCRIPT.as_bytes(), "{script} joins other parts than the program does");
}

#[test]
fn it_ends_a_note_although_its_program_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let notes = dir.path().join("notes");
    fs::create_dir(&notes).unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", "watchdog::tests::the_watchdog_itself", "--ignored", "--test-threads=1"]).arg(&notes);
    // For whom it stays: this test.
    let me = key_of(std::process::id()).unwrap();
    fs::write(notes.join(".agent"), format!("{} {}\n", me.pid, me.start)).unwrap();
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(until(Duration::from_secs(5), || standing::watches(&notes)));
    fs::remove_file(&program).unwrap();
    let note = notes.join("x");
    empty_note(&note);
    let watchdog = set(&expiry(&note, Duration::from_millis(300), false)).unwrap();
    assert_eq!(*watchdog.keeper(), Keeper::Standing);
    let ended = until(Duration::from_secs(5), || !note.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended);
}

#[test]
fn scripts_look_for_programs_where_we_do() {
    let wanted = format!("PATH={}\n", bartizan_sys::child::PROGRAMS);
    for script in [super::EXPIRE_SCRIPT, super::SECOND_SCRIPT, super::EMERGENCY_SCRIPT] {
        assert_eq!(script.matches(&wanted).count(), 1, "{}", script.get(..200).unwrap_or_default());
    }
}
