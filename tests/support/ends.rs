//! A program that a test starts ends with it, however the test ends: an agent that outlives a failed one would be found by
//! the next ones, which then fail too.

use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::agent::signal;

/// How long a program may take to end when it is asked to: an agent calls its watchdog off.
const GRACE: Duration = Duration::from_secs(5);

/// Ended with everything below it in `Drop`.
pub struct Program(pub Child);

impl Program {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Waits for its end; what it printed where that was to be heard.
    pub fn output(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let errors = self.0.stderr.take();
            scope.spawn(|| errors.map(|mut from| from.read_to_end(&mut stderr)));
            self.0.stdout.take().map(|mut from| from.read_to_end(&mut stdout));
        });
        Output { status: self.0.wait().unwrap(), stdout, stderr }
    }
}

impl Deref for Program {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Reaped already: its pid may be somebody else's.
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let all = below(self.0.id());
        signal(self.0.id(), Signal::SIGTERM);
        let asked = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
        all.into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
    }
}

/// Every process below one.
pub fn below(top: u32) -> Vec<u32> {
    let mut next = vec![top];
    let mut found = Vec::new();
    while let Some(pid) = next.pop() {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
        found.extend(&children);
        next.extend(&children);
    }
    found
}
