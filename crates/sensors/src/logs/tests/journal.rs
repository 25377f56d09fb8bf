//! A real journald, in a namespace of its own (systemd-journald.service(8)), and real journalctl: every entry once.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use super::*;

const JOURNALD: &str = "/lib/systemd/systemd-journald";

struct Journald {
    name: String,
    process: Child,
    socket: UnixDatagram,
}

impl Journald {
    fn start() -> Option<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        if !Path::new(JOURNALD).exists() || !nix::unistd::Uid::effective().is_root() {
            eprintln!("skipped: no journald, or not root");
            return None;
        }
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("bartizan-test-{}-{number}", std::process::id());
        let process = Command::new(JOURNALD).arg(&name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let journald = Self { name, process, socket: UnixDatagram::unbound().unwrap() };
        let until = Instant::now() + Duration::from_secs(10);
        while journald.try_say("the past").is_err() {
            assert!(Instant::now() < until, "journald does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(journald)
    }

    fn try_say(&self, what: &str) -> std::io::Result<usize> {
        let socket = format!("/run/systemd/journal.{}/socket", self.name);
        self.socket.send_to(format!("MESSAGE={what}\nSYSLOG_IDENTIFIER=words\n").as_bytes(), socket)
    }

    fn say(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.try_say(&format!("line {number}")).unwrap();
        }
    }

    fn follower(&self, places: Vec<LogPlace<()>>, book: &Book) -> LogFollower<Words, Book> {
        follower(places, book).journal(vec![format!("--namespace={}", self.name)])
    }

    fn follow(&self, book: &Book) -> Following {
        Following::with(self.follower(vec![journal()], book), book)
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(format!("/run/systemd/journal.{}", self.name));
        for directory in ["/run/log/journal", "/var/log/journal"] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let ours = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&format!(".{}", self.name)));
            ours.for_each(|entry| drop(fs::remove_dir_all(entry.path())));
        }
    }
}

fn journal() -> LogPlace<()> {
    LogPlace::new(Place::Journal, (), "journal".to_owned())
}

/// The messages that came, as the parser of these tests has no journal's eyes: it cuts them out of the entry.
fn messages(taken: &Taken) -> Vec<u64> {
    taken.words.iter().filter_map(|word| word.strip_prefix("line ")?.parse().ok()).collect()
}

fn expect(book: &Book, count: u64) {
    book.until("all entries", |taken| messages(taken).len() as u64 >= count);
    std::thread::sleep(Duration::from_millis(50));
    let taken = book.0.lock().unwrap();
    assert_eq!(messages(&taken), (0..count).collect::<Vec<_>>(), "{:?} {:?}", taken.rows, taken.troubles);
}

#[test]
fn every_entry_counts_once_over_restarts_of_the_agent() {
    let Some(journald) = Journald::start() else { return };
    let book = Book::default();
    let following = journald.follow(&book);
    journald.say(0..300);
    expect(&book, 300);
    following.end();
    journald.say(300..600);
    let following = journald.follow(&book);
    journald.say(600..700);
    expect(&book, 700);
    following.end();
}

#[test]
fn the_death_of_the_child_at_another_log_costs_the_journal_no_entry() {
    let Some(journald) = Journald::start() else { return };
    let (_dir, path, book) = stage();
    let following = Following::with(journald.follower(vec![journal(), file(&path)], &book), &book);
    let mut log = append(&path);
    for round in 0..5 {
        journald.say(round * 40..round * 40 + 20);
        log.write_all(b"kill\n").unwrap();
        journald.say(round * 40 + 20..round * 40 + 40);
        std::thread::sleep(Duration::from_millis(30));
    }
    expect(&book, 200);
    book.until("the lines set aside", |taken| taken.rows[1].set_aside_count == 5);
    assert_eq!(book.0.lock().unwrap().rows[0].set_aside_count, 0);
    following.end();
}

#[test]
fn a_cursor_that_is_none_or_is_ahead_of_our_clock_blinds_nobody() {
    let Some(journald) = Journald::start() else { return };
    let book = Book::default();
    let following = journald.follow(&book);
    journald.say(0..3);
    expect(&book, 3);
    following.end();
    let kept = book.0.lock().unwrap().kept.clone().unwrap();
    let (before, rest) = kept.split_once("\"cursor\":\"").unwrap();
    let after = rest.split_once('"').unwrap().1;
    journald.say(3..5);
    for cursor in ["s=x", "s=0a;i=1;b=0b;m=1;t=fffffffffffff;x=1", "--flush"] {
        book.0.lock().unwrap().kept = Some(format!("{before}\"cursor\":\"{cursor}\"{after}"));
        let following = journald.follow(&book);
        expect(&book, 5);
        following.end();
        book.0.lock().unwrap().words.retain(|word| ["line 0", "line 1", "line 2"].contains(&word.as_str()));
    }
}
