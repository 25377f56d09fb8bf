//! `bartizan detectors`: lists the detectors and switches them off and on; needs no agent.

use std::io;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::Global;
use super::ask::settings;
use super::outcome::{FAILED, Failure, Outcome, REFUSED};
use super::print::{self, notice, table};
use bartizan_agent::switches::{self, Switches, Where};
use bartizan_config::{NameList, Settings};
use bartizan_detect::detectors::{Info, full_catalogue};
use bartizan_model::{ALWAYS_REPORTED, Severity, Tier};
use bartizan_sys::replace_file::{Outlives, replace};

/// What to do with detectors.
#[derive(Debug, Args)]
pub(super) struct DetectorsArgs {
    /// What to do; without it, the detectors are listed.
    #[command(subcommand)]
    verb: Option<DetectorsVerb>,
}

#[derive(Debug, Subcommand)]
enum DetectorsVerb {
    /// List detectors; those switched off too.
    List,
    /// Switch detectors on again.
    Enable {
        /// Names of detectors.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Switch detectors off; status and doctor say so while they are.
    Disable {
        /// Names of detectors.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// A detector, as JSON.
#[derive(Serialize)]
struct Row {
    id: &'static str,
    title: &'static str,
    enabled: bool,
    /// Where it is switched off: `policy` or `command line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    off_by: Option<&'static str>,
    severity: Severity,
    tier: Tier,
    family: &'static str,
    technique: &'static [&'static str],
}

/// Does what was asked.
pub(super) fn run(global: &Global, args: DetectorsArgs) -> Result<Outcome, Failure> {
    let settings = settings(global)?;
    let off = switches::read(&settings, &settings.policy);
    match args.verb.unwrap_or(DetectorsVerb::List) {
        DetectorsVerb::List => list(&off, global.json),
        DetectorsVerb::Enable { names } => switch(&settings, &off, &names, true, global.json),
        DetectorsVerb::Disable { names } => switch(&settings, &off, &names, false, global.json),
    }
}

fn row(info: &'static Info, off: &Switches) -> Row {
    let off_by = off.detectors.get(info.name).map(|place| match place {
        Where::Policy => "policy",
        Where::CommandLine => "command line",
    });
    Row {
        id: info.name,
        title: info.title,
        enabled: off_by.is_none(),
        off_by,
        severity: info.severity,
        tier: info.tier,
        family: info.family.name(),
        technique: info.technique,
    }
}

fn list(off: &Switches, json: bool) -> Result<Outcome, Failure> {
    let rows: Vec<Row> = full_catalogue().into_iter().map(|info| row(info, off)).collect();
    off.problems.iter().for_each(|problem| notice(problem));
    if json {
        print::items(&rows)?;
        return Ok(Outcome::Done);
    }
    let lines: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            let state = row.off_by.map_or_else(|| "on".to_owned(), |by| format!("off ({by})"));
            [row.id.to_owned(), state, row.severity.to_string(), row.family.to_owned(), row.technique.join(" "), row.title.to_owned()]
        })
        .collect();
    let heading = ["DETECTOR", "STATE", "SEVERITY", "FAMILY", "TECHNIQUE", "TITLE"];
    print::written(table::write(&mut io::stdout().lock(), heading, &lines))?;
    Ok(Outcome::Done)
}

/// Changes the list in the data folder; what policy.toml says stays.
fn switch(settings: &Settings, off: &Switches, names: &[String], on: bool, json: bool) -> Result<Outcome, Failure> {
    for name in names {
        if switches::detector(name).is_none() {
            return Err(Failure::new(FAILED, switches::unknown(name), "`bartizan detectors` names them all"));
        }
        if !on && ALWAYS_REPORTED.contains(&name.as_str()) {
            let problem = format!("{name} reports attacks on Bartizan itself and cannot be switched off");
            return Err(Failure::new(REFUSED, problem, ""));
        }
        if on && off.detectors.get(name) == Some(&Where::Policy) {
            let problem = format!("policy.toml switches {name} off ([detectors] off)");
            return Err(Failure::new(FAILED, problem, "remove it there and reload"));
        }
    }
    let list = NameList::of_detectors(settings);
    let fail = |error: io::Error| Failure::new(FAILED, format!("cannot write {}: {error}", list.path().display()), "run it as root");
    let mut kept = list.names().map_err(fail)?;
    kept.retain(|name| !names.contains(name));
    if !on {
        kept.extend(names.iter().cloned());
    }
    kept.sort();
    kept.dedup();
    std::fs::create_dir_all(&settings.data).map_err(fail)?;
    let text: String = kept.iter().map(|name| format!("{name}\n")).collect();
    replace(list.path(), text.as_bytes(), 0o600, Outlives::Power).map_err(fail)?;
    let what = if on { "on" } else { "off" };
    print::done(&format!("switched {what}: {}; `bartizan reload` puts it into force", names.join(", ")), json)?;
    Ok(Outcome::Done)
}
