//! What is no log, and what no line should be: a state with a name or a count, and other sources go on.

use super::*;

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

#[test]
fn every_kind_of_bad_input_is_named_or_counted_and_the_others_go_on() {
    let (dir, path, book) = stage();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    let names = ["directory", "fifo", "loop", "missing", "garbage", "long", "half", "log"];
    ["garbage", "long", "half", "log"].iter().for_each(|name| drop(append(&at(name))));
    let following = Following::with(follower(names.iter().map(|name| file(&at(name))).collect(), &book), &book);
    let garbage: Vec<u8> = (0..1_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let ends = garbage.iter().filter(|byte| **byte == b'\n').count() as u64;
    append(&at("garbage")).write_all(&garbage).unwrap();
    append(&at("half")).write_all(b"caf\xc3\n\xe2\x82\n").unwrap();
    let begun = Instant::now();
    let mut long = append(&at("long"));
    let piece = vec![b'x'; 1 << 20];
    (0..192).for_each(|_| long.write_all(&piece).unwrap());
    long.write_all(b"\nline 0\n").unwrap();
    write(&mut append(&path), 0..10);
    book.until("all of it", |taken| {
        let lines: Vec<u64> = taken.rows.iter().map(|row| row.lines).collect();
        lines[4] == ends && lines[5] == 2 && lines[6] == 2 && lines[7] == 10
    });
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let taken = book.0.lock().unwrap();
    let states: Vec<LogState> = taken.rows.iter().map(|row| row.state).collect();
    let read = LogState::Following;
    assert_eq!(states, [LogState::NotAFile, LogState::NotAFile, LogState::Unreadable, LogState::Missing, read, read, read, read]);
    assert_eq!((taken.rows[5].cut, taken.rows[6].records, taken.troubles.len()), (1, 2, 0), "{:?}", taken.troubles);
    assert!(taken.words.contains(&"caf\u{fffd}".to_owned()));
    drop(taken);
    following.end();
}

#[test]
fn a_log_that_grows_by_a_hundred_megabytes_a_second_keeps_nobody_from_the_others() {
    let (dir, path, book) = stage();
    let quiet = dir.path().join("quiet");
    let following = Following::with(follower(vec![file(&path), file(&quiet)], &book), &book);
    let piece = format!("?{}\n", "x".repeat(4095)).repeat(256);
    let flood = std::thread::spawn(move || {
        let mut file = append(&path);
        let begun = Instant::now();
        for megabyte in 1..=40_u64 {
            file.write_all(piece.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(megabyte * 10).saturating_sub(begun.elapsed()));
        }
    });
    let mut slowest = Duration::ZERO;
    for number in 0..4 {
        let begun = Instant::now();
        write(&mut append(&quiet), number..number + 1);
        book.until("the quiet one", |taken| taken.words.len() as u64 == number + 1);
        slowest = slowest.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    flood.join().unwrap();
    // None of its lines is one that the reader knows.
    book.until("all of it", |taken| taken.rows[0].lines == 10_240 && taken.rows[0].state == LogState::NotUnderstood);
    eprintln!("a line beside 100 MB/s waited {slowest:?} at most");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    following.end();
}
