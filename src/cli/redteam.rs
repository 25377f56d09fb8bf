//! The sparring partner against the guard: the running agent, or one that lives for the drill only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::{Global, RedteamVerb};
use super::ask::{runtime, settings, socket};
use super::outcome::{Failure, Outcome};
use super::print;
use crate::client::Connection;
use crate::config::{Flags, Settings};
use crate::engine::Engine;
use crate::model::{Explanation, Incident, IncidentId, Signal, Timestamp};
use crate::protocol::{Reply, Request};
use crate::redteam::{self, Observer, Verdicts};

/// Runs the drill and prints what was seen; exit 5 when something was missed.
pub(super) fn run(global: &Global, verb: RedteamVerb) -> Result<Outcome, Failure> {
    let RedteamVerb::Live { hold } = verb;
    let report = match running_agent(global)? {
        Some(mut guard) => drill(&mut guard, hold, global.json)?,
        None => against_own_engine(global, hold)?,
    };
    if global.json {
        print::document(&report)?;
    } else {
        print::redteam_report(&report)?;
    }
    Ok(Outcome::Code(report.exit_code()))
}

/// A part that the sparring partner plays in a process of its own.
pub(super) fn stage() -> Result<Outcome, Failure> {
    redteam::play().map(|()| Outcome::Done).map_err(Failure::failed)
}

/// How long a detector may take before its step counts as missed.
const PATIENCE: Duration = Duration::from_secs(3);

fn drill(guard: &mut Guard, hold: Duration, json: bool) -> Result<redteam::Report, Failure> {
    let cast = redteam::Cast { program: std::env::current_exe()?, arguments: vec!["stage".to_owned()] };
    let options = redteam::Options { cast, under: PathBuf::from("/tmp"), patience: PATIENCE, hold };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // Ctrl-C ends the drill cleanly: the stage is cleared as always.
    std::thread::spawn(move || {
        let Ok(runtime) = runtime() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            stopped.store(true, Ordering::Relaxed);
        }
    });
    redteam::run(guard, &options, &stop, &|line| print::progress(line, json)).map_err(Failure::failed)
}

/// Whoever is asked what it saw.
struct Guard {
    ask: Box<dyn FnMut(Request) -> Result<Reply, String> + Send>,
}

/// The agent that answers on the socket, if one does.
fn running_agent(global: &Global) -> Result<Option<Guard>, Failure> {
    let path = socket(global)?;
    let runtime = runtime()?;
    match runtime.block_on(Connection::open(&path)) {
        Ok(mut connection) => {
            let ask = move |request| runtime.block_on(connection.ask(request)).map_err(|error| error.to_string());
            Ok(Some(Guard { ask: Box::new(ask) }))
        }
        Err(error) => match Failure::from(error) {
            failure if failure.code == super::outcome::NO_AGENT => Ok(None),
            failure => Err(failure),
        },
    }
}

/// An engine in this process with a temporary database, in PARANOID: it proposes and does nothing.
fn against_own_engine(global: &Global, hold: Duration) -> Result<redteam::Report, Failure> {
    let configured = settings(global)?;
    let place = crate::host::temporary::Directory::new("bartizan-redteam")?;
    let flags = Flags { config: global.config.clone(), data: Some(place.path().to_owned()), socket: None, rung: configured.rung };
    let mut own = Settings::load(&flags)?;
    own.policy.mode.initial = crate::model::Mode::Paranoid;
    own.webhook = None;
    let engine = Engine::start(own).map_err(Failure::failed)?;
    let asked = Arc::clone(&engine);
    let mut guard = Guard { ask: Box::new(move |request| Ok(asked.answer(request, "redteam"))) };
    let report = drill(&mut guard, hold, global.json);
    engine.stop("the drill is over");
    report
}

impl Guard {
    fn answer(&mut self, request: Request) -> Result<Reply, String> {
        match (self.ask)(request)? {
            Reply::Refused(refusal) => Err(refusal.message),
            reply => Ok(reply),
        }
    }
}

impl Observer for Guard {
    fn signals_since(&mut self, since: Timestamp) -> Result<Vec<Signal>, String> {
        match self.answer(Request::Signals { limit: 1_000 })? {
            Reply::Signals(signals) => Ok(signals.into_iter().filter(|signal| signal.at >= since).collect()),
            _ => Err("the agent did not answer with signals".to_owned()),
        }
    }

    fn incidents(&mut self) -> Result<Vec<Incident>, String> {
        match self.answer(Request::Incidents { id: None })? {
            Reply::Incidents(incidents) => Ok(incidents),
            _ => Err("the agent did not answer with incidents".to_owned()),
        }
    }

    fn explain(&mut self, id: IncidentId) -> Result<Explanation, String> {
        match self.answer(Request::Explain { id })? {
            Reply::Explanation(explanation) => Ok(*explanation),
            _ => Err("the agent did not answer with an explanation".to_owned()),
        }
    }

    fn verdicts(&mut self, id: IncidentId) -> Result<Verdicts, String> {
        let Reply::Approvals(approvals) = self.answer(Request::Approvals { all: true })? else {
            return Err("the agent did not answer with approvals".to_owned());
        };
        let Reply::Actions(actions) = self.answer(Request::Actions { active: false })? else {
            return Err("the agent did not answer with actions".to_owned());
        };
        Ok(Verdicts {
            approvals: approvals.into_iter().filter(|approval| approval.incident == id).collect(),
            actions: actions.into_iter().filter(|action| action.incident == Some(id)).collect(),
        })
    }
}
