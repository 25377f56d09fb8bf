//! The loop on a test terminal, against a stand-in for the agent's socket.

use std::sync::{Arc, Mutex};

use futures_util::stream;
use ratatui::backend::{ClearType, TestBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::*;
use crate::fixtures::{health, mirror};
use bartizan_protocol::{ClientFrame, Hello, Push, Reply, Request, ServerFrame, Snapshot, VERSION};

/// Counts how often the terminal is written to.
struct Counting {
    inner: TestBackend,
    writes: Arc<Mutex<usize>>,
}

impl Backend for Counting {
    type Error = std::convert::Infallible;
    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> Result<(), Self::Error> {
        *self.writes.lock().unwrap() += 1;
        self.inner.draw(content)
    }
    fn hide_cursor(&mut self) -> Result<(), Self::Error> {
        *self.writes.lock().unwrap() += 1;
        self.inner.hide_cursor()
    }
    fn show_cursor(&mut self) -> Result<(), Self::Error> {
        self.inner.show_cursor()
    }
    fn get_cursor_position(&mut self) -> Result<Position, Self::Error> {
        self.inner.get_cursor_position()
    }
    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Self::Error> {
        self.inner.set_cursor_position(position)
    }
    fn clear(&mut self) -> Result<(), Self::Error> {
        self.inner.clear()
    }
    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Self::Error> {
        self.inner.clear_region(clear_type)
    }
    fn size(&self) -> Result<Size, Self::Error> {
        self.inner.size()
    }
    fn window_size(&mut self) -> Result<WindowSize, Self::Error> {
        self.inner.window_size()
    }
    fn flush(&mut self) -> Result<(), Self::Error> {
        self.inner.flush()
    }
}

fn snapshot() -> Push {
    let mirror = mirror();
    let mut health = health();
    health.at = Utc::now();
    Push::Snapshot(Box::new(Snapshot {
        seq: 1,
        health,
        presence: None,
        processes: mirror.processes.into_values().collect(),
        sockets: mirror.sockets.into_values().collect(),
        incidents: mirror.incidents.into_values().collect(),
        signals: mirror.signals.into(),
        alerts: mirror.alerts.into_values().collect(),
        approvals: mirror.approvals.into_values().collect(),
        actions: mirror.actions.into_values().collect(),
    }))
}

/// Greets, sends the snapshot on subscription, says yes to everything else, notes every question; ends after `answers` of them.
async fn agent(stream: UnixStream, asked: Arc<Mutex<Vec<Request>>>, answers: usize) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    for _ in 0..answers {
        let Ok(Some(line)) = lines.next_line().await else { return };
        let frame: ClientFrame = serde_json::from_str(&line).unwrap();
        let reply = match &frame.request {
            Request::Hello { .. } => {
                Reply::Hello(Hello { version: VERSION, agent: "test".to_owned(), role: bartizan_model::Role::Admin, pass: None })
            }
            _ => Reply::Done("it is done".to_owned()),
        };
        let mut out = serde_json::to_string(&ServerFrame::Reply { id: frame.id, reply: Box::new(reply) }).unwrap() + "\n";
        if matches!(frame.request, Request::Subscribe { .. }) {
            out += &(serde_json::to_string(&ServerFrame::Push(Box::new(snapshot()))).unwrap() + "\n");
        }
        asked.lock().unwrap().push(frame.request);
        writer.write_all(out.as_bytes()).await.unwrap();
    }
}

/// A terminal that is always ours.
#[derive(Debug)]
struct Always;

impl Place for Always {
    fn ground(&self) -> crate::Ground {
        crate::Ground::Ours
    }
    fn taken(&self) {}
    fn left(&self) {}
    fn step_back(&self) {}
    fn begin_behind(&self) {}
    fn job_signals(&self) -> [i32; 2] {
        [20, 18]
    }
}

fn options(view: View) -> Options {
    Options {
        view,
        single: false,
        embedded: false,
        keymap: Keymap::built_in().unwrap(),
        theme: Theme::named("mono").unwrap(),
        reconnect: None,
        said: None,
        ssh_connection: Some("198.51.100.7 50122 10.0.0.5 22".to_owned()),
        place: Arc::new(Always),
    }
}

/// Keys, each a while after the one before; `yy` are two letters a few milliseconds apart, as on a serial line.
fn typed(keys: &'static str) -> impl Stream<Item = (Timestamp, Input)> + Unpin {
    let letters = keys.split(' ').filter(|key| !key.is_empty()).flat_map(|key| {
        let pieces = if key.starts_with("yy") { key.chars().map(String::from).collect() } else { vec![key.to_owned()] };
        pieces.into_iter().enumerate().map(|(at, key)| (if at == 0 { 420 } else { 5 }, key))
    });
    let keys = stream::iter(letters).then(|(pause, key)| async move {
        sleep(Duration::from_millis(pause)).await;
        (Utc::now(), Input::Key(key.parse().unwrap()))
    });
    Box::pin(keys.chain(stream::pending()))
}

async fn ends(after: Duration) -> Input {
    sleep(after).await;
    Input::Hangup
}

async fn drive_for(keys: &'static str, view: View, answers: usize, end: Duration) -> (Outcome, String, Vec<Request>, usize) {
    let (near, far) = UnixStream::pair().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(agent(far, asked.clone(), answers));
    let connection = Connection::from_stream(near).await.unwrap();
    let writes = Arc::new(Mutex::new(0));
    let mut terminal = Terminal::new(Counting { inner: TestBackend::new(80, 24), writes: writes.clone() }).unwrap();
    let outcome = drive(&mut terminal, &mut Seat::lent(Arc::new(Always)), typed(keys), ends(end), connection, options(view)).await.unwrap();
    let screen = terminal.backend().inner.to_string();
    let (asked, writes) = (asked.lock().unwrap().clone(), *writes.lock().unwrap());
    (outcome, screen, asked, writes)
}

#[tokio::test]
async fn a_question_goes_out_and_its_answer_is_on_screen() {
    let (outcome, screen, asked, _) = drive_for("g a y", View::Approvals, 99, Duration::from_millis(2_000)).await;
    assert_eq!(outcome, Outcome::Detached);
    assert!(screen.contains("it is done"), "{screen}");
    assert!(matches!(&asked[1], Request::Subscribe { console: true, ssh_connection: Some(from) } if from.starts_with("198.51.100.7")));
    assert!(matches!(asked[2], Request::Approve { .. }));
}

#[tokio::test]
async fn letters_that_come_one_by_one_without_a_pause_answer_nothing() {
    let (_, screen, asked, _) = drive_for("g a yyy", View::Approvals, 99, Duration::from_millis(2_000)).await;
    assert!(!asked.iter().any(|request| matches!(request, Request::Approve { .. })), "{screen}");
    assert!(screen.contains("read it first"), "told, never silently dropped: {screen}");
}

#[tokio::test]
async fn leaving_by_key() {
    assert_eq!(drive_for("d", View::Overview, 99, Duration::from_secs(9)).await.0, Outcome::Detached);
    assert_eq!(drive_for("q", View::Overview, 99, Duration::from_secs(9)).await.0, Outcome::Quit);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_way_back_ends_the_console() {
    assert!(matches!(drive_for("", View::Overview, 2, Duration::from_secs(9)).await.0, Outcome::Lost(_)));
}

#[tokio::test]
async fn nothing_is_sent_when_nothing_changes() {
    // Audit and its clockless lines: ticks pass, the screen stays, the terminal hears nothing.
    let (_, screen, _, writes) = drive_for("", View::Audit, 99, Duration::from_millis(3_300)).await;
    assert!(screen.contains("Audit"), "{screen}");
    assert!(writes <= 3, "{writes} writes in three seconds in which nothing changed");
}

#[tokio::test]
async fn a_lost_agent_is_said_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        // The first life of the agent ends after two answers, the second goes on.
        for answers in [2, 99] {
            let (stream, _) = listener.accept().await.unwrap();
            agent(stream, noted.clone(), answers).await;
        }
    });
    let connection = Connection::open(&path).await.unwrap();
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let options = Options { reconnect: Some(Endpoint::Socket(path)), ..options(View::Overview) };
    let mut seat = Seat::lent(Arc::new(Always));
    let outcome = drive(&mut terminal, &mut seat, typed(""), ends(Duration::from_millis(1_900)), connection, options).await.unwrap();
    assert_eq!(outcome, Outcome::Detached);
    let subscribed = asked.lock().unwrap().iter().filter(|request| matches!(request, Request::Subscribe { .. })).count();
    assert_eq!(subscribed, 2);
    assert!(terminal.backend().to_string().contains("the agent is back"), "{}", terminal.backend());
}
