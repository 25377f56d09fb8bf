//! The pre-push hook and the history scan with real Git and a bare remote: what holds a key is not pushed, ordinary work is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Made by chance for this test; nobody's.
const KEY: &str = concat!("token = \"ghp_", "9aK2mQ7xR4tV8wY1bC5dF3gH6jL0nPzSeUiO\"\n");

/// A repository with a hook, its bare remote, and nobody's configuration of Git.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.git_at(place.dir.path(), &["init", "-q", "--bare", "remote.git"]);
        place.git_at(place.dir.path(), &["init", "-q", "-b", "main", "work"]);
        place.git(&["remote", "add", "origin", place.dir.path().join("remote.git").to_str().unwrap()]);
        place.commit("readme.md", "# work\n");
        let pushed = place.push(&["-u", "origin", "main"]);
        assert!(pushed.status.success(), "{}", said(&pushed));
        place
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn clean(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.dir.path()).env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME");
        command.env("BARTIZAN_DATA", self.dir.path().join("data"));
        for (name, value) in [("GIT_AUTHOR_NAME", "ann"), ("GIT_COMMITTER_NAME", "ann"), ("EMAIL", "ann@host.test")] {
            command.env(name, value);
        }
        command
    }

    fn run_git(&self, at: &Path, arguments: &[&str]) -> Output {
        self.clean("git").arg("-C").arg(at).args(arguments).output().unwrap()
    }

    fn git_at(&self, at: &Path, arguments: &[&str]) -> String {
        let output = self.run_git(at, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_at(&self.work(), arguments)
    }

    fn commit(&self, name: &str, holds: &str) -> String {
        fs::write(self.work().join(name), holds).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", &format!("change {name}")]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn push(&self, arguments: &[&str]) -> Output {
        self.run_git(&self.work(), &[&["push", "-q"], arguments].concat())
    }

    fn remote_has(&self, object: &str) -> bool {
        self.run_git(&self.dir.path().join("remote.git"), &["cat-file", "-e", object]).status.success()
    }

    fn bartizan(&self, arguments: &[&str]) -> Output {
        let mut command = self.clean(env!("CARGO_BIN_EXE_bartizan"));
        command.arg("--data").arg(self.dir.path().join("data")).args(arguments).output().unwrap()
    }

    fn hook(&self, verb: &str) -> Output {
        self.bartizan(&["hook", verb, self.work().to_str().unwrap()])
    }

    fn install(&self) {
        let output = self.hook("install");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }

    fn hooks(&self) -> PathBuf {
        self.work().join(".git/hooks")
    }
}

fn said(output: &Output) -> String {
    format!("{:?} {}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn blocked(output: &Output) -> String {
    assert!(!output.status.success(), "it was pushed: {}", said(output));
    let said = said(output);
    assert!(said.contains("push blocked"), "{said}");
    said
}

#[test]
fn a_commit_with_a_key_is_not_pushed_and_ordinary_work_is() {
    let place = Place::new();
    place.install();
    let fine = place.commit("app.py", "def main():\n    return 7\n");
    assert!(place.push(&["origin", "main"]).status.success() && place.remote_has(&fine));

    let bad = place.commit("settings.py", &format!("# one\n{KEY}"));
    let told = blocked(&place.push(&["origin", "main"]));
    assert!(told.contains(&format!("settings.py:2 in commit {} holds a GitHub token [github-token]", &bad[..12])), "{told}");
    assert!(!told.contains("9aK2mQ7x") && !place.remote_has(&bad), "{told}");

    // Taken out by a second commit, it is still in the first.
    let later = place.commit("settings.py", "# one\n");
    let told = blocked(&place.push(&["origin", "main"]));
    assert!(told.contains(&bad[..12]) && !place.remote_has(&later), "{told}");
    // On a new branch too, and by the address of the remote instead of its name.
    place.git(&["branch", "other"]);
    blocked(&place.push(&["origin", "other"]));
    blocked(&place.push(&[place.dir.path().join("remote.git").to_str().unwrap(), "other"]));

    // Without the two commits all is well.
    place.git(&["reset", "-q", "--hard", &fine]);
    place.git(&["branch", "-qD", "other"]);
    let again = place.commit("app.py", "def main():\n    return 8\n");
    assert!(place.push(&["origin", "main"]).status.success() && place.remote_has(&again));
    assert!(place.push(&["--no-verify", "origin", "main"]).status.success());
}

#[test]
fn what_a_person_accepted_is_pushed_and_said_and_another_key_is_not() {
    let place = Place::new();
    place.install();
    let bad = place.commit("settings.py", KEY);
    blocked(&place.push(&["origin", "main"]));
    let work = place.work();
    place.bartizan(&["scan", "secrets", "--history", work.to_str().unwrap()]);
    let found: Value = serde_json::from_slice(&place.bartizan(&["findings", "--json"]).stdout).unwrap();
    let id = found[0]["id"].as_str().unwrap_or_else(|| panic!("{found:#}")).to_owned();
    let accepted = place.bartizan(&["findings", "accept", &id, "--until", "30d", "--reason", "an example"]);
    assert!(accepted.status.success(), "{}", said(&accepted));
    let pushed = place.push(&["origin", "main"]);
    assert!(pushed.status.success() && place.remote_has(&bad), "{}", said(&pushed));
    assert!(said(&pushed).contains("accepted until ") && said(&pushed).contains(&id), "{}", said(&pushed));
    place.commit("other.py", &KEY.replace("9aK2", "7bL3"));
    let told = blocked(&place.push(&["origin", "main"]));
    assert!(told.contains("other.py:1") && !told.contains("settings.py"), "{told}");
    place.git(&["reset", "-q", "--hard", &bad]);
    place.commit("moved.py", KEY);
    assert!(blocked(&place.push(&["origin", "main"])).contains("moved.py:1"), "elsewhere it is another finding");
}

#[test]
fn new_branches_tags_and_deletions_pass_and_what_the_remote_has_is_not_looked_at_again() {
    let place = Place::new();
    // Pushed before there was a hook: everybody has it already.
    let old = place.commit("old.py", KEY);
    assert!(place.push(&["origin", "main"]).status.success() && place.remote_has(&old));
    place.install();
    place.git(&["checkout", "-qb", "topic"]);
    let new = place.commit("new.py", "x = 1\n");
    for what in [&["origin", "topic"][..], &["origin", "topic:renamed"], &["origin", "--delete", "renamed"], &["origin", ":topic"]] {
        let output = place.push(what);
        assert!(output.status.success(), "{what:?}: {}", said(&output));
    }
    place.git(&["tag", "-am", "first", "v1"]);
    assert!(place.push(&["origin", "v1"]).status.success() && place.remote_has(&new));
    // A merge of what is known, and one into which somebody wrote a key.
    place.git(&["checkout", "-q", "main"]);
    place.commit("readme.md", "# more\n");
    place.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    let output = place.push(&["origin", "main"]);
    assert!(output.status.success(), "{}", said(&output));
    place.git(&["checkout", "-q", "topic"]);
    place.commit("more.py", "y = 2\n");
    place.git(&["checkout", "-q", "main"]);
    place.git(&["merge", "-q", "--no-ff", "--no-commit", "topic"]);
    place.commit("more.py", KEY);
    assert_eq!(place.git(&["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 3, "it is a merge");
    assert!(blocked(&place.push(&["origin", "main"])).contains("more.py:1"));
}

#[test]
fn a_key_in_the_message_of_a_commit_is_found_and_an_allowed_line_is_not() {
    let place = Place::new();
    place.install();
    let line = format!("{} # bartizan:allow\n", KEY.trim_end());
    place.commit("docs.py", &line);
    let output = place.push(&["origin", "main"]);
    assert!(output.status.success(), "{}", said(&output));
    place.git(&["commit", "-q", "--allow-empty", "-m", KEY]);
    assert!(blocked(&place.push(&["origin", "main"])).contains("(commit message):1 in commit"));
}

#[test]
fn a_hook_that_was_there_is_called_and_comes_back() {
    let place = Place::new();
    let (hook, seen) = (place.hooks().join("pre-push"), place.dir.path().join("seen"));
    fs::create_dir_all(place.hooks()).unwrap();
    let own = format!("#!/bin/sh\necho \"$1\" > {0}\ncat >> {0}\n[ ! -e {0}.refuse ]\n", seen.display());
    fs::write(&hook, &own).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    place.install();
    place.install();
    let fine = place.commit("a.py", "a = 1\n");
    assert!(place.push(&["origin", "main"]).status.success());
    let told = fs::read_to_string(&seen).unwrap();
    assert!(told.starts_with("origin\nrefs/heads/main ") && told.contains(&fine), "{told}");
    fs::write(place.dir.path().join("seen.refuse"), "").unwrap();
    place.commit("a.py", "a = 2\n");
    assert!(!place.push(&["origin", "main"]).status.success(), "the other hook refuses");
    assert_eq!(place.hook("remove").status.code(), Some(0));
    assert_eq!(fs::read_to_string(&hook).unwrap(), own);
    assert_eq!(place.hook("remove").status.code(), Some(1), "nobody else's hook is removed");
    assert_eq!(fs::read_to_string(&hook).unwrap(), own);
}

#[test]
fn without_the_program_nothing_is_pushed_and_the_hook_says_why() {
    let place = Place::new();
    place.install();
    let hook = place.hooks().join("pre-push");
    let script = fs::read_to_string(&hook).unwrap().replace(env!("CARGO_BIN_EXE_bartizan"), "/nowhere/bartizan");
    fs::write(&hook, script).unwrap();
    let new = place.commit("a.py", "a = 1\n");
    let output =
        place.clean("git").env("PATH", "/usr/local/bin:/usr/bin:/bin").arg("-C").arg(place.work()).args(["push", "-q"]).output().unwrap();
    assert!(blocked(&output).contains("the program bartizan is not here") && !place.remote_has(&new));
}

#[test]
fn a_repository_that_runs_its_hooks_elsewhere_is_told_so() {
    let place = Place::new();
    place.git(&["config", "core.hooksPath", "elsewhere"]);
    let output = place.hook("install");
    assert!(output.status.code() == Some(1) && said(&output).contains("core.hooksPath"), "{}", said(&output));
    assert!(!place.hooks().join("pre-push").exists());
    let output = place.bartizan(&["hook", "install", place.dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "no repository: {}", said(&output));
}

#[test]
fn a_push_from_a_linked_work_tree_is_looked_at() {
    let place = Place::new();
    place.install();
    let other = place.dir.path().join("linked");
    place.git(&["worktree", "add", "-qb", "linked", other.to_str().unwrap()]);
    fs::write(other.join("k.py"), KEY).unwrap();
    place.git_at(&other, &["add", "-A"]);
    place.git_at(&other, &["commit", "-qm", "k"]);
    blocked(&place.run_git(&other, &["push", "-q", "origin", "linked"]));
}

#[test]
fn the_history_tells_what_was_removed_again_and_a_broken_repository_does_not_pass() {
    let place = Place::new();
    let work = place.work();
    let scan = || {
        let output = place.bartizan(&["scan", "secrets", "--json", "--history", work.to_str().unwrap()]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        (output.status.code(), report)
    };
    let (code, report) = scan();
    assert_eq!(
        (code, &report["passed"], &report["scanners"]["secrets"]["looked_at"]["commits"]),
        (Some(0), &true.into(), &1.into()),
        "{report}"
    );
    let bad = place.commit("k.py", KEY);
    place.commit("k.py", "");
    let (code, report) = scan();
    assert_eq!(code, Some(5));
    let found = &report["findings"][0];
    assert!(found["title"].as_str().unwrap().contains(&format!("k.py in commit {} holds a GitHub token", &bad[..12])), "{found}");
    assert!(!report.to_string().contains("9aK2mQ7x"));
    let blob = place.git(&["rev-parse", &format!("{bad}:k.py")]);
    let object = work.join(format!(".git/objects/{}/{}", &blob[..2], &blob[2..]));
    fs::remove_file(object).unwrap();
    let (code, report) = scan();
    assert_eq!((code, &report["passed"]), (Some(5), &false.into()));
    assert_eq!(report["scanners"]["secrets"]["state"], "incomplete", "{report}");
    let ids: Vec<&Value> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["state"]["is"]).collect();
    assert_eq!(ids, ["open"], "what could not be looked at again is not gone");
}
