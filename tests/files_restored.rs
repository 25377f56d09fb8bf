//! `fim restore`: a changed file becomes what the baseline knows, by an action that a person confirms; whoever swaps names is not followed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use bartizan_isolation::own_mounts::in_own_etc;
use serde_json::Value;

use support::agent::{Home, told};
use support::wait_for;

/// A home with a tree.
struct Place {
    home: Home,
}

impl Place {
    fn new() -> Self {
        let home = Home::new(None);
        fs::set_permissions(home.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(home.path("www")).unwrap();
        Self { home }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.directory.path().canonicalize().unwrap().join("www").join(name)
    }

    fn fim(&self, arguments: &[&str], name: &str) -> Output {
        self.home.run(&[&["fim"], arguments, &[self.at(name).to_str().unwrap()]].concat())
    }

    fn baseline(&self) {
        let output = self.fim(&["scan", "--baseline"], "");
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }

    /// What became of it: numbers of actions, and why files were not restored.
    fn restore(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let output = self.fim(&["restore", "--yes", "--json"], name);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
        let list = |of: &str, field: &str| {
            let texts = said[of].as_array().unwrap().iter().map(|one| one[field].to_string().trim_matches('"').to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(output.status.success(), said["not_restored"].as_array().unwrap().is_empty(), "{}", told(&output));
        (list("actions", "id"), list("not_restored", "why"))
    }

    fn do_it(&self, arguments: &[&str]) {
        let output = self.home.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    }

    fn holds(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|why| why.to_string())
    }
}

impl Drop for Place {
    /// What is still live would end at its time by what lies in the host's own /etc.
    fn drop(&mut self) {
        self.home.run(&["emergency-stop"]);
    }
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// All that a reader of the file could see.
fn state(path: &std::path::Path) -> (Vec<u8>, u32, u32, u32, i64, i64) {
    let found = fs::symlink_metadata(path).unwrap();
    (fs::read(path).unwrap(), found.mode(), found.uid(), found.gid(), found.mtime(), found.mtime_nsec())
}

#[test]
fn a_file_comes_back_byte_for_byte_and_undo_returns_exactly_what_was_there() {
    // What ends these actions after a reboot lies in /etc.
    in_own_etc(|_| restored_and_undone());
}

fn restored_and_undone() {
    let place = Place::new();
    for name in ["index.php", "gone.php", "mode.sh"] {
        fs::write(place.at(name), format!("<?php echo '{name}'; ?>\n")).unwrap();
    }
    fs::write(place.at("tool"), [&b"\x7fELF\0\0"[..], &[9; 300 << 10]].concat()).unwrap();
    chown(place.at("index.php"), Some(33), Some(33)).unwrap();
    let marked =
        Command::new("setfattr").args(["-n", "user.mark", "-v", "here"]).arg(place.at("index.php")).status().is_ok_and(|s| s.success());
    place.baseline();
    let names = ["index.php", "gone.php", "mode.sh", "tool"];
    let before = names.map(|name| state(&place.at(name)));
    let none = place.fim(&["restore", "--yes"], "index.php");
    assert_eq!(none.status.code(), Some(3), "nobody could undo it: {}", told(&none));
    let _agent = place.home.start();
    let same = place.fim(&["restore", "--yes"], "index.php");
    assert!(same.status.code() == Some(2) && told(&same).contains("nothing changed there"), "{}", told(&same));

    fs::write(place.at("index.php"), "<?php system($_GET[1]);").unwrap();
    chown(place.at("index.php"), Some(1234), Some(1234)).unwrap();
    fs::remove_file(place.at("gone.php")).unwrap();
    for name in ["mode.sh", "tool"] {
        fs::set_permissions(place.at(name), fs::Permissions::from_mode(0o4777)).unwrap();
    }
    fs::write(place.at("new.php"), "new").unwrap();
    let evil = (fs::metadata(place.at("index.php")).unwrap().ino(), state(&place.at("index.php")));
    let asked = place.fim(&["restore"], "index.php");
    assert!(asked.status.code() == Some(2) && told(&asked).contains("nobody can be asked here"), "{}", told(&asked));
    let preview = place.fim(&["restore", "--preview"], "index.php");
    assert!(told(&preview).contains("+ <?php echo 'index.php'; ?>"), "{}", told(&preview));
    assert_eq!(state(&place.at("index.php")), evil.1, "a preview changes nothing");

    let (actions, refused) = place.restore("");
    assert_eq!((actions.len(), refused.len()), (4, 1), "{actions:?} {refused:?}");
    assert!(refused[0].contains("it is new, and nothing is deleted for that"), "{refused:?}");
    assert_eq!(place.holds("new.php"), "new");
    for (name, before) in names.iter().zip(&before) {
        assert_eq!(&state(&place.at(name)), before, "{name}");
    }
    if marked {
        let mark = Command::new("getfattr").args(["--only-values", "-n", "user.mark"]).arg(place.at("index.php")).output().unwrap();
        assert_eq!(mark.stdout, b"here");
    }

    // Undone: the very same file, and no file where there was none.
    let all: Vec<&str> = actions.iter().map(String::as_str).collect();
    place.do_it(&[&["rollback"], &all[..]].concat());
    assert_eq!((fs::metadata(place.at("index.php")).unwrap().ino(), state(&place.at("index.php"))), evil);
    assert!(!place.at("gone.php").exists());
    assert_eq!(fs::metadata(place.at("tool")).unwrap().mode() & 0o7777, 0o4777);

    // Confirmed: it stays, and what was replaced is a copy that can be restored in turn, with its owner and mode.
    let (actions, refused) = place.restore("index.php");
    assert!(refused.is_empty(), "{refused:?}");
    place.do_it(&["confirm", &actions[0]]);
    assert_eq!(state(&place.at("index.php")), before[0]);
    let over = || place.home.json(&["actions", "--active"]).is_empty().then_some(());
    wait_for("the action to be over", Duration::from_secs(20), over, || format!("{:?}", place.home.json(&["actions", "--active"])));
    let copy = blake3::hash(&evil.1.0).to_hex().to_string();
    place.do_it(&["restore", place.at("index.php").to_str().unwrap(), "--copy", &copy]);
    let now = state(&place.at("index.php"));
    assert_eq!((&now.0, now.1, now.2, now.3), (&evil.1.0, evil.1.1, evil.1.2, evil.1.3));
    let beside = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains(".bartizan-new");
    assert!(!fs::read_dir(place.at("")).unwrap().flatten().any(beside));
}

#[test]
fn who_swaps_the_name_for_a_link_or_owns_the_directory_is_not_followed() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    for dir in ["a", "b", "c"] {
        fs::create_dir(place.at(dir)).unwrap();
        fs::write(place.at(&format!("{dir}/file.conf")), "good\n").unwrap();
    }
    fs::write(place.at("long.conf"), "good\n").unwrap();
    fs::write(place.at("text.log.txt"), "line\n".repeat(70_000)).unwrap();
    place.baseline();
    let secret = place.home.path("secret");
    fs::write(&secret, "secret\n").unwrap();
    let _agent = place.home.start();
    // The file is a link; the directory is a link; the directory is a stranger's.
    fs::remove_file(place.at("a/file.conf")).unwrap();
    symlink(&secret, place.at("a/file.conf")).unwrap();
    fs::create_dir(place.home.path("elsewhere")).unwrap();
    fs::rename(place.at("b"), place.home.path("elsewhere/b")).unwrap();
    symlink(place.home.path("elsewhere/b"), place.at("b")).unwrap();
    chown(place.at("c"), Some(1234), None).unwrap();
    fs::write(place.at("c/file.conf"), "evil\n").unwrap();
    let says = |name: &str, sentence: &str| {
        let (actions, refused) = place.restore(name);
        assert!(actions.is_empty() && refused.iter().any(|why| why.contains(sentence)), "{name}: {actions:?} {refused:?}");
    };
    says("a/file.conf", "it is a symbolic link now: move it aside first");
    says("", "it was a directory; only regular files can be restored");
    says("", "b is a symbolic link or no directory: not followed");
    says("c/file.conf", "c belongs to uid 1234, who could lead us elsewhere");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret\n");
    assert_eq!(
        (place.holds("c/file.conf"), fs::read_to_string(place.home.path("elsewhere/b/file.conf")).unwrap()),
        ("evil\n".into(), "good\n".into())
    );
    // Longer than what is kept, before and after.
    fs::write(place.at("text.log.txt"), "short").unwrap();
    says("text.log.txt", "the baseline has its hash but not its content");
    fs::write(place.at("long.conf"), vec![b'x'; (1 << 20) + 1]).unwrap();
    says("long.conf", "it is larger than 1 MiB, and what is replaced must be kept");
    assert_eq!(fs::metadata(place.at("long.conf")).unwrap().len(), (1 << 20) + 1);
}

#[test]
fn nothing_is_restored_from_a_baseline_that_somebody_edited() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    fs::write(place.at("index.php"), "good\n").unwrap();
    place.baseline();
    let _agent = place.home.start();
    fs::write(place.at("index.php"), "evil\n").unwrap();
    // Both the row of the directory and the content are the attacker's; the seal is not.
    let connection = rusqlite::Connection::open(place.home.path("data/integrity.db")).unwrap();
    let path = place.at("").canonicalize().unwrap();
    let edit = "UPDATE directories SET entries = CAST(entries || x'00' AS BLOB) WHERE path = ?1";
    assert_eq!(connection.execute(edit, [path.as_os_str().as_bytes()]).unwrap(), 1);
    drop(connection);
    let output = place.fim(&["restore", "--yes"], "index.php");
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(told(&output).contains("was changed by something other than Bartizan"), "{}", told(&output));
    assert_eq!(place.holds("index.php"), "evil\n");
}
