//! `scan`, `findings` and `report` as a person runs them: real files, the real list of dpkg, exit codes, and what cannot be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Made by chance for this test; nobody's.
const KEY: &str = concat!("token = \"ghp_", "9aK2mQ7xR4tV8wY1bC5dF3gH6jL0nPzSeUiO\"\n");
const OTHER: &str = concat!("password: \"", "xR4tV8wY1bC5dF3gH6jL0n\"\n");

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.at("")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("tree").join(name)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    fn write(&self, name: &str, holds: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, holds).unwrap();
        path
    }

    fn run(&self, arguments: &[&OsStr]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bartizan")).arg("--data").arg(self.data("")).args(arguments).output().unwrap()
    }

    fn say(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(&arguments.iter().map(OsStr::new).collect::<Vec<_>>());
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    /// The report of a scan, with its exit code, which says whether it passed.
    fn scan(&self, arguments: &[&str]) -> Value {
        let all: Vec<&OsStr> = ["scan", "--json"].iter().chain(arguments).map(OsStr::new).collect();
        let output = self.run(&all);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.code(), Some(if report["passed"] == true { 0 } else { 5 }), "{report}");
        report
    }

    fn secrets(&self, more: &[&str]) -> Value {
        let tree = self.at("");
        self.scan(&[&["secrets", tree.to_str().unwrap()], more].concat())
    }
}

fn rules(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| format!("{} {}", finding["rule"].as_str().unwrap(), finding["state"]["is"].as_str().unwrap())).collect()
}

/// What was not scanned although it should have been, with the reason.
fn missing(report: &Value, scanner: &str) -> Vec<String> {
    let all = report["scanners"][scanner]["not_scanned"].as_array().unwrap().iter();
    let missing = all.filter(|one| one["matters"] == true);
    missing.map(|one| format!("{}: {}", one["what"].as_str().unwrap_or("?"), one["why"].as_str().unwrap())).collect()
}

#[test]
fn a_secret_is_found_accepted_reported_and_gone() {
    let place = Place::new();
    place.write("ordinary.conf", "# nothing\nlisten = 443\n");
    assert_eq!(place.secrets(&[])["passed"], true);
    place.write("app/settings.py", &format!("one = 1\n{KEY}"));
    let report = place.secrets(&[]);
    assert_eq!(rules(&report), ["github-token open"]);
    let finding = &report["findings"][0];
    assert_eq!((&finding["line"], &finding["severity"]), (&json!(2), &json!("high")));
    let id = finding["id"].as_str().unwrap().to_owned();

    let (code, listed) = place.say(&["findings"]);
    assert!(code == Some(0) && listed.contains(&id) && listed.contains("NOT PASSED"), "{listed}");
    for format in ["md", "html", "json", "sarif"] {
        let (code, text) = place.say(&["report", "--format", format]);
        assert!(code == Some(0) && text.contains("github-token") && !text.contains("9aK2mQ7x"), "{format}: {text}");
    }
    let (code, text) = place.say(&["findings", "accept", &id, "--until", "2d", "--reason", "test fixture"]);
    assert!(code == Some(0) && text.contains("accepted until"), "{text}");
    assert_eq!(place.say(&["findings", "accept", "F000000000000", "--until", "2d", "--reason", "x"]).0, Some(2));
    assert_eq!(place.say(&["findings", "accept", &id, "--until", "9999d", "--reason", "x"]).0, Some(2));
    let report = place.secrets(&[]);
    assert_eq!((rules(&report), &report["passed"]), (vec!["github-token accepted".to_owned()], &json!(true)));

    fs::remove_file(place.at("app/settings.py")).unwrap();
    assert_eq!(rules(&place.secrets(&[])), ["github-token gone"]);
    let (_, listed) = place.say(&["findings", "--all", "--json"]);
    assert!(listed.contains("\"gone\""), "{listed}");
    assert_eq!(place.say(&["scan", "secrets", "/does/not/exist"]).0, Some(2));
}

#[test]
fn an_own_rule_that_can_never_match_is_said_and_does_not_pass() {
    let place = Place::new();
    place.write("a.conf", "pin=482913\n");
    let good = "[[rules]]\nid='good'\nregex='pin=(\\d{6})'\nkeywords=['pin=']\n";
    let own = place.dir.path().join("rules.toml");
    fs::write(&own, format!("{good}[[rules]]\nid='bad'\nregex='(?:[a-z]{{1000}}){{1000}}'\nkeywords=['pin=']\n")).unwrap();
    let report = place.secrets(&["--rules", own.to_str().unwrap()]);
    assert_eq!(rules(&report), ["good open"], "the others are used");
    let missing = missing(&report, "secrets");
    assert!(missing.len() == 1 && missing[0].contains("rule bad of") && missing[0].contains("cannot be used"), "{missing:?}");
    assert_eq!((&report["passed"], &report["scanners"]["secrets"]["state"]), (&json!(false), &json!("incomplete")));
    // Another set of rules is another scan: what it does not look for is not gone, and stays accepted.
    place.write("k.py", KEY);
    let report = place.secrets(&[]);
    let id = report["findings"][0]["id"].as_str().unwrap();
    assert_eq!(place.say(&["findings", "accept", id, "--until", "9d", "--reason", "fixture"]).0, Some(0));
    fs::write(&own, good).unwrap();
    assert_eq!(rules(&place.secrets(&["--only", "--rules", own.to_str().unwrap()])), ["good open"]);
    assert_eq!(rules(&place.secrets(&[])), ["github-token accepted"]);
    fs::remove_file(place.at("k.py")).unwrap();
    fs::write(&own, good.replace("'pin=(\\d{6})'", "'(['")).unwrap();
    fs::remove_file(place.at("a.conf")).unwrap();
    assert_eq!(place.secrets(&["--rules", own.to_str().unwrap()])["passed"], false);
    fs::write(&own, "no rules").unwrap();
    assert_eq!(place.say(&["scan", "secrets", place.at("").to_str().unwrap(), "--rules", own.to_str().unwrap()]).0, Some(1));
}

#[test]
fn odd_trees_are_walked_and_what_is_left_out_is_said() {
    let place = Place::new();
    let odd = place.at("").join(OsStr::from_bytes(b"\xff\xfe odd"));
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("k.py"), KEY).unwrap();
    symlink("..", place.at("loop")).unwrap();
    place.write("binary", "a\0b");
    let output = place.run(&["scan".as_ref(), "--json".as_ref(), "secrets".as_ref(), odd.as_os_str()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rules(&report), ["github-token open"], "a root whose name is no UTF-8");
    let report = place.secrets(&[]);
    assert_eq!((rules(&report).len(), missing(&report, "secrets")), (1, vec![]));
    let said = report["scanners"]["secrets"]["not_scanned"].to_string();
    assert!(said.contains("symbolic links") && said.contains("no text"), "{said}");
    let report = place.scan(&["secrets", "/proc/self/fdinfo", "--forget"]);
    assert!(report["scanners"]["secrets"]["looked_at"]["files"].as_u64() > Some(0), "what a person names is read");
}

#[test]
fn a_broken_history_is_put_aside_and_what_was_accepted_is_kept() {
    let place = Place::new();
    place.write("k.py", KEY);
    place.write("other.yaml", OTHER);
    let report = place.secrets(&[]);
    assert_eq!(rules(&report).len(), 2, "{report}");
    let id = report["findings"].as_array().unwrap().iter().find(|one| one["rule"] == "github-token").unwrap()["id"].as_str().unwrap();
    assert_eq!(place.say(&["findings", "accept", id, "--until", "9d", "--reason", "fixture"]).0, Some(0));
    let stored = place.data("scans.json");
    let whole = fs::read(&stored).unwrap();
    let mut too_large = whole.clone();
    too_large.resize(40 << 20, b' ');
    too_large.extend(b"x");
    for broken in [whole[..whole.len() - 2].to_vec(), too_large] {
        fs::write(&stored, &broken).unwrap();
        let (code, text) = place.say(&["findings"]);
        assert!(code == Some(1) && text.contains("the next scan puts it aside"), "{text}");
        let (code, text) = place.say(&["scan", "secrets", place.at("").to_str().unwrap()]);
        assert!(code == Some(5) && text.contains("1 accepted finding was taken over"), "{text}");
        assert!(fs::metadata(&stored).unwrap().len() < 1 << 20);
        let report = place.secrets(&[]);
        let mut states = rules(&report);
        states.sort();
        assert_eq!(states, ["generic-secret open", "github-token accepted"]);
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    let aside = fs::read_dir(place.data("")).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().contains("broken-"));
    assert_eq!(aside.count(), 2, "nothing is deleted");
    // What a newer version wrote is left as it is.
    fs::write(&stored, "{\"format\": 9, \"kept\": []}").unwrap();
    let (code, text) = place.say(&["scan", "secrets", place.at("").to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("newer version"), "{text}");
    assert_eq!(fs::read_to_string(&stored).unwrap(), "{\"format\": 9, \"kept\": []}");
    assert_eq!(place.secrets(&["--forget"])["passed"], false);
}

/// An advisory about a package below this version.
fn advisory(database: &Path, id: &str, ecosystem: &str, name: &str, fixed: &str) {
    let events = json!([{ "introduced": "0" }, { "fixed": fixed }]);
    let affected = json!([{ "package": { "ecosystem": ecosystem, "name": name }, "ranges": [{ "type": "ECOSYSTEM", "events": events }] }]);
    fs::create_dir_all(database).unwrap();
    fs::write(database.join(format!("{id}.json")), json!({ "id": id, "affected": affected }).to_string()).unwrap();
}

#[test]
fn packages_of_this_host_are_compared_with_advisories() {
    let place = Place::new();
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let field =
        |name: &str| release.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_matches(['=', '"']).to_owned());
    let (Some("debian"), Some(number)) = (field("ID=").as_deref(), field("VERSION_ID=")) else {
        return eprintln!("skipped: this host is no Debian with a number");
    };
    let database = place.dir.path().join("db");
    let scan = |more: &[&str]| place.scan(&[&["deps", "--db", database.to_str().unwrap()], more].concat());
    assert_eq!(place.scan(&["deps"])["scanners"]["deps"]["state"], "missing");
    advisory(&database, "CVE-2099-0001", "Debian:1", "bash", "99:1");
    let report = scan(&[]);
    assert_eq!((&report["passed"], rules(&report).len()), (&json!(false), 0), "another release says nothing of this one");
    assert!(missing(&report, "deps")[0].contains(&format!("no advisory of the database is about Debian {number}")), "{report}");
    advisory(&database, "CVE-2099-0002", &format!("Debian:{number}"), "no-such-package", "99:1");
    let report = scan(&[]);
    assert_eq!((&report["passed"], missing(&report, "deps")), (&json!(true), vec![]), "{report}");
    advisory(&database, "CVE-2099-0001", &format!("Debian:{number}"), "bash", "99:1");
    let report = scan(&[]);
    assert_eq!(rules(&report), ["CVE-2099-0001 open"]);
    assert!(report["findings"][0]["fix"].as_str().unwrap().contains("apt install --only-upgrade bash"));
    assert_eq!(scan(&["--fail-on", "high"])["passed"], true);
    let report = place.scan(&["all", "--db", database.to_str().unwrap(), place.at("").to_str().unwrap()]);
    let names: Vec<&String> = report["scanners"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["deps", "host", "secrets"]);
    assert!(rules(&report).contains(&"CVE-2099-0001 open".to_owned()));
}

#[test]
fn a_system_of_another_kind_is_not_called_harmless() {
    let place = Place::new();
    let database = place.dir.path().join("db");
    advisory(&database, "CVE-2099-0003", "Debian:12", "bash", "99:1");
    advisory(&database, "GHSA-x", "crates.io", "time", "0.2.0");
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2\nArchitecture: amd64\n\n";
    place.write("var/lib/dpkg/status", status);
    let scan = || place.scan(&["deps", "--db", database.to_str().unwrap(), place.at("").to_str().unwrap()]);
    for (release, why) in [
        ("", "which distribution"),
        ("ID=ubuntu\nVERSION_ID=\"24.04\"\n", "it is ubuntu"),
        ("ID=debian\n", "which release of Debian"),
        ("ID=debian\nVERSION_ID=\"13\"\n", "no advisory of the database is about Debian 13"),
    ] {
        place.write("etc/os-release", release);
        let report = scan();
        let missing = missing(&report, "deps");
        assert!(report["passed"] == false && rules(&report).is_empty() && missing[0].contains(why), "{release}: {missing:?}");
    }
    place.write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n");
    assert_eq!(rules(&scan()), ["CVE-2099-0003 open"]);
    // A lock file of an ecosystem that the database does not know, one that it knows, and one that is too large.
    place.write("web/package-lock.json", r#"{"packages": {"node_modules/a": {"version": "1.0.0"}}}"#);
    place.write("rust/Cargo.lock", "version = 4\n\n[[package]]\nname = \"time\"\nversion = \"0.1.43\"\n");
    fs::write(place.write("big/yarn.lock", ""), vec![b'#'; 17 << 20]).unwrap();
    let report = scan();
    assert_eq!(rules(&report), ["GHSA-x open", "CVE-2099-0003 open"]);
    let missing = missing(&report, "deps").join("; ");
    assert!(missing.contains("packages of npm: no advisory") && missing.contains("larger than 16 MiB"), "{missing}");
    let report = place.scan(&["deps", "--db", database.to_str().unwrap(), place.at("etc").to_str().unwrap()]);
    assert_eq!(report["passed"], false, "nothing was compared");
}

#[test]
fn a_set_uid_shell_and_a_walk_without_time_are_told_of_the_host() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    let place = Place::new();
    let report = place.scan(&["host", "--patience", "1ms", "--forget"]);
    let missing = missing(&report, "host").join("; ");
    assert!(missing.contains("time ran out after") && missing.contains("were not looked at: /"), "{missing}");
    // /usr/local/bin is looked at early.
    let shell = PathBuf::from(format!("/usr/local/bin/bartizan-test-{}", std::process::id())).join("dash");
    fs::create_dir(shell.parent().unwrap()).unwrap();
    fs::set_permissions(shell.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    fs::write(&shell, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&shell, Permissions::from_mode(0o4700)).unwrap();
    let report = place.scan(&["host", "--forget"]);
    fs::remove_dir_all(shell.parent().unwrap()).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let told = findings.iter().find(|one| one["location"] == shell.to_str().unwrap()).expect("it is told");
    assert_eq!((&told["severity"], &told["rule"]), (&json!("high"), &json!("set-uid")));
    let checks = report["scanners"]["host"]["looked_at"]["checks"].as_u64();
    assert!(checks > Some(8), "{checks:?}");
}
