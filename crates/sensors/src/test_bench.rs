//! For tests of file collectors: a tree of their own, a real shell that does the deeds, and what the collector said of them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Attribution, Collector, Sink, Stop};
use bartizan_model::{BootId, Event, EventKind, FileChange, HostText, Process, ProcessKey};

/// Keeps what a collector says.
#[derive(Debug, Default)]
pub(super) struct Seen {
    events: Mutex<Vec<Event>>,
    pub(super) lost: Mutex<u64>,
}

impl Sink for Seen {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn account(&self, _hop: &'static str, _received: u64, dropped: u64) {
        *self.lost.lock().unwrap() += dropped;
    }
}

impl Seen {
    pub(super) fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn clear(&self) {
        self.events.lock().unwrap().clear();
    }

    /// How many events are like this.
    pub(super) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    /// Waits for an event, at most five seconds.
    pub(super) fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if let Some(found) = self.events.lock().unwrap().iter().find(|event| wanted(event)) {
                return found.clone();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let told: Vec<_> = self.all().iter().rev().take(8).map(|event| format!("{:?}", event.kind)).collect();
        panic!("{what} was not told of; last told were {told:#?}");
    }
}

/// A shell of the test's own, whose builtins write files under one known pid.
pub(super) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    pub(super) fn start(directory: &Path) -> Self {
        let mut child = Command::new("/bin/sh").current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Runs a command and returns when it is done.
    pub(super) fn run(&mut self, command: &str) {
        writeln!(self.input, "{command}\necho done").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{command}");
    }

    /// Becomes another program, under the same pid.
    pub(super) fn exec(&mut self, command: &str) {
        writeln!(self.input, "exec {command}").unwrap();
    }

    /// The process as the process table would know it.
    pub(super) fn process(&self) -> Arc<Process> {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
        Arc::new(Process {
            ppid: std::process::id(),
            exe: HostText::from("/bin/sh"),
            ..Process::unknown(ProcessKey { boot: BootId(1), pid, start }, chrono::Utc::now())
        })
    }

    /// A process table that knows this shell alone.
    pub(super) fn table(&self) -> Attribution {
        let process = self.process();
        Attribution::by(move |pid| (pid == process.pid).then(|| Arc::clone(&process)))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether fanotify works here; says so aloud when not.
pub(super) fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root for fanotify");
    }
    root
}

/// A tree with these directories.
pub(super) fn tree(directories: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in directories {
        std::fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    root
}

/// The file of an event that is about one.
pub(super) fn file(event: &Event) -> Option<&FileChange> {
    match &event.kind {
        EventKind::PersistenceChange { file } | EventKind::FileOpen { file } | EventKind::FileChange { file } => Some(file),
        _ => None,
    }
}

/// Whether an event is about this file.
pub(super) fn about(event: &Event, path: &Path) -> bool {
    file(event).is_some_and(|file| file.path.as_bytes() == path.as_os_str().as_encoded_bytes())
}

/// Runs a collector beside `test`; it begins when the collector has told of `probe`, a deed done again and again.
pub(super) fn beside(mut collector: impl Collector, mut probe: impl FnMut(), test: impl FnOnce(&Seen)) {
    let (seen, stop) = (Seen::default(), Stop::default());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| collector.run(&seen, &stop));
        let guard = StopAtEnd(&stop);
        let begun = Instant::now();
        while seen.all().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(5) && !running.is_finished(), "the collector tells nothing");
            probe();
            std::thread::sleep(Duration::from_millis(150));
        }
        std::thread::sleep(Duration::from_millis(300));
        seen.clear();
        test(&seen);
        drop(guard);
        running.join().unwrap().unwrap();
    });
}

/// Ends the collector also when the test fails, so that it fails instead of hanging.
struct StopAtEnd<'a>(&'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// BLAKE3 of a text, as in events.
pub(super) fn hash(text: &str) -> Option<String> {
    Some(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// A path in a tree.
pub(super) fn at(tree: &tempfile::TempDir, path: &str) -> PathBuf {
    tree.path().join(path)
}
