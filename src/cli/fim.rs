//! `fim`: makes, compares, verifies and approves baselines of files. No agent is needed.

mod progress;
mod show;

use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Args, Subcommand};

use super::args::{Global, host_text};
use super::ask::settings;
use super::outcome::{Failure, Outcome};
use super::print;
use bartizan_agent::fim::{Ask, Excluded, FimError, Report, Writing, compared, scan, watched_places};
use bartizan_model::HostText;
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
    /// Show the baseline: its version, what it covers, its seal.
    Status,
    /// Compare files with the baseline, and list what changed; exit 5 when something did.
    Scan(ScanArgs),
    /// Show how one file differs from the baseline, line by line; exit 5 when it does.
    Diff {
        /// Which file.
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Accept what changed: the baseline gets a new version.
    Approve(ApproveArgs),
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
}

/// What the baseline must be.
#[derive(Debug, Args)]
struct VerifyArgs {
    /// The seal that you wrote down: the newest version, or an earlier one.
    #[arg(long, value_name = "SEAL")]
    expect: Option<String>,
}

impl From<FimError> for Failure {
    fn from(error: FimError) -> Self {
        match &error {
            FimError::NotCovered(_) | FimError::Path { .. } => Self::usage(error.to_string(), ""),
            FimError::NoBaseline | FimError::Store(_) => Self::failed(error),
        }
    }
}

/// Does it and prints.
pub(super) fn run(global: &Global, args: FimArgs) -> Result<Outcome, Failure> {
    let data = settings(global)?.data;
    match args.verb {
        FimVerb::Status => status(&data, global.json),
        FimVerb::Verify(args) => verify(&data, args.expect.as_deref(), global.json),
        FimVerb::Diff { path } => {
            if baseline_file(&data).is_none() {
                return Err(FimError::NoBaseline.into());
            }
            let baseline = Baseline::open(&data).map_err(failed)?;
            let compared = compared(&baseline, &path, Utc::now())?;
            show::compared(&compared, global.json)?;
            Ok(if compared.change.is_some() { Outcome::Found } else { Outcome::Done })
        }
        FimVerb::Scan(args) => {
            let writing = args.baseline.then(|| writing("baseline".to_owned()));
            let paths = if args.baseline && args.paths.is_empty() && newest(&data)?.is_none() { places() } else { args.paths };
            let ask = Ask { paths, full: args.full, excluded: left_out(&data, args.exclude), writing };
            let report = scanned(&data, &ask, global.json)?;
            show::report(&report, global.json, args.all)?;
            let quiet = report.changes.is_empty() && report.more_changes == 0 || args.baseline;
            Ok(if quiet && report.dangers.is_empty() { Outcome::Done } else { Outcome::Found })
        }
        FimVerb::Approve(args) => {
            let reason = if args.reason.is_empty() { String::new() } else { format!(": {}", args.reason) };
            let named: Vec<String> = args.paths.iter().map(|path| text(path).escaped()).collect();
            let writing = writing(format!("approved {}{reason}", named.join(", ")));
            if newest(&data)?.is_none() {
                return Err(FimError::NoBaseline.into());
            }
            let ask = Ask { paths: args.paths, full: false, excluded: left_out(&data, Vec::new()), writing: Some(writing) };
            let report = scanned(&data, &ask, global.json)?;
            show::report(&report, global.json, false)?;
            Ok(Outcome::Done)
        }
    }
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

fn writing(what: String) -> Writing {
    let uid = own_uid();
    let by = UserNames::default().name(uid).map_or_else(|| format!("uid {uid}"), |name| name.escaped());
    Writing { by, what, at: Utc::now() }
}

fn failed(error: StoreError) -> Failure {
    Failure::failed(error)
}

/// The newest version of the baseline, if there is one; makes nothing.
fn newest(data: &Path) -> Result<Option<bartizan_store::BaselineVersion>, Failure> {
    if baseline_file(data).is_none() {
        return Ok(None);
    }
    let mut versions = Baseline::open(data).and_then(|baseline| baseline.versions()).map_err(failed)?;
    Ok(versions.pop().map(|(version, _)| version))
}

fn scanned(data: &Path, ask: &Ask, json: bool) -> Result<Report, Failure> {
    if ask.writing.is_none() && baseline_file(data).is_none() {
        return Err(FimError::NoBaseline.into());
    }
    let baseline = Baseline::open(data).map_err(failed)?;
    let expected = baseline.versions().map_err(failed)?.last().map_or(0, |(version, _)| version.files);
    let mut bar = Bar::new(if ask.paths.is_empty() { expected } else { 0 }, json);
    Ok(scan(&baseline, ask, Utc::now(), &mut |progress| bar.show(progress))?)
}

fn status(data: &Path, json: bool) -> Result<Outcome, Failure> {
    let Some(_) = baseline_file(data) else {
        show::no_baseline(&watched_places(Path::new("/")), json)?;
        return Ok(Outcome::Done);
    };
    let versions = Baseline::open(data).and_then(|baseline| baseline.versions()).map_err(failed)?;
    show::versions(&versions, json)?;
    Ok(Outcome::Done)
}

fn verify(data: &Path, expected: Option<&str>, json: bool) -> Result<Outcome, Failure> {
    if baseline_file(data).is_none() {
        return Err(FimError::NoBaseline.into());
    }
    let verified = Baseline::open(data).and_then(|baseline| {
        let newest = baseline.verify()?;
        let known = baseline.versions()?.iter().any(|(_, seal)| Some(seal.as_str()) == expected);
        Ok((newest, known || expected.is_none()))
    });
    match verified {
        Err(why @ StoreError::Forged { .. }) => {
            show::verdict(false, &why.to_string(), None, json)?;
            Ok(Outcome::Found)
        }
        Err(why) => Err(failed(why)),
        Ok((None, _)) => Err(FimError::NoBaseline.into()),
        Ok((Some((version, seal)), false)) => {
            let why = format!(
                "no version has the seal you named: an older copy was put in its place, or it was made anew (version {})",
                version.number
            );
            show::verdict(false, &why, Some(&seal), json)?;
            Ok(Outcome::Found)
        }
        Ok((Some((version, seal)), true)) => {
            let said = format!(
                "Version {} is whole: {} files, made by {} at {}.",
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
