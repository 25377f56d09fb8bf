//! Real programs of the test's own: executed, read in the background, known to whoever executes them later.

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::sync::Mutex;

use super::super::test_bench::Seen;
use super::*;
use bartizan_model::HostText;

struct Running(Child);

impl Running {
    fn start(program: &Path) -> Self {
        loop {
            match Command::new(program).arg("60").spawn() {
                Err(why) if why.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(Duration::from_millis(5)),
                child => return Self(child.unwrap()),
            }
        }
    }

    fn process(&self, world: &World) -> Arc<Process> {
        world.adopt(self.0.id()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// SHA-256 by the tool that everybody has.
fn sha256sum(path: &Path) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// Runs the collector beside `test`.
fn beside(world: &Arc<World>, test: impl FnOnce()) {
    let (seen, stop) = (Seen::default(), Stop::default());
    let mut executables = Executables::new(Arc::clone(world), Path::new("/"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| executables.run(&seen, &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        stop.set();
        running.join().unwrap().unwrap();
        outcome.unwrap();
    });
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_living_process_a_later_one_and_the_listener_all_learn_it() {
    let world = Arc::new(World::default());
    let told: Arc<Mutex<Vec<Learnt>>> = Arc::default();
    let listener = Arc::clone(&told);
    world.enrichment().on_digest(move |learnt| listener.lock().unwrap().push(learnt.clone()));
    let first = Running::start(Path::new("/bin/sleep"));
    beside(&world, || {
        let key = first.process(&world).key;
        until("no digest", || world.get(key).unwrap().exe_file.sha256.is_some());
        let process = world.get(key).unwrap();
        assert_eq!(process.exe_file.sha256.unwrap().to_string(), sha256sum(Path::new("/bin/sleep")));
        if Path::new("/var/lib/dpkg/info/coreutils.list").exists() {
            assert_eq!(process.package, Some("coreutils".into()));
        }
        let second = Running::start(Path::new("/bin/sleep"));
        let at_once = second.process(&world);
        assert_eq!((at_once.exe_file, &at_once.package), (process.exe_file, &process.package));
    });
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "each content is read once: {told:?}");
    assert_eq!(told[0].content.inode, std::fs::metadata("/bin/sleep").unwrap().ino());
}

#[test]
fn a_file_replaced_between_exec_and_reading_is_not_taken_for_the_old_one() {
    let (world, dir) = (Arc::new(World::default()), tempfile::tempdir().unwrap());
    let program = dir.path().join("program");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let ended = Running::start(&program).process(&world);
    let held = Running::start(&program);
    let running = held.process(&world).key;
    // Both are asked for and nobody reads yet.
    std::fs::write(dir.path().join("other"), "another program").unwrap();
    std::fs::rename(dir.path().join("other"), &program).unwrap();
    beside(&world, || {
        until("the running one is not read", || world.get(running).unwrap().exe_file.sha256.is_some());
        assert_eq!(world.get(running).unwrap().exe_file.sha256.unwrap().to_string(), sha256sum(Path::new("/bin/sleep")));
        assert_eq!(world.get(running).unwrap().package, None, "the host has another file there now");
    });
    let other = sha256sum(&program);
    let known = |key| world.get(key).unwrap().exe_file.sha256.map(|digest| digest.to_string());
    assert!(known(ended.key).is_none_or(|digest| digest != other));
}

#[test]
fn without_a_moment_of_change_only_living_processes_learn() {
    let world = Arc::new(World::default());
    let first = Running::start(Path::new("/bin/sleep"));
    let process = first.process(&world);
    // As a sensor reports it that cannot tell the moment.
    let vague = |process: &Process| {
        let mut vague = process.clone();
        (vague.exe_file.changed, vague.exe_file.sha256) = (0, None);
        vague
    };
    let world = Arc::new(World::default());
    let key = first.process(&world).key;
    while world.enrichment().next_wanted(Duration::ZERO).is_some() {}
    world.amend_living(|process| Some(vague(process)));
    world.enrichment().fill(&mut vague(&process));
    beside(&world, || {
        until("the living one is not told", || world.get(key).unwrap().exe_file.sha256.is_some());
        assert_eq!(world.get(key).unwrap().exe_file.changed, process.exe_file.changed, "the moment is known by now");
        let mut later = vague(&process);
        world.enrichment().fill(&mut later);
        assert_eq!(later.exe_file.sha256, None, "the content may be another");
        let mut exact = process.as_ref().clone();
        exact.exe_file.sha256 = None;
        world.enrichment().fill(&mut exact);
        assert!(exact.exe_file.sha256.is_some(), "known by device, inode and moment");
    });
}

#[test]
fn a_pause_stops_reading_and_the_end_of_it_makes_up_for_it() {
    let world = Arc::new(World::default());
    world.enrichment().pause_hashing(true);
    let first = Running::start(Path::new("/bin/sleep"));
    let key = first.process(&world).key;
    beside(&world, || {
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(world.get(key).unwrap().exe_file.sha256, None);
        world.enrichment().pause_hashing(false);
        until("not made up for", || world.get(key).unwrap().exe_file.sha256.is_some());
    });
}

/// A name that is not UTF-8 is a path like any other.
#[test]
fn odd_names_are_read() {
    let (world, dir) = (Arc::new(World::default()), tempfile::tempdir().unwrap());
    let program = dir.path().join(std::ffi::OsStr::new("\u{202e}x \n"));
    std::fs::copy("/bin/sleep", &program).unwrap();
    let ended = Running::start(&program).process(&world);
    assert_eq!(ended.exe, HostText::from(program.as_os_str().as_encoded_bytes()));
    let listener: Arc<Mutex<Vec<Learnt>>> = Arc::default();
    let told = Arc::clone(&listener);
    world.enrichment().on_digest(move |learnt| told.lock().unwrap().push(learnt.clone()));
    beside(&world, || until("one that ended is not read at its path", || !listener.lock().unwrap().is_empty()));
    assert_eq!(listener.lock().unwrap()[0].sha256.to_string(), sha256sum(Path::new("/bin/sleep")));
}
