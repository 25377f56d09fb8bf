//! The console's place among the jobs of the shell: with a guard of its own behind it, or alone.

use super::print;
use bartizan_console::{Ground, Place};
use bartizan_sys::daemonize::Line;
use bartizan_sys::terminal_place::{self, JOB_SIGNALS};

/// The guard is in this very program: it goes on whatever becomes of the console, and its holder stands before the shell.
#[derive(Debug)]
pub(super) struct WithGuard {
    line: Line,
    holder: i32,
}

impl WithGuard {
    pub(super) fn new(line: Line) -> Self {
        Self { line, holder: terminal_place::parent() }
    }
}

impl Place for WithGuard {
    fn ground(&self) -> Ground {
        if terminal_place::parent() == self.holder { ground() } else { Ground::Gone }
    }

    fn taken(&self) {
        self.line.taken();
    }

    fn left(&self) {
        self.line.left();
    }

    fn step_back(&self) {
        self.line.suspended();
    }

    fn begin_behind(&self) {
        let pid = std::process::id();
        print::notice(&format!("the agent is watching in the background (pid {pid}); bring it to the foreground (fg) to see its console"));
    }

    fn job_signals(&self) -> [i32; 2] {
        JOB_SIGNALS
    }
}

/// The guard is another process: this one can stop as any program does.
#[derive(Debug)]
pub(super) struct Alone;

impl Place for Alone {
    fn ground(&self) -> Ground {
        ground()
    }

    fn taken(&self) {}

    fn left(&self) {}

    fn step_back(&self) {
        terminal_place::stop_until_continued();
    }

    fn begin_behind(&self) {
        terminal_place::stop_until_continued();
    }

    fn job_signals(&self) -> [i32; 2] {
        JOB_SIGNALS
    }
}

fn ground() -> Ground {
    if terminal_place::is_foreground() == Some(false) { Ground::Others } else { Ground::Ours }
}
