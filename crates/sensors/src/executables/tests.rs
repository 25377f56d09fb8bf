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

    fn process(&self, cache: &ProcessCache) -> Arc<Process> {
        cache.adopt(self.0.id()).unwrap()
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
fn beside(cache: &Arc<ProcessCache>, test: impl FnOnce()) {
    let (seen, stop) = (Seen::default(), Stop::default());
    let mut executables = Executables::new(Arc::clone(cache), Path::new("/"));
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
    let cache = Arc::new(ProcessCache::default());
    let told: Arc<Mutex<Vec<Learnt>>> = Arc::default();
    let listener = Arc::clone(&told);
    cache.enrichment().on_digest(move |learnt| listener.lock().unwrap().push(learnt.clone()));
    let first = Running::start(Path::new("/bin/sleep"));
    beside(&cache, || {
        let key = first.process(&cache).key;
        until("no digest", || cache.get(key).unwrap().exe_file.sha256.is_some());
        let process = cache.get(key).unwrap();
        assert_eq!(process.exe_file.sha256.unwrap().to_string(), sha256sum(Path::new("/bin/sleep")));
        if Path::new("/var/lib/dpkg/info/coreutils.list").exists() {
            assert_eq!(process.package, Some("coreutils".into()));
        }
        let second = Running::start(Path::new("/bin/sleep"));
        let at_once = second.process(&cache);
        assert_eq!((at_once.exe_file, &at_once.package), (process.exe_file, &process.package));
    });
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "each content is read once: {told:?}");
    assert_eq!(told[0].content.inode, std::fs::metadata("/bin/sleep").unwrap().ino());
}

#[test]
fn a_file_replaced_between_exec_and_reading_is_not_taken_for_the_old_one() {
    let (cache, dir) = (Arc::new(ProcessCache::default()), tempfile::tempdir().unwrap());
    let program = dir.path().join("program");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let ended = Running::start(&program).process(&cache);
    let held = Running::start(&program);
    let running = held.process(&cache).key;
    // Both are asked for and nobody reads yet.
    std::fs::write(dir.path().join("other"), "another program").unwrap();
    std::fs::rename(dir.path().join("other"), &program).unwrap();
    beside(&cache, || {
        until("the running one is not read", || cache.get(running).unwrap().exe_file.sha256.is_some());
        assert_eq!(cache.get(running).unwrap().exe_file.sha256.unwrap().to_string(), sha256sum(Path::new("/bin/sleep")));
        assert_eq!(cache.get(running).unwrap().package, None, "the host has another file there now");
    });
    let other = sha256sum(&program);
    let known = |key| cache.get(key).unwrap().exe_file.sha256.map(|digest| digest.to_string());
    assert!(known(ended.key).is_none_or(|digest| digest != other));
}

#[test]
fn without_a_moment_of_change_only_living_processes_learn() {
    let cache = Arc::new(ProcessCache::default());
    let first = Running::start(Path::new("/bin/sleep"));
    let process = first.process(&cache);
    // As a sensor reports it that cannot tell the moment.
    let vague = |process: &Process| {
        let mut vague = process.clone();
        (vague.exe_file.changed, vague.exe_file.sha256) = (0, None);
        vague
    };
    let cache = Arc::new(ProcessCache::default());
    let key = first.process(&cache).key;
    while cache.enrichment().next_wanted(Duration::ZERO).is_some() {}
    cache.amend_living(|process| Some(vague(process)));
    cache.enrichment().fill(&mut vague(&process));
    beside(&cache, || {
        until("the living one is not told", || cache.get(key).unwrap().exe_file.sha256.is_some());
        assert_eq!(cache.get(key).unwrap().exe_file.changed, process.exe_file.changed, "the moment is known by now");
        let mut later = vague(&process);
        cache.enrichment().fill(&mut later);
        assert_eq!(later.exe_file.sha256, None, "the content may be another");
        let mut exact = process.as_ref().clone();
        exact.exe_file.sha256 = None;
        cache.enrichment().fill(&mut exact);
        assert!(exact.exe_file.sha256.is_some(), "known by device, inode and moment");
    });
}

#[test]
fn a_pause_stops_reading_and_the_end_of_it_makes_up_for_it() {
    let cache = Arc::new(ProcessCache::default());
    cache.enrichment().pause_hashing(true);
    let first = Running::start(Path::new("/bin/sleep"));
    let key = first.process(&cache).key;
    beside(&cache, || {
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(cache.get(key).unwrap().exe_file.sha256, None);
        cache.enrichment().pause_hashing(false);
        until("not made up for", || cache.get(key).unwrap().exe_file.sha256.is_some());
    });
}

/// A name that is not UTF-8 is a path like any other.
#[test]
fn odd_names_are_read() {
    let (cache, dir) = (Arc::new(ProcessCache::default()), tempfile::tempdir().unwrap());
    let program = dir.path().join(std::ffi::OsStr::new("\u{202e}x \n"));
    std::fs::copy("/bin/sleep", &program).unwrap();
    let ended = Running::start(&program).process(&cache);
    assert_eq!(ended.exe, HostText::from(program.as_os_str().as_encoded_bytes()));
    let listener: Arc<Mutex<Vec<Learnt>>> = Arc::default();
    let told = Arc::clone(&listener);
    cache.enrichment().on_digest(move |learnt| told.lock().unwrap().push(learnt.clone()));
    beside(&cache, || until("one that ended is not read at its path", || !listener.lock().unwrap().is_empty()));
    assert_eq!(listener.lock().unwrap()[0].sha256.to_string(), sha256sum(Path::new("/bin/sleep")));
}
