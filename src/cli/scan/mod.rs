//! `scan`: looks for what is weak. No agent is needed, and nothing on the host is changed.

pub(super) mod commits;
mod deps;
mod history;
mod host;
mod pieces;
pub(super) mod secrets;
mod set_ids;
mod show;
mod walk;

use std::time::Instant;

use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};

use super::args::Global;
use super::ask::settings;
use super::outcome::{Failure, Outcome};
use bartizan_agent::scan_history::Stored;
use bartizan_model::{Finding, HostText, ScannerRun, SecurityReport, Severity, Timestamp};
pub(super) use history::SHORT;
pub(super) use show::findings;

/// What to scan.
#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    #[command(subcommand)]
    verb: ScanVerb,
    /// Exit with 5 when an open finding is this bad or worse.
    #[arg(long, global = true, value_name = "SEVERITY", value_enum, default_value = "medium")]
    fail_on: SeverityName,
    /// Do not remember this scan for `bartizan findings` and `bartizan report`.
    #[arg(long, global = true)]
    forget: bool,
}

#[derive(Debug, Subcommand)]
enum ScanVerb {
    /// Check how this host is set up: SSH, sudo, accounts, permissions, listeners, kernel, updates, firewall, Docker, certificates.
    Host(host::HostArgs),
    /// Look for secrets in files: keys, tokens and passwords that lie where others can read them. They are never shown.
    Secrets(secrets::SecretsArgs),
    /// Compare installed packages and lock files with a database of known vulnerabilities (OSV, Debian's security tracker).
    Deps(deps::DepsArgs),
    /// Make every scan: the host, its packages, and secrets in the named paths.
    All(AllArgs),
}

/// Every scan.
#[derive(Debug, Args)]
struct AllArgs {
    /// Database of known vulnerabilities, as `scan deps --db`.
    #[arg(long, value_name = "PATH")]
    db: Vec<std::path::PathBuf>,
    #[command(flatten)]
    host: host::HostArgs,
    #[command(flatten)]
    secrets: secrets::SecretsArgs,
}

/// A severity by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SeverityName {
    /// Worth recording.
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// An intrusion waiting to happen.
    Critical,
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Info => Self::Info,
            SeverityName::Low => Self::Low,
            SeverityName::Medium => Self::Medium,
            SeverityName::High => Self::High,
            SeverityName::Critical => Self::Critical,
        }
    }
}

/// What one scanner did.
struct Scanned {
    source: &'static str,
    run: ScannerRun,
    found: Vec<Finding>,
    more: u64,
}

impl Scanned {
    /// Does the work and measures it.
    fn new(source: &'static str, target: HostText, work: impl FnOnce(Timestamp, &mut ScannerRun) -> (Vec<Finding>, u64)) -> Self {
        let (began, at) = (Instant::now(), Utc::now());
        let mut run = ScannerRun::begin(target, at);
        let (found, more) = work(at, &mut run);
        run.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { source, run, found, more }
    }
}

/// Scans, remembers and prints.
pub(super) fn run(global: &Global, args: ScanArgs) -> Result<Outcome, Failure> {
    let scanned = match args.verb {
        ScanVerb::Host(args) => vec![host::scan(&args)],
        ScanVerb::Secrets(args) => vec![secrets::scan(&args, global.json)?],
        ScanVerb::Deps(args) => vec![deps::scan(&args)?],
        ScanVerb::All(AllArgs { db, host, secrets }) => {
            vec![host::scan(&host), deps::scan(&deps::DepsArgs::of_host(db))?, secrets::scan(&secrets, global.json)?]
        }
    };
    let report = remember(global, scanned, args.forget, args.fail_on.into())?;
    show::report(&report, global.json)?;
    Ok(if report.passed { Outcome::Done } else { Outcome::Found })
}

/// One report of these scans, with what earlier ones and people said of their findings.
fn remember(global: &Global, scanned: Vec<Scanned>, forget: bool, fail_on: Severity) -> Result<SecurityReport, Failure> {
    let data = settings(global)?.data;
    let names: Vec<(&str, HostText)> = scanned.iter().map(|one| (one.source, one.run.target.clone())).collect();
    let take_in = |history: &mut bartizan_scan::history::History| {
        for Scanned { source, run, found, more } in scanned {
            history.record(source, run, found, more);
        }
        let is_ours = |source: &str, target: &HostText| names.iter().any(|(name, of)| *name == source && of == target);
        history.report_of(is_ours, fail_on, Utc::now())
    };
    if forget {
        Ok(take_in(&mut Stored::glance(&data, &crate::cli::print::notice)))
    } else {
        Ok(Stored::take_in(&data, take_in, &crate::cli::print::notice)?)
    }
}
