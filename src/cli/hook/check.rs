//! The pre-push hook at work: which commits a push would send, and what secrets they hold.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::accepted::Accepted;
use crate::cli::args::Global;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::print::notice;
use crate::cli::scan::commits::{self, Counts, Place, is_object};
use bartizan_model::{HostText, Severity};
use bartizan_scan::secrets::{Hit, Scanner, built_in};
use bartizan_sys::git_program::Repository;

/// Bytes of the list of what is pushed.
const MAX_LIST: u64 = 4 << 20;
/// Secrets that are told one by one.
const MAX_TOLD: usize = 50;
/// Bytes of one file in a commit that are read.
const MAX_FILE: u64 = 64 << 20;
/// Milder findings stop nobody, as with `scan`.
const FAIL_ON: Severity = Severity::Medium;
const PATIENCE: Duration = Duration::from_secs(10);

/// As githooks(5) has it for pre-push: name and address of the remote; standard input has a line for each reference.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The repository that is pushed from.
    #[arg(long, value_name = "REPO", default_value = ".")]
    repo: PathBuf,
    /// Name of the remote.
    #[arg(value_name = "REMOTE", default_value = "")]
    remote: String,
    /// Its address.
    #[arg(value_name = "URL", default_value = "")]
    url: String,
}

/// Looks at what is to be pushed; anything but "nothing found" stops the push.
pub(super) fn check(global: &Global, args: &CheckArgs) -> Result<Outcome, Failure> {
    look(global, args).map_err(|why| {
        let why = HostText::from(why.to_string()).escaped();
        Failure::new(1, format!("push blocked: nobody could look for secrets: {why}"), "`git push --no-verify` pushes without looking")
    })
}

fn look(global: &Global, args: &CheckArgs) -> io::Result<Outcome> {
    let mut list = String::new();
    if io::stdin().lock().take(MAX_LIST).read_to_string(&mut list)? as u64 == MAX_LIST {
        return Err(io::Error::other("too much is pushed at once"));
    }
    let repository = Repository::at(&args.repo, true)?;
    let picked = picked(&repository, &list, args)?;
    let (commits, more) = if picked.is_empty() { (Vec::new(), false) } else { commits::list(&repository, &picked)? };
    if more {
        return Err(io::Error::other(format!("more than {} commits are pushed at once", commits::MAX_COMMITS)));
    }
    if commits.is_empty() {
        return Ok(Outcome::Done);
    }
    let scanner = Scanner::new(built_in().map_err(io::Error::other)?).map_err(io::Error::other)?;
    let (mut told, mut accepted) = (0usize, 0usize);
    let known = Accepted::of(global, &repository);
    let mut found = |place: &Place, hit: Hit| {
        if hit.severity < FAIL_ON {
            return;
        }
        if let Some((id, until)) = known.until(place.path, &hit) {
            accepted += 1;
            if accepted <= MAX_TOLD {
                notice(&format!("accepted until {} ({id}): {}", until.format("%Y-%m-%d"), sentence(place, &hit)));
            }
            return;
        }
        told += 1;
        if told <= MAX_TOLD {
            notice(&sentence(place, &hit));
        }
    };
    let counts = commits::scan(&scanner, &repository, &commits, MAX_FILE, &mut found, &mut |_| {})?;
    if told > 0 && !known.is_known() {
        notice("what was accepted with `bartizan findings accept` cannot be read by this user, and does not count here");
    }
    Ok(verdict(told, &counts))
}

/// What git-rev-list(1) is asked: the new commits of every reference, without what the remote has.
fn picked(repository: &Repository, list: &str, args: &CheckArgs) -> io::Result<Vec<String>> {
    let (mut wanted, mut known) = (Vec::new(), Vec::new());
    for line in list.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, local, _, remote] = words.as_slice() else {
            return Err(io::Error::other("git names what is pushed in a way that is not known"));
        };
        if !is_object(local) || !is_object(remote) {
            return Err(io::Error::other("git names what is pushed in a way that is not known"));
        }
        let is_none = |object: &str| object.bytes().all(|byte| byte == b'0');
        if is_none(local) {
            // A reference is deleted: nothing is sent.
            continue;
        }
        wanted.push((*local).to_owned());
        if !is_none(remote) && repository.ask(&["cat-file", "-e", remote], 1, PATIENCE).is_ok() {
            known.push((*remote).to_owned());
        }
    }
    if wanted.is_empty() {
        return Ok(wanted);
    }
    // Without a name of its own, a remote has no references here that tell what it has.
    let is_named = !args.remote.is_empty() && args.remote != args.url && !args.remote.contains(['*', '?', '[', '\\']);
    wanted.push("--not".to_owned());
    wanted.extend(known);
    if is_named {
        wanted.push(format!("--remotes={}", args.remote));
    }
    Ok(wanted)
}

fn sentence(place: &Place, hit: &Hit) -> String {
    let path = HostText::from(place.path).escaped();
    let line = if hit.line > 0 { format!(":{}", hit.line) } else { String::new() };
    let commit = place.commit.get(..crate::cli::scan::SHORT).unwrap_or_default();
    let shown = String::from_utf8_lossy(&hit.shown).into_owned();
    let shown = if shown.is_empty() { String::new() } else { format!(": {shown}") };
    format!("{path}{line} in commit {commit} holds {} [{}]{shown}", HostText::from(hit.what.as_str()).escaped(), hit.rule)
}

fn verdict(told: usize, counts: &Counts) -> Outcome {
    if told > MAX_TOLD {
        notice(&format!("and {} more", told - MAX_TOLD));
    }
    let (found, longer) = (told as u64 + counts.more, counts.longer + counts.cut);
    if found > 0 {
        let what = if found == 1 { "a secret".to_owned() } else { format!("{found} secrets") };
        notice(&format!(
            "push blocked: {what} in {} new commits. Take it out of every commit that holds it (`git rebase -i`), and revoke it if others saw it; a line that holds none says `bartizan:allow`; `git push --no-verify` pushes without looking.",
            counts.commits
        ));
        return Outcome::Found;
    }
    if let Some((commit, path)) = &counts.longest {
        notice(&format!("{} in commit {commit} is longer than {} MiB", HostText::from(&path[..]).escaped(), MAX_FILE >> 20));
    }
    if longer > 0 {
        notice(&format!("push blocked: {longer} files could not be looked at as a whole; `git push --no-verify` pushes without looking."));
        return Outcome::Found;
    }
    Outcome::Done
}
