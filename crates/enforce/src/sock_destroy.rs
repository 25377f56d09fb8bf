//! TCP connections with one address, found and closed by the kernel (SOCK_DESTROY), in our own network namespace.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bartizan_sys::netlink::message::{attribute, header, number_at};
use bartizan_sys::netlink::{Next, Socket};
use bartizan_sys::sock_diag::{LONGEST, MESSAGE, address, open, with_far_end};

/// Of include/uapi/linux/sock_diag.h; answered with EOPNOTSUPP by a kernel without CONFIG_INET_DIAG_DESTROY.
const SOCK_DESTROY: u16 = 21;
/// Where `struct inet_diag_sockid` stands in a message, and its length.
const ID_AT: usize = 4;
const ID: usize = 48;
/// All states of include/net/tcp_states.h but TIME_WAIT (6), CLOSE (7) and LISTEN (10): nobody talks in those.
const TALKING: u32 = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 8) | (1 << 9) | (1 << 11) | (1 << 12);
/// Half-open ones: a packet of a stranger makes them, no program has seen them yet (SYN_RECV, NEW_SYN_RECV).
const HALF_OPEN: [u8; 2] = [3, 12];
/// The most connections that are taken at one look; the next look sees the next.
const MOST: usize = 65_536;
/// How long closing may take: 6.8 us for each was measured, so some 50,000 connections.
const PATIENCE: Duration = Duration::from_millis(500);

/// One connection, named so that the kernel cannot take another for it (ports, addresses, cookie).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who is at the far end.
    pub remote: IpAddr,
    /// Whose socket it is: user id.
    pub uid: u32,
    /// The number of its cgroup (v2), where the kernel tells (Linux 5.9).
    pub cgroup: Option<u64>,
    family: u8,
    state: u8,
    id: [u8; ID],
}

/// What became of the connections with one address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closed {
    /// How many the kernel closed.
    pub closed: usize,
    /// How many are open at the last look.
    pub left: usize,
    /// Why, when some are left.
    pub why: Option<String>,
}

/// TCP connections that are open with `addr`, also through IPv6 sockets that speak IPv4. Half-open ones, which no
/// program has accepted yet, are among them only when `half_open`.
///
/// # Errors
/// When the kernel does not tell.
pub fn with(addr: IpAddr, half_open: bool) -> io::Result<Vec<Connection>> {
    let (addr, door) = (addr.to_canonical(), open()?);
    let mut found = Vec::new();
    door.send(&with_far_end(addr, if addr.is_ipv4() { 32 } else { 128 }, TALKING))?;
    door.answers(LONGEST, |message| {
        let connection = connection(message.body).filter(|c| c.remote == addr && (half_open || !HALF_OPEN.contains(&c.state)));
        found.extend(connection.filter(|_| found.len() < MOST));
        Next::More
    })?;
    Ok(found)
}

/// Closes every TCP connection with `addr`. `allowed` is asked for the far end of each single one just before it is
/// closed; its first refusal ends the closing.
///
/// # Errors
/// The outer error when the kernel does not tell which are open, the inner one when `allowed` refuses. A connection
/// that the kernel does not close is no error: it is counted in [`Closed::left`].
pub fn close_all<E>(addr: IpAddr, allowed: impl Fn(IpAddr) -> Result<(), E>) -> io::Result<Result<Closed, E>> {
    close_those(addr, |_| true, allowed)
}

/// The same for those of them that `meant` picks. Half-open ones have no owner yet: only the whole kind picks them.
///
/// # Errors
/// As [`close_all`].
pub fn close_those<E>(
    addr: IpAddr,
    meant: impl Fn(&Connection) -> bool,
    allowed: impl Fn(IpAddr) -> Result<(), E>,
) -> io::Result<Result<Closed, E>> {
    let look = || with(addr, true).map(|found| found.into_iter().filter(&meant).collect::<Vec<_>>());
    let (door, deadline, mut result) = (open()?, Instant::now() + PATIENCE, Closed::default());
    // A half-open connection may become a whole one while we look: look again until nobody is left.
    let mut found = look()?;
    for _ in 0..4 {
        if found.is_empty() {
            break;
        }
        for connection in std::mem::take(&mut found) {
            if Instant::now() > deadline {
                result.why = Some(format!("not all of them could be closed within {} ms", PATIENCE.as_millis()));
                break;
            }
            if let Err(refused) = allowed(connection.remote) {
                return Ok(Err(refused));
            }
            match destroy(&door, &connection) {
                Ok(()) => result.closed += usize::from(!HALF_OPEN.contains(&connection.state)),
                // It ended by itself since.
                Err(why) if why.raw_os_error() == Some(libc::ENOENT) => {}
                Err(why) if why.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    result.why = Some("this kernel cannot close them (CONFIG_INET_DIAG_DESTROY)".to_owned());
                }
                Err(why) => result.why = Some(why.to_string()),
            }
        }
        found = look()?;
    }
    result.left = found.iter().filter(|connection| !HALF_OPEN.contains(&connection.state)).count();
    result.why = result.why.filter(|_| result.left > 0);
    Ok(Ok(result))
}

fn destroy(door: &Socket, connection: &Connection) -> io::Result<()> {
    door.send(&order(connection))?;
    door.answers(LONGEST, |_| Next::More).map(drop)
}

/// `struct inet_diag_req_v2`: this one socket, in whatever state.
fn order(connection: &Connection) -> Vec<u8> {
    let mut body = vec![connection.family, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(connection.id);
    header(SOCK_DESTROY, (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16, &body)
}

/// `struct inet_diag_msg`, and the attributes after it.
fn connection(message: &[u8]) -> Option<Connection> {
    let (message, attributes) = message.split_at_checked(MESSAGE)?;
    let (family, state) = (*message.first()?, *message.get(1)?);
    // Ports 4 bytes, then source and destination, 16 bytes each.
    let remote = address(family, message.get(ID_AT + 20..ID_AT + 36)?)?;
    let id = *message.get(ID_AT..)?.first_chunk()?;
    Some(Connection { remote, uid: number_at(message, 64)?, cgroup: cgroup(attributes), family, state, id })
}

/// INET_DIAG_CGROUP_ID, include/uapi/linux/inet_diag.h
fn cgroup(attributes: &[u8]) -> Option<u64> {
    const CGROUP_ID: u16 = 21;
    attribute(attributes, CGROUP_ID).first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::{connected_from, in_own_network};
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn still_talk(a: &mut impl Write, b: &mut impl Read) -> io::Result<()> {
        a.write_all(b"x")?;
        b.read_exact(&mut [0])
    }

    #[test]
    fn only_the_named_far_end_is_closed_whatever_family_its_socket_speaks() {
        in_own_network(|| {
            for server in ["127.0.0.1:0", "[::]:0"] {
                let listener = TcpListener::bind(server).unwrap();
                let port = listener.local_addr().unwrap().port();
                let pair = |from: &str| (connected_from(from, "127.0.0.1", port), listener.accept().unwrap().0);
                let (mut bad, mut at_bad) = pair("127.0.0.66");
                let (mut good, mut at_good) = pair("127.0.0.67");
                let addr = "::ffff:127.0.0.66".parse().unwrap();
                assert_eq!(with(addr, false).unwrap().len(), 1, "{server}");
                assert_eq!(close_all(addr, |_| Err("no")).unwrap(), Err("no"));
                still_talk(&mut bad, &mut at_bad).unwrap();
                let began = Instant::now();
                let closed = close_all(addr, |_| Ok::<_, ()>(())).unwrap().unwrap();
                eprintln!("{server}: looked, closed one and looked again in {:?}", began.elapsed());
                assert_eq!(closed, Closed { closed: 1, left: 0, why: None }, "{server}");
                assert_eq!(at_bad.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
                assert_eq!(bad.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
                still_talk(&mut good, &mut at_good).unwrap();
                assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the listener lives");
            }
        });
    }

    #[test]
    fn ipv6_and_many_at_once() {
        in_own_network(|| {
            let listener = TcpListener::bind("[::1]:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let held: Vec<_> = (0..100).map(|_| (connected_from("::1", "::1", port), listener.accept().unwrap())).collect();
            let began = Instant::now();
            let closed = close_all("::1".parse().unwrap(), |_| Ok::<_, ()>(())).unwrap().unwrap();
            eprintln!("closed {} in {:?}", closed.closed, began.elapsed());
            // Closing one end resets the other, which may be gone before its turn.
            assert!((100..=200).contains(&closed.closed) && closed.left == 0, "{closed:?}");
            drop(held);
        });
    }

    proptest! {
        #[test]
        fn no_answer_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = connection(&bytes);
        }
    }
}
