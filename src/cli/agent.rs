//! Running the agent: without a screen, with a console of its own, or as a console of the one that runs.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::sync::Arc;

use clap::ValueEnum;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{AttachArgs, Global};
use super::ask::{settings, socket};
use super::outcome::{FAILED, Failure, Outcome};
use super::place::{Alone, WithGuard};
use super::print;
use bartizan_agent::server::{self, Access, Gate, Listener, Places};
use bartizan_agent::{Engine, apart};
use bartizan_client::{Connection, Endpoint, Said};
use bartizan_config::{Glyphs, Keymap, Settings, Theme, View};
use bartizan_sys::daemonize::{self, Leash, Side};
use bartizan_sys::reexec::{self, UpgradeState};
use bartizan_sys::{descriptors, sched, service_manager, terminal_place, umask};
use bartizan_telemetry::Destination;

/// How a service ends that its owner ended by `bartizan stop`: `RestartPreventExitStatus` in the unit.
const STOPPED: u8 = 6;
/// Peers served at once; one more is told so.
const PEERS: usize = 64;
/// The same where few descriptors may be open.
const FEW_PEERS: usize = 8;

/// The agent alone, until SIGTERM.
pub(super) fn headless(global: &Global) -> Result<Outcome, Failure> {
    terminal_place::survive_job_control();
    let legacy = reexec::inherited();
    umask::keep_files_private();
    sched::keep_one_heap();
    let settings = settings(global)?;
    runtime()?.block_on(async {
        let mut agent = Agent::start(settings, LogTo::StandardError, legacy).await?;
        service_manager::ready("watching");
        watch_alone(&mut agent).await;
        service_manager::stopping();
        let stopped = agent.engine.was_told_to_stop() && service_manager::is_ours();
        let outcome = agent.finish(global).await?;
        // So that the service manager does not start again what its owner ended.
        Ok(if stopped { Outcome::Code(STOPPED) } else { outcome })
    })
}

/// The console: of the agent that answers, else with an agent of its own.
pub(super) fn console(global: &Global, view: Option<&str>) -> Result<Outcome, Failure> {
    let look = Look::choose(global, view)?;
    if BlockingStream::connect(socket(global)?).is_ok() {
        return attach_to(Endpoint::Socket(socket(global)?), look);
    }
    let settings = settings(global)?;
    umask::keep_files_private();
    sched::keep_one_heap();
    // Before any thread exists: the parent keeps the shell's place, the child is agent and console.
    match daemonize::split()? {
        Side::Holder(holder) => Ok(Outcome::Code(u8::try_from(holder.hold()).unwrap_or(FAILED))),
        Side::Guard(leash) => runtime()?.block_on(embedded(settings, look, leash, global)),
    }
}

/// The console of the agent that runs here, or on another host.
pub(super) fn attach(global: &Global, args: AttachArgs, view: Option<&str>) -> Result<Outcome, Failure> {
    let look = Look::choose(global, args.view.as_deref().or(view))?;
    match args.host {
        Some(host) => attach_to(Endpoint::Ssh { host: host.by(&args.relay), start: start_ssh }, look),
        None => attach_to(Endpoint::Socket(socket(global)?), look),
    }
}

fn start_ssh(arguments: &[String], stream: OwnedFd) -> std::io::Result<(Box<dyn Send + Sync>, OwnedFd)> {
    let (carrier, said) = bartizan_sys::child::carry(OsStr::new("ssh"), arguments, stream)?;
    Ok((Box::new(carrier), said))
}

/// Carries the agent's socket over standard input and output.
pub(super) fn relay(global: &Global) -> Result<Outcome, Failure> {
    let path = socket(global)?;
    let runtime = runtime()?;
    let carried = runtime.block_on(bartizan_client::relay(&path, tokio::io::stdin(), tokio::io::stdout()));
    // A read of standard input cannot be called off: nobody waits for it.
    runtime.shutdown_background();
    carried.map(|()| Outcome::Done).map_err(Failure::from)
}

fn attach_to(endpoint: Endpoint, look: Look) -> Result<Outcome, Failure> {
    runtime()?.block_on(async {
        let opened = endpoint.open(true).await?;
        let options = look.options(Some(endpoint), opened.said, Arc::new(Alone));
        match bartizan_console::run(opened.connection, options).await {
            Ok(bartizan_console::Outcome::Lost(reason)) => Err(Failure::failed(reason)),
            Ok(_) => Ok(Outcome::Done),
            Err(error) => Err(Failure::failed(error)),
        }
    })
}

async fn embedded(settings: Settings, look: Look, leash: Leash, global: &Global) -> Result<Outcome, Failure> {
    let agent = Agent::start(settings, LogTo::File, None).await?;
    let (near, far) = UnixStream::pair()?;
    tokio::spawn(server::serve(Arc::clone(&agent.engine), far, Arc::clone(&agent.gate)));
    let connection = Connection::from_stream(near).await?;
    // A task of its own: when the console fails, the guard does not fall with it.
    let mut console = tokio::spawn(bartizan_console::run(connection, look.options(None, None, Arc::new(WithGuard::new(leash.line())))));
    let left = tokio::select! {
        left = &mut console => left,
        () = agent.told_to_stop() => {
            // Dropping the console gives the terminal back.
            console.abort();
            let _ = console.await;
            agent.end("asked to stop").await;
            return Ok(Outcome::Done);
        }
    };
    let failure = match left {
        Ok(Ok(bartizan_console::Outcome::Detached)) => {
            print::notice(&format!("the agent keeps running (pid {}); `bartizan` opens its console again", std::process::id()));
            return detached(agent, leash, global).await;
        }
        // The terminal went away in the middle of a picture.
        Ok(Err(_)) if !std::io::stdin().is_terminal() => return detached(agent, leash, global).await,
        Err(_) => {
            print::notice("the console failed; the agent keeps running: `bartizan attach` opens a new console");
            return detached(agent, leash, global).await;
        }
        Ok(Ok(bartizan_console::Outcome::Quit)) => None,
        Ok(Ok(bartizan_console::Outcome::Lost(reason))) => Some(Failure::failed(reason)),
        Ok(Err(error)) => Some(Failure::failed(error)),
    };
    agent.end("the console was closed").await;
    failure.map_or(Ok(Outcome::Done), Err)
}

/// Without a terminal from here on, until told to end.
async fn detached(mut agent: Agent, leash: Leash, global: &Global) -> Result<Outcome, Failure> {
    leash.slip()?;
    watch_alone(&mut agent).await;
    agent.finish(global).await
}

/// Without a console of its own, until told to end or to become a newer binary.
async fn watch_alone(agent: &mut Agent) {
    agent.engine.allow_upgrade(true);
    agent.reason = agent.until_told().await;
}

/// Where the agent's own log goes: never to a terminal that a console uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogTo {
    StandardError,
    File,
}

/// A running agent with its socket.
struct Agent {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    door: tokio::task::JoinHandle<()>,
    signals: Signals,
    /// Why it ends, once it does.
    reason: String,
}

/// Caught from the start, so that none ends the agent half-way.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Agent {
    async fn start(settings: Settings, log: LogTo, legacy: Option<UpgradeState>) -> Result<Self, Failure> {
        let limit = descriptors::raise();
        let places = if limit < descriptors::ENOUGH { FEW_PEERS } else { PEERS };
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        };
        // The umask makes it the agent's alone.
        if let Err(cause) = std::fs::create_dir_all(&settings.data) {
            let mend = "run it as root (sudo bartizan), or choose a directory that you can write with --data";
            let told = format!("cannot create the data directory {}: {cause}", settings.data.display());
            // Root's disk is in trouble: the guard works on without a record, and says so.
            if umask::own_uid() != 0 {
                return Err(Failure::new(FAILED, told, mend));
            }
        }
        let destination = match log {
            LogTo::StandardError => Destination::Stderr,
            LogTo::File => Destination::Directory(settings.data.clone()),
        };
        if let Err(error) = bartizan_telemetry::begin(&destination, settings.log.name()) {
            print::notice(&format!("{error}; continuing without log files"));
        }
        let group = match &settings.access.socket_group {
            Some(name) => Some(umask::group_id(name).ok_or_else(|| no_group(name))?),
            None => None,
        };
        let access = Access { listed: settings.access.clone(), own: umask::own_uid() };
        let lists = settings.clone();
        let gate = Gate::new(access, server::LIFETIME, move || {
            lists.read_access().inspect_err(|error| tracing::warn!(%error, "agent.toml")).ok()
        })?;
        // The socket first: it is how a second agent on the same data finds out that there is one.
        let listener = Listener::bind(&settings.socket, group).await.map_err(Failure::failed)?;
        if let Some(group) = group {
            Listener::let_pass(&settings.runtime, &settings.socket, group).map_err(Failure::failed)?;
        }
        let engine = tokio::task::spawn_blocking(move || Engine::start(settings, legacy))
            .await
            .map_err(Failure::failed)?
            .map_err(Failure::failed)?;
        let door = tokio::spawn(server::attend(listener, Arc::clone(&engine), Arc::clone(&gate), Places::new(places)));
        Ok(Self { engine, gate, door, signals, reason: String::new() })
    }

    /// Serves until a signal or an admin ends it; SIGHUP reads the policy again. Returns why it ends.
    async fn until_told(&mut self) -> String {
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => return "SIGTERM".to_owned(),
                _ = self.signals.interrupt.recv() => return "SIGINT".to_owned(),
                _ = self.signals.hangup.recv() => {
                    service_manager::reloading();
                    let (engine, gate) = (Arc::clone(&self.engine), Arc::clone(&self.gate));
                    let _ = tokio::task::spawn_blocking(move || (engine.reload("SIGHUP"), gate.reread())).await;
                    service_manager::ready("watching");
                }
                () = self.engine.told_to_end() => {
                    return if self.engine.is_upgrading() { "a newer binary takes over" } else { "asked to stop" }.to_owned();
                }
            }
        }
    }

    /// Ends when an admin asked the agent to end.
    async fn told_to_stop(&self) {
        self.engine.told_to_end().await;
    }

    /// Ends, or becomes the newer binary.
    async fn finish(self, global: &Global) -> Result<Outcome, Failure> {
        if !self.engine.is_upgrading() {
            let reason = self.reason.clone();
            self.end(&reason).await;
            return Ok(Outcome::Done);
        }
        let engine = Arc::clone(&self.engine);
        let state = apart(move || engine.hand_over()).await.flatten();
        // The socket's name must be free for the next binary.
        self.door.abort();
        let _ = self.door.await;
        let mend = "the agent has stopped: start it again (systemd does so automatically)";
        let Some(candidate) = self.engine.candidate() else { return Err(Failure::new(FAILED, "the newer binary is gone", mend)) };
        let error = reexec::become_program(&candidate, &arguments(global), state.as_deref());
        Err(Failure::new(FAILED, format!("cannot become the newer binary: {error}"), mend))
    }

    async fn end(self, reason: &str) {
        let (engine, reason) = (self.engine, reason.to_owned());
        tracing::info!(reason, "ending");
        // Not on a thread that may be held by what somebody asked.
        apart(move || engine.stop(&reason)).await;
        self.door.abort();
        let _ = self.door.await;
    }
}

/// The command line of the next binary.
fn arguments(global: &Global) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("--headless")];
    for (flag, path) in [("--config", &global.config), ("--data", &global.data), ("--socket", &global.socket)] {
        if let Some(path) = path {
            arguments.extend([OsString::from(flag), path.into()]);
        }
    }
    if let Some(rung) = global.rung.and_then(|rung| rung.to_possible_value()) {
        arguments.extend([OsString::from("--rung"), rung.get_name().into()]);
    }
    arguments
}

fn no_group(name: &str) -> Failure {
    Failure::new(
        FAILED,
        format!("the group \"{}\" of socket_group does not exist", name.escape_debug()),
        "create it with groupadd, or correct agent.toml",
    )
}

/// How the console looks: chosen before anything starts, so that a wrong name costs nothing.
struct Look {
    view: Option<View>,
    theme: Theme,
    keymap: Keymap,
}

impl Look {
    fn choose(global: &Global, view: Option<&str>) -> Result<Self, Failure> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(Failure::usage("the console needs a terminal", "use a verb such as `bartizan status`, or `bartizan --headless`"));
        }
        let var = |name: &str| std::env::var(name).ok();
        let view = view.map(str::parse::<View>).transpose().map_err(|error| Failure::usage(error.to_string(), ""))?;
        let glyphs = Glyphs::choose(global.ascii, var("LC_ALL").as_deref(), var("LC_CTYPE").as_deref(), var("LANG").as_deref());
        let theme = Theme::choose(global.theme.as_deref(), var("NO_COLOR").as_deref(), var("COLORTERM").as_deref(), var("TERM").as_deref())
            .map_err(|error| Failure::usage(error.to_string(), ""))?;
        Ok(Self { view, theme: theme.with_glyphs(glyphs), keymap: keymap(global)? })
    }

    /// With a socket to connect to again, it is the console of another program's guard.
    fn options(
        self,
        reconnect: Option<Endpoint>,
        said: Option<Said>,
        place: Arc<dyn bartizan_console::Place>,
    ) -> bartizan_console::Options {
        // To another host this shell's connection means nothing; the relay's own is seen there.
        let remote = reconnect.as_ref().is_some_and(|endpoint| endpoint.remote().is_some());
        bartizan_console::Options {
            view: self.view.unwrap_or(View::Overview),
            single: self.view.is_some(),
            embedded: reconnect.is_none(),
            keymap: self.keymap,
            theme: self.theme,
            reconnect,
            said,
            ssh_connection: std::env::var("SSH_CONNECTION").ok().filter(|_| !remote),
            place,
        }
    }
}

/// The keymap beside the configuration, if there is one.
fn keymap(global: &Global) -> Result<Keymap, Failure> {
    let beside =
        global.config.clone().unwrap_or_else(|| std::path::PathBuf::from(bartizan_config::agent::FILE)).with_file_name("keymap.toml");
    let parsed = match std::fs::read_to_string(&beside) {
        Ok(text) => Keymap::parse(&text, &beside.display().to_string()),
        Err(_) => Keymap::built_in(),
    };
    parsed.map_err(Failure::failed)
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(24).enable_all().build()?)
}
