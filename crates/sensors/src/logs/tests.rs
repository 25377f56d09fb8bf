//! Real files, a real child, real logrotate: every line comes once, in order, whatever is done to the file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{LogFollower, LogPlace, LogSink, Place};
use crate::test_bench::Seen;
use crate::{Collector, Stop};
use bartizan_model::{HostText, LogSource, LogState};
use bartizan_worker::{At, Heard, Launch, Parser, Record};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said(String);

impl Record for Said {
    fn holds(&self) -> bool {
        self.0.len() <= 100
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
        match line {
            b"kill" => std::process::abort(),
            line if line.starts_with(b"?") => Heard::Unknown,
            line => Heard::Record(Said(String::from_utf8_lossy(line).chars().take(100).collect())),
        }
    }
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
        self.0.lock().unwrap().rows = rows;
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

impl Following {
    fn of(path: &Path, book: &Book) -> Self {
        let place = LogPlace { place: Place::File(path.to_owned()), source: (), format: "words".to_owned(), off: None };
        let arguments = ["logs::tests::stands_in_for_the_program", "--exact", "--nocapture", "--test-threads=1"].map(Into::into).to_vec();
        let launch = Launch { program: "/proc/self/exe".into(), arguments, patience: Duration::from_secs(10) };
        let kept = book.0.lock().unwrap().kept.clone();
        let mut follower = LogFollower::<Words, _>::new(vec![place], launch, book.clone(), kept.as_deref());
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

    /// Exactly these words, in this order; `lines` counts them.
    fn expect(&self, count: u64) {
        self.until("all words", |taken| taken.words.len() as u64 >= count && taken.rows[0].lines >= count);
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

#[test]
fn rotation_by_renaming_loses_no_line_though_the_writer_goes_on_in_the_old_file() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..500);
    if !logrotate(dir.path(), "create 0600\ncompress") {
        return following.end();
    }
    // logrotate has compressed and deleted what our writer still has open.
    write(&mut file, 500..600);
    book.expect(600);
    let mut file = append(&path);
    write(&mut file, 600..1000);
    book.expect(1000);
    following.end();
}

#[test]
fn rotation_by_copying_and_cutting_loses_no_line() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    for round in 0..5 {
        // The last lines come just before the copy is made: they may be read from it only.
        write(&mut file, round * 1000..round * 1000 + 1000);
        if !logrotate(dir.path(), "copytruncate") {
            return following.end();
        }
    }
    write(&mut file, 5000..5010);
    book.expect(5010);
    following.end();
}

#[test]
fn what_is_rotated_while_no_agent_runs_is_read_by_the_next_one() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..100);
    book.expect(100);
    following.end();
    write(&mut file, 100..200);
    if !logrotate(dir.path(), "create 0600") {
        return;
    }
    let mut file = append(&path);
    write(&mut file, 200..300);
    let following = Following::of(&path, &book);
    book.expect(300);
    following.end();
    write(&mut file, 300..400);
    assert!(logrotate(dir.path(), "copytruncate"));
    write(&mut file, 400..500);
    let following = Following::of(&path, &book);
    book.expect(500);
    assert_eq!((book.row().trouble, book.0.lock().unwrap().troubles.len()), (None, 0));
    following.end();
    // Twice, and compressed: what is gone is said to be.
    write(&mut file, 500..510);
    assert!(logrotate(dir.path(), "create 0600\ncompress"));
    let following = Following::of(&path, &book);
    book.until("the loss", |taken| taken.rows[0].trouble.is_some());
    assert!(book.row().trouble.unwrap().starts_with("what was written behind byte"), "{:?}", book.row().trouble);
    following.end();
}

#[test]
fn an_agent_that_is_restarted_under_load_counts_every_line_once() {
    let (_dir, path, book) = stage();
    let mut file = append(&path);
    let mut following = Following::of(&path, &book);
    for round in 0..6 {
        write(&mut file, round * 2000..round * 2000 + 1000);
        following.end();
        write(&mut file, round * 2000 + 1000..round * 2000 + 2000);
        following = Following::of(&path, &book);
    }
    book.expect(12_000);
    following.end();
}

#[test]
fn deletion_truncation_and_a_file_put_in_its_place_are_followed() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..10);
    book.expect(10);
    file.set_len(0).unwrap();
    write(&mut file, 10..13);
    book.expect(13);
    fs::remove_file(&path).unwrap();
    book.until("its end", |taken| taken.rows[0].state == LogState::Missing);
    write(&mut file, 13..20);
    book.expect(20);
    let mut file = append(&path);
    write(&mut file, 20..400);
    book.expect(400);
    assert_eq!(book.row().state, LogState::Following);
    // sed -i and editors put a changed copy in its place.
    let copy = dir.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    write(&mut append(&path), 400..410);
    book.expect(410);
    following.end();
}

#[test]
fn a_file_that_is_moved_away_and_back_is_not_read_twice() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..10);
    book.expect(10);
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    book.until("its absence", |taken| taken.rows[0].state == LogState::Missing);
    fs::rename(&elsewhere, &path).unwrap();
    book.until("its return", |taken| taken.rows[0].state == LogState::Following);
    write(&mut file, 10..20);
    book.expect(20);
    following.end();
}

#[test]
fn what_is_no_log_has_a_name_and_becomes_one_when_it_is() {
    let (dir, path, book) = stage();
    fs::create_dir(&path).unwrap();
    let following = Following::of(&path, &book);
    let state = |wanted: LogState| book.until(wanted.noun(), |taken| taken.rows[0].state == wanted);
    state(LogState::NotAFile);
    fs::remove_dir(&path).unwrap();
    state(LogState::Missing);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    state(LogState::NotAFile);
    fs::remove_file(&path).unwrap();
    let other = dir.path().join("other");
    write(&mut append(&other), 0..3);
    std::os::unix::fs::symlink(&other, &path).unwrap();
    if std::os::unix::fs::lchown(&path, Some(1234), None).is_ok() {
        state(LogState::ForeignLink);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
    }
    book.expect(3);
    following.end();
}

#[test]
fn a_line_that_kills_the_reader_is_set_aside_and_named() {
    let (_dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    file.write_all(b"line 0\nkill\nline 1\n").unwrap();
    book.until("both lines", |taken| taken.words == ["line 0", "line 1"] && taken.rows[0].lines == 3);
    let row = book.row();
    let aside: Vec<_> = row.set_aside.iter().map(|line| (line.offset, line.why.as_str())).collect();
    assert_eq!((aside, row.set_aside_count), (vec![(7, "died: it was ended by SIGABRT")], 1));
    let troubles = book.0.lock().unwrap().troubles.clone();
    assert!(troubles.len() == 2 && troubles.iter().all(|line| !line.contains('\n') && line.contains("died")), "{troubles:?}");
    following.end();
}

#[test]
fn a_flood_is_read_and_a_long_line_is_cut() {
    let (_dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    file.write_all(&[vec![b'x'; 3 << 20], b"\n".to_vec()].concat()).unwrap();
    let many: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    let begun = Instant::now();
    file.write_all(many.as_bytes()).unwrap();
    book.until("all of it", |taken| taken.rows[0].lines == 200_001);
    eprintln!("200,000 lines in {:?}", begun.elapsed());
    let row = book.row();
    assert_eq!((row.cut, row.unparsed, row.parsed, row.records, row.lag), (1, 1, 200_000, 200_000, Some(0)));
    following.end();
}
