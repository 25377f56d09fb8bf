//! The sparring partner against the guard: the running agent, or one that lives for the drill only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::{Global, RedteamVerb};
use super::ask::{runtime, settings, socket};
use super::outcome::{Failure, NO_AGENT, Outcome};
use super::print;
use bartizan_agent::Engine;
use bartizan_client::Connection;
use bartizan_config::{Flags, Settings};
use bartizan_redteam::{Asking, Observer};
use bartizan_sys::temporary;

/// How long a detector may take before its step counts as missed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the drill and prints what was seen; exit 5 when something was missed.
pub(super) fn run(global: &Global, verb: RedteamVerb) -> Result<Outcome, Failure> {
    let RedteamVerb::Live { hold } = verb;
    let path = socket(global)?;
    let asking = runtime()?;
    let report = match asking.block_on(Connection::open(&path)).map_err(Failure::from) {
        Ok(mut connection) => {
            let mut guard = Asking::new(move |request| asking.block_on(connection.ask(request)).map_err(|error| error.to_string()));
            drill(&mut guard, hold, global.json)?
        }
        Err(failure) if failure.code == NO_AGENT => against_own_engine(global, hold)?,
        Err(failure) => return Err(failure),
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
    bartizan_redteam::play().map(|()| Outcome::Done).map_err(Failure::failed)
}

fn drill(guard: &mut (dyn Observer + Send), hold: Duration, json: bool) -> Result<bartizan_redteam::Report, Failure> {
    let cast = bartizan_redteam::Cast { program: std::env::current_exe()?, arguments: vec!["stage".to_owned()] };
    let options = bartizan_redteam::Options { cast, under: PathBuf::from("/tmp"), patience: PATIENCE, hold };
    let stop = stop_on_interrupt();
    bartizan_redteam::run(guard, &options, &stop, &|line| print::progress(line, json)).map_err(Failure::failed)
}

/// Ctrl-C ends the drill cleanly: the stage is cleared as always.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        let Ok(runtime) = runtime() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            stopped.store(true, Ordering::Relaxed);
        }
    });
    stop
}

/// An engine in this process with a temporary database, in PARANOID: it proposes and does nothing. It leaves alone what another
/// agent of this host does, or did and is not there to look after.
fn against_own_engine(global: &Global, hold: Duration) -> Result<bartizan_redteam::Report, Failure> {
    let configured = settings(global)?;
    let place = temporary::Directory::new("bartizan-redteam")?;
    let flags = Flags { config: global.config.clone(), data: Some(place.path().to_owned()), socket: None, rung: configured.rung };
    let mut own = Settings::load(&flags)?;
    own.policy.mode.initial = bartizan_model::Mode::Paranoid;
    own.only_watches = true;
    own.alerts = bartizan_config::AlertSettings::default();
    let engine = Engine::start(own, None).map_err(Failure::failed)?;
    let asked = Arc::clone(&engine);
    let mut guard = Asking::new(move |request| Ok(asked.answer(request, "redteam", None)));
    let report = drill(&mut guard, hold, global.json);
    engine.stop("the drill is over");
    report
}
