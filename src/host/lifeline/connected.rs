//! Established TCP connections with one far end, chosen inside the kernel.
//!
//! The filter is the bytecode of include/uapi/linux/inet_diag.h, the same that ss(8) sends.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::host::sock_diag::{HEADER, MESSAGE, address, open, send, split, u32_at};

/// The old question (include/uapi/linux/inet_diag.h): unlike SOCK_DIAG_BY_FAMILY it answers for IPv4 and IPv6 in one walk
/// over the kernel's table, and the walk is what costs.
const TCPDIAG_GETSOCK: u16 = 18;
const REQ_BYTECODE: u16 = 1;
const BC_D_COND: u8 = 8;
const ESTABLISHED: u32 = 1 << 1;
/// Length of one instruction (`struct inet_diag_bc_op`).
const OP: usize = 4;
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
    let mut filter = Vec::new();
    let condition = match addr.to_canonical() {
        // Also matches IPv6 sockets that speak IPv4 (inet_diag_bc_run looks into mapped addresses).
        IpAddr::V4(v4) => (libc::AF_INET, 32, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, 64, v6.octets().to_vec()),
    };
    let length = (OP + 8 + condition.2.len()) as u8;
    op(&mut filter, BC_D_COND, length, u16::from(length) + OP as u16);
    filter.extend([condition.0 as u8, condition.1, 0, 0]);
    filter.extend((-1_i32).to_ne_bytes());
    filter.extend(condition.2);
    ask(&filter)
}

/// `code`; where to go on when it holds and when it does not, counted from its beginning.
fn op(filter: &mut Vec<u8>, code: u8, yes: u8, no: u16) {
    filter.extend([code, yes]);
    filter.extend(no.to_ne_bytes());
}

fn ask(filter: &[u8]) -> io::Result<Vec<Connected>> {
    if filter.is_empty() {
        return Ok(Vec::new());
    }
    let door = open()?;
    let attribute = 4 + filter.len();
    // struct inet_diag_req: four bytes, the socket's name (48), states, and a number that nobody uses.
    let length = HEADER + 60 + attribute;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(TCPDIAG_GETSOCK.to_ne_bytes());
    bytes.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    bytes.extend([0; 8 + 4 + 48]);
    bytes.extend(ESTABLISHED.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((attribute as u16).to_ne_bytes());
    bytes.extend(REQ_BYTECODE.to_ne_bytes());
    bytes.extend(filter);
    send(&door, &bytes)?;
    receive(&door)
}

/// Stricter than `sock_diag::each`: where the kernel knows nothing (ENOENT), or there are too many, nobody may believe that
/// nobody is connected.
fn receive(door: &OwnedFd) -> io::Result<Vec<Connected>> {
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; 32 << 10];
    loop {
        // SAFETY: the buffer lives for the call and its length is given.
        let got = unsafe { libc::recv(door.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        let mut rest = buffer.get(..got).unwrap_or_default();
        while let Some((kind, message, next)) = split(rest) {
            rest = next;
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => {
                    let code = u32_at(message, 0).map_or(libc::EPROTO, |code| (code as i32).wrapping_neg());
                    return Err(io::Error::from_raw_os_error(code));
                }
                _ if found.len() >= MOST => return Err(io::Error::other("more than 16384 connections")),
                _ => found.extend(connected(message)),
            }
        }
    }
}

fn connected(message: &[u8]) -> Option<Connected> {
    let message = message.get(..MESSAGE)?;
    let remote = address(*message.first()?, message.get(24..40)?)?;
    Some(Connected { remote, uid: u32_at(message, 64)?, inode: u64::from(u32_at(message, 68)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::own_netns::{connected_from, in_own_network};
    use std::net::TcpListener;
    use std::process::Command;
    use std::time::Instant;

    fn ip(words: &str) {
        assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
    }

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
