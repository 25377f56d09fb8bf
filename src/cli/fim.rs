//! `fim`: makes, compares, verifies and approves baselines of files; only `watch` and `restore` need an agent.

mod agree;
pub(super) mod progress;
mod restore;
mod show;
mod watch;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Args, Subcommand};

use super::args::{Global, host_text};
use super::ask::{runtime, settings, socket};
use super::outcome::{FOUND, Failure, Outcome};
use super::print;
use bartizan_agent::fim::{Adds, Ask, Excluded, FimError, Report, Writing, absent, compared, scan, watched_places, yara_rules};
use bartizan_client::Connection;
use bartizan_config::RuleFolders;
use bartizan_integrity::YaraRules;
use bartizan_model::{FilesWatched, HostText};
use bartizan_store::{Baseline, StoreError, baseline_file};
use bartizan_sys::umask::own_uid;
use bartizan_sys::user_names::UserNames;
use progress::Bar;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct FimArgs {
    /// What to do.
    #[command(subcommand)]
    verb: FimVerb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum FimVerb {
    /// Show the baseline: its version, what it covers, its seal, and how the agent watches it.
    Status,
    /// Follow the changes that the running agent sees, one sentence each: what, how it differs, and who did it.
    Watch,
    /// Compare files with the baseline, and list what changed; exit 5 when something did, or when not all could be checked.
    Scan(ScanArgs),
    /// Show how one file differs from the baseline, line by line; exit 5 when it does.
    Diff {
        /// Which file.
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Accept what changed: the baseline gets a new version.
    Approve(ApproveArgs),
    /// Restore changed files to what the baseline knows; undone unless you confirm it in time. Asks the agent.
    Restore(restore::RestoreArgs),
    /// Check that nobody changed the baseline itself; exit 5 when somebody did.
    Verify(VerifyArgs),
}

/// What is scanned.
#[derive(Debug, Args)]
struct ScanArgs {
    /// Files and directories; without one, what the baseline covers (for a new baseline: where changes matter on a host).
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Make a baseline of what is there now.
    #[arg(long)]
    baseline: bool,
    /// Read every file, also those whose metadata did not change.
    #[arg(long)]
    full: bool,
    /// Leave out paths: * stands for any bytes. The baseline remembers it.
    #[arg(long, value_name = "PATTERN", value_parser = host_text)]
    exclude: Vec<HostText>,
    /// List every change on a line of its own.
    #[arg(long)]
    all: bool,
}

/// What is approved.
#[derive(Debug, Args)]
struct ApproveArgs {
    /// Files and directories.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not ask: for scripts.
    #[arg(long)]
    yes: bool,
}

/// What the baseline must be.
#[derive(Debug, Args)]
struct VerifyArgs {
    /// The seal that you wrote down: the newest version, or an earlier one.
    #[arg(long, value_name = "SEAL", value_parser = seal)]
    expect: Option<String>,
}

fn seal(text: &str) -> Result<String, String> {
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase()).ok_or_else(|| "not a seal: 64 hex digits".to_owned())
}

impl From<FimError> for Failure {
    fn from(error: FimError) -> Self {
        match error {
            FimError::NotCovered(_) | FimError::Path { .. } => Self::usage(error.to_string(), ""),
            FimError::NoBaseline | FimError::Over => Self::failed(error),
            FimError::Store(error) => failed(error),
        }
    }
}

/// Does it and prints.
pub(super) fn run(global: &Global, args: FimArgs) -> Result<Outcome, Failure> {
    let data = settings(global)?.data;
    match args.verb {
        FimVerb::Status => status(global, &data),
        FimVerb::Watch => runtime()?.block_on(watch::watch(global)),
        FimVerb::Restore(args) => restore::run(global, &data, args),
        FimVerb::Verify(args) => verify(&data, args.expect.as_deref(), global.json),
        FimVerb::Diff { path } => {
            if baseline_file(&data).is_none() {
                return Err(FimError::NoBaseline.into());
            }
            let baseline = Baseline::read(&data).map_err(failed)?;
            let compared = compared(&baseline, &path, Utc::now())?;
            show::compared(&compared, global.json)?;
            Ok(if compared.change.is_some() { Outcome::Found } else { Outcome::Done })
        }
        FimVerb::Scan(args) => {
            let first = args.baseline && args.paths.is_empty() && newest(&data)?.is_none();
            let adds = if first { Adds::Places } else { Adds::Named };
            let writing = args.baseline.then(|| writing("baseline".to_owned(), adds));
            let paths = if first { places() } else { args.paths };
            let yara = Some(rules(global)?);
            let ask = Ask { paths, full: args.full, excluded: left_out(&data, args.exclude), writing, yara };
            let report = scanned(&data, &ask, global.json, &mut |_| true)?;
            show::report(&report, global.json, args.all)?;
            let quiet = report.changes.is_empty() && report.more_changes == 0 || args.baseline;
            Ok(if quiet && report.dangers.is_empty() && report.is_complete() { Outcome::Done } else { Outcome::Found })
        }
        FimVerb::Approve(args) => approve(global, &data, args),
    }
}

/// YARA rules; a file that is refused is named, and the scan goes on.
fn rules(global: &Global) -> Result<YaraRules, Failure> {
    let (rules, refused) = yara_rules(&RuleFolders::of(&settings(global)?));
    refused.iter().for_each(|one| print::notice(&format!("YARA rules of {} are refused: {}", one.file, one.problem)));
    Ok(rules)
}

fn approve(global: &Global, data: &Path, args: ApproveArgs) -> Result<Outcome, Failure> {
    let json = global.json;
    let reason = if args.reason.is_empty() { String::new() } else { format!(": {}", args.reason) };
    let named: Vec<String> = args.paths.iter().map(|path| text(path).escaped()).collect();
    let writing = writing(format!("approved {}{reason}", named.join(", ")), Adds::Nothing);
    if newest(data)?.is_none() {
        return Err(FimError::NoBaseline.into());
    }
    let ask =
        Ask { paths: args.paths, full: false, excluded: left_out(data, Vec::new()), writing: Some(writing), yara: Some(rules(global)?) };
    let mut refused = None;
    let report = scanned(data, &ask, json, &mut |report| match agreed(report, args.yes, json) {
        Ok(()) => true,
        Err(why) => {
            refused = Some(why);
            false
        }
    })?;
    match refused {
        Some(why) => Err(why),
        None => show::accepted(&report, json).map(|()| Outcome::Done),
    }
}

/// Whether what was found is to be accepted: it is listed first, and a person is asked.
fn agreed(report: &Report, yes: bool, json: bool) -> Result<(), Failure> {
    if let Some(root) = report.roots.iter().find(|root| !report.differs_at(root)) {
        return Err(Failure::usage(format!("{}: nothing changed there", root.escaped()), ""));
    }
    if !json {
        show::changes(report)?;
    }
    agree::asked("Accept this?", "nothing was accepted", yes, json)
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_encoded_bytes())
}

/// Our own databases change all the time, and have seals of their own.
fn left_out(data: &Path, mut patterns: Vec<HostText>) -> Excluded {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    patterns.push(text(&data));
    Excluded::new(patterns)
}

fn places() -> Vec<PathBuf> {
    watched_places(Path::new("/")).into_iter().flat_map(|set| set.paths).collect()
}

fn writing(what: String, adds: Adds) -> Writing {
    let uid = own_uid();
    let by = UserNames::default().name(uid).map_or_else(|| format!("uid {uid}"), |name| name.escaped());
    Writing { by, what, at: Utc::now(), adds }
}

/// A baseline that is not what Bartizan wrote is a finding, whichever command meets it.
fn failed(error: StoreError) -> Failure {
    if error.is_broken_baseline() { Failure::new(FOUND, error.to_string(), "") } else { Failure::failed(error) }
}

/// The newest version of the baseline, if there is one; makes nothing.
fn newest(data: &Path) -> Result<Option<bartizan_store::BaselineVersion>, Failure> {
    if baseline_file(data).is_none() {
        return Ok(None);
    }
    let mut versions = Baseline::read(data).and_then(|baseline| baseline.versions()).map_err(failed)?;
    Ok(versions.pop().map(|(version, _)| version))
}

fn scanned(data: &Path, ask: &Ask, json: bool, accepts: &mut dyn FnMut(&Report) -> bool) -> Result<Report, Failure> {
    if ask.writing.is_none() && baseline_file(data).is_none() {
        return Err(FimError::NoBaseline.into());
    }
    // Who only compares writes nothing: not to the file, and not beside it.
    let baseline = if ask.writing.is_some() { Baseline::open(data) } else { Baseline::read(data) }.map_err(failed)?;
    let expected = baseline.versions().map_err(failed)?.last().map_or(0, |(version, _)| version.files);
    let bar = RefCell::new(Bar::new(if ask.paths.is_empty() { expected } else { 0 }, json));
    let mut show = |progress: &_| bar.borrow_mut().show(progress);
    let mut accepts = |report: &_| {
        bar.borrow_mut().clear();
        accepts(report)
    };
    Ok(scan(&baseline, ask, Utc::now(), &mut show, &mut accepts)?)
}

/// How the agent watches, if one answers.
fn watched(global: &Global) -> Result<Option<FilesWatched>, Failure> {
    let path = socket(global)?;
    runtime()?.block_on(async {
        match Connection::open(&path).await {
            Ok(mut connection) => watch::state(&mut connection).await,
            Err(_) => Ok(None),
        }
    })
}

fn status(global: &Global, data: &Path) -> Result<Outcome, Failure> {
    let json = global.json;
    let Some(_) = baseline_file(data) else {
        show::no_baseline(&watched_places(Path::new("/")), json)?;
        return Ok(Outcome::Done);
    };
    let baseline = Baseline::read(data).map_err(failed)?;
    let versions = baseline.versions().map_err(failed)?;
    let absent = versions.last().map_or(Ok(Vec::new()), |(newest, _)| absent(&baseline, newest))?;
    let watched = watched(global)?;
    show::versions(&versions, &absent, watched.as_ref(), json)?;
    if !json {
        print::line(&watch::sentence(watched.as_ref()))?;
        watched.iter().flat_map(watch::not_judged).try_for_each(|line| print::line(&line))?;
    }
    Ok(Outcome::Done)
}

fn verify(data: &Path, expected: Option<&str>, json: bool) -> Result<Outcome, Failure> {
    if baseline_file(data).is_none() {
        return Err(FimError::NoBaseline.into());
    }
    let verified = Baseline::read(data).and_then(|baseline| {
        let newest = baseline.verify()?;
        let meant = match expected {
            Some(expected) => baseline.versions()?.into_iter().find(|(_, seal)| seal == expected).map(|(version, _)| version),
            None => newest.as_ref().map(|(version, _)| version.clone()),
        };
        Ok((newest, meant))
    });
    match verified {
        Err(why) if why.is_broken_baseline() => {
            show::verdict(false, &why.to_string(), None, json)?;
            Ok(Outcome::Found)
        }
        Err(why) => Err(failed(why)),
        Ok((None, _)) => Err(FimError::NoBaseline.into()),
        Ok((Some((version, seal)), None)) => {
            let why = format!(
                "no version has this seal: the database was replaced by an older copy or created again (it is at version {})",
                version.number
            );
            show::verdict(false, &why, Some(&seal), json)?;
            Ok(Outcome::Found)
        }
        Ok((Some((version, seal)), Some(meant))) => {
            let older = if meant.number == version.number {
                String::new()
            } else {
                format!(" The seal that you named is the one of version {}, of {}.", meant.number, print::time(meant.at))
            };
            let said = format!(
                "Version {} is whole: {} files, made by {} at {}.{older}",
                version.number,
                version.files,
                version.by,
                print::time(version.at)
            );
            show::verdict(true, &said, Some(&seal), json)?;
            Ok(Outcome::Done)
        }
    }
}
