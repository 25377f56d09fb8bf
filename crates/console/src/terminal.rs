//! The person's terminal, borrowed: given back as it was on every way out, a panic included.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::task::{Context, Poll};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::ResetColor;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::frugal::Frugal;
use super::input::Input;
use bartizan_config::{Key, KeyName};
use bartizan_model::{Timestamp, Unpoisoned as _};

/// Whether the terminal is ours now.
static BORROWED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// Panics of other threads while the terminal is ours: told when it is given back, instead of across the screen.
static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Most panics that are held; an endless row of them must not fill the memory.
const MAX_HELD: usize = 16;
/// Most events of the terminal that are looked at together.
const MAX_AT_ONCE: usize = 256;

thread_local! {
    /// This thread is inside the console just now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The terminal, ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Guard(());

impl Guard {
    /// Takes the terminal: raw mode, alternate screen, no cursor. Pasted text comes marked as such, so that it can never press
    /// keys; the mouse stays with the terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let ours = INSIDE.with(Cell::get);
                if BORROWED.load(Ordering::SeqCst) && !ours {
                    // Another part of an embedded guard: its supervisor deals with it and the console goes on.
                    hold(panic.to_string());
                } else {
                    restore();
                    before(panic);
                }
            }));
        });
        // What an abandoned terminal was set to before is no longer of interest.
        let _ = disable_raw_mode();
        BORROWED.store(true, Ordering::SeqCst);
        let guard = Self(());
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        Ok(guard)
    }

    /// Another program has the terminal by now: it gets its screen back, the settings are its own already.
    pub(crate) fn abandon(self) {
        if BORROWED.swap(false, Ordering::SeqCst) {
            leave_screen();
        }
    }
}

/// Where the screen is painted.
pub(crate) fn backend() -> Frugal<BufWriter<Stdout>> {
    Frugal::new(BufWriter::with_capacity(64 * 1024, stdout()))
}

/// Puts text into the clipboard of the terminal (OSC 52); one that does not know how passes it over.
pub(crate) fn copy(text: &str) -> io::Result<()> {
    execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
}

fn leave_screen() {
    // Nothing can be done about a terminal that is gone.
    // Cleared first: tmux would else keep rows of a screen that was resized.
    let _ = execute!(stdout(), ResetColor, DisableBracketedPaste, Clear(ClearType::All), LeaveAlternateScreen, cursor::Show);
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// The console's own work, marked as such on whichever thread it runs, so that the panic hook can tell whose panic it is.
pub(crate) struct Inside<F>(Pin<Box<F>>);

impl<F: Future> Inside<F> {
    pub(crate) fn new(work: F) -> Self {
        Self(Box::pin(work))
    }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                INSIDE.with(|inside| inside.set(false));
            }
        }
        INSIDE.with(|inside| inside.set(true));
        let _leave = Leave;
        self.0.as_mut().poll(context)
    }
}

fn hold(panic: String) {
    let mut held = HELD.lock().unpoisoned();
    if held.len() < MAX_HELD {
        held.push(panic);
    }
}

/// Gives the terminal back, once.
fn restore() {
    if BORROWED.swap(false, Ordering::SeqCst) {
        leave_screen();
        let _ = disable_raw_mode();
        let _ = stdout().flush();
        let held = std::mem::take(&mut *HELD.lock().unpoisoned());
        held.iter().for_each(|panic| eprintln!("{panic}"));
    }
}

/// What the terminal sends, read at once and told with the moment: keys of one read stay together.
pub(crate) async fn read(sender: Sender<(Timestamp, Input)>) {
    let mut chunks = EventStream::new().ready_chunks(MAX_AT_ONCE);
    while let Some(events) = chunks.next().await {
        // An error on the terminal means that it is gone.
        let inputs = events.into_iter().filter_map(|event| event.map_or(Some(Input::Broken), input)).collect();
        for input in together(inputs) {
            if sender.send((chrono::Utc::now(), input)).await.is_err() {
                return;
            }
        }
    }
    let _ = sender.send((chrono::Utc::now(), Input::Broken)).await;
}

/// Joins the keys of one read that follow each other.
fn together(inputs: Vec<Input>) -> Vec<Input> {
    let alone = inputs.iter().filter(|input| matches!(input, Input::Key(_) | Input::Paste(_))).count() < 2;
    let mut out: Vec<Input> = Vec::new();
    for input in inputs {
        match (input, out.last_mut()) {
            (Input::Key(key), Some(Input::Burst(keys))) => keys.push(key),
            (Input::Key(key), _) if !alone => out.push(Input::Burst(vec![key])),
            (input, _) => out.push(input),
        }
    }
    out
}

/// What a terminal event means to the console, if anything.
fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(press) if press.kind != KeyEventKind::Release => key(press).map(Input::Key),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(width, height) => Some(Input::Resize(width, height)),
        _ => None,
    }
}

fn key(press: KeyEvent) -> Option<Key> {
    let shift = press.modifiers.contains(KeyModifiers::SHIFT);
    let name = match press.code {
        KeyCode::Char(c) if shift && c.is_ascii_lowercase() => KeyName::Char(c.to_ascii_uppercase()),
        KeyCode::Char(c) => KeyName::Char(c),
        KeyCode::F(n) => KeyName::F(n),
        KeyCode::Enter => KeyName::Enter,
        KeyCode::Esc => KeyName::Esc,
        KeyCode::Tab if shift => KeyName::BackTab,
        KeyCode::Tab => KeyName::Tab,
        KeyCode::BackTab => KeyName::BackTab,
        KeyCode::Backspace => KeyName::Backspace,
        KeyCode::Delete => KeyName::Delete,
        KeyCode::Up => KeyName::Up,
        KeyCode::Down => KeyName::Down,
        KeyCode::Left => KeyName::Left,
        KeyCode::Right => KeyName::Right,
        KeyCode::Home => KeyName::Home,
        KeyCode::End => KeyName::End,
        KeyCode::PageUp => KeyName::PageUp,
        KeyCode::PageDown => KeyName::PageDown,
        _ => return None,
    };
    Some(Key { name, ctrl: press.modifiers.contains(KeyModifiers::CONTROL), alt: press.modifiers.contains(KeyModifiers::ALT) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// In a terminal of its own (script(1)): the settings before and after a console that panics are the same, and the
    /// alternate screen is left before the panic is told.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        let own = std::env::current_exe().unwrap();
        let line = format!("stty -g; '{}' --exact terminal::tests::panics_inside --ignored --nocapture; stty -g", own.display());
        let Ok(output) = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output() else {
            eprintln!("skipped: script(1) is not installed");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let settings: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.len() > 40 && line.bytes().all(|b| b == b':' || b.is_ascii_hexdigit()))
            .collect();
        assert!(matches!(settings.as_slice(), [before, after] if before == after), "{text:?}");
        let (left, told) = (text.find("\x1b[?1049l").expect("left"), text.find("lost its head").expect("told"));
        assert!(text.find("\x1b[?1049h").is_some_and(|entered| entered < left) && left < told, "{text:?}");
    }

    #[test]
    #[ignore = "the inside of the test above"]
    fn panics_inside() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _guard = Guard::enter().unwrap();
        runtime.block_on(Inside::new(async { panic!("the console lost its head") }));
    }
}
