//! `findings` and `report`: what the last scans found, and what a person accepts of it.

use std::io::{self, Write};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::args::{Global, duration};
use super::ask::settings;
use super::outcome::{Failure, Outcome};
use super::print;
use super::scan::{SeverityName, findings};
use bartizan_agent::scan_history::Stored;
use bartizan_model::{Finding, FindingState, Timestamp};
use bartizan_scan::report::{html, markdown, sarif, verdict};
use bartizan_sys::umask::own_uid;
use bartizan_sys::user_names::UserNames;

/// What to do with findings.
#[derive(Debug, Args)]
pub(super) struct FindingsArgs {
    /// What to do; without it, findings are listed.
    #[command(subcommand)]
    verb: Option<FindingsVerb>,
    /// Include those that are accepted or gone.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum FindingsVerb {
    /// Accept a finding for a time: it does not fail a scan until then.
    Accept {
        /// Which finding: F0123456789ab.
        id: String,
        /// Until when: 2026-12-31, 2026-12-31T12:00:00Z, or a time from now (30d).
        #[arg(long, value_name = "TIME", value_parser = until)]
        until: Until,
        /// Why, for whoever reads the report.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Clone, Copy)]
enum Until {
    At(Timestamp),
    After(Duration),
}

fn until(text: &str) -> Result<Until, String> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc());
    let moment = || text.parse::<Timestamp>().ok();
    match day.or_else(moment) {
        Some(at) => Ok(Until::At(at)),
        None => duration(text).map(Until::After).map_err(|_| "write 2026-12-31, 2026-12-31T12:00:00Z or 30d".to_owned()),
    }
}

/// Which report.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Format.
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
    /// From which severity on an open finding means that it did not pass.
    #[arg(long, value_name = "SEVERITY", value_enum, default_value = "medium")]
    fail_on: SeverityName,
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Markdown.
    Md,
    /// One page, without scripts.
    Html,
    /// The document that `scan --json` prints.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

/// Lists findings or accepts one.
pub(super) fn run(global: &Global, args: FindingsArgs) -> Result<Outcome, Failure> {
    let data = settings(global)?.data;
    if let Some(FindingsVerb::Accept { id, until, reason }) = args.verb {
        let now = Utc::now();
        let until = match until {
            Until::At(at) => at,
            Until::After(lasts) => {
                TimeDelta::from_std(lasts).ok().and_then(|lasts| now.checked_add_signed(lasts)).unwrap_or(Timestamp::MAX_UTC)
            }
        };
        let by = UserNames::default().name(own_uid()).map_or_else(|| format!("uid {}", own_uid()), |name| name.escaped());
        let accepted = Stored::change(&data, |history| history.accept(&id, until, &reason, &by, now).cloned())?;
        let finding = accepted.map_err(|why| Failure::usage(why.to_string(), "see `bartizan findings`"))?;
        return print::done(&format!("accepted until {}: {}", until.format("%Y-%m-%d %H:%M UTC"), finding.title), global.json)
            .map(|()| Outcome::Done);
    }
    let report = Stored::read(&data)?.report(SeverityName::Medium.into(), Utc::now());
    let shown: Vec<&Finding> = report.findings.iter().filter(|finding| args.all || finding.state == FindingState::Open).collect();
    findings(&shown, global.json)?;
    if !global.json {
        print::line(&verdict(&report))?;
    }
    Ok(Outcome::Done)
}

/// Prints a report of all last scans.
pub(super) fn report(global: &Global, args: &ReportArgs) -> Result<Outcome, Failure> {
    let data = settings(global)?.data;
    let report = Stored::read(&data)?.report(args.fail_on.into(), Utc::now());
    let text = match args.format {
        _ if global.json => return print::document(&report).map(|()| Outcome::Done),
        Format::Json => return print::document(&report).map(|()| Outcome::Done),
        Format::Md => markdown(&report),
        Format::Html => html(&report),
        Format::Sarif => sarif(&report).map_err(Failure::failed)?,
    };
    print::written(writeln!(io::stdout().lock(), "{}", text.trim_end()))?;
    Ok(Outcome::Done)
}
