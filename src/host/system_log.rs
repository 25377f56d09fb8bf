//! The system's log by its socket (syslog(3), RFC 3164): journald, rsyslog or whoever listens there.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Where it listens (syslog(3)).
const SOCKET: &str = "/dev/log";
/// Facility 10 (security), severity 5 (notice), as RFC 3164 counts them: 10 * 8 + 5.
const PRIORITY: u8 = 85;

/// Says one line, never waiting for the other end.
///
/// # Errors
/// When nobody listens, or they are busy: then nothing was said.
pub fn say(line: &str) -> io::Result<()> {
    say_to(SOCKET, line)
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
