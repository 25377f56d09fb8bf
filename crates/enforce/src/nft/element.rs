//! Elements of our sets: whom each kind names, how the kernel's key of it is laid out, written and read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::skeleton::{INET, TABLE, kind};
use super::wire::{Batch, Existing, attr};
use bartizan_model::Direction;
use bartizan_sys::netlink::message::Writer;

/// Our sets. The order is that of `SETS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Set {
    /// Sources whose packets are dropped, IPv4.
    BlockIn4,
    /// The same, IPv6.
    BlockIn6,
    /// Destinations to which packets are dropped, IPv4.
    BlockOut4,
    /// The same, IPv6.
    BlockOut6,
    /// Sources of whom only so many packets a second pass, IPv4.
    Limit4,
    /// The same, IPv6.
    Limit6,
    /// Destinations that somebody's sockets may not reach: only packets to them are asked whose they are. IPv4.
    DenyTo4,
    /// The same, IPv6.
    DenyTo6,
    /// A user id and a destination that its sockets may not reach, IPv4.
    DenyUid4,
    /// The same, IPv6.
    DenyUid6,
    /// A cgroup (v2, by its number) and a destination, IPv4.
    DenyCgroup4,
    /// The same, IPv6.
    DenyCgroup6,
    /// A source behind us (a container) and a destination, IPv4.
    DenyFrom4,
    /// The same, IPv6.
    DenyFrom6,
    /// Containment, outbound: families (NFPROTO) of which only the kept are called.
    ContainOut,
    /// Containment, inbound: transport protocols of which only so much passes.
    ContainIn,
    /// Containment: ports on which nobody but the kept may log in.
    ContainSsh,
    /// Addresses that containment lets through, IPv4.
    Keep4,
    /// The same, IPv6.
    Keep6,
    /// UDP peers that may be answered: address, their port, ours. IPv4. The kernel fills it by itself.
    Answer4,
    /// The same, IPv6.
    Answer6,
}

/// What one set is to the kernel.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) set: Set,
    pub(super) name: &'static str,
    /// nft's numbers of the parts of the key, six bits each (for people who list the table).
    pub(super) key_type: u32,
    /// In bytes, each part rounded up to four.
    pub(super) key_length: usize,
    /// `enum nft_set_flags`: 0x10 timeout, 0x20 filled from rules.
    pub(super) flags: u32,
}

/// nft's numbers: nf_proto, ipv4_addr, ipv6_addr, inet_proto, inet_service, uid, cgroupsv2 (src/datatype.h of nftables).
const NFPROTO: u32 = 2;
const ADDR4: u32 = 7;
const ADDR6: u32 = 8;
const PROTO: u32 = 12;
const PORT: u32 = 13;
const UID: u32 = 24;
const CGROUP: u32 = 46;
const TIMED: u32 = 0x10;
const LEARNT: u32 = 0x30;

const fn shape(set: Set, name: &'static str, key_type: u32, key_length: usize, flags: u32) -> Shape {
    Shape { set, name, key_type, key_length, flags }
}

/// All of them.
pub(super) static SETS: [Shape; 21] = [
    shape(Set::BlockIn4, "block_in4", ADDR4, 4, TIMED),
    shape(Set::BlockIn6, "block_in6", ADDR6, 16, TIMED),
    shape(Set::BlockOut4, "block_out4", ADDR4, 4, TIMED),
    shape(Set::BlockOut6, "block_out6", ADDR6, 16, TIMED),
    shape(Set::Limit4, "limit4", ADDR4, 4, TIMED),
    shape(Set::Limit6, "limit6", ADDR6, 16, TIMED),
    shape(Set::DenyTo4, "deny_to4", ADDR4, 4, TIMED),
    shape(Set::DenyTo6, "deny_to6", ADDR6, 16, TIMED),
    shape(Set::DenyUid4, "deny_uid4", UID << 6 | ADDR4, 8, TIMED),
    shape(Set::DenyUid6, "deny_uid6", UID << 6 | ADDR6, 20, TIMED),
    shape(Set::DenyCgroup4, "deny_cgroup4", CGROUP << 6 | ADDR4, 12, TIMED),
    shape(Set::DenyCgroup6, "deny_cgroup6", CGROUP << 6 | ADDR6, 24, TIMED),
    shape(Set::DenyFrom4, "deny_from4", ADDR4 << 6 | ADDR4, 8, TIMED),
    shape(Set::DenyFrom6, "deny_from6", ADDR6 << 6 | ADDR6, 32, TIMED),
    shape(Set::ContainOut, "contain_out", NFPROTO, 1, TIMED),
    shape(Set::ContainIn, "contain_in", PROTO, 1, TIMED),
    shape(Set::ContainSsh, "contain_ssh", PORT, 2, TIMED),
    shape(Set::Keep4, "contain_keep4", ADDR4, 4, TIMED),
    shape(Set::Keep6, "contain_keep6", ADDR6, 16, TIMED),
    shape(Set::Answer4, "contain_answer4", ADDR4 << 12 | PORT << 6 | PORT, 12, LEARNT),
    shape(Set::Answer6, "contain_answer6", ADDR6 << 12 | PORT << 6 | PORT, 24, LEARNT),
];

impl Set {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SETS.iter().map(|shape| shape.set)
    }

    /// The sets that hold what actions put there; the others are filled by the kernel while containment lasts.
    pub fn of_actions() -> impl Iterator<Item = Self> {
        Self::all().filter(|set| !matches!(set, Self::Answer4 | Self::Answer6))
    }

    /// Its name in the kernel.
    pub fn name(self) -> &'static str {
        SETS.get(self as usize).map_or("", |shape| shape.name)
    }

    pub(super) fn number(self) -> u32 {
        self as u32 + 1
    }

    fn either(addr: IpAddr, four: Self, six: Self) -> Self {
        if addr.is_ipv4() { four } else { six }
    }
}

/// Longest key, in bytes: two IPv6 addresses.
const LONGEST: usize = 32;

/// A key as the kernel stores it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    length: u8,
    bytes: [u8; LONGEST],
}

impl Key {
    /// Keys are at most 32 bytes; `None` for longer ones, which are not ours.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Self { length: u8::try_from(bytes.len()).ok()?, bytes: [0; LONGEST] };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.as_bytes())
    }
}

/// One element's name in the kernel: its set and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which set.
    pub set: Set,
    /// Which key of it.
    pub key: Key,
}

/// What an element says, in our words. IPv4-mapped addresses are IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Member {
    /// Packets from or to an address are dropped.
    Block(IpAddr, Direction),
    /// Of this source so many packets a second pass.
    Limit(IpAddr, u32),
    /// Packets to this address are asked whose they are; drops none by itself. Denials of one address share it.
    DenyTo(IpAddr),
    /// Sockets of this user may not reach this address.
    DenyUser(u32, IpAddr),
    /// Sockets of this cgroup (by its number) and below may not reach this address.
    DenyCgroup(u64, IpAddr),
    /// What is forwarded from the first may not reach the second; both of one family.
    DenyFrom(IpAddr, IpAddr),
    /// Outbound only to the kept, for IPv4 (`false`) or IPv6 (`true`).
    ContainOut(bool),
    /// So many new TCP connections (6) or UDP packets (17) a second come in.
    ContainIn(u8, u32),
    /// Nobody but the kept opens a connection to this port.
    ContainSsh(u16),
    /// Always let through.
    Keep(IpAddr),
    /// This peer, from its port, spoke to our port.
    Answer(IpAddr, u16, u16),
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

impl Member {
    /// Where it stands in the kernel.
    pub fn place(self) -> Place {
        let join = |parts: &[&[u8]]| parts.concat();
        let (set, bytes) = match self {
            Self::Block(addr, Direction::In) => (Set::either(addr.to_canonical(), Set::BlockIn4, Set::BlockIn6), octets(addr)),
            Self::Block(addr, Direction::Out) => (Set::either(addr.to_canonical(), Set::BlockOut4, Set::BlockOut6), octets(addr)),
            Self::Limit(addr, _) => (Set::either(addr.to_canonical(), Set::Limit4, Set::Limit6), octets(addr)),
            Self::DenyTo(addr) => (Set::either(addr.to_canonical(), Set::DenyTo4, Set::DenyTo6), octets(addr)),
            Self::DenyUser(uid, addr) => {
                (Set::either(addr.to_canonical(), Set::DenyUid4, Set::DenyUid6), join(&[&uid.to_ne_bytes(), &octets(addr)]))
            }
            Self::DenyCgroup(id, addr) => {
                (Set::either(addr.to_canonical(), Set::DenyCgroup4, Set::DenyCgroup6), join(&[&id.to_ne_bytes(), &octets(addr)]))
            }
            Self::DenyFrom(from, addr) => {
                (Set::either(addr.to_canonical(), Set::DenyFrom4, Set::DenyFrom6), join(&[&octets(from), &octets(addr)]))
            }
            Self::ContainOut(six) => (Set::ContainOut, vec![if six { 10 } else { 2 }]),
            Self::ContainIn(protocol, _) => (Set::ContainIn, vec![protocol]),
            Self::ContainSsh(port) => (Set::ContainSsh, port.to_be_bytes().to_vec()),
            Self::Keep(addr) => (Set::either(addr.to_canonical(), Set::Keep4, Set::Keep6), octets(addr)),
            Self::Answer(addr, theirs, ours) => {
                let ports = [theirs.to_be_bytes(), [0; 2], ours.to_be_bytes(), [0; 2]].concat();
                (Set::either(addr.to_canonical(), Set::Answer4, Set::Answer6), join(&[&octets(addr), &ports]))
            }
        };
        let mut key = Key { length: bytes.len().min(LONGEST) as u8, bytes: [0; LONGEST] };
        for (to, from) in key.bytes.iter_mut().zip(bytes) {
            *to = from;
        }
        Place { set, key }
    }

    /// Whether several actions may own it: it goes with the last of them and ends with the longest.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::DenyTo(_))
    }

    /// Packets a second, of members that carry a limit.
    pub fn rate(self) -> Option<u32> {
        match self {
            Self::Limit(_, rate) | Self::ContainIn(_, rate) => Some(rate),
            _ => None,
        }
    }

    /// The nft command that would add the same: for previews and for people. A cgroup stands as its number.
    pub fn as_command(self, lasts: Duration) -> String {
        let what = match self {
            Self::Block(addr, _) | Self::Limit(addr, _) | Self::DenyTo(addr) | Self::Keep(addr) => addr.to_canonical().to_string(),
            Self::DenyUser(uid, addr) => format!("{uid} . {}", addr.to_canonical()),
            Self::DenyCgroup(id, addr) => format!("{id} . {}", addr.to_canonical()),
            Self::DenyFrom(from, addr) => format!("{} . {}", from.to_canonical(), addr.to_canonical()),
            Self::ContainOut(six) => (if six { "ipv6" } else { "ipv4" }).to_owned(),
            Self::ContainIn(protocol, _) => (if protocol == 6 { "tcp" } else { "udp" }).to_owned(),
            Self::ContainSsh(port) => port.to_string(),
            Self::Answer(addr, theirs, ours) => format!("{} . {theirs} . {ours}", addr.to_canonical()),
        };
        let limit = self.rate().map(|rate| format!(" limit rate over {rate}/second burst {} packets", burst(rate))).unwrap_or_default();
        format!("nft add element inet {TABLE} {} {{ {what} timeout {}s{limit} }}", self.place().set.name(), lasts.as_secs())
    }
}

/// One second's worth at once.
fn burst(rate: u32) -> u32 {
    rate.max(1)
}

/// A member and for how long the kernel shall keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Who.
    pub member: Member,
    /// How long; never none.
    pub lasts: Duration,
}

/// An element as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How long it lasts from being added; `None` when somebody added it without an end.
    pub timeout: Option<Duration>,
    /// How long it still lasted when it was listed.
    pub remaining: Option<Duration>,
    /// Packets a second, if it carries a limit.
    pub rate: Option<u64>,
}

/// Elements that one message may hold: well below the 64 KB that one attribute can.
const CHUNK: usize = 256;

/// Appends elements to a transaction, many to a message.
pub(super) fn write_all(batch: &mut Batch, table: &str, elements: &[Element]) {
    let mut sorted: Vec<(Place, Element)> = elements.iter().map(|element| (element.member.place(), *element)).collect();
    // Of those that share a place the longest stays.
    sorted.sort_by_key(|(place, element)| (*place, std::cmp::Reverse(element.lasts)));
    sorted.dedup_by_key(|(place, _)| *place);
    for same in sorted.chunk_by(|(a, _), (b, _)| a.set == b.set) {
        for chunk in same.chunks(CHUNK) {
            let Some((place, _)) = chunk.first() else { continue };
            // A peer that the kernel learnt meanwhile is no mistake.
            let learnt = matches!(place.set, Set::Answer4 | Set::Answer6);
            let existing = if learnt { Existing::Append } else { Existing::Refuse };
            message(batch, (kind::NEW_ELEMENT, existing), table, place.set, |b| {
                for (place, element) in chunk {
                    b.nest(1, |b| write(b, place.key, Some(element)));
                }
            });
        }
    }
}

/// Appends the removal of elements, one message each set.
pub(super) fn remove_all(batch: &mut Batch, places: &[Place]) {
    let mut sorted = places.to_vec();
    sorted.sort();
    sorted.dedup();
    for same in sorted.chunk_by(|a, b| a.set == b.set) {
        for chunk in same.chunks(CHUNK) {
            let Some(place) = chunk.first() else { continue };
            message(batch, (kind::DELETE_ELEMENT, Existing::Need), TABLE, place.set, |b| {
                for place in chunk {
                    b.nest(1, |b| write(b, place.key, None));
                }
            });
        }
    }
}

/// Appends the name of one element to a question.
pub(super) fn write_name(b: &mut Writer, place: Place) {
    b.name(1, TABLE);
    b.name(2, place.set.name());
    b.nest(3, |b| b.nest(1, |b| write(b, place.key, None)));
}

fn message(batch: &mut Batch, (what, existing): (u16, Existing), table: &str, set: Set, body: impl FnOnce(&mut Writer)) {
    batch.change(what, existing, INET, |b| {
        b.name(1, table);
        b.name(2, set.name());
        b.nest(3, body);
    });
}

fn write(b: &mut Writer, key: Key, element: Option<&Element>) {
    b.nest(1, |b| b.attr(1, key.as_bytes()));
    let Some(element) = element else { return };
    let milliseconds = u64::try_from(element.lasts.as_millis()).unwrap_or(u64::MAX).max(1);
    b.attr(4, &milliseconds.to_be_bytes());
    if let Some(rate) = element.member.rate() {
        b.nest(7, |b| {
            b.name(1, "limit");
            b.nest(2, |b| {
                b.attr(1, &u64::from(rate.max(1)).to_be_bytes());
                b.attr(2, &1u64.to_be_bytes()); // a second
                b.number(3, burst(rate));
                b.number(4, 0); // NFT_LIMIT_PKTS
                b.number(5, 1); // NFT_LIMIT_F_INV: matches what is over the limit
            });
        });
    }
}

/// One element of a listing.
pub(super) fn read(bytes: &[u8]) -> Option<(Key, Kept)> {
    let key = Key::new(attr(attr(bytes, 1), 1))?;
    let time = |kind| attr(bytes, kind).first_chunk().map(|ms| Duration::from_millis(u64::from_be_bytes(*ms)));
    let rate = attr(attr(attr(bytes, 7), 2), 1).first_chunk().map(|rate| u64::from_be_bytes(*rate));
    Some((key, Kept { timeout: time(4), remaining: time(5), rate }))
}

impl Place {
    /// The remote address that a block, limit or denial cuts off; `None` of others.
    pub fn remote(&self) -> Option<IpAddr> {
        use Set::{
            BlockIn4, BlockIn6, BlockOut4, BlockOut6, DenyCgroup4, DenyCgroup6, DenyFrom4, DenyFrom6, DenyTo4, DenyTo6, DenyUid4, DenyUid6,
            Limit4, Limit6,
        };
        let bytes = self.key.as_bytes();
        match self.set {
            BlockIn4 | BlockOut4 | Limit4 | DenyTo4 | DenyUid4 | DenyCgroup4 | DenyFrom4 => {
                bytes.last_chunk::<4>().map(|four| Ipv4Addr::from(*four).into())
            }
            BlockIn6 | BlockOut6 | Limit6 | DenyTo6 | DenyUid6 | DenyCgroup6 | DenyFrom6 => {
                bytes.last_chunk::<16>().map(|sixteen| IpAddr::from(*sixteen))
            }
            _ => None,
        }
    }
}
