//! `bartizan indicators`: lists of known bad addresses, names and digests, and what is on them; needs no agent.

use std::io;
use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::Global;
use super::ask::settings;
use super::outcome::{FAILED, Failure, Outcome};
use super::print::{self, notice, table};
use bartizan_agent::indicator_lists;
use bartizan_config::IndicatorFolders;
use bartizan_detect::indicators::{Indicators, List, Listed};
use bartizan_model::{Lifeline, Sha256, Timestamp};

/// What to do with indicator lists.
#[derive(Debug, Args)]
pub(super) struct IndicatorsArgs {
    /// What to do; without it, the lists are shown.
    #[command(subcommand)]
    verb: Option<IndicatorsVerb>,
}

#[derive(Debug, Subcommand)]
enum IndicatorsVerb {
    /// List the lists: source, number of indicators, age and expiry; and the lines that cannot be used.
    List,
    /// Look up which lists name an address, a domain name or a SHA-256; fails with code 5 when one does.
    Check {
        /// Address, domain name or SHA-256.
        #[arg(value_name = "VALUE", required = true)]
        values: Vec<String>,
    },
}

/// A list, as JSON.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    list: &'a List,
    /// `in force`, `expired` or `refused`.
    state: &'static str,
    indicators: usize,
}

/// What was looked up, as JSON.
#[derive(Serialize)]
struct Checked<'a> {
    value: &'a str,
    listed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    indicator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<&'a str>,
}

/// Does what was asked.
pub(super) fn run(global: &Global, args: IndicatorsArgs) -> Result<Outcome, Failure> {
    let settings = settings(global)?;
    let now = chrono::Utc::now();
    let all = indicator_lists::load(&IndicatorFolders::of(&settings), &settings.policy, &Lifeline::default(), now);
    match args.verb.unwrap_or(IndicatorsVerb::List) {
        IndicatorsVerb::List => list(&all, now, global.json),
        IndicatorsVerb::Check { values } => check(&all, &values, now, global.json),
    }
}

fn state(list: &List, now: Timestamp) -> &'static str {
    match (&list.problem, list.is_in_force(now)) {
        (Some(_), _) => "refused",
        (None, true) => "in force",
        (None, false) => "expired",
    }
}

fn list(all: &Indicators, now: Timestamp, json: bool) -> Result<Outcome, Failure> {
    let lists = all.lists();
    if json {
        let rows: Vec<Row<'_>> = lists.iter().map(|list| Row { list, state: state(list, now), indicators: list.count() }).collect();
        print::items(&rows)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<[String; 7]> = lists
        .iter()
        .map(|list| {
            let day = |at: Timestamp| at.format("%Y-%m-%d %H:%M").to_string();
            let age = now.signed_duration_since(list.dated).num_hours().max(0);
            let age = if age < 48 { format!("{age} h") } else { format!("{} d", age / 24) };
            let (age, expires) = if list.problem.is_some() { Default::default() } else { (age, day(list.expires)) };
            let source = list.source.clone().unwrap_or_default();
            [shown(&list.file), state(list, now).to_owned(), list.count().to_string(), list.bad.to_string(), age, expires, source]
        })
        .collect();
    let heading = ["LIST", "STATE", "INDICATORS", "BAD LINES", "AGE", "EXPIRES (UTC)", "SOURCE"];
    print::written(table::write(&mut io::stdout().lock(), heading, &rows))?;
    lists.iter().for_each(troubles);
    notice(&format!("{} different indicators are matched; they raise confidence and never lead to an action", all.len()));
    Ok(Outcome::Done)
}

/// What cannot be used of a list, line by line.
fn troubles(list: &List) {
    let file = shown(&list.file);
    list.problem.iter().for_each(|problem| notice(&format!("{file}: refused: {problem}")));
    list.bad_lines.iter().for_each(|bad| notice(&format!("{file}: line {}: {}", bad.line, bad.problem)));
    let more = list.bad.saturating_sub(list.bad_lines.len());
    if more > 0 {
        notice(&format!("{file}: {more} more bad lines"));
    }
    if list.left_out > 0 {
        notice(&format!("{file}: {} indicators are beyond the bounds and not matched", list.left_out));
    }
}

fn check(all: &Indicators, values: &[String], now: Timestamp, json: bool) -> Result<Outcome, Failure> {
    let mut found = false;
    let mut out = Vec::new();
    for value in values {
        let listed = look_up(all, value, now)?;
        found |= listed.is_some();
        let (indicator, list) = listed.map(|listed| (listed.indicator, listed.list.file.as_str())).unzip();
        out.push(Checked { value, listed: indicator.is_some(), indicator, list });
    }
    if json {
        print::items(&out)?;
    } else {
        for one in &out {
            let value = shown(one.value);
            print::line(&match (&one.indicator, one.list) {
                (Some(indicator), Some(list)) => format!("{value} stands in {} as {indicator}", shown(list)),
                _ => format!("{value} is on no list that is in force"),
            })?;
        }
    }
    Ok(if found { Outcome::Found } else { Outcome::Done })
}

fn look_up<'a>(all: &'a Indicators, value: &str, now: Timestamp) -> Result<Option<Listed<'a>>, Failure> {
    if let Ok(addr) = value.parse::<IpAddr>() {
        return Ok(all.address(addr, now));
    }
    if let Ok(digest) = value.parse::<Sha256>() {
        return Ok(all.digest(digest, now));
    }
    if value.contains('.') && !value.contains(['/', ':', ' ']) {
        return Ok(all.domain(value, now));
    }
    let problem = format!("\"{}\" is neither an address nor a domain name nor a SHA-256", shown(value));
    Err(Failure::new(FAILED, problem, "write 203.0.113.7, evil.example or 64 hex digits"))
}

fn shown(text: &str) -> String {
    bartizan_model::sentence(text)
}
