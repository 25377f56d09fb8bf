//! Whether the SSH server greets who connects (RFC 4253, section 4.2): asked several times, from addresses of ours that
//! nobody else can know, so that it cannot have been talked into refusing them.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket, sockopt};

use super::ssh_server::Server;
use bartizan_model::{Probe, ProbeState};
use bartizan_sys::{random, sock_diag};

/// How often it is asked when it turns us away.
const TRIES: u32 = 3;
/// Bytes read before the greeting at most: lines may come before it.
const LONGEST_GREETING: usize = 8192;
/// OpenSSH begins to turn people away by chance at so many that have not logged in (MaxStartups, sshd_config(5)).
const MANY: usize = 10;
/// What OpenSSH tells those whom it turns away for their number (MaxStartups) or their source (PerSourcePenalties).
const TURNED_AWAY: [&str; 2] = ["Exceeded MaxStartups", "Not allowed at this time"];

/// What came of one connection.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Greeted(Duration),
    TurnedAway(String),
    Closed,
    Silent,
    Foreign,
    Unanswered,
    Refused(String),
}

/// Asks the server there, over loopback when it listens everywhere. The first greeting counts; who is turned away or not greeted
/// asks again at once, who waited in vain does not.
pub fn greets(server: &Server, patience: Duration) -> Probe {
    let mut last = Answer::Closed;
    for _ in 0..TRIES {
        last = once(server.at(), patience);
        match &last {
            Answer::Greeted(took) => {
                let sign = server.sign(ProbeState::Well, format!("took {} to greet", seconds(*took)));
                return Probe { took: Some(*took), ..sign };
            }
            Answer::Silent | Answer::Unanswered | Answer::Refused(_) => break,
            Answer::TurnedAway(_) | Answer::Closed | Answer::Foreign => {}
        }
    }
    told(server, &last, patience)
}

/// What a failure means, by how the server stands.
fn told(server: &Server, answer: &Answer, patience: Duration) -> Probe {
    if let Answer::TurnedAway(said) = answer {
        return server.sign(ProbeState::Busy, format!("turns people away ({said})"));
    }
    let standing = server.standing();
    if standing.state != ProbeState::Well {
        return standing;
    }
    let crowd = crowd(server.at().port());
    let within = seconds(patience);
    match answer {
        Answer::Closed if crowd >= MANY => server.sign(ProbeState::Busy, format!("closes new connections, {crowd} are open")),
        Answer::Closed => server.sign(ProbeState::Ill, format!("closed a new connection without a word {TRIES} times")),
        Answer::Foreign => server.sign(ProbeState::Ill, "does not greet as an SSH server"),
        Answer::Refused(why) => server.sign(ProbeState::Ill, format!("refuses connections ({why})")),
        Answer::Unanswered => server.sign(ProbeState::Ill, format!("did not answer a connection within {within}")),
        Answer::Silent | Answer::Greeted(_) | Answer::TurnedAway(_) => {
            server.sign(ProbeState::Ill, format!("did not greet within {within}"))
        }
    }
}

/// "4.1 s".
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// How many connections to this port are open.
fn crowd(port: u16) -> usize {
    let open = sock_diag::connections().unwrap_or_default();
    open.iter().filter(|connection| connection.flow.sport == port).count()
}

fn once(address: SocketAddr, patience: Duration) -> Answer {
    let begun = Instant::now();
    let deadline = begun + patience;
    let mut reached = Err(io::ErrorKind::TimedOut.into());
    for (from, to) in ways(address) {
        reached = reach(from, to, deadline);
        if reached.is_ok() {
            break;
        }
    }
    let mut stream = match reached {
        Ok(stream) => stream,
        Err(why) if why.kind() == io::ErrorKind::TimedOut => return Answer::Unanswered,
        Err(why) => return Answer::Refused(why.kind().to_string()),
    };
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Answer::Silent;
        }
        let mut bytes = [0; 256];
        let got = match stream.read(&mut bytes) {
            Ok(got) => got,
            Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Answer::Silent,
            Err(_) => 0,
        };
        said.extend_from_slice(bytes.get(..got).unwrap_or_default());
        if said.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-")) {
            return Answer::Greeted(begun.elapsed());
        }
        if let Some(words) = TURNED_AWAY.iter().find(|words| said.starts_with(words.as_bytes())) {
            return Answer::TurnedAway((*words).to_owned());
        }
        match got {
            0 if said.is_empty() => return Answer::Closed,
            0 => return Answer::Foreign,
            _ if said.len() > LONGEST_GREETING => return Answer::Foreign,
            _ => {}
        }
    }
}

/// From where to where it is asked, in this order. All of 127.0.0.0/8 is this host, and which of it we take, nobody can know.
fn ways(address: SocketAddr) -> Vec<(Option<IpAddr>, SocketAddr)> {
    let port = address.port();
    let loopback = (Some(own_source()), SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() || any == Ipv4Addr::LOCALHOST => vec![loopback],
        // Such a socket takes IPv4 too, unless it was told not to.
        IpAddr::V6(any) if any.is_unspecified() => vec![loopback, (None, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port))],
        _ => vec![(None, address)],
    }
}

/// An address in 127.0.0.0/8, but not the one that everybody uses.
fn own_source() -> IpAddr {
    // Without chance it is a known one, and still ours.
    let [a, b, c, ..] = random::key().unwrap_or([64; 32]);
    Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254)).into()
}

fn reach(from: Option<IpAddr>, to: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let door = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    if let Some(from) = from {
        bind(door.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    }
    match connect(door.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => {}
        Err(why) => return Err(why.into()),
    }
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    let wait = PollTimeout::try_from(u32::try_from(left).unwrap_or(u32::MAX).min(i32::MAX as u32)).unwrap_or(PollTimeout::ZERO);
    if poll(&mut [PollFd::new(std::os::fd::AsFd::as_fd(&door), PollFlags::POLLOUT)], wait)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match nix::sys::socket::getsockopt(&door, sockopt::SocketError)? {
        0 => {
            let stream = TcpStream::from(door);
            stream.set_nonblocking(false)?;
            Ok(stream)
        }
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
