//! Rotation, by real logrotate too, truncation, deletion and restarts: every line once.

use super::*;

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
        // Of what was cut off before the follower looked once nothing is known, not even that it was there: it looks behind each
        // cut, and at what was written since.
        book.expect(round * 1000);
        write(&mut file, round * 1000..round * 1000 + 900);
        book.expect(round * 1000 + 900);
        // The last lines come just before the copy is made: they may be read from it only.
        write(&mut file, round * 1000 + 900..round * 1000 + 1000);
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

/// A program that reopens its log when the name leads elsewhere, as those do whom logrotate's `postrotate` tells to.
struct Writer {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Writer {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: append(path), written: 0 }
    }

    fn write(&mut self, count: u64) {
        use std::os::unix::fs::MetadataExt;
        let inode = |found: fs::Metadata| found.ino();
        if fs::metadata(&self.path).map(inode).ok() != self.file.metadata().map(inode).ok() {
            self.file = append(&self.path);
        }
        write(&mut self.file, self.written..self.written + count);
        self.written += count;
    }
}

fn rotate_under_load(how: &str) {
    let (dir, path, book) = stage();
    let writer = Arc::new(Mutex::new(Writer::of(&path)));
    let over = Stop::default();
    let mut following = Some(Following::of(&path, &book));
    let (busy, ends) = (Arc::clone(&writer), over.clone());
    let load = std::thread::spawn(move || {
        while !ends.is_set() {
            busy.lock().unwrap().write(20);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(60));
        if let Some(following) = following.take_if(|_| round == 3) {
            following.end();
        }
        // What is written between its copying and its cutting, logrotate itself loses.
        let still = how.starts_with("copytruncate").then(|| writer.lock().unwrap());
        if !logrotate(dir.path(), how) {
            break;
        }
        drop(still);
        if round == 3 {
            std::thread::sleep(Duration::from_millis(60));
            following = Some(Following::of(&path, &book));
        }
    }
    over.set();
    load.join().unwrap();
    let written = writer.lock().unwrap().written;
    assert!(written > 1000, "{written}");
    book.expect_all(written);
    following.into_iter().for_each(Following::end);
}

#[test]
fn under_load_every_line_counts_once_when_logrotate_renames_and_compresses() {
    rotate_under_load("create 0600\n compress\n delaycompress");
}

#[test]
fn under_load_every_line_counts_once_when_logrotate_copies_and_cuts() {
    rotate_under_load("copytruncate\n compress\n delaycompress");
}

#[test]
fn two_rotations_while_no_agent_runs_lose_nothing_silently() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..100);
    book.expect(100);
    following.end();
    write(&mut file, 100..110);
    if !logrotate(dir.path(), "create 0600") {
        return;
    }
    write(&mut append(&path), 110..120);
    assert!(logrotate(dir.path(), "create 0600"));
    write(&mut append(&path), 120..130);
    let following = Following::of(&path, &book);
    book.expect(130);
    following.end();
    // The one between is compressed: that is said.
    write(&mut append(&path), 130..140);
    assert!(logrotate(dir.path(), "create 0600"));
    fs::write(dir.path().join("log.1.gz"), "packed").unwrap();
    let following = Following::of(&path, &book);
    book.until("the loss", |taken| {
        taken.rows[0].trouble.as_ref().is_some_and(|trouble| trouble.contains("were compressed while no agent ran"))
    });
    book.expect(140);
    following.end();
}

#[test]
fn a_file_that_comes_back_after_a_restart_is_not_read_twice() {
    let (dir, path, book) = stage();
    let mut file = append(&path);
    let following = Following::of(&path, &book);
    write(&mut file, 0..10);
    book.expect(10);
    following.end();
    let elsewhere = tempfile::tempdir_in(dir.path()).unwrap();
    fs::rename(&path, elsewhere.path().join("log")).unwrap();
    let following = Following::of(&path, &book);
    book.until("its absence", |taken| taken.rows[0].state == LogState::Missing);
    fs::rename(elsewhere.path().join("log"), &path).unwrap();
    write(&mut file, 10..20);
    book.expect(20);
    following.end();
}

#[test]
fn a_file_that_was_cut_and_has_outgrown_its_old_size_is_read_from_its_beginning() {
    let (_dir, path, book) = stage();
    let following = Following::of(&path, &book);
    write(&mut append(&path), 0..10);
    book.expect(10);
    let more: String = (10..200).map(|number| format!("line {number}\n")).collect();
    fs::write(&path, more).unwrap();
    book.expect(200);
    following.end();
}

#[test]
fn a_hole_is_passed_over_and_counted() {
    use std::os::unix::fs::FileExt;
    let (_dir, path, book) = stage();
    let file = File::create(&path).unwrap();
    let following = Following::of(&path, &book);
    file.write_all_at(b"line 0\n", 0).unwrap();
    book.expect(1);
    // A program that does not append writes on where it was.
    file.set_len(0).unwrap();
    book.until("the cut", |taken| taken.rows[0].lag == Some(0));
    file.write_all_at(b"line 1\n", 7).unwrap();
    book.expect(2);
    let begun = Instant::now();
    file.write_all_at(b"line 2\n", 1 << 30).unwrap();
    book.expect(3);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let row = book.row();
    assert!(row.skipped > (1 << 30) - (1 << 20) && row.trouble.as_ref().unwrap().starts_with("a hole of "), "{row:?}");
    following.end();
}

#[test]
fn one_of_two_names_of_a_file_can_go_without_the_other_going_deaf() {
    let (dir, path, book) = stage();
    let other = dir.path().join("other");
    fs::write(&path, "the past, long enough to know the file by\n".repeat(30)).unwrap();
    fs::hard_link(&path, &other).unwrap();
    let following = Following::with(follower(vec![file(&path), file(&other)], &book), &book);
    book.until("both", |taken| taken.rows.iter().all(|row| row.state == LogState::Following));
    // An editor puts a copy in the place of the one.
    let copy = dir.path().join("copy");
    fs::copy(&other, &copy).unwrap();
    fs::rename(&copy, &other).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    write(&mut append(&path), 0..1);
    book.until("the line", |taken| !taken.words.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(4), "nobody was told: {:?}", begun.elapsed());
    following.end();
}
