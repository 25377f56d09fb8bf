//! The name servers of this host: one question each; any well-formed answer is well (RFC 1035, section 4.1).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::lifeline;
use bartizan_model::{Probe, ProbeKind, ProbeState};

/// Name servers that are asked; resolv.conf(5) itself heeds three.
const MOST: usize = 8;
const DNS: u16 = 53;
/// How often it is asked within the time that it has.
const TIMES: u32 = 3;
/// Types of RFC 1035, section 3.2.2.
const A: u16 = 1;
const NS: u16 = 2;

/// The name servers of resolv.conf(5).
pub fn servers() -> Vec<IpAddr> {
    let text = fs::read("/etc/resolv.conf").unwrap_or_default();
    let mut found: Vec<IpAddr> = lifeline::name_servers(&String::from_utf8_lossy(&text)).collect();
    found.dedup();
    found.truncate(MOST);
    found
}

/// Asks one server for `name`.
pub fn ask(server: IpAddr, name: &str, within: Duration) -> Probe {
    let (state, detail) = match answer(SocketAddr::new(server, DNS), name, within) {
        Ok(detail) => (ProbeState::Well, detail),
        Err(why) => (ProbeState::Ill, why),
    };
    Probe::new(ProbeKind::Resolver, server, state, detail).over([server])
}

pub(super) fn answer(server: SocketAddr, name: &str, within: Duration) -> Result<String, String> {
    let deadline = Instant::now() + within;
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).map_err(|why| format!("no socket to ask from ({})", why.kind()))?;
    socket.connect(server).map_err(|why| format!("cannot be reached ({})", why.kind()))?;
    // The port that the kernel chose tells our answers from others well enough: nothing is believed of the answer.
    let number = socket.local_addr().map_or(1, |own| own.port());
    let (mut bytes, mut asked) = ([0; 1500], 0);
    loop {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(format!("does not answer within {}", humantime::format_duration(within)));
        }
        // A lost packet is no silence.
        let again = deadline - within + within / TIMES * asked;
        if asked < TIMES && now >= again {
            socket.send(&question(number, name)).map_err(|why| format!("cannot be asked ({})", why.kind()))?;
            asked += 1;
        }
        let next = if asked < TIMES { within / TIMES * asked } else { within };
        let wait = (deadline - within + next).saturating_duration_since(now).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait.min(left))).map_err(|why| why.kind().to_string())?;
        match socket.recv(&mut bytes) {
            Ok(got) if is_answer(bytes.get(..got).unwrap_or_default(), number) => return Ok("answers".to_owned()),
            Ok(_) => {}
            Err(why) if matches!(why.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(why) => return Err(format!("does not answer ({})", why.kind())),
        }
    }
}

/// A question with recursion desired: header of 12 bytes, name, type, class IN.
fn question(number: u16, name: &str) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let labels = name.split('.').filter(|label| !label.is_empty() && label.len() < 64);
    let mut is_root = true;
    for label in labels {
        is_root = false;
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(if is_root { NS } else { A }.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Our number, and the bit that says that it is an answer; which code it carries does not matter.
fn is_answer(bytes: &[u8], number: u16) -> bool {
    bytes.len() >= 12 && bytes.starts_with(&number.to_be_bytes()) && bytes.get(2).is_some_and(|flags| flags & 0x80 != 0)
}
