//! The system's log by its socket (syslog(3), RFC 3164): journald, rsyslog or whoever listens there.

use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where it listens (syslog(3)).
const SOCKET: &str = "/dev/log";
/// Facility 10 (security), severity 5 (notice), as RFC 3164 counts them: 10 * 8 + 5.
const PRIORITY: u8 = 85;

/// How long journalctl may take: a journal of gigabytes on a slow disk is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Says one line, never waiting for the other end.
///
/// # Errors
/// When nobody listens, or they are busy: then nothing was said.
pub fn say(line: &str) -> io::Result<()> {
    say_to(SOCKET, line)
}

/// The newest line of root's in the journal that begins with these words, told by journalctl(1); `None` where there is no
/// journal, or it does not answer soon. Others than root may write there too, under any name: they are not asked.
pub fn last_said(words: &str) -> Option<String> {
    let pattern = format!("^{}", words.replace(|c: char| !c.is_ascii_alphanumeric() && c != ' ' && c != ':', "."));
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=cat", "--reverse", "--lines=1", "--identifier=bartizan", "_UID=0", "--grep"]);
    command.arg(pattern).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // One short line: it fits the pipe, so nobody waits for us.
    let until = Instant::now() + PATIENCE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut line = String::new();
    child.stdout.take()?.take(4096).read_to_string(&mut line).ok()?;
    line.lines().next().filter(|line| line.starts_with(words)).map(str::to_owned)
}

fn say_to(socket: &str, line: &str) -> io::Result<()> {
    let speaker = UnixDatagram::unbound()?;
    speaker.set_nonblocking(true)?;
    let text = format!("<{PRIORITY}>bartizan[{}]: {line}", std::process::id());
    speaker.send_to(text.as_bytes(), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_arrives_as_syslog_wants_it_and_nobody_listening_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("log");
        let listener = UnixDatagram::bind(&socket).unwrap();
        say_to(socket.to_str().unwrap(), "audit log: 7 lines").unwrap();
        let mut buffer = [0; 256];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), format!("<85>bartizan[{}]: audit log: 7 lines", std::process::id()));
        drop(listener);
        assert!(say_to(socket.to_str().unwrap(), "x").is_err());
    }
}
