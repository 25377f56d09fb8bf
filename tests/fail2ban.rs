//! `bartizan logs import-fail2ban`: jails as they are installed, told one by one; what is not understood is named, and what can run is
//! written into a file of ours, never over one that a person wrote.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn import(arguments: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_bartizan");
    Command::new(binary).args(["logs", "import-fail2ban"]).args(arguments).output().unwrap()
}

/// A fail2ban folder with jails and filters of our own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "jail.conf",
        "[DEFAULT]\nmaxretry = 5\nfindtime = 10m\nbantime = 10m\nenabled = false\n[gate]\nlogpath = /var/log/gate.log\n[sshd]\nlogpath = /var/log/auth.log\n[idle]\n",
    );
    write("jail.d/ours.conf", "[gate]\nenabled = true\nbantime = 1w\n[sshd]\nenabled = true\n");
    write("jail.local", "[odd]\nenabled = true\nbackend = systemd\n[gone]\nenabled = true\nlogpath = /var/log/gone.log\n");
    write("filter.d/gate.conf", "[Definition]\nfailregex = ^refused <HOST>$\n");
    write("filter.d/sshd.conf", "[Definition]\nfailregex = ^Failed password for <F-USER>.*</F-USER> from <HOST>$\n");
    write("filter.d/odd.conf", "[Definition]\nfailregex = ^fine <HOST>$\n ^(open <HOST>$\njournalmatch = _COMM=oddd\n");
    folder
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_enabled_jail_is_told_with_what_becomes_of_it() {
    let folder = folder();
    let directory = folder.path().to_str().unwrap();
    let before = text(&folder.path().join("jail.conf"));
    let output = import(&[directory, "--dry-run"]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "something is not understood: {out}\n{}", String::from_utf8_lossy(&output.stderr));
    let row = |jail: &str| out.lines().find(|line| line.starts_with(jail)).unwrap_or_else(|| panic!("no {jail}: {out}")).to_owned();
    for (jail, says) in [
        ("gate", "5 in 600 s, 86400 s  differs"),
        ("sshd", "our own parser of sshd reads the lines, too"),
        ("odd", "journal _COMM=oddd"),
        ("odd", "in part"),
        ("gone", "not understood"),
    ] {
        assert!(row(jail).contains(says), "{jail} says {says}: {out}");
    }
    assert!(out.contains("odd: filter.d/odd.conf [failregex] `^(open <HOST>$`: "), "{out}");
    assert!(out.contains("gone: filter.d/gone.conf: there is no such filter"), "{out}");
    assert!(out.contains("1 jail is not enabled"), "{out}");
    assert_eq!(text(&folder.path().join("jail.conf")), before);
}

#[test]
fn the_same_is_one_document_of_json() {
    let folder = folder();
    let output = import(&[folder.path().to_str().unwrap(), "--dry-run", "--all", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let jails = told["jails"].as_array().unwrap();
    assert_eq!(jails.len(), 5, "{told:#}");
    let gate = jails.iter().find(|jail| jail["jail"] == "gate").unwrap();
    assert_eq!((&gate["state"], &gate["expressions"], &gate["bantime_seconds"]), (&"differs".into(), &1.into(), &86_400.into()));
    let odd = jails.iter().find(|jail| jail["jail"] == "odd").unwrap();
    assert_eq!((&odd["state"], &odd["problems"][0]["section"]), (&"in-part".into(), &"failregex".into()));
}

#[test]
fn a_folder_without_jails_and_one_that_is_not_there_are_errors_of_one_line() {
    let empty = tempfile::tempdir().unwrap();
    for (folder, says) in [(empty.path().to_str().unwrap(), "no jail.conf"), ("/nowhere/fail2ban", "cannot read /nowhere/fail2ban")] {
        let output = import(&[folder, "--dry-run"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(says) && output.stdout.is_empty(), "{error}");
    }
}

/// Debian's package, all of its jails: each filter is read, and each expression runs.
#[test]
fn all_jails_of_the_installed_package_are_understood() {
    let folder = std::env::var("BARTIZAN_FAIL2BAN").unwrap_or_else(|_| "/etc/fail2ban".to_owned());
    if !Path::new(&folder).join("jail.conf").exists() {
        eprintln!("SKIPPED: no fail2ban is installed in {folder} (BARTIZAN_FAIL2BAN names another folder)");
        return;
    }
    let output = import(&[&folder, "--dry-run", "--all", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let jails = told["jails"].as_array().unwrap();
    // One lets in whoever knocks as agreed: that is no filter of attacks.
    let sound = |jail: &Value| jail["problems"] == Value::Array(Vec::new()) || jail["jail"] == "pass2allow-ftp";
    let not: Vec<&Value> = jails.iter().filter(|jail| !sound(jail)).collect();
    assert!(jails.len() > 60, "only {} jails", jails.len());
    assert!(not.is_empty(), "{not:#?}");
}

/// The command with a configuration of its own.
fn with_home(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let config = home.join("agent.toml");
    fs::write(&config, "").unwrap();
    let output = import(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn what_can_run_is_written_and_taken_away_again_and_no_file_of_a_person_is_touched() {
    let (folder, home) = (folder(), tempfile::tempdir().unwrap());
    let (directory, file) = (folder.path().to_str().unwrap(), home.path().join("fail2ban.toml"));
    let (code, out) = with_home(home.path(), &[directory]);
    assert_eq!(code, Some(5), "{out}");
    assert!(out.contains(&format!("Wrote 3 jails to {}", file.display())) && out.contains("Undo: bartizan logs import-fail2ban --remove"));
    assert!(out.contains("Left out:\n  gone: nothing of it can be run"), "{out}");
    let written = text(&file);
    let taken = bartizan_fail2ban::TakenOver::parse(&written).unwrap();
    let names: Vec<(&str, u64)> = taken.jails.iter().map(|jail| (jail.name.as_str(), jail.bantime_seconds)).collect();
    assert_eq!(names, [("gate", 86_400), ("sshd", 600), ("odd", 600)], "what is left of odd runs");
    assert_eq!((with_home(home.path(), &[directory]).0, text(&file)), (Some(5), written.clone()), "again is the same");
    let changed = written.replace("maxretry = 5", "maxretry = 6");
    fs::write(&file, &changed).unwrap();
    for arguments in [&[directory][..], &["--remove"]] {
        let (code, out) = with_home(home.path(), arguments);
        assert!(code == Some(4) && out.contains("was written or changed by hand"), "{out}");
        assert_eq!(text(&file), changed);
    }
    fs::write(&file, &written).unwrap();
    let (code, out) = with_home(home.path(), &["--remove"]);
    assert!(code == Some(0) && out.starts_with("removed ") && !file.exists(), "{out}");
    assert!(with_home(home.path(), &["--remove"]).1.starts_with("nothing to remove"));
}
