//! A bar that shows how far a scan is: one line on the terminal that is drawn over and cleared at the end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use bartizan_agent::fim::Progress;

/// Columns of the bar itself.
const WIDTH: u64 = 24;
/// Columns of the path.
const PATH: usize = 36;

/// The bar; silent where nobody sees it.
#[derive(Debug)]
pub(in crate::cli) struct Bar {
    shown: bool,
    drawn: bool,
    expected: u64,
    began: Instant,
}

impl Bar {
    /// For about so many files; 0: nobody knows.
    pub(in crate::cli) fn new(expected: u64, json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { shown: !json && !dumb && io::stderr().is_terminal(), drawn: false, expected, began: Instant::now() }
    }

    /// Draws it.
    pub(in crate::cli) fn show(&mut self, progress: &Progress) {
        if !self.shown {
            return;
        }
        self.drawn = true;
        let path = progress.at.escaped();
        let path: String = path.chars().rev().take(PATH).collect::<Vec<_>>().into_iter().rev().collect();
        let line = line(progress.files, progress.bytes, self.expected, self.began.elapsed().as_secs(), &path);
        // It is only for show: a terminal that is gone stops nothing.
        let _ = write!(io::stderr(), "\r\x1b[K{line}").and_then(|()| io::stderr().flush());
    }
}

impl Bar {
    /// Takes it away, before something else is said.
    pub(in crate::cli) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(files: u64, bytes: u64, expected: u64, seconds: u64, path: &str) -> String {
    let size = bytes >> 20;
    if expected == 0 {
        return format!("{files} files, {size} MiB, {seconds} s  {path}");
    }
    let done = files.min(expected);
    let full = (done * WIDTH / expected) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    format!("[{bar}] {:>3}%  {files} of {expected} files, {size} MiB, {seconds} s  {path}", done * 100 / expected)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn more_files_than_before_do_not_break_the_bar() {
        assert_eq!(line(5, 3 << 20, 0, 2, "/etc"), "5 files, 3 MiB, 2 s  /etc");
        assert_eq!(line(6, 0, 12, 0, "/"), "[############............]  50%  6 of 12 files, 0 MiB, 0 s  /");
        assert!(line(99, 0, 12, 0, "/").starts_with("[########################] 100%"));
    }
}
