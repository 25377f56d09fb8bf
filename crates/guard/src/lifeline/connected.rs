//! Established TCP connections with one far end, chosen inside the kernel.

use std::io;
use std::net::IpAddr;

use bartizan_sys::netlink::message::number_at;
use bartizan_sys::netlink::{Next, Socket};
use bartizan_sys::sock_diag::{self, LONGEST, MESSAGE, address, open};

const ESTABLISHED: u32 = 1 << 1;
/// Answers taken at most; more is told as an error, never cut in silence.
const MOST: usize = 16_384;

/// One established connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) remote: IpAddr,
    /// Who made or accepted it: user id.
    pub(super) uid: u32,
    /// Its inode number, as in `/proc/PID/fd`.
    pub(super) inode: u64,
}

/// Connections with this far end; for IPv6 with its whole /64.
pub(super) fn with_far_end(addr: IpAddr) -> io::Result<Vec<Connected>> {
    let (door, prefix) = (open()?, if addr.to_canonical().is_ipv4() { 32 } else { 64 });
    door.send(&sock_diag::with_far_end(addr, prefix, ESTABLISHED))?;
    receive(&door)
}

/// Stricter than `sock_diag::each`: where the kernel knows nothing (ENOENT), or there are too many, nobody may believe that
/// nobody is connected.
fn receive(door: &Socket) -> io::Result<Vec<Connected>> {
    let (mut found, mut cut) = (Vec::new(), false);
    door.answers(LONGEST, |message| {
        cut = found.len() >= MOST;
        if cut {
            return Next::Enough;
        }
        found.extend(connected(message.body));
        Next::More
    })?;
    if cut { Err(io::Error::other("more than 16384 connections")) } else { Ok(found) }
}

fn connected(message: &[u8]) -> Option<Connected> {
    let message = message.get(..MESSAGE)?;
    let remote = address(*message.first()?, message.get(24..40)?)?;
    Some(Connected { remote, uid: number_at(message, 64)?, inode: u64::from(number_at(message, 68)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::{connected_from, in_own_network, ip};
    use std::net::TcpListener;
    use std::time::Instant;

    #[test]
    fn the_kernel_chooses_by_the_far_end() {
        in_own_network(|| {
            for addr in ["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"] {
                ip(&format!("addr add {addr} dev lo"));
            }
            for addr in ["2001:db8:1:2::1/128", "2001:db8:1:2::7/128"] {
                ip(&format!("-6 addr add {addr} dev lo nodad"));
            }
            let listeners: Vec<TcpListener> = [22, 2222].map(|port| TcpListener::bind(("::", port)).unwrap()).into();
            let (ours, ours6) = ("198.51.100.1", "2001:db8:1:2::1");
            let talks = [
                connected_from("198.51.100.7", ours, 22),
                connected_from("198.51.100.7", ours, 2222),
                connected_from("198.51.100.8", ours, 22),
                connected_from("2001:db8:1:2::7", ours6, 2222),
            ];
            let count = |addr: &str| {
                let all = with_far_end(addr.parse().unwrap()).unwrap();
                assert!(all.iter().all(|c| c.uid == 0), "{all:?}");
                all.iter().filter(|c| c.remote != ours.parse::<IpAddr>().unwrap() && c.remote != ours6.parse::<IpAddr>().unwrap()).count()
            };
            assert_eq!((count("198.51.100.7"), count("::ffff:198.51.100.8")), (2, 1));
            assert_eq!((count("2001:db8:1:2:ffff::1"), count("2001:db8:1:3::7")), (1, 0), "the whole /64");
            drop((talks, listeners));
        });
    }

    #[test]
    fn a_question_is_answered_fast() {
        let begun = Instant::now();
        for _ in 0..50 {
            with_far_end("203.0.113.9".parse().unwrap()).unwrap();
        }
        let each = begun.elapsed() / 50;
        eprintln!("established connections with one far end: {each:?}");
        assert!(each < std::time::Duration::from_millis(20), "{each:?}");
    }
}
