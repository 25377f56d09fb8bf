//! Freezing, thawing and ending real trees, by each method that this host has.

use super::group::wait;
use super::stopping::continue_stopped;
use super::*;
use bartizan_isolation::forked::{Became, Forked};
use bartizan_sys::clock::boot_id;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// A shell that keeps two loops and up to fifty short-lived children going, each writing a byte to `out`.
fn busy_tree(out: &Path) -> Tree {
    let script = r#"echo $$; i=0
        (while :; do printf x >> "$0"; sleep 0.01; done) &
        (n=0; while [ $n -lt 50 ]; do (sleep 0.05; printf y >> "$0") & n=$((n+1)); [ $n -eq 50 ] && { wait; n=0; }; done) &
        while :; do printf z >> "$0"; sleep 0.01; done"#;
    let null = std::process::Stdio::null;
    Tree(Command::new("sh").args(["-c", script]).arg(out).stdout(null()).stderr(null()).process_group(0).spawn().unwrap())
}

/// Ended with all of its group when a test is over, however it ends.
struct Tree(Child);

impl Drop for Tree {
    fn drop(&mut self) {
        for stat in everything().unwrap_or_default().iter().filter(|stat| stat.group == self.0.id()) {
            let _ = PidFd::open(stat.key()).and_then(|hold| hold.signal(libc::SIGKILL));
        }
        let _ = self.0.wait();
    }
}

fn freezers(runtime: &Path) -> Vec<Freezer> {
    let notes = runtime.join("freeze");
    fs::create_dir_all(&notes).unwrap();
    let v1 = Path::new("/sys/fs/cgroup/freezer");
    let mut places = vec![Place::find(&runtime.join("cgroup2")), Place { method: Method::Stop, root: PathBuf::new() }];
    if v1.join("cgroup.procs").exists() {
        places.push(Place { method: Method::V1, root: v1.to_owned() });
    }
    places.into_iter().map(|place| Freezer { place, notes: notes.clone() }).collect()
}

/// Where the busy trees write: one that waits for a busy disk cannot be stopped until the disk answers.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to make cgroups");
    }
    root
}

fn left(freezer: &Freezer, name: &str) -> bool {
    freezer.noted().contains(name) || freezer.groups().contains(name)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map(|meta| meta.len()).unwrap_or(0)
}

fn allow(_: ProcessKey) -> Result<(), String> {
    Ok(())
}

fn unique(tag: &str, freezer: &Freezer) -> String {
    format!("test-{tag}-{}-{:?}", std::process::id(), freezer.method())
}

#[test]
fn a_busy_tree_stands_still_and_runs_again_where_it_was() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = in_memory();
    for freezer in freezers(dir.path()) {
        let out = dir.path().join(format!("out-{:?}", freezer.method()));
        let child = busy_tree(&out);
        let root = key_of(child.0.id()).unwrap();
        assert!(wait(SETTLING, || size(&out) > 20));
        let before = group::origin_of(freezer.method(), root.pid);
        let name = unique("busy", &freezer);
        let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &allow).unwrap();
        assert!(frozen.members.len() >= 3, "{frozen:?}");
        let hold = freezer.look(&frozen);
        assert!(hold.frozen && hold.loose.is_empty(), "{hold:?}");
        let still = size(&out);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(size(&out), still, "something still runs with {:?}", freezer.method());
        freezer.thaw(&frozen).unwrap();
        assert_eq!(group::origin_of(freezer.method(), root.pid), before);
        assert!(wait(SETTLING, || size(&out) > still + 20), "it runs again with {:?}", freezer.method());
        assert!(!left(&freezer, &name));
        // Once more does no harm. (Without a group, whoever lives is told to run again, and how many live changes all the time.)
        let again = freezer.thaw(&frozen).unwrap();
        assert!(again.is_empty() || freezer.method() == Method::Stop, "{again:?}");
        let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &allow).unwrap();
        let killed = freezer.kill(&frozen).unwrap();
        assert!(killed.contains(&root));
        let ended = size(&out);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(size(&out), ended, "something survived with {:?}", freezer.method());
        drop(child);
        assert!(!left(&freezer, &name));
    }
}

/// Another agent's, or one whose note was lost: it runs where it is, is nobody's freeze any more, and may be frozen again.
#[test]
fn whoever_is_let_go_without_a_note_stays_where_it_is_and_may_be_frozen_again() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = in_memory();
    for freezer in freezers(dir.path()).into_iter().filter(|freezer| freezer.method() != Method::Stop) {
        let child = Tree(Command::new("sleep").arg("100").process_group(0).spawn().unwrap());
        let root = key_of(child.0.id()).unwrap();
        let before = group::origin_of(freezer.method(), root.pid).unwrap();
        let (lost, again) = (unique("lost", &freezer), unique("again", &freezer));
        freezer.freeze(&lost, Purpose::Hold, &|| vec![root], &allow).unwrap();
        let refused = freezer.freeze(&again, Purpose::Hold, &|| vec![root], &allow);
        assert!(matches!(refused, Err(FreezeError::Held { .. })), "{refused:?}");
        fs::remove_file(freezer.note(&lost)).unwrap();
        let unknown = freezer.recall(&lost).unwrap();
        let thawed = freezer.thaw(&unknown).unwrap();
        assert_eq!((thawed.stayed.as_slice(), thawed.count()), ([root].as_slice(), 1));
        let own = format!("/{}/{lost}", group::PARENT);
        assert_eq!(group::origin_of(freezer.method(), root.pid).unwrap().as_bytes(), own.as_bytes());
        assert_eq!(freezer.recall(&lost), None, "it is nobody's freeze any more");
        let frozen = freezer.freeze(&again, Purpose::Hold, &|| vec![root], &allow).unwrap();
        assert!(freezer.look(&frozen).frozen);
        freezer.thaw(&frozen).unwrap();
        assert_eq!(group::origin_of(freezer.method(), root.pid).unwrap().as_bytes(), own.as_bytes());
        let group = Group::named(&freezer.place, &lost);
        group.give_back(root.pid, &before).unwrap();
        group.remove().unwrap();
        drop(child);
    }
}

#[test]
fn a_process_that_ends_while_its_tree_is_caught_is_no_failure() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = in_memory();
    // Nothing but children that end at once, of two shells that start them as fast as they can.
    let script = "(while :; do /bin/true & /bin/true & done) & while :; do /bin/true; done";
    for freezer in freezers(dir.path()) {
        let null = std::process::Stdio::null;
        let child = Tree(Command::new("sh").args(["-c", script]).stdout(null()).stderr(null()).process_group(0).spawn().unwrap());
        let root = key_of(child.0.id()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        for round in 0..30 {
            let name = unique(&format!("churn{round}"), &freezer);
            let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &allow);
            let frozen = frozen.unwrap_or_else(|error| panic!("round {round} with {:?}: {error}", freezer.method()));
            let hold = freezer.look(&frozen);
            assert!(hold.frozen && hold.loose.is_empty() && !hold.held.is_empty(), "round {round}: {hold:?}");
            freezer.thaw(&frozen).unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
        drop(child);
    }
}

#[test]
fn what_could_not_be_put_back_is_not_frozen_and_what_has_no_way_back_runs_at_the_top() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    let Some(place) = Some(Place::find(&dir.path().join("cgroup2"))).filter(|place| place.method == Method::V2) else {
        return eprintln!("skipped: no cgroup 2 here");
    };
    let own = place.root.join(format!("bartizan-namespace-test-{}", std::process::id()));
    fs::create_dir(&own).unwrap();
    let mut outside = Command::new("sleep").arg("60").spawn().unwrap();
    let root = key_of(outside.id()).unwrap();
    // As an agent in a container that shares the host's pids.
    let mut child = Forked::running(|| {
        let in_namespace = || -> Result<(), String> {
            use nix::sched::{CloneFlags, unshare};
            fs::write(own.join("cgroup.procs"), std::process::id().to_string()).map_err(|why| why.to_string())?;
            unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS).map_err(|why| why.to_string())?;
            let flags = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
            nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).map_err(|why| why.to_string())?;
            let freezer = Freezer::open(&dir.path().join("inner")).map_err(|why| why.to_string())?;
            let refused = freezer.freeze("outside", Purpose::Hold, &|| vec![root], &allow);
            if !matches!(refused, Err(FreezeError::OutOfReach { .. })) {
                return Err(format!("outside: {refused:?}"));
            }
            let mut inside = Command::new("sleep").arg("60").spawn().map_err(|why| why.to_string())?;
            let key = key_of(inside.id()).ok_or("no child")?;
            let mut frozen = freezer.freeze("inside", Purpose::Hold, &|| vec![key], &allow).map_err(|why| why.to_string())?;
            frozen.members.iter_mut().for_each(|member| member.origin = HostText::from("/../gone"));
            let thawed = freezer.thaw(&frozen).map_err(|why| why.to_string());
            let state = Stat::read(key.pid).map(|stat| stat.state);
            inside.kill().and_then(|()| inside.wait()).map_err(|why| why.to_string())?;
            let told = thawed.map(|thawed| thawed.words())?;
            match (state, told.as_str()) {
                (Some(b'S' | b'R'), "1 process runs again in /: its own group is gone") => Ok(()),
                other => Err(format!("inside: {other:?}")),
            }
        };
        let done = in_namespace();
        if let Err(why) = &done {
            eprintln!("{why}");
        }
        i32::from(done.is_err())
    });
    let status = child.wait();
    let state = Stat::read(root.pid).unwrap().state;
    outside.kill().unwrap();
    outside.wait().unwrap();
    assert!(wait(SETTLING, || fs::remove_dir(&own).is_ok()), "the group of the test is still in use");
    assert_eq!((status, state), (Became::Exited(0), b'S'));
}

#[test]
fn one_forbidden_process_undoes_all() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    for freezer in freezers(dir.path()) {
        let mut child = Command::new("sh").args(["-c", "sleep 60 & sleep 61 & wait"]).process_group(0).spawn().unwrap();
        let root = key_of(child.id()).unwrap();
        assert!(wait(SETTLING, || everything().unwrap().iter().filter(|stat| stat.ppid == root.pid).count() == 2));
        let name = unique("forbidden", &freezer);
        let refuse = |key: ProcessKey| if key == root { Ok(()) } else { Err("it is the owner's".to_owned()) };
        let refused = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &refuse);
        assert!(matches!(refused, Err(FreezeError::Forbidden { .. })), "{refused:?}");
        assert!(wait(SETTLING, || Stat::read(root.pid).unwrap().state == b'S'));
        assert!(!left(&freezer, &name));
        let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &allow).unwrap();
        freezer.kill(&frozen).unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn who_was_stopped_before_stays_stopped() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    for freezer in freezers(dir.path()) {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let root = key_of(child.id()).unwrap();
        PidFd::open(root).unwrap().signal(libc::SIGSTOP).unwrap();
        assert!(wait(SETTLING, || Stat::read(root.pid).unwrap().state == b'T'));
        let frozen = freezer.freeze(&unique("stopped", &freezer), Purpose::Hold, &|| vec![root], &allow).unwrap();
        freezer.thaw(&frozen).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(Stat::read(root.pid).unwrap().state, b'T');
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_reused_pid_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    for freezer in freezers(dir.path()) {
        let name = unique("nobody", &freezer);
        let me = key_of(std::process::id()).unwrap();
        let stranger = ProcessKey { boot: boot_id(), start: me.start + 1, ..me };
        assert!(matches!(freezer.freeze(&name, Purpose::Hold, &|| vec![stranger], &allow), Err(FreezeError::Nothing)));
        assert!(!left(&freezer, &name));
    }
}

#[test]
fn an_overlapping_freeze_is_refused_and_a_kill_takes_over() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    for freezer in freezers(dir.path()).into_iter().filter(|freezer| freezer.method() != Method::Stop) {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let root = key_of(child.id()).unwrap();
        let (first, second) = (unique("first", &freezer), unique("second", &freezer));
        let frozen = freezer.freeze(&first, Purpose::Hold, &|| vec![root], &allow).unwrap();
        assert!(matches!(freezer.freeze(&second, Purpose::Hold, &|| vec![root], &allow), Err(FreezeError::Held { .. })));
        assert!(freezer.look(&frozen).loose.is_empty() && freezer.look(&frozen).frozen, "the first freeze is untouched");
        let taken = freezer.freeze(&second, Purpose::End, &|| vec![root], &allow).unwrap();
        assert_eq!(freezer.kill(&taken).unwrap(), [root]);
        child.wait().unwrap();
        freezer.thaw(&frozen).unwrap();
        assert!(!left(&freezer, &first));
    }
}

/// A shell that forks itself without end, as far as its pids cgroup or limit lets it.
#[test]
fn a_fork_bomb_is_frozen_whole() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = tempfile::tempdir().unwrap();
    for freezer in freezers(dir.path()).into_iter().filter(|freezer| freezer.method() != Method::Stop) {
        // Every one tries to double itself all the time; the bound is one of its user, whom nobody else here is.
        let bomb = "import os, resource, time
os.setgid(54321); resource.setrlimit(resource.RLIMIT_NPROC, (200, 200)); os.setuid(54321)
while True:
    try: os.fork()
    except OSError: time.sleep(0.001)
";
        let null = std::process::Stdio::null;
        let Ok(child) = Command::new("python3").args(["-c", bomb]).stdout(null()).stderr(null()).process_group(0).spawn() else {
            return eprintln!("skipped: no python3 here");
        };
        let tree = Tree(child);
        let root = key_of(tree.0.id()).unwrap();
        let of_tree =
            |world: Vec<Stat>| world.into_iter().filter(|stat| stat.group == root.pid).map(|stat| stat.pid).collect::<BTreeSet<_>>();
        assert!(wait(Duration::from_secs(10), || of_tree(everything().unwrap()).len() > 150), "it grows");
        let began = Instant::now();
        let frozen = freezer.freeze(&unique("bomb", &freezer), Purpose::Hold, &|| vec![root], &allow).unwrap();
        eprintln!("{}: {} processes of a fork bomb frozen in {:?}", freezer.method().noun(), frozen.members.len(), began.elapsed());
        let caught = of_tree(everything().unwrap());
        let group = Group::named(&Place::named(frozen.method, &frozen.root), &frozen.name);
        let inside: BTreeSet<u32> = group.pids().unwrap().into_iter().collect();
        assert!(caught.len() > 100 && caught.is_subset(&inside), "{} of {} are held", caught.intersection(&inside).count(), caught.len());
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(of_tree(everything().unwrap()), caught, "nobody forked its way out");
        freezer.kill(&frozen).unwrap();
        assert!(of_tree(everything().unwrap()).is_empty() && !left(&freezer, &frozen.name));
    }
}

#[test]
fn what_somebody_let_go_is_held_again_and_goes_back_to_where_it_was_at_first() {
    if !is_root() {
        return;
    }
    let _alone = bartizan_isolation::own_netns::alone_on_this_host();
    let dir = in_memory();
    for freezer in freezers(dir.path()) {
        let out = dir.path().join(format!("again-{:?}", freezer.method()));
        let child = busy_tree(&out);
        let root = key_of(child.0.id()).unwrap();
        assert!(wait(SETTLING, || size(&out) > 20));
        let before = group::origin_of(freezer.method(), root.pid);
        let name = unique("again", &freezer);
        let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &allow).unwrap();
        let group = Group::named(&Place::named(frozen.method, &frozen.root), &name);
        let let_go: [&dyn Fn(); 3] = [
            // One let out, the whole thawed where it stands, and all of it undone, note and group.
            &|| match freezer.method() {
                Method::Stop => PidFd::open(root).unwrap().signal(libc::SIGCONT).unwrap(),
                _ => drop(group.give_back(root.pid, &HostText::from("/")).unwrap()),
            },
            &|| match freezer.method() {
                Method::Stop => drop(continue_stopped(&frozen.members).unwrap()),
                _ => group.thaw_in_place().unwrap(),
            },
            &|| drop(freezer.thaw(&frozen).unwrap()),
        ];
        for undo in let_go {
            undo();
            // One that was let out may still wait for a child that is held: it is loose all the same.
            let seen = freezer.look(&frozen);
            assert!(!seen.loose.is_empty() || !seen.frozen, "{seen:?}");
            let whole = || frozen.members.iter().map(|member| member.key).collect();
            freezer.freeze_again(&frozen, &whole, &allow).unwrap();
            let hold = freezer.look(&frozen);
            assert!(hold.frozen && hold.loose.is_empty() && freezer.note(&name).exists(), "{hold:?}");
            let still = size(&out);
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(size(&out), still);
        }
        freezer.thaw(&frozen).unwrap();
        assert_eq!(group::origin_of(freezer.method(), root.pid), before);
        assert!(!left(&freezer, &name));
    }
}
