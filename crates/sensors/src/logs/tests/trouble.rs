//! When the reading process, or what the follower itself asks of the kernel, does not work.

use super::*;
use bartizan_sys::process_stat::Stat;

#[test]
fn while_no_child_can_be_started_nothing_is_done_in_vain() {
    let (_dir, path, book) = stage();
    let launch = Launch { program: "/nowhere/bartizan".into(), arguments: Vec::new(), patience: Duration::from_secs(1) };
    let follower = LogFollower::<Words, _>::new(vec![file(&path)], launch, book.clone(), None);
    let following = Following::with(follower, &book);
    let mut file = append(&path);
    write(&mut file, 0..1);
    book.until("the trouble", |taken| !taken.troubles.is_empty());
    let before = book.0.lock().unwrap().told;
    let begun = Instant::now();
    let mut number = 1;
    while begun.elapsed() < Duration::from_secs(1) {
        write(&mut file, number..number + 1);
        number += 1;
    }
    let taken = book.0.lock().unwrap();
    assert!(taken.told - before <= 3, "rows were told {} times in a second", taken.told - before);
    assert_eq!(taken.troubles.len(), 1, "{:?}", taken.troubles);
    assert!(taken.troubles[0].contains("no log is read; tried again every 5 seconds"), "{:?}", taken.troubles);
    drop(taken);
    following.end();
}

#[test]
fn an_end_of_the_child_from_outside_costs_no_line() {
    let (_dir, path, book) = stage();
    let following = Following::of(&path, &book);
    let mut file = append(&path);
    for round in 0..4 {
        write(&mut file, round * 10..round * 10 + 10);
        book.expect(round * 10 + 10);
        let child = children().next().expect("no child");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    write(&mut file, 40..50);
    book.expect(50);
    assert_eq!((book.row().set_aside_count, book.row().state), (0, LogState::Following));
    following.end();
}

/// Children of ours that live.
fn children() -> impl Iterator<Item = u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.ppid == std::process::id() && stat.state != b'Z'))
}

/// Not a test: what the next one runs in a process of its own, for the limit holds for all its threads.
#[test]
fn stands_in_for_an_agent_without_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if std::env::var_os("BARTIZAN_TEST_NO_DESCRIPTORS").is_none() {
        return;
    }
    let (_dir, path, book) = stage();
    let mut file = append(&path);
    let mut follower = follower(vec![super::file(&path)], &book);
    let run = move |mut follower: LogFollower<Words, Book>| {
        let stop = Stop::default();
        let told = stop.clone();
        (stop, std::thread::spawn(move || (follower.run(&Seen::default(), &told).is_ok(), follower)))
    };
    let (_stop, thread) = run(follower);
    book.until("its first look", |taken| !taken.rows.is_empty());
    write(&mut file, 0..10);
    book.expect(10);
    // poll(2) refuses more descriptors than the process may hold.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let went_well;
    (went_well, follower) = thread.join().unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert!(!went_well, "the collector met no error");
    write(&mut file, 10..20);
    let (stop, thread) = run(follower);
    book.expect(20);
    stop.set();
    thread.join().unwrap();
    eprintln!("every line once");
}

#[test]
fn an_error_of_the_collector_takes_nobody_back_to_old_positions() {
    let name = "logs::tests::trouble::stands_in_for_an_agent_without_descriptors";
    let ran =
        Command::new("/proc/self/exe").args([name, "--exact", "--nocapture"]).env("BARTIZAN_TEST_NO_DESCRIPTORS", "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("every line once"), "{said}");
}

#[test]
fn a_source_that_is_not_listed_any_more_is_let_go_and_goes_on_when_it_is() {
    let (dir, path, book) = stage();
    let other = dir.path().join("other");
    let listed = Arc::new(Mutex::new(vec![file(&path), file(&other)]));
    let now = Arc::clone(&listed);
    let follower = follower(vec![file(&other)], &book).finding(Arc::new(move || now.lock().unwrap().clone()));
    let following = Following::with(follower, &book);
    book.until("the log that was found", |taken| taken.rows.len() == 2);
    write(&mut append(&path), 0..5);
    book.until("its lines", |taken| taken.words.len() == 5);
    following.end();
    let kept = book.0.lock().unwrap().kept.clone().unwrap();
    write(&mut append(&path), 5..10);
    // A run that does not list it keeps what is known of it.
    let following = Following::of(&other, &book);
    following.end();
    assert!(kept.contains("/log\"") && book.0.lock().unwrap().kept.as_ref().unwrap().contains("/log\""));
    let following = Following::of(&path, &book);
    book.until("the rest", |taken| taken.words.len() == 10);
    following.end();
}

#[test]
fn the_end_of_the_agent_waits_for_no_reader_that_hangs() {
    let (dir, path, book) = stage();
    let other = dir.path().join("other");
    let following = Following::with(follower(vec![file(&path), file(&other)], &book), &book);
    write(&mut append(&path), 0..1);
    book.expect(1);
    append(&path).write_all(b"hang\n").unwrap();
    append(&other).write_all(b"hang\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    following.end();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // It goes on where it was, and nobody is blamed for the end.
    assert_eq!((book.row().lines, book.row().set_aside_count), (1, 0), "{:?}", book.row());
    assert!(book.0.lock().unwrap().troubles.is_empty());
}
