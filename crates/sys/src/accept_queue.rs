//! How many connections wait at a TCP listener until its program takes them, and how many may (sock_diag(7)).

use std::net::SocketAddr;

use super::netlink::message::number_at;
use super::sock_diag::{MESSAGE, SockDiagError, address, each, open, port, request};
use bartizan_model::Protocol;

/// Listeners taken at most.
const MOST: usize = 65_536;
/// The state of include/net/tcp_states.h.
const LISTEN: u32 = 1 << 10;

/// One listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its inode number, as in `/proc/PID/fd`.
    pub inode: u64,
    /// Connections that are made and not yet taken.
    pub waiting: u32,
    /// How many may wait: one more still passes, then the kernel drops who comes.
    pub room: u32,
}

impl Queue {
    /// Whether the kernel drops who comes now.
    pub fn is_full(&self) -> bool {
        self.waiting > self.room
    }
}

/// Every TCP listener of our network namespace.
///
/// # Errors
/// When the kernel refuses or cannot answer.
pub fn all() -> Result<Vec<Queue>, SockDiagError> {
    let door = open()?;
    let mut found = Vec::new();
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        door.send(&request(family, Protocol::Tcp, LISTEN))?;
        each(&door, |message| {
            if found.len() < MOST {
                found.extend(queue(message));
            }
        })?;
    }
    Ok(found)
}

/// `struct inet_diag_msg`: of a listener, the receive queue is who waits, and the send queue how many may. An unspecified
/// IPv6 address stays one: it may take IPv4 too.
fn queue(message: &[u8]) -> Option<Queue> {
    let message = message.get(..MESSAGE)?;
    let at = SocketAddr::new(address(*message.first()?, message.get(8..24)?)?, port(message, 4)?);
    Some(Queue { at, inode: u64::from(number_at(message, 68)?), waiting: number_at(message, 56)?, room: number_at(message, 60)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn who_waits_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let queue = || all().unwrap().into_iter().find(|queue| queue.at == at).unwrap();
        assert_eq!(queue().waiting, 0);
        let waiting: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(at).unwrap()).collect();
        assert!(queue().waiting == 3 && queue().room >= 3 && !queue().is_full() && queue().inode != 0, "{:?}", queue());
        drop(listener.accept().unwrap());
        assert_eq!(queue().waiting, 2);
        drop(waiting);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_can_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let _ = queue(&bytes);
        }
    }
}
