//! `fim restore`: changed files become again what the baseline knows, each by an action that a person confirms and can undo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use clap::Args;
use serde::Serialize;

use super::{agree, failed, left_out, scanned, show};
use crate::cli::args::{Global, duration};
use crate::cli::ask::{runtime, socket};
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::print;
use bartizan_agent::fim::{Ask, NotRestored, release, restorable};
use bartizan_client::Connection;
use bartizan_model::{Action, ActionKind, ActionPlan, HostText, Target};
use bartizan_protocol::{Reply, Request};
use bartizan_store::Baseline;

/// Files restored at once; more are for a person to think about.
const MAX_FILES: usize = 64;

/// What is restored.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Files, or directories of which every changed file is restored.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Time after which it is undone unless you confirm it: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10m")]
    lasts: Duration,
    /// Reason, for the audit log.
    #[arg(long, default_value = "restored from the baseline")]
    reason: String,
    /// Show exactly what would happen, and do nothing.
    #[arg(long)]
    preview: bool,
    /// Do not ask: for scripts.
    #[arg(long)]
    yes: bool,
}

/// A file that stays as it is.
#[derive(Debug, Serialize)]
struct Refused {
    path: HostText,
    why: String,
}

/// What became of all of them, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    actions: &'a [Action],
    not_restored: &'a [Refused],
}

/// Finds what changed, asks, and has the agent restore it.
pub(super) fn run(global: &Global, data: &Path, args: RestoreArgs) -> Result<Outcome, Failure> {
    // Without an agent there is nobody who could undo it.
    let (runtime, path) = (runtime()?, socket(global)?);
    let mut connection = runtime.block_on(Connection::open(&path))?;
    let ask = Ask { paths: args.paths, full: false, excluded: left_out(data, Vec::new()), writing: None, yara: None };
    let report = scanned(data, &ask, global.json, &mut |_| true)?;
    if let Some(root) = report.roots.iter().find(|root| !report.differs_at(root)) {
        return Err(Failure::usage(format!("{}: nothing changed there", root.escaped()), ""));
    }
    if report.changes.len() > MAX_FILES || report.more_changes > 0 {
        let many = report.changes.len() as u64 + report.more_changes;
        return Err(Failure::usage(
            format!("{many} changes are too many to restore at once"),
            format!("name fewer than {MAX_FILES} files"),
        ));
    }
    if !global.json {
        show::changes(&report)?;
    }
    let baseline = Baseline::read(data).map_err(failed)?;
    let (mut plans, mut refused) = (Vec::new(), Vec::new());
    for change in &report.changes {
        match restorable(&baseline, data, change, Utc::now()) {
            Ok((path, copy)) => plans.push(plan(path, copy, args.lasts)?),
            Err(NotRestored::Store(why)) => return Err(failed(why)),
            // All or none: a half of what was to be restored helps nobody.
            Err(why) if why.is_without_room() => {
                give_up(data, &plans);
                return Err(Failure::failed(format!("{}: {why}. Nothing was restored.", change.path)));
            }
            Err(why) => refused.push(Refused { path: change.path.clone(), why: why.to_string() }),
        }
    }
    if !global.json {
        refused.iter().try_for_each(|one| print::line(&format!("{}: not restored: {}", one.path, one.why)))?;
    }
    if !plans.is_empty() && !args.preview {
        let files = if plans.len() == 1 { "this file".to_owned() } else { format!("these {} files", plans.len()) };
        let asked = agree::asked(&format!("Restore {files}?"), "nothing was restored", args.yes, global.json);
        asked.inspect_err(|_| give_up(data, &plans))?;
    }
    let planned = plans.clone();
    let mut actions = Vec::new();
    for plan in plans {
        let request = if args.preview {
            Request::Preview { plan: plan.clone() }
        } else {
            Request::Act { plan: plan.clone(), reason: args.reason.clone() }
        };
        match runtime.block_on(connection.ask(request))? {
            Reply::Refused(refusal) => refused.push(stays(&plan, refusal.message, global.json)?),
            reply if args.preview => print::reply(&reply, global.json, true).map(drop)?,
            Reply::Actions(done) => actions.extend(done),
            _ => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        }
    }
    if args.preview {
        give_up(data, &planned);
    }
    if global.json && !args.preview {
        print::document(&Document { actions: &actions, not_restored: &refused })?;
    } else if !actions.is_empty() {
        let reply = Reply::Actions(actions);
        print::reply(&reply, false, false)?;
        print::to_confirm(&reply, false);
    }
    if refused.is_empty() { Ok(Outcome::Done) } else { Ok(Outcome::Code(crate::cli::outcome::FAILED)) }
}

/// What is not begun needs no room.
fn give_up(data: &Path, plans: &[ActionPlan]) {
    for plan in plans {
        if let Target::File { path, .. } = plan.target() {
            release(data, path);
        }
    }
}

fn plan(path: HostText, copy: String, lasts: Duration) -> Result<ActionPlan, Failure> {
    ActionPlan::new(ActionKind::RestoreFile, Target::File { path, copy }, lasts).map_err(|error| Failure::usage(error.to_string(), ""))
}

fn stays(plan: &ActionPlan, why: String, json: bool) -> Result<Refused, Failure> {
    let path = if let Target::File { path, .. } = plan.target() { path.clone() } else { HostText::from("") };
    if !json {
        print::line(&format!("{path}: not restored: {why}"))?;
    }
    Ok(Refused { path, why })
}
