//! `scan secrets`: reads files below the named paths, piece by piece, and holds them against rules.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bartizan_agent::fim::Progress;
use clap::Args;

use super::pieces::{self, Ended};
use super::walk::{Entry, Walk, Walked, Way};
use super::{Scanned, history};
use crate::cli::fim::progress::Bar;
use crate::cli::outcome::Failure;
use bartizan_model::{HostText, ScannerRun, Severity, Timestamp, Unpoisoned as _};
use bartizan_scan::findings::{Findings, Weakness, target_name};
use bartizan_scan::secrets::{self, FileScan, Hit, SOURCE, Scanner, built_in};

const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// Bytes of a rule file that are read.
const MAX_RULE_FILE: u64 = 8 << 20;
/// How often the progress is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
/// Files that are named when they could not be read; all are counted.
const MAX_NAMED: usize = 20;
const WHY: &str = "Whoever reads the file can use the secret; in a repository it stays in the history.";
const FIX: &str = "revoke it where it was issued and issue a new one; keep that out of files that others read, then remove it here";

/// What is scanned for secrets.
#[derive(Debug, Args)]
pub(super) struct SecretsArgs {
    /// Directories and files.
    #[arg(value_name = "PATH", required_unless_present = "history")]
    paths: Vec<PathBuf>,
    /// Look through all commits of the Git repository REPO too: what was removed again is still there.
    #[arg(long, value_name = "REPO")]
    history: Vec<PathBuf>,
    /// Use the rules of FILE too: as gitleaks writes them (TOML), or as config/secrets.toml.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Use only those of --rules.
    #[arg(long, requires = "rules")]
    only: bool,
    /// Read at most this much of one file, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    max_file: u64,
}

/// What was read, and what was not.
#[derive(Default)]
struct Counts {
    files: u64,
    bytes: u64,
    binary: u64,
    links: u64,
    special: u64,
    longer: Vec<HostText>,
    unread: Vec<(HostText, String)>,
    unread_count: u64,
    commented: u64,
    cut: u64,
    more: u64,
}

struct Shared<'a> {
    scanner: &'a Scanner,
    max_file: u64,
    state: Mutex<(Counts, Findings)>,
    bar: Mutex<(Bar, Instant)>,
}

/// Scans for secrets.
pub(super) fn scan(args: &SecretsArgs, json: bool) -> Result<Scanned, Failure> {
    let (rules, troubled) = rules(args)?;
    let scanner = Scanner::new(rules).map_err(Failure::failed)?;
    for path in args.paths.iter().chain(&args.history) {
        path.symlink_metadata().map_err(|why| Failure::usage(format!("{}: {why}", text(path)), "name a file or a directory"))?;
    }
    let names: Vec<HostText> = args.paths.iter().map(|path| text(&path.canonicalize().unwrap_or_else(|_| path.clone()))).collect();
    let repositories =
        args.history.iter().map(|path| format!("history of {}", text(&path.canonicalize().unwrap_or_else(|_| path.clone()))));
    // A scan with other rules is another one: what it does not look for is not gone.
    let with = if args.only { "with only the rules of" } else { "with the rules of" };
    let own = args.rules.iter().map(|path| format!("{with} {}", text(&path.canonicalize().unwrap_or_else(|_| path.clone()))));
    let all_names: Vec<HostText> = names.iter().cloned().chain(repositories.chain(own).map(|name| name.as_str().into())).collect();
    Ok(Scanned::new(SOURCE, target_name(&all_names), |at, run| {
        for (rule, why) in troubled {
            run.leave_out(rule, why, 1, true);
        }
        let max_file = args.max_file << 20;
        let mut findings = Findings::new(SOURCE, at);
        let mut more = 0;
        if !names.is_empty() {
            (findings, more) = files(&scanner, &names, max_file, json, at, run);
        }
        run.looked_at.insert("rules".to_owned(), scanner.rules() as u64);
        for repository in &args.history {
            more += history::scan(&scanner, repository, max_file, json, run, &mut findings);
        }
        let (found, beyond) = findings.finish();
        (found, beyond + more)
    }))
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

/// A rule that cannot be used, and why.
type Troubled = (HostText, String);

/// The rules; of the owner's own, those that can never match apart.
fn rules(args: &SecretsArgs) -> Result<(Vec<secrets::Rule>, Vec<Troubled>), Failure> {
    let mut rules = if args.only { Vec::new() } else { built_in().map_err(Failure::failed)? };
    let mut troubled = Vec::new();
    for path in &args.rules {
        let wrong = |why: String| Failure::new(1, format!("cannot use the rules of {}: {why}", text(path)), "");
        let mut words = String::new();
        let (file, _) = bartizan_sys::plain_file::open(path).map_err(|why| wrong(why.to_string()))?;
        file.take(MAX_RULE_FILE).read_to_string(&mut words).map_err(|why| wrong(why.to_string()))?;
        for rule in secrets::parse(&words).map_err(|why| wrong(why.to_string()))? {
            match rule.trouble() {
                Some(why) => troubled.push((
                    format!("rule {} of {}", HostText::from(rule.id.as_str()), text(path)).as_str().into(),
                    format!("its pattern cannot be used: {}", HostText::from(why).escaped()),
                )),
                None => rules.push(rule),
            }
        }
    }
    Ok((rules, troubled))
}

fn files(scanner: &Scanner, names: &[HostText], max_file: u64, json: bool, at: Timestamp, run: &mut ScannerRun) -> (Findings, u64) {
    let state = Mutex::new((Counts::default(), Findings::new(SOURCE, at)));
    let shared = Shared { scanner, max_file, state, bar: Mutex::new((Bar::new(0, json), Instant::now())) };
    let (single, directories): (Vec<HostText>, Vec<HostText>) =
        names.iter().cloned().partition(|name| !Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).is_dir());
    let mut buffer = Vec::new();
    for name in &single {
        match bartizan_sys::plain_file::open(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()))) {
            Ok((file, _)) => shared.file(file, name.as_bytes(), &mut buffer),
            Err(why) => shared.unread(name.as_bytes(), &why.to_string()),
        }
    }
    let walk = Walk { roots: directories, way: &|_| Way::In, far_aside: true, patience: None };
    let walked = walk.run(|| {
        let (shared, mut buffer) = (&shared, Vec::new());
        move |entry: &Entry| shared.entry(entry, &mut buffer)
    });
    shared.bar.into_inner().unpoisoned().0.clear();
    let (counts, findings) = shared.state.into_inner().unpoisoned();
    let more = counts.more;
    account(counts, walked, scanner, run);
    (findings, more)
}

fn account(counts: Counts, walked: Walked, scanner: &Scanner, run: &mut ScannerRun) {
    run.looked_at.extend([
        ("files".to_owned(), counts.files),
        ("bytes".to_owned(), counts.bytes),
        ("rules".to_owned(), scanner.rules() as u64),
    ]);
    run.leave_out("files that are no text".into(), "they have zero bytes", counts.binary, false);
    run.leave_out("symbolic links".into(), "they are not followed", counts.links, false);
    run.leave_out("devices, pipes and sockets".into(), "they are not opened", counts.special, false);
    run.leave_out("lines with a comment that allows them".into(), "their author says that they hold no secret", counts.commented, false);
    run.leave_out("pieces of files with too many matches".into(), "only the first are looked at", counts.cut, true);
    for path in counts.longer {
        run.leave_out(path, "only its beginning was read: raise --max-file", 1, true);
    }
    let named = counts.unread.len() as u64;
    for (path, why) in counts.unread {
        run.leave_out(path, why, 1, true);
    }
    run.leave_out("more files".into(), "they could not be read", counts.unread_count.saturating_sub(named), true);
    walked.account(run);
}

impl Shared<'_> {
    fn entry(&self, entry: &Entry, buffer: &mut Vec<u8>) {
        match entry.facts.kind() {
            REGULAR => match entry.folder.file(entry.name) {
                Ok(file) => self.file(file, entry.path, buffer),
                Err(bartizan_sys::tree::Unread::Refused(why)) if why.kind() == std::io::ErrorKind::NotFound => {}
                Err(bartizan_sys::tree::Unread::Refused(why)) => self.unread(entry.path, &why.to_string()),
                Err(_) => self.state.lock().unpoisoned().0.special += 1,
            },
            LINK => self.state.lock().unpoisoned().0.links += 1,
            _ => self.state.lock().unpoisoned().0.special += 1,
        }
    }

    fn unread(&self, path: &[u8], why: &str) {
        let counts = &mut self.state.lock().unpoisoned().0;
        counts.unread_count += 1;
        if counts.unread.len() < MAX_NAMED {
            counts.unread.push((HostText::from(path), why.to_owned()));
        }
    }

    fn file(&self, mut file: File, path: &[u8], buffer: &mut Vec<u8>) {
        let mut scan = FileScan::default();
        self.scanner.name(path, &mut scan);
        let read = pieces::scan(self.scanner, self.max_file, &mut file, path, buffer, &mut scan);
        let commented = scan.commented;
        let (more, cut) = (scan.more, scan.cut);
        {
            let (counts, findings) = &mut *self.state.lock().unpoisoned();
            counts.files += 1;
            counts.commented += commented;
            counts.more += more;
            counts.cut += u64::from(cut);
            match read {
                Ok(Ended::AtEnd(bytes)) => counts.bytes += bytes,
                Ok(Ended::Binary) => counts.binary += 1,
                Ok(Ended::TooLong(bytes)) => {
                    counts.bytes += bytes;
                    if counts.longer.len() < MAX_NAMED {
                        counts.longer.push(HostText::from(path));
                    }
                }
                Err(why) => {
                    counts.unread_count += 1;
                    if counts.unread.len() < MAX_NAMED {
                        counts.unread.push((HostText::from(path), why.to_string()));
                    }
                }
            }
            scan.hits().into_iter().for_each(|hit| add(findings, path, hit));
        }
        self.draw(path);
    }

    fn draw(&self, path: &[u8]) {
        let Ok(mut bar) = self.bar.try_lock() else { return };
        if bar.1.elapsed() >= DRAWN_EVERY {
            let (files, bytes) = {
                let counts = &self.state.lock().unpoisoned().0;
                (counts.files, counts.bytes)
            };
            bar.0.show(&Progress { files, bytes, at: HostText::from(path) });
            bar.1 = Instant::now();
        }
    }
}

fn add(findings: &mut Findings, path: &[u8], hit: Hit) {
    let shown = HostText::from(path).escaped();
    let (severity, weakness) = weakness(path, &shown, hit);
    findings.add(severity, weakness);
}

/// What is said of a secret in a file of this path, shown as `shown`.
pub(in crate::cli) fn weakness(path: &[u8], shown: &str, hit: Hit) -> (Severity, Weakness) {
    let Hit { rule, what, severity, line, shown: evidence, digest } = hit;
    let weakness = Weakness {
        rule,
        aliases: vec!["CWE-798".to_owned()],
        key: digest.to_vec(),
        location: HostText::from(path),
        line: (line > 0).then_some(line),
        title: format!("{shown} holds {}", HostText::from(what).escaped()),
        evidence,
        why: WHY.to_owned(),
        fix: FIX.to_owned(),
    };
    (severity, weakness)
}
