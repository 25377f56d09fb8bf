//! Resolver answers as they reach this host: which name was asked for, and which addresses were told.
//!
//! A hint and never an identity: whoever can send this host a packet from port 53 chooses what is said here. Seen are
//! answers over UDP, also those of a resolver on this host itself (loopback); not seen are DNS over TCP, TLS and HTTPS,
//! fragments, packets with IP options or extension headers, and answers that never leave another network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag};

use super::descriptors;
use super::home_network::socket_at_home;
use super::readiness::readable;
use bartizan_model::HostText;

/// Longest packet looked at: EDNS answers over UDP are at most 4,096 bytes (RFC 6891, 6.2.5) and headers.
const MAX_PACKET: usize = 4096 + 48;
/// Kernel memory for answers that wait, in bytes, for each of the two sockets.
const WAITING_BYTES: libc::c_int = 256 << 10;
/// Records of one answer that are looked at, and steps of a chain of aliases.
const MAX_RECORDS: u16 = 32;
const MAX_ALIASES: usize = 8;

/// Headers before the answer: IPv4 without options or IPv6 without extensions, then UDP.
const V4_HEADERS: usize = 28;
const V6_HEADERS: usize = 48;

/// One answer: what was asked for, where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name asked for, in lower case, without the dot at its end; a dot inside a label is written `\.`.
    pub name: HostText,
    /// Its addresses, each with the seconds for which the resolver may keep it.
    pub addresses: Vec<(IpAddr, u32)>,
}

/// The open tap: one socket for IPv4, one for IPv6.
#[derive(Debug)]
pub struct DnsTap {
    sockets: [OwnedFd; 2],
    buffer: Vec<u8>,
}

impl DnsTap {
    /// Opens it in the host's own network, wherever the agent runs.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or on a kernel without packet sockets.
    pub fn open() -> io::Result<Self> {
        Ok(Self::of([socket_at_home(v4)?, socket_at_home(v6)?]))
    }

    /// Opens it in the network of the calling thread.
    ///
    /// # Errors
    /// As [`DnsTap::open`].
    pub fn open_here() -> io::Result<Self> {
        Ok(Self::of([v4()?, v6()?]))
    }

    fn of(sockets: [OwnedFd; 2]) -> Self {
        Self { sockets, buffer: vec![0; MAX_PACKET] }
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When a socket is broken.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        readable(&self.sockets.each_ref().map(AsFd::as_fd), timeout)
    }

    /// Hands over what waits, at most `most` packets; how many there were. What is no answer is passed over.
    ///
    /// # Errors
    /// When a socket is broken; an interface that goes down is no such case.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(Answer)) -> io::Result<usize> {
        let mut taken = 0;
        for (socket, headers) in self.sockets.iter().zip([V4_HEADERS, V6_HEADERS]) {
            while taken < most {
                let length = match recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                    Ok(length) => length,
                    Err(Errno::EAGAIN) => break,
                    Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                    Err(why) => return Err(why.into()),
                };
                taken += 1;
                if let Some(answer) = self.buffer.get(..length).and_then(|packet| message(packet, headers)).and_then(parse) {
                    take(answer);
                }
            }
        }
        Ok(taken)
    }

    /// Answers that the kernel had no room for since the last call (PACKET_STATISTICS, packet(7)).
    pub fn lost(&self) -> u64 {
        self.sockets.iter().map(lost).sum()
    }
}

/// `struct tpacket_stats`; reading it sets it to zero.
fn lost(socket: &OwnedFd) -> u64 {
    let mut counts = [0_u32; 2];
    let mut length = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: both arguments live for the call, and the length is that of the array.
    let outcome = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, counts.as_mut_ptr().cast(), &raw mut length)
    };
    if outcome == 0 { u64::from(counts[1]) } else { 0 }
}

fn v4() -> io::Result<OwnedFd> {
    // No options (0x45), no fragment, UDP, from port 53; then `filter` what the message itself says.
    filtered(libc::ETH_P_IP, &[(LOAD_BYTE, 0, 0x45), (LOAD_HALF, 6, FRAGMENT), (LOAD_BYTE, 9, UDP), (LOAD_HALF, 20, DNS)], V4_HEADERS)
}

fn v6() -> io::Result<OwnedFd> {
    filtered(libc::ETH_P_IPV6, &[(LOAD_BYTE, 6, UDP), (LOAD_HALF, 40, DNS)], V6_HEADERS)
}

// Classic BPF (include/uapi/linux/filter.h, linux/bpf_common.h).
const LOAD_BYTE: u16 = 0x30; // LD | B | ABS
const LOAD_HALF: u16 = 0x28; // LD | H | ABS
const MASK: u16 = 0x54; // ALU | AND | K
const EQUAL: u16 = 0x15; // JMP | JEQ | K
const ANY_BIT: u16 = 0x45; // JMP | JSET | K
const RETURN: u16 = 0x06; // RET | K
/// More fragments, or not the first one: must be zero.
const FRAGMENT: u32 = 0x3fff;
const UDP: u32 = 17;
const DNS: u32 = 53;

/// A program that lets only these packets through, and of them only answers without an error that hold a record.
fn program(tests: &[(u16, u32, u32)], headers: usize) -> Vec<libc::sock_filter> {
    let step = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let message = headers as u32;
    let mut steps = Vec::new();
    for (load, at, value) in tests {
        steps.push(step(*load, 0, 0, *at));
        // A set bit of the mask, or another value, leads to the refusal at the end; how far that is, is filled in below.
        steps.push(if *value == FRAGMENT { step(ANY_BIT, u8::MAX, 0, FRAGMENT) } else { step(EQUAL, 0, u8::MAX, *value) });
    }
    // Flags (RFC 1035, 4.1.1): an answer (0x8000) to a plain query (0x7800 is zero) without an error (0x000f is zero).
    steps.extend([step(LOAD_HALF, 0, 0, message + 2), step(MASK, 0, 0, 0xf80f), step(EQUAL, 0, u8::MAX, 0x8000)]);
    steps.extend([step(LOAD_HALF, 0, 0, message + 6), step(EQUAL, u8::MAX, 0, 0)]);
    steps.push(step(RETURN, 0, 0, MAX_PACKET as u32));
    steps.push(step(RETURN, 0, 0, 0));
    let refusal = steps.len() - 1;
    for (at, step) in steps.iter_mut().enumerate() {
        let far = u8::try_from(refusal - at).unwrap_or_default().saturating_sub(1);
        step.jt = if step.jt == u8::MAX { far } else { step.jt };
        step.jf = if step.jf == u8::MAX { far } else { step.jf };
    }
    steps
}

/// A socket for incoming packets of one protocol (outgoing ones would cost every sender a copy), filtered before it
/// hears of any.
fn filtered(protocol: libc::c_int, tests: &[(u16, u32, u32)], headers: usize) -> io::Result<OwnedFd> {
    descriptors::ask_for(1)?;
    let mut steps = program(tests, headers);
    let length = u16::try_from(steps.len()).unwrap_or_default();
    let program = libc::sock_fprog { len: length, filter: steps.as_mut_ptr() };
    let room = WAITING_BYTES;
    let protocol = u16::try_from(protocol).unwrap_or_default().to_be();
    let check = |code: libc::c_int| if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: plain system calls; the descriptor is owned from the moment it exists; the program and its steps, the number
    // and the address live for their calls, with their own lengths. Protocol 0 receives nothing until it is bound.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        check(fd)?;
        let socket = OwnedFd::from_raw_fd(fd);
        let set = |option, value: *const libc::c_void, length: usize| {
            check(libc::setsockopt(fd, libc::SOL_SOCKET, option, value, length as libc::socklen_t))
        };
        set(libc::SO_ATTACH_FILTER, (&raw const program).cast(), size_of::<libc::sock_fprog>())?;
        set(libc::SO_RCVBUF, (&raw const room).cast(), size_of::<libc::c_int>())?;
        let mut everywhere: libc::sockaddr_ll = std::mem::zeroed();
        everywhere.sll_family = libc::AF_PACKET as u16;
        everywhere.sll_protocol = protocol;
        check(libc::bind(fd, (&raw const everywhere).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t))?;
        Ok(socket)
    }
}

/// The message in a packet that came through the filter, without what pads it.
fn message(packet: &[u8], headers: usize) -> Option<&[u8]> {
    let length = packet.get(headers - 4..headers - 2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
    let message = packet.get(headers..)?;
    message.get(..usize::from(length).checked_sub(8)?)
}

/// Reads one message; `None` when it tells no address of the one name asked for.
fn parse(message: &[u8]) -> Option<Answer> {
    // The number of records is the sender's word, and room is made for it: only as many as are looked at, and of the
    // other sections none.
    let mut bytes = message.to_vec();
    let records = bytes.get(6..8)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
    if bytes.get(4..6)? != [0, 1] {
        return None; // exactly one question
    }
    bytes.get_mut(6..8)?.copy_from_slice(&records.min(MAX_RECORDS).to_be_bytes());
    bytes.get_mut(8..12)?.fill(0);
    let packet = Packet::parse(&bytes).ok()?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let asked = &packet.questions.first()?.qname;
    let mut known: Vec<&Name<'_>> = vec![asked];
    let mut addresses = Vec::new();
    for record in packet.answers.iter().filter(|record| record.class == CLASS::IN) {
        if !known.iter().any(|name| same(name, &record.name)) {
            continue; // an address of something that was not asked for
        }
        match &record.rdata {
            RData::CNAME(alias) if known.len() <= MAX_ALIASES => known.push(&alias.0),
            RData::A(a) => addresses.push((Ipv4Addr::from(a.address).into(), record.ttl)),
            RData::AAAA(a) => addresses.push((IpAddr::from(Ipv6Addr::from(a.address)).to_canonical(), record.ttl)),
            _ => {}
        }
    }
    (!addresses.is_empty()).then(|| Answer { name: text(asked), addresses })
}

/// Names are compared without regard to case (RFC 4343).
fn same(one: &Name<'_>, other: &Name<'_>) -> bool {
    let (one, other) = (one.get_labels(), other.get_labels());
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.as_ref().eq_ignore_ascii_case(b.as_ref()))
}

/// At most 255 bytes and the backslashes, RFC 1035.
fn text(name: &Name<'_>) -> HostText {
    let mut out = Vec::new();
    for label in name.as_bytes() {
        if !out.is_empty() {
            out.push(b'.');
        }
        for byte in label {
            if matches!(byte, b'.' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte.to_ascii_lowercase());
        }
    }
    HostText::from(out)
}

#[cfg(test)]
mod tests;
