//! `bartizan baseline`: what is normal here; the agent learns and keeps it.

mod show;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::args::{Global, duration};
use super::ask::{runtime, socket};
use super::outcome::{Failure, Outcome};
use super::print;
use bartizan_client::Connection;
use bartizan_model::{Habit, HabitId, HabitKind, HabitState, Timestamp};
use bartizan_protocol::{BaselineRequest, HabitQuery, Reply, Request};

pub(super) use show::{write_changes, write_habits, write_review, write_status, write_versions};

/// Habits of one question.
const PAGE: u32 = 2_000;
/// Habits that one question imports.
const PART: usize = 5_000;
/// Longest file that is imported, in bytes.
const LONGEST_FILE: u64 = 64 << 20;
/// What an exported file says it is.
const FORMAT: u32 = 1;

/// What to do with the baseline.
#[derive(Debug, Args)]
pub(super) struct BaselineArgs {
    /// What to do; without it, how far learning has come is shown.
    #[command(subcommand)]
    verb: Option<BaselineVerb>,
}

#[derive(Debug, Subcommand)]
enum BaselineVerb {
    /// List habits: what programs and accounts do here, since when, and why it counts as normal or waits.
    Show {
        #[command(flatten)]
        which: WhichArgs,
        /// Only habits in this state.
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Option<HabitState>,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 500)]
        limit: u32,
    },
    /// Show what waits for you, worst first, and what was learned since your last decision.
    Review,
    /// Say that habits are normal.
    Approve(DecideArgs),
    /// Say that habits are not normal: they are reported whenever they happen.
    Reject(DecideArgs),
    /// List versions: one a day, and one for each decision.
    Versions,
    /// Show what differs between two versions.
    Diff {
        /// The older version.
        from: u64,
        /// The newer version.
        to: u64,
    },
    /// Make every habit count as it did in a version; what came later waits for a review.
    Revert {
        /// Which version.
        version: u64,
    },
    /// Write what is learned as JSON, for a host like this one.
    Export,
    /// Take over what another host learned.
    Import {
        /// A file that `baseline export` wrote.
        file: PathBuf,
    },
    /// Learn from events that are in the archive already.
    Learn {
        /// How far back: 7d.
        #[arg(long = "from", value_name = "TIME", value_parser = duration, default_value = "7d")]
        back: Duration,
    },
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Only habits whose owner or value has this text in it.
    text: Option<String>,
    /// Only habits of this kind: program, child, listener, destination, place, login.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<HabitKind>,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// Which habits: H37.
    #[arg(required_unless_present = "waiting")]
    ids: Vec<HabitId>,
    /// All that wait and have this text in their owner or value; an empty text means all that wait.
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    waiting: Option<String>,
}

fn kind(text: &str) -> Result<HabitKind, String> {
    let names = HabitKind::ALL.map(HabitKind::name).join(", ");
    HabitKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("kinds are {names}"))
}

fn state(text: &str) -> Result<HabitState, String> {
    let all = [HabitState::Learned, HabitState::Waiting, HabitState::Rejected];
    all.into_iter().find(|state| state.name() == text).ok_or_else(|| "states are learned, waiting, rejected".to_owned())
}

/// A baseline in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    /// Always [`FORMAT`].
    bartizan_baseline: u32,
    /// When it was written.
    at: Timestamp,
    habits: Vec<Habit>,
}

/// Asks what the words stand for and prints the answer.
pub(super) fn run(global: &Global, args: BaselineArgs) -> Result<Outcome, Failure> {
    let import = match &args.verb {
        Some(BaselineVerb::Import { file }) => Some(read(file)?),
        _ => None,
    };
    let path = socket(global)?;
    runtime()?.block_on(async {
        let mut connection = Connection::open(&path).await?;
        let request = match args.verb {
            None => BaselineRequest::Status,
            Some(BaselineVerb::Show { which: WhichArgs { text, kind }, state, limit }) => {
                let habits = all(&mut connection, HabitQuery { kind, state, text, after: None, limit }).await?;
                return print::reply(&Reply::Habits(habits), global.json, false);
            }
            Some(BaselineVerb::Export) => return export(&mut connection).await,
            Some(BaselineVerb::Import { .. }) => return import_all(&mut connection, import.unwrap_or_default(), global.json).await,
            Some(BaselineVerb::Review) => BaselineRequest::Review,
            Some(BaselineVerb::Approve(args)) => decide(&mut connection, args, true).await?,
            Some(BaselineVerb::Reject(args)) => decide(&mut connection, args, false).await?,
            Some(BaselineVerb::Versions) => BaselineRequest::Versions,
            Some(BaselineVerb::Diff { from, to }) => BaselineRequest::Diff { from, to },
            Some(BaselineVerb::Revert { version }) => BaselineRequest::Revert { version },
            Some(BaselineVerb::Learn { back }) => BaselineRequest::Learn { back },
        };
        match connection.ask(Request::Baseline(Box::new(request))).await? {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => print::reply(&reply, global.json, false),
        }
    })
}

/// Habits, page by page.
async fn all(connection: &mut Connection, mut query: HabitQuery) -> Result<Vec<Habit>, Failure> {
    let (mut habits, wanted) = (Vec::new(), query.limit as usize);
    while habits.len() < wanted {
        query.limit = PAGE.min(u32::try_from(wanted - habits.len()).unwrap_or(PAGE));
        let page = match connection.ask(Request::Baseline(Box::new(BaselineRequest::Show(query.clone())))).await? {
            Reply::Habits(page) => page,
            Reply::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        };
        let Some(last) = page.last().map(|habit| habit.id) else { break };
        query.after = Some(last);
        habits.extend(page);
    }
    Ok(habits)
}

async fn decide(connection: &mut Connection, args: DecideArgs, normal: bool) -> Result<BaselineRequest, Failure> {
    let ids = match args.waiting {
        None => args.ids,
        Some(text) => {
            let text = Some(text).filter(|text| !text.is_empty());
            let query = HabitQuery { state: Some(HabitState::Waiting), text, limit: u32::MAX, ..HabitQuery::default() };
            let ids: Vec<HabitId> = all(connection, query).await?.into_iter().map(|habit| habit.id).collect();
            if ids.is_empty() {
                return Err(Failure::failed("no such habit waits: `bartizan baseline review` lists those that do"));
            }
            ids
        }
    };
    Ok(BaselineRequest::Decide { ids, normal })
}

/// In parts: one question holds only so many.
async fn import_all(connection: &mut Connection, habits: Vec<Habit>, json: bool) -> Result<Outcome, Failure> {
    for part in habits.chunks(PART) {
        let request = BaselineRequest::Import { habits: part.to_vec() };
        match connection.ask(Request::Baseline(Box::new(request))).await? {
            Reply::Refused(refusal) => return Err(refusal.into()),
            reply => drop(print::reply(&reply, json, false)?),
        }
    }
    Ok(Outcome::Done)
}

async fn export(connection: &mut Connection) -> Result<Outcome, Failure> {
    let query = HabitQuery { state: Some(HabitState::Learned), limit: u32::MAX, ..HabitQuery::default() };
    let habits = all(connection, query).await?;
    let text = serde_json::to_string_pretty(&Exported { bartizan_baseline: FORMAT, at: chrono::Utc::now(), habits });
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.map_err(|error| Failure::failed(error.to_string()))?)?;
    Ok(Outcome::Done)
}

fn read(file: &std::path::Path) -> Result<Vec<Habit>, Failure> {
    let shown = file.display();
    let bytes = bartizan_sys::digest::read_bounded(file, LONGEST_FILE).map_err(|error| Failure::failed(format!("{shown}: {error}")))?;
    let exported: Exported = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::usage(format!("{shown} is not a baseline: {error}"), "give a file that `bartizan baseline export` wrote")
    })?;
    if exported.bartizan_baseline != FORMAT {
        let found = exported.bartizan_baseline;
        return Err(Failure::usage(format!("{shown} has format {found}, this program knows {FORMAT}"), "use the newer bartizan"));
    }
    Ok(exported.habits)
}
