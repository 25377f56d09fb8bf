//! Real files, a real child, real logrotate: every line comes once, in order, whatever is done to the file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

mod bad_input;
mod journal;
mod rotation;
mod trouble;

use super::{LogFollower, LogPlace, LogSink, Place};
use crate::test_bench::Seen;
use crate::{Collector, Stop};
use bartizan_model::{HostText, LogSource, LogState};
use bartizan_worker::{At, Heard, Launch, Parser, Record};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said(String);

impl Record for Said {
    fn holds(&self) -> bool {
        self.0.len() <= 400
    }
}

struct Words;

impl Parser for Words {
    type Source = ();
    type State = ();
    type Record = Said;

    fn open(&mut self, _source: &()) {}

    fn clock(&mut self, _state: &mut (), _zone: i32) {}

    fn parse(&mut self, _state: &mut (), line: &[u8]) -> Heard<Said> {
        match message(line) {
            b"kill" => std::process::abort(),
            b"hang" => loop {
                std::hint::black_box(());
            },
            line if line.starts_with(b"?") => Heard::Unknown,
            line => Heard::Record(Said(String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned())),
        }
    }
}

/// What an entry of a journal says, or the line itself.
fn message(line: &[u8]) -> &[u8] {
    let key = b"\"MESSAGE\":\"";
    let Some(at) = line.windows(key.len()).position(|part| part == key) else { return line };
    let message = &line[at + key.len()..];
    &message[..message.iter().position(|byte| *byte == b'"').unwrap_or(message.len())]
}

/// Not a test: what the child runs.
#[test]
fn stands_in_for_the_program() {
    let _ = bartizan_worker::serve(Words);
}

#[derive(Default)]
struct Taken {
    words: Vec<String>,
    rows: Vec<LogSource>,
    /// How often rows were told.
    told: u32,
    kept: Option<String>,
    troubles: Vec<String>,
}

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Taken>>);

impl LogSink<Said> for Book {
    fn take(&self, _source: &HostText, at: At<Said>) {
        self.0.lock().unwrap().words.push(at.record.0);
    }
    fn rows(&self, rows: Vec<LogSource>) {
        let mut taken = self.0.lock().unwrap();
        (taken.rows, taken.told) = (rows, taken.told + 1);
    }
    fn keep(&self, text: String) {
        self.0.lock().unwrap().kept = Some(text);
    }
    fn trouble(&self, trouble: Option<String>) {
        self.0.lock().unwrap().troubles.extend(trouble);
    }
}

/// A follower on a thread of its own, as the agent has it.
struct Following {
    stop: Stop,
    thread: std::thread::JoinHandle<()>,
}

fn launch() -> Launch {
    let arguments = ["logs::tests::stands_in_for_the_program", "--exact", "--nocapture", "--test-threads=1"].map(Into::into).to_vec();
    Launch { program: "/proc/self/exe".into(), arguments, patience: Duration::from_secs(10) }
}

fn file(path: &Path) -> LogPlace<()> {
    LogPlace::new(Place::File(path.to_owned()), (), "words".to_owned())
}

fn follower(places: Vec<LogPlace<()>>, book: &Book) -> LogFollower<Words, Book> {
    let kept = book.0.lock().unwrap().kept.clone();
    LogFollower::new(places, launch(), book.clone(), kept.as_deref())
}

impl Following {
    fn of(path: &Path, book: &Book) -> Self {
        Self::with(follower(vec![file(path)], book), book)
    }

    fn with(mut follower: LogFollower<Words, Book>, book: &Book) -> Self {
        book.0.lock().unwrap().rows.clear();
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::spawn(move || follower.run(&Seen::default(), &told).unwrap());
        let following = Self { stop, thread };
        book.until("its first look", |taken| !taken.rows.is_empty());
        following
    }

    fn end(self) {
        self.stop.set();
        self.thread.join().unwrap();
    }
}

impl Book {
    fn until(&self, what: &str, holds: impl Fn(&Taken) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !holds(&self.0.lock().unwrap()) {
            let taken = self.0.lock().unwrap();
            assert!(Instant::now() < until, "waiting for {what}: {} words, {:?}, {:?}", taken.words.len(), taken.rows, taken.troubles);
            drop(taken);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn row(&self) -> LogSource {
        self.0.lock().unwrap().rows[0].clone()
    }

    /// Each of these words once, in whatever order.
    fn expect_all(&self, count: u64) {
        self.until("all words", |taken| taken.words.len() as u64 >= count);
        std::thread::sleep(Duration::from_millis(30));
        let mut words = self.0.lock().unwrap().words.clone();
        words.sort_by_key(|word| word.trim_start_matches("line ").parse::<u64>().unwrap_or(u64::MAX));
        let wanted: Vec<String> = (0..count).map(|number| format!("line {number}")).collect();
        let differs = words.iter().zip(&wanted).position(|(one, other)| one != other);
        assert_eq!((words.len(), differs), (wanted.len(), None), "{:?}", self.0.lock().unwrap().rows);
    }

    /// Exactly these words, in this order; `lines` counts them.
    fn expect(&self, count: u64) {
        self.until("all words", |taken| taken.words.len() as u64 >= count && taken.rows.first().is_some_and(|row| row.lines >= count));
        std::thread::sleep(Duration::from_millis(30));
        let taken = self.0.lock().unwrap();
        let wanted: Vec<String> = (0..count).map(|number| format!("line {number}")).collect();
        let differs = taken.words.iter().zip(&wanted).position(|(one, other)| one != other);
        assert_eq!((taken.words.len(), differs), (wanted.len(), None), "{:?}", taken.rows);
        assert_eq!((taken.rows[0].lines, taken.rows[0].records), (count, count), "{:?}", taken.rows);
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn write(file: &mut File, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| file.write_all(format!("line {number}\n").as_bytes()).unwrap());
}

fn logrotate(dir: &Path, how: &str) -> bool {
    if Command::new("logrotate").arg("--version").output().is_err() {
        eprintln!("skipped: no logrotate");
        return false;
    }
    let rules = dir.join("rules");
    fs::write(&rules, format!("{}/log {{\n rotate 9\n size 1\n {how}\n}}\n", dir.display())).unwrap();
    let ran = Command::new("logrotate").arg("--force").arg("--state").arg(dir.join("state")).arg(&rules).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    true
}

fn stage() -> (tempfile::TempDir, PathBuf, Book) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    (dir, path, Book::default())
}

#[test]
fn a_log_is_read_from_our_first_day_on_and_a_line_without_an_end_waits() {
    let (_dir, path, book) = stage();
    fs::write(&path, "the past\nhalf a li").unwrap();
    let following = Following::of(&path, &book);
    let mut file = append(&path);
    file.write_all(b"ne\nline 0\nli").unwrap();
    book.expect(1);
    file.write_all(b"ne 1\n").unwrap();
    book.expect(2);
    file.write_all(b"?what\n\n").unwrap();
    book.until("an unknown line", |taken| taken.rows[0].unparsed == 1);
    assert_eq!(book.row().samples, [HostText::from("?what")]);
    assert_eq!((book.row().lines, book.row().state), (4, LogState::Following));
    following.end();
}
