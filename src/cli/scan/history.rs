//! `scan secrets --history`: all commits of a repository.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::commits::{self, Counts, Place};
use super::secrets::weakness;
use crate::cli::print::progress;
use bartizan_model::{HostText, ScannerRun};
use bartizan_scan::findings::Findings;
use bartizan_scan::secrets::{Hit, Scanner};
use bartizan_sys::git_program::Repository;

/// How often it says how far it is.
const SAID_EVERY: Duration = Duration::from_secs(2);
/// Digits by which a commit is named.
pub(in crate::cli) const SHORT: usize = 12;

/// Looks through the history; what could not be looked at goes into `run`. How many secrets are not told one by one.
pub(super) fn scan(scanner: &Scanner, path: &Path, max_file: u64, json: bool, run: &mut ScannerRun, findings: &mut Findings) -> u64 {
    let name = HostText::from(path.canonicalize().unwrap_or_else(|_| path.to_owned()).as_os_str().as_bytes());
    match look(scanner, path, &name, max_file, json, run, findings) {
        Ok(counts) => {
            account(&name, &counts, run);
            counts.more
        }
        Err(why) => {
            run.leave_out(name, format!("its history could not be read: {}", HostText::from(why.to_string()).escaped()), 1, true);
            0
        }
    }
}

fn look(
    scanner: &Scanner,
    path: &Path,
    name: &HostText,
    max_file: u64,
    json: bool,
    run: &mut ScannerRun,
    findings: &mut Findings,
) -> std::io::Result<Counts> {
    let repository = Repository::at(path, false)?;
    let (commits, more) = commits::list(&repository, &["--all".to_owned()])?;
    if more {
        run.leave_out(
            name.clone(),
            format!("it has more than {} commits: the older ones were not looked at", commits::MAX_COMMITS),
            1,
            true,
        );
    }
    let mut found = |place: &Place, hit: Hit| {
        let location = [name.as_bytes(), b"/", place.path].concat();
        let shown = format!("{} in commit {}", HostText::from(place.path).escaped(), place.commit.get(..SHORT).unwrap_or_default());
        let (severity, weakness) = weakness(&location, &shown, hit);
        findings.add(severity, weakness);
    };
    let (all, mut said) = (commits.len(), Instant::now());
    let mut at = |counts: &Counts| {
        if said.elapsed() >= SAID_EVERY {
            said = Instant::now();
            let line = format!("commit {} of {all}: {} files, {} MiB", counts.commits, counts.files, counts.bytes >> 20);
            progress(&line, json);
        }
    };
    commits::scan(scanner, &repository, &commits, max_file, &mut found, &mut at)
}

fn account(name: &HostText, counts: &Counts, run: &mut ScannerRun) {
    for (what, count) in [("commits", counts.commits), ("files", counts.files), ("bytes", counts.bytes)] {
        *run.looked_at.entry(what.to_owned()).or_default() += count;
    }
    run.leave_out("files in commits that are no text".into(), "they have zero bytes", counts.binary, false);
    run.leave_out(
        "lines in commits with a comment that allows them".into(),
        "their author says that they hold no secret",
        counts.commented,
        false,
    );
    run.leave_out("files in commits with too many matches".into(), "only the first are looked at", counts.cut, true);
    let longest = counts.longest.as_ref().map_or_else(|| name.clone(), |(_, path)| HostText::from(&path[..]));
    run.leave_out(longest, "only the beginning of a file in a commit was read: raise --max-file", counts.longer, true);
}
