//! The runner: gathers all inputs into one stream, performs what updates ask for, paints when something changed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, Offset, Utc};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::buffer::Buffer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::bounded::Bounded;
use super::input::{Effect, Input, Question};
use super::paint::Paint;
use super::seat::{Look, Place, Seat};
use super::state::{Dialog, Link, Sound, State};
use super::terminal::{Inside, backend, copy};
use super::update::{painted, sent, show, subscribe, update};
use super::view;
use bartizan_client::{Asker, ClientError, Connection, Endpoint, Inbox, News, Opened, Said};
use bartizan_config::{Keymap, Theme, View};
use bartizan_model::Timestamp;

/// Least time between two paintings: at most 20 a second go over the wire.
const FRAME: Duration = Duration::from_millis(50);
/// How long a key that may answer a question waits for company: a letter takes 8 ms on a line of 1200 baud.
const LINGER: Duration = Duration::from_millis(30);
/// How often a console looks whether the terminal is its own again.
const GLANCE: Duration = Duration::from_millis(250);
/// Most inputs that are looked at together.
const MAX_KEYS: usize = 1_024;
/// Most questions that may wait for an answer.
const OPEN_QUESTIONS: usize = 64;
/// Pauses between attempts to connect again; the last one is kept up.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// How the console shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The view it begins with.
    pub view: View,
    /// Only that view, without tabs (`--view NAME`).
    pub single: bool,
    /// The guard lives in this very program: leaving asks whether it shall end.
    pub embedded: bool,
    /// Keys.
    pub keymap: Keymap,
    /// Colours and characters.
    pub theme: Theme,
    /// Where to connect to again when the connection is lost; without it, losing the connection ends the console.
    pub reconnect: Option<Endpoint>,
    /// What ssh says that carries the connection, where one does.
    pub said: Option<Said>,
    /// SSH_CONNECTION of the person's shell, so that its far end joins the lifeline.
    pub ssh_connection: Option<String>,
    /// Where it stands among the shell's jobs.
    pub place: Arc<dyn Place>,
}

/// How the console ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The person left, or SIGTERM asked the program to end; an embedded guard shall end.
    Quit,
    /// The person left, or the terminal went away; the guard goes on.
    Detached,
    /// The connection to the agent ended, with the reason.
    Lost(String),
}

/// The terminal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the terminal cannot be used as a console: {0}; run it in a terminal, or use `bartizan status`")]
pub struct ConsoleError(#[source] std::io::Error);

/// Shows the console on this terminal until the person leaves; while another job has the terminal, it waits.
///
/// # Errors
/// [`ConsoleError`] when there is no usable terminal. It is restored on every way out.
pub async fn run(connection: Connection, options: Options) -> Result<Outcome, ConsoleError> {
    // Read by a task of its own: a slow painting must not make keys that came one by one look like pasted text.
    let (sender, mut arrivals) = tokio::sync::mpsc::channel(64);
    let mut jobs = tokio::task::JoinSet::new();
    jobs.spawn(job_signals(options.place.job_signals(), sender.clone()));
    let mut seat = Seat::new(Arc::clone(&options.place), sender);
    seat.begin().map_err(ConsoleError)?;
    let mut terminal = Terminal::new(Bounded(backend())).map_err(ConsoleError)?;
    if !seat.is_away() {
        terminal.backend_mut().clear().map_err(ConsoleError)?;
    }
    let events = futures_util::stream::poll_fn(move |context| arrivals.poll_recv(context));
    let outcome = Inside::new(drive(&mut terminal, &mut seat, events, signals(), connection, options)).await;
    seat.leave().await;
    outcome.map_err(ConsoleError)
}

/// Ends when the terminal goes away or somebody asks the program to end.
async fn signals() -> Input {
    let caught = |kind| signal(kind).ok();
    let kinds = [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
    let [Some(mut hangup), Some(mut terminate), Some(mut interrupt), Some(mut quit)] = kinds.map(caught) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = hangup.recv() => Input::Hangup,
        _ = terminate.recv() => Input::Terminate,
        _ = interrupt.recv() => Input::Terminate,
        _ = quit.recv() => Input::Terminate,
    }
}

/// What the shell's job control says: stop, and go on.
async fn job_signals([stop, go]: [i32; 2], sender: Sender<(Timestamp, Input)>) {
    let caught = |number| signal(SignalKind::from_raw(number)).ok();
    let (Some(mut stop), Some(mut go)) = (caught(stop), caught(go)) else { return };
    loop {
        let input = tokio::select! { _ = stop.recv() => Input::Suspend, _ = go.recv() => Input::Continued };
        if sender.send((Utc::now(), input)).await.is_err() {
            return;
        }
    }
}

type Reconnecting = Pin<Box<dyn Future<Output = Opened> + Send>>;

/// Everything that the runner holds.
struct Runner<'t, B: Backend> {
    terminal: &'t mut Terminal<B>,
    state: State,
    paint: Paint,
    asker: Asker,
    shown: Option<Buffer>,
    ssh_connection: Option<String>,
    /// Why a connection over ssh ended is what ssh said last.
    said: Option<Said>,
    /// The shell shall have the terminal.
    suspending: bool,
}

/// The loop, whatever the terminal is.
pub(crate) async fn drive<B: Backend>(
    terminal: &mut Terminal<B>,
    seat: &mut Seat,
    mut events: impl Stream<Item = (Timestamp, Input)> + Unpin,
    signals: impl Future<Output = Input>,
    connection: Connection,
    options: Options,
) -> Result<Outcome, B::Error> {
    let mut state = State::new(options.keymap, connection.hello().role, options.view, Utc::now(), Local::now().offset().fix());
    (state.single, state.embedded) = (options.single, options.embedded);
    state.remote = options.reconnect.as_ref().and_then(Endpoint::remote);
    let size = terminal.size()?;
    state.size = (size.width, size.height);
    let (asker, mut inbox) = connection.split();
    let mut runner = Runner {
        terminal,
        state,
        paint: Paint::new(&options.theme),
        asker,
        shown: None,
        ssh_connection: options.ssh_connection,
        said: options.said,
        suspending: false,
    };
    runner.perform(vec![Effect::Ask(subscribe(None))])?;
    // A view that asks for its data must ask at the start too.
    let effects = show(&mut runner.state, options.view);
    runner.perform(effects)?;
    let mut signals = pin!(signals);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut glances = interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reconnecting: Option<Reconnecting> = None;
    let mut painted: Option<Instant> = None;
    let mut dirty = true;
    loop {
        let away = seat.is_away();
        if dirty && !away && painted.is_none_or(|at| at.elapsed() >= FRAME) {
            runner.paint()?;
            (painted, dirty) = (Some(Instant::now()), false);
        }
        let next_frame = painted.unwrap_or_else(Instant::now) + FRAME;
        let input = tokio::select! {
            biased;
            signal = &mut signals => Some((Utc::now(), signal)),
            event = events.next() => Some(event.unwrap_or_else(|| (Utc::now(), Input::Hangup))),
            () = sleep_until(next_frame), if dirty && !away => None,
            _ = glances.tick(), if away => {
                match seat.look() {
                    Look::Gone => return Ok(Outcome::Detached),
                    Look::Return if seat.take().is_ok() => runner.repaint()?,
                    Look::Return | Look::Stay | Look::Lost => continue,
                }
                dirty = true;
                None
            }
            _ = ticks.tick() => Some((Utc::now(), Input::Tick)),
            news = inbox.next(), if reconnecting.is_none() => Some((Utc::now(), runner.heard(news))),
            opened = again(&mut reconnecting) => {
                reconnecting = None;
                Some((Utc::now(), runner.attach(opened, &mut inbox)?))
            }
        };
        let Some((at, input)) = input else { continue };
        dirty = true;
        match (&input, seat.look()) {
            (Input::Continued, _) => {
                seat.go_on().await;
                continue;
            }
            (Input::Broken, _) if away => continue,
            (Input::Broken | Input::Tick, Look::Gone) => return Ok(Outcome::Detached),
            (Input::Broken | Input::Tick, Look::Lost) => {
                seat.lose().await;
                continue;
            }
            _ => {}
        }
        if let Input::Lost { reason } = &input {
            let Some(endpoint) = options.reconnect.clone() else { return Ok(Outcome::Lost(reason.clone())) };
            reconnecting = Some(Box::pin(connect(endpoint)));
        }
        let asks = matches!(runner.state.dialog, Some(Dialog::Confirm(_)));
        let inputs = if asks { unless_more_follows(at, input, &mut events).await } else { vec![(at, input)] };
        for (at, input) in inputs {
            if let Some(outcome) = runner.take(at, input)? {
                return Ok(outcome);
            }
        }
        if std::mem::take(&mut runner.suspending) {
            seat.suspend().await;
        }
    }
}

impl<B: Backend> Runner<'_, B> {
    fn take(&mut self, at: Timestamp, input: Input) -> Result<Option<Outcome>, B::Error> {
        let effects = update(&mut self.state, input, at);
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<Option<Outcome>, B::Error> {
        for effect in effects {
            match effect {
                Effect::Detach => return Ok(Some(Outcome::Detached)),
                Effect::Quit => return Ok(Some(Outcome::Quit)),
                Effect::Suspend => self.suspending = true,
                Effect::Repaint => self.repaint()?,
                Effect::Copy(text) => {
                    if let Err(error) = copy(&text) {
                        self.state.say(Sound::Refused, format!("not copied: {error}"));
                    }
                }
                Effect::Ask(question) => self.ask(question),
            }
        }
        Ok(None)
    }

    /// Whatever is on the terminal, the next painting paints all of it.
    fn repaint(&mut self) -> Result<(), B::Error> {
        // Not `Terminal::clear`: it asks the terminal where the cursor is and waits for an answer.
        self.shown = None;
        self.terminal.swap_buffers();
        self.terminal.swap_buffers();
        self.terminal.backend_mut().clear()
    }

    fn ask(&mut self, mut question: Question) {
        if let bartizan_protocol::Request::Subscribe { ssh_connection, .. } = &mut question.request {
            ssh_connection.clone_from(&self.ssh_connection);
        }
        if matches!(self.state.link, Link::Lost { .. }) {
            self.state.say(Sound::Refused, "not asked: there is no connection to the agent");
            return;
        }
        if self.state.asked.len() >= OPEN_QUESTIONS {
            self.state.say(Sound::Refused, "not asked: too many questions wait for an answer");
            return;
        }
        match self.asker.ask(question.request.clone()) {
            Ok(ticket) => sent(&mut self.state, ticket, question),
            Err(error) => self.state.say(Sound::Refused, format!("not asked: {error}; {}", error.mend())),
        }
    }

    fn heard(&self, news: Result<News, ClientError>) -> Input {
        match news {
            Ok(News::Push(push)) => Input::Push(push),
            Ok(News::Reply { ticket, reply }) => Input::Reply { ticket, reply },
            Err(error) => {
                let said = self.said.as_ref().and_then(Said::last).map(|said| format!(" (ssh: {said})")).unwrap_or_default();
                Input::Lost { reason: format!("{error}{said}") }
            }
        }
    }

    fn attach(&mut self, opened: Opened, inbox: &mut Inbox) -> Result<Input, B::Error> {
        let Opened { connection, said } = opened;
        self.said = said;
        let role = connection.hello().role;
        (self.asker, *inbox) = connection.split();
        self.state.link = Link::Up;
        self.perform(vec![Effect::Ask(subscribe(None))])?;
        Ok(Input::Found { role })
    }

    /// Paints into a buffer of our own and sends only what differs; nothing at all when nothing does.
    fn paint(&mut self) -> Result<(), B::Error> {
        self.terminal.autoresize()?;
        let area = self.terminal.get_frame().area();
        self.state.size = (area.width, area.height);
        let buf = self.terminal.current_buffer_mut();
        buf.reset();
        view::draw(buf, area, &self.state, &self.paint);
        if self.shown.as_ref() != Some(&*buf) {
            self.shown = Some(buf.clone());
            self.terminal.flush()?;
            self.terminal.swap_buffers();
            self.terminal.backend_mut().flush()?;
        }
        painted(&mut self.state, Utc::now());
        Ok(())
    }
}

/// A key that may answer a question waits a moment for the next one: on a serial line pasted letters come one by one.
async fn unless_more_follows(
    at: Timestamp,
    input: Input,
    events: &mut (impl Stream<Item = (Timestamp, Input)> + Unpin),
) -> Vec<(Timestamp, Input)> {
    let Input::Key(key) = input else { return vec![(at, input)] };
    let (mut keys, mut others) = (vec![key], Vec::new());
    while keys.len() < MAX_KEYS && others.len() < MAX_KEYS {
        match tokio::time::timeout(LINGER, events.next()).await {
            Ok(Some((_, Input::Key(next)))) => keys.push(next),
            Ok(Some((_, Input::Burst(more)))) => keys.extend(more),
            Ok(Some(other)) => others.push(other),
            Ok(None) | Err(_) => break,
        }
    }
    let together = if keys.len() == 1 { Input::Key(key) } else { Input::Burst(keys) };
    std::iter::once((at, together)).chain(others).collect()
}

async fn again(reconnecting: &mut Option<Reconnecting>) -> Opened {
    match reconnecting {
        Some(opened) => opened.await,
        None => std::future::pending().await,
    }
}

/// Tries until it succeeds, with growing pauses. Nobody is asked anything: the terminal belongs to the console.
async fn connect(endpoint: Endpoint) -> Opened {
    let mut pauses = PAUSES.into_iter();
    let mut pause = 1;
    loop {
        pause = pauses.next().unwrap_or(pause);
        sleep(Duration::from_secs(pause)).await;
        if let Ok(opened) = endpoint.open(false).await {
            return opened;
        }
    }
}

#[cfg(test)]
mod tests;
