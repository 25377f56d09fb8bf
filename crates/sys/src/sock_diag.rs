//! Which sockets are open now, by the kernel's socket monitoring (sock_diag(7)), in our own network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::netlink::message::{Message, Writer, header, number_at};
use super::netlink::{Family, Next, Socket as Netlink};
use bartizan_model::{Flow, Protocol};

/// Sockets reported by one [`dump`]; a host with more is told so by [`Dump::cut`].
const MOST: usize = 65_536;

/// Where a socket stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// TCP, waiting for others to connect.
    Listening,
    /// TCP, waiting for the other side's answer.
    Connecting,
    /// Talking to one other side.
    Connected,
    /// TCP, being closed.
    Closing,
    /// UDP, open to whoever sends.
    Bound,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Socket {
    /// Between whom.
    pub flow: Flow,
    /// Where it stands.
    pub phase: Phase,
    /// Its inode number, as in `/proc/PID/fd`; 0 when no process holds it any more.
    pub inode: u64,
    /// Who created it: user id.
    pub uid: u32,
}

/// All sockets of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    /// In the kernel's order.
    pub sockets: Vec<Socket>,
    /// There were more than we take.
    pub cut: bool,
}

/// The kernel does not tell.
#[derive(Debug, thiserror::Error)]
#[error("asking the kernel for open sockets: {0}: a kernel with CONFIG_INET_DIAG is needed (modprobe inet_diag tcp_diag udp_diag)")]
pub struct SockDiagError(#[from] io::Error);

/// Length of inet_diag_req_v2 (include/uapi/linux/inet_diag.h).
const REQUEST: usize = 56;
/// Length of inet_diag_msg, with which each answer begins.
pub const MESSAGE: usize = 72;
/// No answer is read further, in bytes: some million sockets.
pub const LONGEST: usize = 512 << 20;
/// A kernel that does not answer must not hold us.
const PATIENCE: Duration = Duration::from_secs(2);
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
/// States of include/net/tcp_states.h.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
/// All but connections that nobody holds yet or any more (SYN_RECV, TIME_WAIT, NEW_SYN_RECV) and closed ones.
const TCP_STATES: u32 = (1 << ESTABLISHED) | (1 << SYN_SENT) | (1 << 4) | (1 << 5) | (1 << 8) | (1 << 9) | (1 << LISTEN) | (1 << 11);
const UDP_STATES: u32 = (1 << ESTABLISHED) | (1 << CLOSE);

/// Every TCP and UDP socket, IPv4 and IPv6.
///
/// # Errors
/// When the kernel refuses or cannot answer.
pub fn dump() -> Result<Dump, SockDiagError> {
    ask(&[(Protocol::Tcp, TCP_STATES), (Protocol::Udp, UDP_STATES)])
}

/// One TCP connection, and whether the other side still answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Between whom.
    pub flow: Flow,
    /// Where it stands.
    pub phase: Phase,
    /// Its inode number, as in `/proc/PID/fd`.
    pub inode: u64,
    /// How often what waits for an answer was sent again (idiag_retrans while the retransmission timer runs): each time
    /// after a longer pause, so that 3 means about a second and a half of silence (RFC 6298), 5 more than six.
    pub retransmits: u8,
}

/// Every TCP connection that is open or being closed.
///
/// # Errors
/// When the kernel refuses or cannot answer.
pub fn connections() -> Result<Vec<Connection>, SockDiagError> {
    let door = open()?;
    let mut found = Vec::new();
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        door.send(&request(family, Protocol::Tcp, TCP_STATES & !(1 << LISTEN)))?;
        each(&door, |message| {
            if let Some(Socket { flow, phase, inode, .. }) = socket(message, Protocol::Tcp).filter(|_| found.len() < MOST) {
                // idiag_timer 1: retransmission.
                let retransmits = if message.get(2) == Some(&1) { message.get(3).copied().unwrap_or(0) } else { 0 };
                found.push(Connection { flow, phase, inode, retransmits });
            }
        })?;
    }
    Ok(found)
}

/// TCP listeners alone.
///
/// # Errors
/// When the kernel refuses or cannot answer.
pub fn listeners() -> Result<Dump, SockDiagError> {
    ask(&[(Protocol::Tcp, 1 << LISTEN)])
}

/// How many TCP listeners there are, for whom it matters whether the kernel lists sockets at all.
///
/// # Errors
/// As [`listeners`], and when the kernel has no monitoring of TCP sockets.
pub fn count_listeners() -> io::Result<usize> {
    let door = open()?;
    let mut count = 0;
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        door.send(&request(family, Protocol::Tcp, 1 << LISTEN))?;
        door.answers(LONGEST, |_| {
            count += 1;
            Next::More
        })?;
    }
    Ok(count)
}

/// TCP listeners, and UDP sockets without a peer.
///
/// # Errors
/// When the kernel refuses or cannot answer.
pub fn waiting() -> Result<Dump, SockDiagError> {
    ask(&[(Protocol::Tcp, 1 << LISTEN), (Protocol::Udp, 1 << CLOSE)])
}

/// The first of the ports that the kernel chooses by itself when a program does not
/// (`net.ipv4.ip_local_port_range`, ip(7)).
pub fn first_chosen_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768)
}

fn ask(questions: &[(Protocol, u32)]) -> Result<Dump, SockDiagError> {
    let door = open()?;
    let mut dump = Dump::default();
    for (protocol, states) in questions {
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            door.send(&request(family, *protocol, *states))?;
            receive(&door, *protocol, &mut dump)?;
        }
    }
    Ok(dump)
}

/// A socket to ask by.
///
/// # Errors
/// When the kernel has no socket monitoring.
pub fn open() -> io::Result<Netlink> {
    Netlink::open(Family::SockDiag, PATIENCE)
}

pub(super) fn request(family: u8, protocol: Protocol, states: u32) -> Vec<u8> {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP as u8,
        Protocol::Udp => libc::IPPROTO_UDP as u8,
    };
    let mut body = vec![family, number, 0, 0];
    body.extend(states.to_ne_bytes());
    body.resize(REQUEST, 0); // no particular socket
    header(SOCK_DIAG_BY_FAMILY, DUMP, &body)
}

/// Asks for TCP sockets in these states whose far end lies in this network; the kernel itself leaves out all others.
///
/// It is the old question (TCPDIAG_GETSOCK): unlike SOCK_DIAG_BY_FAMILY it answers for IPv4 and IPv6 in one walk over the
/// kernel's table, and the walk is what costs. It passes every row, used or not: 4 ms on a host with 24 GB of memory. The
/// filter is the bytecode that ss(8) sends; one for IPv4 also matches IPv6 sockets that speak IPv4.
pub fn with_far_end(addr: IpAddr, prefix: u8, states: u32) -> Vec<u8> {
    const TCPDIAG_GETSOCK: u16 = 18;
    const REQ_BYTECODE: u16 = 1;
    const BC_D_COND: u8 = 8;
    let (family, far) = match addr.to_canonical() {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    // struct inet_diag_bc_op and struct inet_diag_hostcond: any port (-1); `no` points behind the end, which refuses.
    let condition = 12 + far.len() as u8;
    // struct inet_diag_req: four bytes, the socket's name (48), states, and a number that nobody uses; then the filter.
    let mut filter = vec![BC_D_COND, condition];
    filter.extend((u16::from(condition) + 4).to_ne_bytes());
    filter.extend([family as u8, prefix, 0, 0]);
    filter.extend((-1_i32).to_ne_bytes());
    filter.extend(far);
    let mut request = Writer::default();
    request.message(TCPDIAG_GETSOCK, DUMP, 0, |w| {
        w.put(&[0; 4 + 48]);
        w.put(&states.to_ne_bytes());
        w.put(&[0; 4]);
        w.attr(REQ_BYTECODE, &filter);
    });
    request.into_bytes()
}

fn receive(door: &Netlink, protocol: Protocol, dump: &mut Dump) -> io::Result<()> {
    each(door, |message| match dump.sockets.len() >= MOST {
        true => dump.cut = true,
        false => dump.sockets.extend(socket(message, protocol)),
    })
}

/// Every message of one answer. A kernel without monitoring of this protocol answers ENOENT: then there is nothing to say.
pub(super) fn each(door: &Netlink, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let each = |message: &Message<'_>| {
        take(message.body);
        Next::More
    };
    match door.answers(LONGEST, each) {
        Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        read => read.map(drop),
    }
}

/// `struct inet_diag_msg`.
fn socket(message: &[u8], protocol: Protocol) -> Option<Socket> {
    let message = message.get(..MESSAGE)?;
    let (family, state) = (*message.first()?, *message.get(1)?);
    let phase = match (protocol, state) {
        (Protocol::Tcp, LISTEN) => Phase::Listening,
        (Protocol::Tcp, SYN_SENT) => Phase::Connecting,
        (Protocol::Udp, CLOSE) => Phase::Bound,
        (_, ESTABLISHED) => Phase::Connected,
        (Protocol::Tcp, _) => Phase::Closing,
        (Protocol::Udp, _) => return None,
    };
    let remote = !matches!(phase, Phase::Listening | Phase::Bound);
    let flow = Flow {
        proto: protocol,
        src: address(family, message.get(8..24)?)?,
        sport: port(message, 4)?,
        dst: if remote { Some(address(family, message.get(24..40)?)?) } else { None },
        dport: if remote { Some(port(message, 6)?) } else { None },
        name: None,
    };
    Some(Socket { flow, phase, uid: number_at(message, 64)?, inode: u64::from(number_at(message, 68)?) })
}

/// An address of this family; one of IPv4 in the clothes of IPv6 as what it is.
pub fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    if i32::from(family) == libc::AF_INET {
        return Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into());
    }
    Some(IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)).to_canonical())
}

pub(super) fn port(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn our_own_sockets_are_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let dump = dump().unwrap();
        let has = |proto, phase, sport, dport: Option<u16>| {
            dump.sockets.iter().any(|s| (s.flow.proto, s.phase, s.flow.sport, s.flow.dport) == (proto, phase, sport, dport) && s.inode != 0)
        };
        assert!(has(Protocol::Tcp, Phase::Listening, at.port(), None));
        assert!(has(Protocol::Tcp, Phase::Connected, client.local_addr().unwrap().port(), Some(at.port())));
        assert!(has(Protocol::Udp, Phase::Bound, udp.local_addr().unwrap().port(), None));
        assert!(!dump.cut);
        assert!(listeners().unwrap().sockets.iter().all(|s| s.phase == Phase::Listening));
        let waiting = waiting().unwrap().sockets;
        assert!(waiting.iter().all(|s| matches!(s.phase, Phase::Listening | Phase::Bound)));
        assert!(waiting.iter().any(|s| s.phase == Phase::Bound && s.flow.sport == udp.local_addr().unwrap().port()));
        assert!(first_chosen_port() > 1023);
    }

    proptest! {
        #[test]
        fn no_answer_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = socket(&bytes, Protocol::Tcp);
        }
    }
}
