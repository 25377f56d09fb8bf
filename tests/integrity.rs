//! `bartizan fim`: a baseline and what changed since, told in words; AIDE is asked too, and both must find the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A tree of files, and a data directory beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("tree").join(name)
    }

    fn write(&self, name: &str, holds: &[u8]) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), holds).unwrap();
    }

    fn fim(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.arg("--data").arg(self.dir.path().join("data")).arg("fim").args(arguments);
        command.output().unwrap()
    }

    fn baseline(&self) {
        let output = self.fim(&["scan", "--baseline", self.at("").to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }

    fn scan(&self, more: &[&str]) -> Value {
        let output = self.fim(&[&["scan", "--json"], more].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
        let changed = !report["changes"].as_array().unwrap().is_empty();
        let found = changed || report["complete"] == false;
        assert_eq!(output.status.code(), Some(if found { 5 } else { 0 }), "{}", told(&output));
        report
    }

    /// Each changed path below the tree, with its sentence.
    fn changes(&self, more: &[&str]) -> BTreeMap<String, String> {
        let report = self.scan(more);
        let tree = format!("{}/", self.at("").canonicalize().unwrap().display());
        let name = |path: &Value| path.as_str().unwrap().trim_start_matches(&tree).to_owned();
        report["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| (name(&change["path"]), change["sentence"].as_str().unwrap().to_owned()))
            .collect()
    }
}

fn told(output: &Output) -> String {
    format!("{:?}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn every_change_is_told_in_plain_words_and_nothing_else() {
    let place = Place::new();
    for name in ["same", "content", "mode", "removed", "old-name", "emptied", "log/app.log", "log/cut.log", "dir/a", "dir/b"] {
        place.write(name, b"some text\n");
    }
    symlink("same", place.at("link")).unwrap();
    place.baseline();
    assert_eq!(place.scan(&[])["changes"], serde_json::json!([]));

    // The time of its content is put back: its change time cannot be.
    let before = fs::metadata(place.at("content")).unwrap().modified().unwrap();
    fs::write(place.at("content"), "SOME TEXT\n").unwrap();
    File::open(place.at("content")).unwrap().set_modified(before).unwrap();
    set_mode(&place.at("mode"), 0o4755);
    fs::remove_file(place.at("removed")).unwrap();
    fs::rename(place.at("old-name"), place.at("new-name")).unwrap();
    File::create(place.at("emptied")).unwrap();
    OpenOptions::new().append(true).open(place.at("log/app.log")).unwrap().write_all(b"more\n").unwrap();
    OpenOptions::new().write(true).open(place.at("log/cut.log")).unwrap().set_len(4).unwrap();
    fs::remove_file(place.at("link")).unwrap();
    symlink("/etc/shadow", place.at("link")).unwrap();
    fs::remove_dir_all(place.at("dir")).unwrap();
    place.write("fresh/deep/x", b"x");

    let changes = place.changes(&[]);
    let says = |name: &str| changes.get(name).map(String::as_str).unwrap_or_else(|| panic!("no {name}: {changes:#?}"));
    assert_eq!(says("content"), "content changed (still 10 bytes)");
    assert_eq!(says("mode"), "mode 644 to 4755: set-uid appeared");
    assert_eq!(says("removed"), "file removed");
    assert!(says("new-name").starts_with("moved here from ") && says("new-name").ends_with("/old-name"), "{changes:#?}");
    assert_eq!(says("emptied"), "content changed (10 bytes to 0 bytes)");
    assert_eq!(says("log/cut.log"), "content changed (10 bytes to 4 bytes)");
    assert!(says("link").starts_with("link leads to /etc/shadow, not same"), "{changes:#?}");
    assert_eq!((says("dir"), says("dir/a")), ("directory removed", "file removed"));
    assert!(says("fresh").starts_with("directory added") && says("fresh/deep/x").starts_with("file added (1 byte, "), "{changes:#?}");
    assert!(!changes.contains_key("same") && !changes.contains_key("log/app.log"), "a log may grow: {changes:#?}");
    assert_eq!(changes.len(), 13, "{changes:#?}");
    let human = place.fim(&["scan"]);
    let text = String::from_utf8_lossy(&human.stdout);
    assert!(text.contains("/dir: directory removed, with 2 files\n") && text.contains("since version 1: "), "{text}");
}

#[test]
fn approving_makes_a_version_that_the_next_scan_compares_with() {
    let place = Place::new();
    place.write("a", b"1");
    place.write("b/c", b"1");
    place.baseline();
    place.write("a", b"2");
    place.write("b/c", b"22");
    // It is listed first, and nobody can be asked here.
    let unasked = place.fim(&["approve", place.at("a").to_str().unwrap()]);
    assert_eq!(unasked.status.code(), Some(2), "{}", told(&unasked));
    assert!(
        String::from_utf8_lossy(&unasked.stdout).contains("/a: content changed") && told(&unasked).contains("--yes"),
        "{}",
        told(&unasked)
    );
    let approved = place.fim(&["approve", "--yes", place.at("a").to_str().unwrap(), "--reason", "ticket 7"]);
    assert_eq!(approved.status.code(), Some(0), "{}", told(&approved));
    assert_eq!(place.changes(&[]).into_keys().collect::<Vec<_>>(), ["b/c"]);
    let status: Value = serde_json::from_slice(&place.fim(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&status[1]["number"], &status[1]["files"], &status[1]["bytes"]), (&2.into(), &2.into(), &2.into()), "{status:#}");
    assert!(status[1]["what"].as_str().unwrap().ends_with("tree/a: ticket 7"), "{status:#}");
    let approved = place.fim(&["approve", "--yes", place.at("").to_str().unwrap()]);
    assert_eq!(approved.status.code(), Some(0), "{}", told(&approved));
    assert!(place.changes(&[]).is_empty());
    // What did not change, or was never there, makes no version; nor does it add to what is covered.
    for (path, says) in [
        (place.at("a"), "nothing changed there"),
        (place.at("none"), "nothing changed there"),
        ("/usr/include".into(), "is not in the baseline"),
    ] {
        let refused = place.fim(&["approve", "--yes", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        assert!(told(&refused).contains(says), "{}", told(&refused));
    }
    let status: Value = serde_json::from_slice(&place.fim(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status.as_array().unwrap().len(), 3, "{status:#}");
    // Only a part is looked at, and what is not covered is no part.
    place.write("a", b"3");
    assert!(place.changes(&[place.at("b").to_str().unwrap()]).is_empty());
    let elsewhere = place.fim(&["scan", "/usr/include"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", told(&elsewhere));
    assert!(told(&elsewhere).contains("is not in the baseline; `bartizan fim scan --baseline PATH` adds it"), "{}", told(&elsewhere));
}

#[test]
fn a_baseline_that_somebody_edited_is_not_believed() {
    let place = Place::new();
    place.write("a", b"1");
    let none = place.fim(&["verify"]);
    assert!(told(&none).contains("there is no baseline yet"), "{}", told(&none));
    place.baseline();
    let whole: Value = serde_json::from_slice(&place.fim(&["verify", "--json"]).stdout).unwrap();
    let seal = whole["seal"].as_str().unwrap().to_owned();
    assert_eq!(place.fim(&["verify", "--expect", &seal]).status.code(), Some(0));
    // Everything is put back as it was once: only a seal that was written down tells.
    let data = place.dir.path().join("data");
    let older = fs::read(data.join("integrity.db")).unwrap();
    place.write("a", b"2");
    assert_eq!(place.fim(&["approve", "--yes", place.at("a").to_str().unwrap()]).status.code(), Some(0));
    let no_seal = place.fim(&["verify", "--expect", "87b2"]);
    assert!(no_seal.status.code() == Some(2) && told(&no_seal).contains("not a seal: 64 hex digits"), "{}", told(&no_seal));
    let old = place.fim(&["verify", "--expect", &seal]);
    assert!(old.status.code() == Some(0) && told(&old).contains("the one of version 1"), "{}", told(&old));
    let whole: Value = serde_json::from_slice(&place.fim(&["verify", "--json"]).stdout).unwrap();
    let newer = whole["seal"].as_str().unwrap().to_owned();
    fs::write(data.join("integrity.db"), older).unwrap();
    let rolled = place.fim(&["verify", "--expect", &newer]);
    assert_eq!(rolled.status.code(), Some(5), "{}", told(&rolled));
    assert!(told(&rolled).contains("no version has this seal"), "{}", told(&rolled));
    let connection = rusqlite::Connection::open(data.join("integrity.db")).unwrap();
    connection.execute("DELETE FROM directories WHERE path = ?1", [place.at("").canonicalize().unwrap().as_os_str().as_bytes()]).unwrap();
    drop(connection);
    for command in [&["verify"][..], &["scan"]] {
        let output = place.fim(command);
        assert_eq!(output.status.code(), Some(5), "{}", told(&output));
        assert!(told(&output).contains("was changed by something other than Bartizan"), "{}", told(&output));
    }
    fs::write(data.join("integrity.db"), [7; 4096]).unwrap();
    let garbage = [place.fim(&["verify"]), place.fim(&["scan"]), place.fim(&["status"])];
    fs::remove_file(data.join("integrity.key")).unwrap();
    let keyless = [place.fim(&["verify"]), place.fim(&["scan"])];
    for (outputs, says) in [(&garbage[..], "it is damaged"), (&keyless, "integrity.key: is missing")] {
        for output in outputs {
            assert_eq!(output.status.code(), Some(5), "{}", told(output));
            assert!(told(output).contains(says), "{}", told(output));
        }
    }
}

#[test]
fn hostile_names_pipes_and_holes_have_a_state_and_stop_nothing() {
    let place = Place::new();
    let odd = OsStr::from_bytes(b"a\n\x1b[31m\xff");
    fs::write(place.at("").join(odd), "x").unwrap();
    symlink(".", place.at("loop")).unwrap();
    Command::new("mkfifo").arg(place.at("fifo")).status().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    let sparse = File::create(place.at("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let mut deep = place.at("");
    for _ in 0..300 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let made = place.fim(&["scan", "--baseline", place.at("").to_str().unwrap()]);
    assert_eq!(made.status.code(), Some(5), "not all of it is in the baseline: {}", told(&made));
    let report = place.scan(&["--full"]);
    assert_eq!(report["changes"], serde_json::json!([]), "{report:#}");
    let human = place.fim(&["scan"]);
    assert!(told(&human).contains("Nothing changed in what could be read; 1 path could not be checked."), "{}", told(&human));
    assert!(report["skipped"][0]["why"].as_str().unwrap().contains("more than 200 directories deep"), "{report:#}");
    assert_eq!(report["complete"], false);
    sparse.write_all_at(b"x", 1 << 39).unwrap();
    fs::write(place.at("").join(odd), "y").unwrap();
    fs::remove_file(place.at("fifo")).unwrap();
    place.write("fifo", b"now a file");
    let changes = place.changes(&[]);
    assert_eq!(changes.get("fifo").map(String::as_str), Some("was a FIFO, is a file"), "{changes:#?}");
    assert_eq!(changes.len(), 3, "{changes:#?}");
    let human = String::from_utf8(place.fim(&["scan"]).stdout).unwrap();
    assert!(human.contains("a\\n\\x1b[31m\\xff: content changed"), "{human}");
}

#[test]
fn capabilities_and_access_lists_are_told_by_name() {
    if !is_root() {
        return eprintln!("skipped: not root");
    }
    let place = Place::new();
    place.write("ping", b"x");
    place.write("list", b"x");
    place.baseline();
    let ran = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(place.at("ping")).status().is_ok_and(|status| status.success())
    };
    if !ran("setcap", &["cap_net_raw+ep"]) {
        return eprintln!("skipped: no setcap");
    }
    let changes = place.changes(&[]);
    assert_eq!(changes.get("ping").map(String::as_str), Some("capability cap_net_raw gained"), "{changes:#?}");
}

#[test]
fn what_is_mounted_inside_is_looked_into_only_when_it_lies_on_this_host() {
    if !is_root() {
        return eprintln!("skipped: not root");
    }
    let place = Place::new();
    place.write("known/file", b"x");
    fs::create_dir_all(place.at("proc")).unwrap();
    fs::create_dir_all(place.at("memory")).unwrap();
    place.baseline();
    // In a mount namespace of its own, which is gone with the shell.
    let script = "mount -t proc proc \"$2/proc\" && mount -t tmpfs tmpfs \"$2/memory\" && echo x > \"$2/memory/new\" && \
                  { [ -z \"$4\" ] || mount -t proc proc \"$2/known\"; } && exec \"$1\" --data \"$3\" fim scan --json";
    let scan = |over: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_bartizan")]);
        let output = command.arg(place.at("")).arg(place.dir.path().join("data")).arg(over).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)))
    };
    let skipped = |report: &Value| -> Vec<String> {
        report["skipped"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let report = scan("");
    assert_eq!((skipped(&report), &report["complete"]), (vec!["proc".to_owned()], &true.into()), "{report:#}");
    let text = report["changes"].to_string();
    assert!(text.contains("/memory/new") && !text.contains("/proc/"), "{report:#}");
    // What the baseline knows lies under it: nobody looked there.
    let report = scan("over");
    assert_eq!((skipped(&report), &report["complete"]), (vec!["known".to_owned(), "proc".to_owned()], &false.into()), "{report:#}");
}

#[test]
fn a_log_grows_from_nothing_and_comparing_writes_nothing() {
    let place = Place::new();
    place.write("log/new.log", b"");
    place.write("empty", b"");
    place.write("kept.conf", b"a = 1\n");
    place.baseline();
    let data = place.dir.path().join("data");
    let before = fs::metadata(&data).unwrap().modified().unwrap();
    place.write("log/new.log", b"first line\n");
    place.write("empty", b"x");
    let changes = place.changes(&[]);
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), [("empty".to_owned(), "content changed (0 bytes to 1 byte)".to_owned())]);
    assert_eq!(fs::metadata(&data).unwrap().modified().unwrap(), before, "a file was made or removed beside the baseline");
    let connection = rusqlite::Connection::open(data.join("integrity.db")).unwrap();
    connection.execute("DELETE FROM contents", []).unwrap();
    drop(connection);
    let verified = place.fim(&["verify"]);
    assert!(verified.status.code() == Some(5) && told(&verified).contains("the stored contents are not"), "{}", told(&verified));
}

#[test]
fn a_dangerous_content_is_told_first_and_a_difference_line_by_line() {
    let place = Place::new();
    place.write("index.php", b"<?php\necho 1;\n");
    place.write("key/authorized_keys", b"ssh-ed25519 AAAA ann\n");
    place.write("binary", b"\0\x01");
    place.baseline();
    place.write("index.php", b"<?php\nsystem($_GET['c']);\n");
    place.write("uploads/a.gif", b"GIF89a<?php eval($_POST[1]);");
    place.write("key/authorized_keys", b"ssh-ed25519 AAAA ann\nssh-rsa BBBB other\n");
    place.write("binary", b"\0\x02");
    let report = place.scan(&[]);
    let dangers: Vec<&str> = report["dangers"].as_array().unwrap().iter().map(|danger| danger["sentence"].as_str().unwrap()).collect();
    let picture = "a picture or document with PHP in it";
    assert_eq!(dangers, ["system gets what a request sends", "SSH key added: ssh-rsa other", picture], "{report:#}");
    let human = place.fim(&["scan"]);
    assert!(String::from_utf8_lossy(&human.stdout).starts_with("DANGER /"), "{}", told(&human));
    let diff = place.fim(&["diff", place.at("index.php").to_str().unwrap()]);
    assert_eq!(diff.status.code(), Some(5), "{}", told(&diff));
    let text = String::from_utf8_lossy(&diff.stdout);
    assert!(text.contains("content changed (14 bytes to 26 bytes)\n@@ -1,2 +1,2 @@\n <?php\n-echo 1;\n+system($_GET['c']);\n"), "{text}");
    let diff = place.fim(&["diff", place.at("binary").to_str().unwrap()]);
    assert!(told(&diff).contains("does not hold its former content"), "{}", told(&diff));
    // Approved with open eyes, it is no news.
    let approved = place.fim(&["approve", "--yes", place.at("").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&approved.stdout).starts_with("DANGER /"), "{}", told(&approved));
    assert_eq!(place.scan(&[])["dangers"], serde_json::json!([]));
    let same = place.fim(&["diff", place.at("index.php").to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(0), "{}", told(&same));
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// A thousand operations over a small tree, some of which undo each other.
fn mutate(tree: &Path, dice: &mut Dice) {
    let name = |dice: &mut Dice| tree.join(format!("d{}/f{}", dice.roll(8), dice.roll(12)));
    for step in 0..1_000 {
        let (one, two) = (name(dice), name(dice));
        let number = dice.roll(4) as u64;
        let _may_be_gone = match dice.roll(10) {
            0 => fs::write(&one, format!("content {}", dice.roll(3))),
            1 => OpenOptions::new().append(true).open(&one).and_then(|mut file| write!(file, "{step}")),
            2 => fs::remove_file(&one),
            3 => fs::rename(&one, &two),
            4 => fs::set_permissions(&one, Permissions::from_mode([0o644, 0o600, 0o4755, 0o666][number as usize])),
            5 => fs::hard_link(&one, &two),
            6 => symlink(&one, &two),
            7 => OpenOptions::new().write(true).open(&one).and_then(|file| file.set_len(number)),
            8 => File::open(&one).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number))),
            _ => fs::read(&one).and_then(|bytes| fs::write(&two, bytes)),
        };
    }
}

/// The paths that AIDE finds added, removed or changed.
fn aide(place: &Place, verb: &str) -> BTreeSet<String> {
    let dir = place.dir.path();
    let tree = place.at("").canonicalize().unwrap();
    let tree = tree.to_str().unwrap();
    // The same that we look at: directories without their own times and sizes, which tell of what is in them.
    let rules = format!(
        "database_in=file:{0}/aide.db\ndatabase_out=file:{0}/aide.new\nreport_url=stdout\nreport_level=list_entries\n\
         Dirs = p+u+g+ftype\nFiles = p+u+g+i+n+s+m+c+l+ftype+sha256\n{tree} d Dirs\n{tree} f,l,p,s Files\n",
        dir.display()
    );
    fs::write(dir.join("aide.conf"), rules).unwrap();
    let output = Command::new("aide").arg("--config").arg(dir.join("aide.conf")).arg(verb).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if verb == "--init" {
        assert!(dir.join("aide.new").exists(), "{}", told(&output));
        fs::rename(dir.join("aide.new"), dir.join("aide.db")).unwrap();
    }
    let path = |line: &str| line.split_once(": ").map(|(_, path)| path.to_owned()).filter(|path| path.starts_with(tree));
    text.lines().filter_map(path).map(|path| path.trim_start_matches(tree).trim_start_matches('/').to_owned()).collect()
}

#[test]
fn after_a_thousand_random_operations_aide_finds_the_same() {
    if Command::new("aide").arg("--version").output().is_err() {
        return eprintln!("skipped: aide is not installed");
    }
    let ready = |seed| {
        let place = Place::new();
        for number in 0..8 {
            (0..6).for_each(|file| place.write(&format!("d{number}/f{file}"), format!("content {file}").as_bytes()));
        }
        place.baseline();
        aide(&place, "--init");
        (seed, place)
    };
    let places = [7, 77].map(ready);
    // AIDE keeps times in whole seconds: what is written anew within the same one is nothing new to it.
    std::thread::sleep(Duration::from_millis(1_100));
    for (seed, place) in places {
        let mut dice = Dice(seed);
        mutate(&place.at(""), &mut dice);
        let theirs = aide(&place, "--check");
        let report = place.scan(&[]);
        let tree = format!("{}/", place.at("").canonicalize().unwrap().display());
        let name = |path: &Value| path.as_str().unwrap().trim_start_matches(&tree).to_owned();
        let changes = report["changes"].as_array().unwrap();
        // A rename is one change to us and two to AIDE; one that was only touched is a change to AIDE.
        let ours: BTreeSet<String> = changes
            .iter()
            .flat_map(|change| [&change["path"], &change["from"]].into_iter().filter(|path| path.is_string()).map(name))
            .chain(report["touched"].as_array().unwrap().iter().map(name))
            .collect();
        assert!(ours.len() > 40, "seed {seed}: {ours:?}");
        assert_eq!(ours, theirs, "seed {seed}: {report:#}");
    }
}
