//! Real PHP packages raise nothing. Slow and needs the network the first time:
//! `cargo nextest run -p bartizan-integrity --run-ignored only real_packages`. The packages are kept in target/tmp.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // a test fails by panic

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bartizan_integrity::{is_judged, judge};

const PACKAGES: [&str; 6] = ["adminer", "phpmyadmin", "wordpress", "mediawiki", "roundcube-core", "dokuwiki"];

fn files(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn unpacked(package: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let tree = place.join(package);
    if !tree.exists() {
        fs::create_dir_all(&place).unwrap();
        let script = format!("apt-get download {package} && dpkg -x {package}_*.deb {package}.new && mv {package}.new {package}");
        Command::new("sh").args(["-c", &script]).current_dir(&place).output().unwrap();
    }
    tree.exists().then_some(tree)
}

#[test]
#[ignore = "downloads packages"]
fn real_packages_raise_nothing() {
    let mut wrong = Vec::new();
    for package in PACKAGES {
        let Some(tree) = unpacked(package) else {
            eprintln!("skipped: {package} cannot be downloaded");
            continue;
        };
        let mut all = Vec::new();
        files(&tree, &mut all);
        let began = std::time::Instant::now();
        let mut judged = 0;
        for file in &all {
            let content = fs::read(file).unwrap();
            // As they are installed.
            let path = Path::new("/").join(file.strip_prefix(&tree).unwrap());
            let path = path.as_os_str().as_encoded_bytes();
            if is_judged(path, &content) {
                judged += 1;
                wrong.extend(judge(path, None, &content).into_iter().map(|finding| format!("{}: {finding:?}", file.display())));
            }
        }
        eprintln!("{package}: {judged} of {} files judged in {:?}", all.len(), began.elapsed());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
