//! What a scan of files costs: a baseline of 50,000 files (1.1 GB), a check with nothing changed, and 500,000 files, beside cat, b3sum and AIDE.
//!
//! `cargo bench --bench integrity` prints one table; the programs take turns on one tree, and the median of three is told. It needs 2 GB in
//! /var/tmp (another place: TMPDIR), and no root. What is not installed is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)] // a bench fails by panic

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DIRECTORIES: usize = 500;
const FILES: usize = 100;
const BYTES: usize = 22_000;
const ROUNDS: usize = 3;
/// A change this long ago is settled (docs/integrity.md).
const SETTLES: Duration = Duration::from_secs(41);
const PROGRAM: &str = env!("CARGO_BIN_EXE_bartizan");

fn main() {
    let place = std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into());
    let dir = tempfile::Builder::new().prefix("bartizan-bench-").tempdir_in(place).unwrap();
    let tree = dir.path().join("tree");
    println!("making {} files of {BYTES} bytes ...", DIRECTORIES * FILES);
    fill(&tree, DIRECTORIES, FILES, BYTES);
    let made = Instant::now();
    fifty_thousand(dir.path(), &tree, made);
    fs::remove_dir_all(&tree).unwrap();
    half_a_million(dir.path());
}

/// Bytes that no file system and no program can make smaller.
fn fill(tree: &Path, directories: usize, files: usize, bytes: usize) {
    let (mut state, mut content) = (1u64, vec![0u8; bytes]);
    for directory in 0..directories {
        let directory = tree.join(format!("d{directory}"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..files {
            for word in content.chunks_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&state.to_be_bytes()[..word.len()]);
            }
            fs::write(directory.join(format!("f{file}")), &content).unwrap();
        }
    }
}

fn fifty_thousand(dir: &Path, tree: &Path, made: Instant) {
    let aide = [("aide, 1 worker", 1), ("aide, 2 workers", 2)].map(|(name, workers)| (name, aide(dir, tree, workers)));
    let has = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let (has_aide, has_b3sum) = (has("aide"), has("b3sum"));
    let mut table: Vec<(String, Vec<f64>)> = Vec::new();
    let mut note = |name: &str, took: f64| match table.iter_mut().find(|(known, _)| known == name) {
        Some((_, times)) => times.push(took),
        None => table.push((name.to_owned(), vec![took])),
    };
    let all = |program: &str| format!("find {} -type f -print0 | xargs -0 {program} >/dev/null", tree.display());
    shell(&all("cat"));
    for _ in 0..ROUNDS {
        note("cat", shell(&all("cat")));
        let _ = fs::remove_dir_all(dir.join("data"));
        note("bartizan fim scan --baseline", ours(dir, &["scan", "--baseline", tree.to_str().unwrap()], 0).0);
        if has_b3sum {
            note("b3sum", shell(&all("b3sum")));
        }
        for (name, config) in aide.iter().filter(|_| has_aide) {
            note(&format!("{name}: --init"), shell(&format!("aide --config {config} --init >/dev/null")));
        }
    }
    std::thread::sleep(SETTLES.saturating_sub(made.elapsed()));
    let _ = fs::remove_dir_all(dir.join("data"));
    ours(dir, &["scan", "--baseline", tree.to_str().unwrap()], 0);
    if has_aide {
        fs::rename(dir.join("aide1.new"), dir.join("aide1.db")).unwrap();
    }
    for _ in 0..ROUNDS {
        note("bartizan fim scan, nothing changed", ours(dir, &["scan"], 0).0);
        note("bartizan fim scan --full", ours(dir, &["scan", "--full"], 0).0);
        if has_aide {
            note("aide, 1 worker: --check", shell(&format!("aide --config {} --check >/dev/null", aide[0].1)));
        }
    }
    for (missing, has) in [("aide", has_aide), ("b3sum", has_b3sum)] {
        if !has {
            println!("{missing} is not installed: not compared");
        }
    }
    let median = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let cat = median(&table[0].1);
    println!("{:<40} {:>8} {:>10}", "50,000 files, 1.1 GB, warm", "seconds", "x of cat");
    for (name, times) in &table {
        println!("{name:<40} {:>8.2} {:>10.2}", median(times), median(times) / cat);
    }
}

fn half_a_million(dir: &Path) {
    let tree = dir.join("many");
    println!("making 500,000 files ...");
    fill(&tree, 5_000, 100, 16);
    let _ = fs::remove_dir_all(dir.join("data"));
    let (took, peak) = ours(dir, &["scan", "--baseline", tree.to_str().unwrap()], 0);
    println!("500,000 files: baseline {took:.2} s, peak memory {:.1} MB", peak as f64 / 1024.0);
    std::thread::sleep(SETTLES);
    ours(dir, &["scan", "--baseline", tree.to_str().unwrap()], 0);
    let (took, peak) = ours(dir, &["scan"], 0);
    println!("500,000 files: nothing changed {took:.2} s, peak memory {:.1} MB", peak as f64 / 1024.0);
}

fn shell(command: &str) -> f64 {
    let began = Instant::now();
    // AIDE ends with the number of kinds of changes that it found.
    let _ = Command::new("sh").args(["-c", command]).stderr(Stdio::null()).status().unwrap();
    began.elapsed().as_secs_f64()
}

/// How long it took, and the most memory that it had, in KiB.
fn ours(dir: &Path, arguments: &[&str], code: i32) -> (f64, u64) {
    let began = Instant::now();
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(dir.join("data")).arg("fim").args(arguments).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0).max(peak);
        if let Some(ended) = child.try_wait().unwrap() {
            assert_eq!(ended.code(), Some(code), "{arguments:?}");
            return (began.elapsed().as_secs_f64(), peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A configuration that looks at what we look at, with one hash.
fn aide(dir: &Path, tree: &Path, workers: usize) -> String {
    let file = dir.join(format!("aide{workers}.conf"));
    let (place, tree) = (dir.display(), tree.display());
    let text = format!(
        "database_in=file:{place}/aide{workers}.db\ndatabase_out=file:{place}/aide{workers}.new\nreport_url=stdout\nnum_workers={workers}\n\
         All = p+u+g+i+n+s+m+c+l+ftype+acl+xattrs+sha256\n{tree} All\n"
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}
