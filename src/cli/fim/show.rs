//! What a scan found, and what the baseline is, for people and for programs.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::outcome::Failure;
use crate::cli::print;
use bartizan_agent::fim::{Compared, Danger, PlaceSet, Report, Skipped};
use bartizan_integrity::{Change, fold};
use bartizan_model::{FilesWatched, HostText};
use bartizan_store::BaselineVersion;

/// Paths listed of those that were not looked into, and of those that were only touched.
const LISTED: usize = 20;

/// A scan as JSON.
#[derive(Serialize)]
struct Document<'a> {
    roots: &'a [HostText],
    version: Option<u64>,
    made: Option<Made<'a>>,
    files: u64,
    directories: u64,
    bytes: u64,
    read_files: u64,
    read_bytes: u64,
    seconds: f64,
    complete: bool,
    dangers: &'a [Danger],
    changes: &'a [Change],
    more_changes: u64,
    touched: &'a [HostText],
    logs_grown: u64,
    skipped: &'a [Skipped],
    not_kept: u64,
}

#[derive(Serialize)]
struct Made<'a> {
    version: u64,
    seal: &'a str,
}

/// Prints what a scan found.
pub(super) fn report(report: &Report, json: bool, all: bool) -> Result<(), Failure> {
    if json {
        return print::document(&Document {
            roots: &report.roots,
            version: report.against.as_ref().map(|version| version.number),
            made: report.made.as_ref().map(|(version, seal)| Made { version: version.number, seal }),
            files: report.files,
            directories: report.directories,
            bytes: report.bytes,
            read_files: report.read_files,
            read_bytes: report.read_bytes,
            seconds: report.took.as_secs_f64(),
            complete: report.is_complete(),
            dangers: &report.dangers,
            changes: &report.changes,
            more_changes: report.more_changes,
            touched: &report.touched,
            logs_grown: report.grown,
            skipped: &report.skipped,
            not_kept: report.not_kept,
        });
    }
    let mut out = io::stdout().lock();
    print::written(write_changes(&mut out, report, all).and_then(|()| write_summary(&mut out, report)))
}

/// Prints what is to be accepted.
pub(super) fn changes(report: &Report) -> Result<(), Failure> {
    print::written(write_changes(&mut io::stdout().lock(), report, false))
}

/// Prints what became of it.
pub(super) fn accepted(report: &Report, json: bool) -> Result<(), Failure> {
    if json { self::report(report, true, false) } else { print::written(write_summary(&mut io::stdout().lock(), report)) }
}

fn write_changes(out: &mut impl Write, report: &Report, all: bool) -> io::Result<()> {
    for Danger { path, finding } in &report.dangers {
        let technique = if finding.technique.is_empty() { String::new() } else { format!(" ({})", finding.technique) };
        writeln!(out, "DANGER {path}: {}{technique}", finding.sentence)?;
    }
    if all {
        report.changes.iter().try_for_each(|change| writeln!(out, "{change}"))?;
    } else {
        fold(&report.changes).iter().try_for_each(|line| writeln!(out, "{}", line.text))?;
    }
    if report.more_changes > 0 {
        writeln!(out, "... and {} more: scan a part of it to see them.", counted(report.more_changes, "change"))?;
    }
    listed(out, "Only the change time differs", &report.touched, |path| path.escaped())?;
    listed(out, "Not looked into", &report.skipped, |one| format!("{}: {}", one.path, one.why))
}

fn write_summary(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.not_kept > 0 {
        let texts = counted(report.not_kept, "text");
        writeln!(out, "{texts} not stored for lack of room (64 MiB): `fim diff` cannot show how they change.")?;
    }
    let looked = format!(
        "{} in {}, {:.1} MiB; {} read; {:.1} s.",
        counted(report.files, "file"),
        counted(report.directories, "directory"),
        report.bytes as f64 / 1_048_576.0,
        counted(report.read_files, "file"),
        report.took.as_secs_f64()
    );
    let changes = report.changes.len() as u64 + report.more_changes;
    let unchecked = counted(report.unchecked() as u64, "path");
    if report.unchecked() > 0 && (changes > 0 || report.made.is_some()) {
        writeln!(out, "{unchecked} could not be checked.")?;
    }
    match (&report.against, &report.made) {
        (_, Some((version, seal))) => {
            writeln!(out, "Version {} of the baseline was made: {looked}\nSeal: {seal}", version.number)
        }
        (Some(version), None) if changes == 0 && report.unchecked() > 0 => {
            writeln!(
                out,
                "Nothing changed in what could be read; {unchecked} could not be checked. Compared with version {}: {looked}",
                version.number
            )
        }
        (Some(version), None) if changes == 0 => writeln!(out, "Nothing changed since version {}: {looked}", version.number),
        (against, None) => {
            let since = against.as_ref().map_or(0, |version| version.number);
            writeln!(out, "{} since version {since}: {looked}", counted(changes, "change"))
        }
    }
}

fn listed<T>(out: &mut impl Write, heading: &str, items: &[T], say: impl Fn(&T) -> String) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "{heading}:")?;
    items.iter().take(LISTED).try_for_each(|item| writeln!(out, "  {}", say(item)))?;
    match items.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more; --json lists all"),
    }
}

fn counted(number: u64, noun: &str) -> String {
    match (number, noun) {
        (1, noun) => format!("1 {noun}"),
        (number, "directory") => format!("{number} directories"),
        (number, noun) => format!("{number} {noun}s"),
    }
}

/// Prints how one file differs.
pub(super) fn compared(compared: &Compared, json: bool) -> Result<(), Failure> {
    let Compared { path, change, diff } = compared;
    if json {
        return print::document(&serde_json::json!({ "path": path, "change": change, "diff": diff }));
    }
    let mut out = io::stdout().lock();
    let Some(change) = change else { return print::written(writeln!(out, "{path} is as the baseline knows it.")) };
    print::written(writeln!(out, "{change}"))?;
    match diff {
        Some(diff) => print::written(write!(out, "{diff}")),
        None => print::written(writeln!(out, "The baseline does not hold its former content: only small texts are stored.")),
    }
}

/// Prints the versions of the baseline, oldest first.
/// `absent`: what the newest covers and was not there. `watched`: how an agent keeps watch, if one answers.
pub(super) fn versions(
    versions: &[(BaselineVersion, String)],
    absent: &[HostText],
    watched: Option<&FilesWatched>,
    json: bool,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        version: &'a BaselineVersion,
        seal: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<&'a [HostText]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        watched: Option<&'a FilesWatched>,
    }
    if json {
        let mut rows: Vec<Row<'_>> = versions.iter().map(|(version, seal)| Row { version, seal, absent: None, watched: None }).collect();
        if let Some(newest) = rows.last_mut() {
            newest.absent = Some(absent);
            newest.watched = watched;
        }
        return print::document(&rows);
    }
    let mut out = io::stdout().lock();
    let rows: Vec<[String; 6]> = versions.iter().map(|(version, _)| row(version)).collect();
    print::written(print::table::write(&mut out, ["VERSION", "MADE", "BY", "FILES", "MIB", "WHAT"], &rows))?;
    let Some((newest, seal)) = versions.last() else { return print::written(writeln!(out, "No version was made yet.")) };
    let roots: Vec<String> = newest.roots.iter().filter(|root| !absent.contains(root)).map(|root| root.escaped()).collect();
    let missing: Vec<String> = absent.iter().map(|root| root.escaped()).collect();
    let missing = if missing.is_empty() { String::new() } else { format!("\nNot there, their coming is a change: {}", missing.join(" ")) };
    let excluded: Vec<String> = newest.excluded.iter().map(|pattern| pattern.escaped()).collect();
    print::written(writeln!(out, "\nCovers: {}{missing}\nLeft out: {}\nSeal: {seal}", roots.join(" "), excluded.join(" ")))
}

fn row(version: &BaselineVersion) -> [String; 6] {
    let mib = format!("{:.1}", version.bytes as f64 / 1_048_576.0);
    let what = bartizan_model::sentence(&version.what);
    [version.number.to_string(), print::time(version.at), version.by.clone(), version.files.to_string(), mib, what]
}

/// Says that there is no baseline, and what one would cover.
pub(super) fn no_baseline(sets: &[PlaceSet], json: bool) -> Result<(), Failure> {
    let paths = |set: &PlaceSet| set.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    if json {
        let sets: Vec<_> = sets.iter().map(|set| serde_json::json!({ "set": set.name, "paths": paths(set) })).collect();
        return print::document(&serde_json::json!({ "versions": [], "places": sets }));
    }
    let mut out = io::stdout().lock();
    print::written(writeln!(out, "There is no baseline yet. `bartizan fim scan --baseline` makes one of:\n"))?;
    let mut rows: Vec<[String; 2]> = Vec::new();
    for set in sets {
        let (there, not): (Vec<PathBuf>, Vec<PathBuf>) = set.paths.iter().cloned().partition(|path| path.symlink_metadata().is_ok());
        for (name, paths) in [(set.name.to_owned(), there), (format!("{}, not there now", set.name), not)] {
            let paths: Vec<String> = paths.iter().map(|path| HostText::from(path.as_os_str().as_encoded_bytes()).escaped()).collect();
            rows.extend((!paths.is_empty()).then(|| [name, paths.join(" ")]));
        }
    }
    print::written(print::table::write(&mut out, ["SET", "PLACES"], &rows))
}

/// Prints whether the baseline is whole.
pub(super) fn verdict(intact: bool, said: &str, seal: Option<&str>, json: bool) -> Result<(), Failure> {
    if json {
        return print::document(&serde_json::json!({ "intact": intact, "detail": said, "seal": seal }));
    }
    let mut out = io::stdout().lock();
    print::written(writeln!(out, "{said}"))?;
    seal.map_or(Ok(()), |seal| print::written(writeln!(out, "Seal: {seal}")))
}
