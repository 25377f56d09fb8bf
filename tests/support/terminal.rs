//! A real terminal, driven from outside: tmux on a socket of its own, ended in `Drop`.

use std::process::{Command, Output};
use std::time::Duration;

use super::{unique, wait_for};

pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// A shell in a terminal of this size.
    pub fn new(columns: u16, rows: u16) -> Self {
        let terminal = Self { socket: unique("bartizan-") };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        // PS1 is known, so that a returned prompt can be told from a screen.
        let shell = "env -i PATH=\"$PATH\" HOME=/root TERM=tmux-256color LANG=C.UTF-8 PS1='prompt> ' sh";
        let started = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-s", "test", "-x", &columns, "-y", &rows, shell]);
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        terminal.wait_for("prompt>");
        terminal
    }

    /// A terminal whose first program is `line` itself, with no shell between: closing it tells that program alone.
    pub fn running(columns: u16, rows: u16, line: &str) -> Self {
        let terminal = Self { socket: unique("bartizan-") };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let line = format!("exec {line}");
        let started = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-s", "test", "-x", &columns, "-y", &rows, &line]);
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        Command::new("tmux").args(["-L", &self.socket]).args(arguments).env_remove("TMUX").output().unwrap()
    }

    /// What a person sees, line by line.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-t", "test"]).stdout).into_owned()
    }

    /// What tmux knows of the terminal, by its own name for it: `alternate_on`, `cursor_flag`.
    pub fn flag(&self, name: &str) -> String {
        let format = format!("#{{{name}}}");
        String::from_utf8_lossy(&self.tmux(&["display-message", "-p", "-t", "test", &format]).stdout).trim().to_owned()
    }

    /// Presses keys by tmux's names: `a`, `Enter`, `Escape`, `Tab`; one after the other, as a person does.
    pub fn press(&self, keys: &[&str]) {
        for (at, key) in keys.iter().enumerate() {
            if at > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(self.tmux(&["send-keys", "-t", "test", key]).status.success());
        }
    }

    /// Writes text in one go, unmarked: what a paste is on a terminal without bracketed paste.
    pub fn write_at_once(&self, text: &str) {
        assert!(self.tmux(&["set-buffer", "--", text]).status.success());
        assert!(self.tmux(&["paste-buffer", "-r", "-t", "test"]).status.success());
    }

    /// Says yes to the question on the screen, as a person who has read it; until `done` tells that it was taken.
    pub fn say_yes(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(std::time::Instant::now() < deadline, "waited for {what}; now:\n{}", self.screen());
            // On a busy machine the painting may have been late: the question then says that it was not read yet.
            std::thread::sleep(Duration::from_millis(450));
            if self.screen().contains(" yes") {
                self.press(&["y"]);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Types a line and Enter.
    pub fn type_line(&self, line: &str) {
        assert!(self.tmux(&["send-keys", "-t", "test", "-l", line]).status.success());
        self.press(&["Enter"]);
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        assert!(self.tmux(&["resize-window", "-t", "test", "-x", &columns, "-y", &rows]).status.success());
    }

    /// Takes the terminal away: everything in it gets SIGHUP.
    pub fn hang_up(&self) {
        assert!(self.tmux(&["kill-pane", "-t", "test"]).status.success());
    }

    /// Waits until the screen shows `text`, and gives the screen.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("\"{text}\" on the screen"), |screen| screen.contains(text))
    }

    pub fn wait(&self, what: &str, test: impl Fn(&str) -> bool) -> String {
        wait_for(what, Duration::from_secs(20), || Some(self.screen()).filter(|screen| test(screen)), || self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
