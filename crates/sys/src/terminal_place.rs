//! The terminal as a place that programs take in turn (job control, termios(3), setpgid(2)): who has it, and how what a killed
//! console left behind is put back.

use std::io::Write;

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid, tcgetpgrp};

/// The signals of job control that a console answers: stop, and go on.
pub const JOB_SIGNALS: [i32; 2] = [libc::SIGTSTP, libc::SIGCONT];

/// What a full-screen program switches on and a killed one leaves on: bracketed paste, mouse, alternate screen, no cursor.
const PUT_BACK: &[u8] = b"\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[0m\x1b[2J\x1b[?1049l\x1b[?25h\r\n";

/// How the terminal on standard input was before anybody changed it.
#[derive(Debug)]
pub struct Before(Termios);

impl Before {
    /// Notes it; `None` without a terminal.
    pub fn note() -> Option<Self> {
        tcgetattr(std::io::stdin()).ok().map(Self)
    }

    /// Puts it back, unless another program has the terminal by now.
    pub fn put_back(&self) {
        if is_foreground() == Some(true) {
            let _ = std::io::stdout().write_all(PUT_BACK);
            let _ = std::io::stdout().flush();
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.0);
        }
    }
}

/// Whether the terminal on standard input belongs to our process group; `None` when there is none.
pub fn is_foreground() -> Option<bool> {
    tcgetpgrp(std::io::stdin()).ok().map(|group| group == getpgrp())
}

/// From here on the terminal cannot stop this process: neither a read nor a write from the background nor its suspend key
/// (termios(3), signal(7)). Whoever reads in the background gets an error instead.
pub fn survive_job_control() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for each in [Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGTSTP] {
        // SAFETY: no handler is installed.
        let _ = unsafe { signal::sigaction(each, &ignore) };
    }
}

/// Who started this process.
pub fn parent() -> i32 {
    getppid().as_raw()
}

/// Stops this process until somebody lets it go on, as its shell does with `fg`; nothing where no shell would.
pub fn stop_until_continued() {
    let parent = getppid();
    let session = |pid: Option<Pid>| getsid(pid).ok();
    let has_shell = session(Some(parent)) == session(None) && getpgid(Some(parent)).ok() != Some(getpgrp());
    if has_shell {
        let _ = signal::raise(Signal::SIGSTOP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_on_is_switched_off() {
        let text = String::from_utf8(PUT_BACK.to_vec()).unwrap();
        for mode in ["?2004l", "?1000l", "?1006l", "?1049l", "?25h"] {
            assert!(text.contains(mode), "{mode}");
        }
        let alternate = text.find("?1049l").unwrap();
        assert!(text.find("[2J").unwrap() < alternate, "cleared while the alternate screen is still on");
    }
}
