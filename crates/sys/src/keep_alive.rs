//! Whether the far end of another program's TCP connection is still there: the kernel asks it for a sign of life (keep-alive,
//! RFC 9293, section 3.8.4), which the far end's kernel answers although nobody types.
//!
//! The connection is shared for as long as it is asked, at most a few seconds; its own settings are put back after that.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::pidfd::PidFd;
use bartizan_model::ProcessKey;

/// How many unanswered questions in a row end a connection: as many as there can be, as ours must never end one.
const NEVER: u32 = 127;
/// Seconds without a word after which the kernel asks, and asks again.
const SOON: u32 = 1;
/// `struct tcp_info` (include/uapi/linux/tcp.h): its beginning, and where in it stand the milliseconds since data and an
/// acknowledgement came, and the smoothed round trip in microseconds.
const INFO: usize = 104;
const LAST_DATA: usize = 52;
const LAST_ACK: usize = 56;
const ROUND_TRIP: usize = 68;

/// A connection that is being asked.
#[derive(Debug)]
pub struct Asked {
    socket: OwnedFd,
    since: Instant,
    before: Before,
}

/// The settings that it had.
#[derive(Debug, Clone, Copy)]
struct Before {
    on: bool,
    idle: u32,
    interval: u32,
    count: u32,
}

impl Asked {
    /// Shares the socket behind a descriptor of another process, and has its far end asked.
    ///
    /// # Errors
    /// When it is another socket by now, the kernel refuses, or its program has set a time after which unanswered questions
    /// end it.
    pub fn ask(holder: ProcessKey, descriptor: i32, inode: u64) -> io::Result<Self> {
        let holder = PidFd::open(holder).map_err(io::Error::other)?;
        let socket = holder.share(descriptor)?;
        if nix::sys::stat::fstat(&socket)?.st_ino != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        if getsockopt(&socket, sockopt::TcpUserTimeout)? != 0 {
            return Err(io::Error::other("its program ends it when questions stay unanswered"));
        }
        let before = Before {
            on: getsockopt(&socket, sockopt::KeepAlive)?,
            idle: getsockopt(&socket, sockopt::TcpKeepIdle)?,
            interval: getsockopt(&socket, sockopt::TcpKeepInterval)?,
            count: getsockopt(&socket, sockopt::TcpKeepCount)?,
        };
        // What puts the settings back exists before the first is changed.
        let asked = Self { socket, since: Instant::now(), before };
        asked.set(Before { on: true, idle: SOON, interval: SOON, count: NEVER })?;
        Ok(asked)
    }

    /// First how long, then whether: switching it on must not begin with the old times.
    fn set(&self, to: Before) -> io::Result<()> {
        setsockopt(&self.socket, sockopt::TcpKeepCount, &to.count)?;
        setsockopt(&self.socket, sockopt::TcpKeepInterval, &to.interval)?;
        setsockopt(&self.socket, sockopt::KeepAlive, &to.on)?;
        Ok(setsockopt(&self.socket, sockopt::TcpKeepIdle, &to.idle)?)
    }

    /// Whether anything came from the far end since it was asked, and how long ago something did.
    pub fn heard(&self) -> io::Result<(bool, Duration)> {
        let info = self.info()?;
        let ago = Duration::from_millis(u64::from(number(&info, LAST_DATA).min(number(&info, LAST_ACK))));
        Ok((ago < self.since.elapsed(), ago))
    }

    /// How long a packet takes to the far end and back, as measured while it was spoken with.
    pub fn round_trip(&self) -> Duration {
        self.info().map_or(Duration::ZERO, |info| Duration::from_micros(u64::from(number(&info, ROUND_TRIP))))
    }

    fn info(&self) -> io::Result<[u8; INFO]> {
        let (mut info, mut length) = ([0_u8; INFO], INFO as libc::socklen_t);
        // SAFETY: the buffer and its length live for the call.
        let got = unsafe {
            libc::getsockopt(self.socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
        };
        if got == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // A connection that was closed meanwhile has no settings any more.
        let _ = self.set(self.before);
    }
}

fn number(info: &[u8], at: usize) -> u32 {
    info.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd::key_of;
    use bartizan_isolation::own_netns::in_own_network;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::process::Command;

    fn answered(asked: &Asked) -> bool {
        let deadline = Instant::now() + Duration::from_millis(2500);
        loop {
            if asked.heard().unwrap().0 {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_idle_connection_answers_and_one_whose_packets_are_dropped_does_not() {
        in_own_network(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let near = listener.accept().unwrap().0;
            let inode = nix::sys::stat::fstat(near.as_fd()).unwrap().st_ino;
            let ask = || Asked::ask(key_of(std::process::id()).unwrap(), near.as_raw_fd(), inode).unwrap();
            std::thread::sleep(Duration::from_millis(1200));
            let idle = getsockopt(&near, sockopt::TcpKeepIdle).unwrap();
            for _ in 0..3 {
                let begun = Instant::now();
                assert!(answered(&ask()), "nobody typed, and it answers");
                assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
            }
            let port = listener.local_addr().unwrap().port();
            let nft = |words: &str| assert!(Command::new("nft").args(words.split(' ')).status().unwrap().success());
            nft("add table inet t");
            nft("add chain inet t c { type filter hook input priority 0 ; }");
            nft(&format!("add rule inet t c tcp dport {port} drop"));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!answered(&ask()));
            assert!(Asked::ask(key_of(std::process::id()).unwrap(), near.as_raw_fd(), inode + 1).is_err(), "another socket");
            assert!(!getsockopt(&near, sockopt::KeepAlive).unwrap(), "its own settings are back");
            assert_eq!(getsockopt(&near, sockopt::TcpKeepIdle).unwrap(), idle);
            nft("delete table inet t");
            assert!(answered(&ask()), "it lives on");
            drop(client);
        });
    }
}
