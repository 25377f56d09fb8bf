//! The rules of our table, piece by piece.
//!
//! Most packets concern nobody, and a function call costs more than anything else here (each returns through a thunk where
//! the processor needs that): whatever the kernel compares without one comes first. That are loads of up to four bytes, masks of four and
//! comparisons. So the family is read from the header instead of asked for, and loopback, where nobody is blocked, passes before any set is
//! looked into.

use super::element::Set;
use super::piece::{Piece, Pieces};

/// `enum nft_meta_keys`
const IIF_TYPE: u32 = 8;
const OIF_TYPE: u32 = 9;
const SK_UID: u32 = 10;
const NF_PROTO: u32 = 15;
const L4_PROTO: u32 = 16;
const IIF_KIND: u32 = 26;
const OIF_KIND: u32 = 27;
/// `enum nft_payload_bases`
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// `enum nft_registers`: the first two of 16 bytes, and the first ones of 4.
pub(super) const R1: u32 = 1;
const R2: u32 = 2;
const R32: u32 = 8;
/// ARPHRD_LOOPBACK, include/uapi/linux/if_arp.h
const LOOPBACK: [u8; 2] = 772u16.to_ne_bytes();
/// `::1`
const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const TCP: u8 = 6;
const UDP: u8 = 17;
/// DHCP client to server, and the same of IPv6: source and destination port (RFC 2131, RFC 8415).
const DHCP: [[u8; 4]; 2] = [[0, 68, 0, 67], [2, 34, 2, 35]];
/// Kinds of device (`IFLA_INFO_KIND`), as 16 bytes.
const BRIDGE: &[u8] = b"bridge\0\0\0\0\0\0\0\0\0\0";
const VETH: &[u8] = b"veth\0\0\0\0\0\0\0\0\0\0\0\0";
/// How many levels of cgroups are looked at.
const CGROUP_LEVELS: u32 = 6;

/// One expression of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Meta(u32, u32),
    Is(u32, &'static [u8]),
    Not(u32, &'static [u8]),
    Load(u32, u32, u32, u32),
    /// Of the four bytes in R1.
    Mask([u8; 4]),
    Within(Set, u32),
    Outside(Set, u32),
    Cgroup(u32, u32),
    Learn(Set),
    Count,
    Drop,
    Accept,
    Jump(&'static str),
}
use Step::{Accept, Cgroup, Count, Drop, Is, Jump, Learn, Load, Mask, Meta, Not, Outside, Within};

pub(super) type Rules = Vec<(&'static str, Vec<Step>)>;

/// The two families: version in the header's first byte, where source and destination stand, their length.
#[derive(Debug, Clone, Copy)]
struct Family {
    version: &'static [u8],
    source: u32,
    destination: u32,
    length: u32,
    six: bool,
}
const FAMILIES: [Family; 2] = [
    Family { version: &[0x40, 0, 0, 0], source: 12, destination: 16, length: 4, six: false },
    Family { version: &[0x60, 0, 0, 0], source: 8, destination: 24, length: 16, six: true },
];

impl Family {
    fn of<T>(self, four: T, six: T) -> T {
        if self.six { six } else { four }
    }

    /// Packets of this family.
    fn begin(self) -> Vec<Step> {
        vec![Load(R1, NETWORK, 0, 4), Mask([0xf0, 0, 0, 0]), Is(R1, self.version)]
    }

    fn source(self, register: u32) -> Step {
        Load(register, NETWORK, self.source, self.length)
    }

    fn destination(self, register: u32) -> Step {
        Load(register, NETWORK, self.destination, self.length)
    }

    /// The address at this place of the header into R1, if it is none of loopback's.
    fn far(self, at: u32) -> Vec<Step> {
        let address = Load(R1, NETWORK, at, self.length);
        if self.six { vec![address, Not(R1, &LOOPBACK6)] } else { vec![Load(R1, NETWORK, at, 1), Not(R1, &[127]), address] }
    }

    /// Packets of this family and transport protocol.
    fn protocol(self, number: &'static [u8]) -> Vec<Step> {
        // Other headers may stand before that of the transport in IPv6.
        let load = if self.six { Meta(L4_PROTO, R1) } else { Load(R1, NETWORK, 9, 1) };
        then(self.begin(), &[load, Is(R1, number)])
    }

    /// TCP segments that ask for a new connection: SYN without ACK. What is established never sends one.
    fn asks(self) -> Vec<Step> {
        then(self.protocol(&[TCP]), &[Load(R1, TRANSPORT, 12, 4), Mask([0, 0x12, 0, 0]), Is(R1, &[0, 0x02, 0, 0])])
    }

    /// The register after an address in R1.
    fn next(self) -> u32 {
        if self.six { R2 } else { R32 + 1 }
    }

    /// The registers of two ports after an address in R1.
    fn ports(self) -> (u32, u32) {
        if self.six { (R32 + 4, R32 + 5) } else { (R32 + 1, R32 + 2) }
    }
}

/// `steps` and then the end.
fn then(mut steps: Vec<Step>, end: &[Step]) -> Vec<Step> {
    steps.extend_from_slice(end);
    steps
}

fn protocol(number: &'static [u8]) -> Vec<Step> {
    vec![Meta(L4_PROTO, R1), Is(R1, number)]
}

/// Every rule of these pieces, chain by chain, in its order.
pub(super) fn rules(pieces: Pieces) -> Rules {
    let mut rules = Rules::new();
    if pieces.has(Piece::Contain) {
        inward(&mut rules);
        outward(&mut rules);
        through(&mut rules);
    }
    FAMILIES.iter().for_each(|family| denied(&mut rules, *family, pieces));
    input(&mut rules, pieces);
    forward(&mut rules, pieces);
    output(&mut rules, pieces);
    rules
}

/// New work for us or ours while contained: the kept pass, the rest is limited, and who speaks by UDP may be answered. Only
/// what asks for a TCP connection and UDP get here.
fn inward(rules: &mut Rules) {
    for family in FAMILIES {
        rules.push(("inward", then(family.begin(), &[family.source(R1), Within(family.of(Set::Keep4, Set::Keep6), R1), Accept])));
    }
    rules.push(("inward", vec![Meta(L4_PROTO, R1), Within(Set::ContainIn, R1), Count, Drop]));
    for family in FAMILIES {
        let (theirs, ours) = family.ports();
        let contained = [Meta(NF_PROTO, R1), Within(Set::ContainOut, R1)];
        let peer =
            [family.source(R1), Load(theirs, TRANSPORT, 0, 2), Load(ours, TRANSPORT, 2, 2), Learn(family.of(Set::Answer4, Set::Answer6))];
        rules.push(("inward", then(then(family.protocol(&[UDP]), &contained), &peer)));
    }
}

/// New work of ours while contained: to the kept, to the address giver, and in answer; nothing else.
fn outward(rules: &mut Rules) {
    for family in FAMILIES {
        rules.push(("outward", then(family.begin(), &[family.destination(R1), Within(family.of(Set::Keep4, Set::Keep6), R1), Accept])));
    }
    for ports in &DHCP {
        rules.push(("outward", then(protocol(&[UDP]), &[Load(R1, TRANSPORT, 0, 4), Is(R1, ports), Accept])));
    }
    for family in FAMILIES {
        let (theirs, ours) = family.ports();
        let flow = [
            family.destination(R1),
            Load(theirs, TRANSPORT, 2, 2),
            Load(ours, TRANSPORT, 0, 2),
            Within(family.of(Set::Answer4, Set::Answer6), R1),
            Accept,
        ];
        rules.push(("outward", then(family.protocol(&[UDP]), &flow)));
    }
    rules.push(("outward", vec![Meta(NF_PROTO, R1), Within(Set::ContainOut, R1), Count, Drop]));
}

/// New work that is forwarded while contained. From bridge to bridge is between containers. What else leaves a bridge or
/// a veth goes out; the rest comes in.
fn through(rules: &mut Rules) {
    let (from, to) = (|kind| [Meta(IIF_KIND, R1), Is(R1, kind)], [Meta(OIF_KIND, R1), Is(R1, BRIDGE)]);
    let mut rule = |steps: &[&[Step]]| rules.push(("through", steps.concat()));
    rule(&[&from(BRIDGE), &to, &[Accept]]);
    rule(&[&from(BRIDGE), &[Jump("outward")]]);
    rule(&[&from(BRIDGE), &[Accept]]);
    rule(&[&from(VETH), &to, &[Jump("inward")]]);
    rule(&[&from(VETH), &to, &[Accept]]);
    rule(&[&from(VETH), &[Jump("outward")]]);
    rule(&[&from(VETH), &[Accept]]);
    rule(&[&[Jump("inward")]]);
}

/// The chain for packets to an address that is denied to somebody.
fn is_denied(family: Family, pieces: Pieces) -> bool {
    pieces.has(family.of(Piece::DenyUid4, Piece::DenyUid6)) || pieces.has(family.of(Piece::DenyCgroup4, Piece::DenyCgroup6))
}

fn denied(rules: &mut Rules, family: Family, pieces: Pieces) {
    let chain = family.of("denied4", "denied6");
    if pieces.has(family.of(Piece::DenyUid4, Piece::DenyUid6)) {
        // The user id takes the first four bytes.
        let user = [Meta(SK_UID, R1), family.destination(R32 + 1), Within(family.of(Set::DenyUid4, Set::DenyUid6), R1), Count, Drop];
        rules.push((chain, user.to_vec()));
    }
    if pieces.has(family.of(Piece::DenyCgroup4, Piece::DenyCgroup6)) {
        for level in 1..=CGROUP_LEVELS {
            let group = [Cgroup(R1, level), family.destination(R32 + 2), Within(family.of(Set::DenyCgroup4, Set::DenyCgroup6), R1)];
            rules.push((chain, then(group.to_vec(), &[Count, Drop])));
        }
    }
}

/// One lookup of the address at this place of the header, and what follows when the set holds it.
fn looked_up(family: Family, at: u32, set: Set, end: &[Step]) -> Vec<Step> {
    then(then(then(family.begin(), &family.far(at)), &[Within(set, R1)]), end)
}

fn dropped(family: Family, at: u32, set: Set) -> Vec<Step> {
    looked_up(family, at, set, &[Count, Drop])
}

fn input(rules: &mut Rules, pieces: Pieces) {
    for family in FAMILIES {
        if pieces.has(family.of(Piece::BlockIn4, Piece::BlockIn6)) {
            rules.push(("input", dropped(family, family.source, family.of(Set::BlockIn4, Set::BlockIn6))));
        }
        if pieces.has(family.of(Piece::Limit4, Piece::Limit6)) {
            rules.push(("input", dropped(family, family.source, family.of(Set::Limit4, Set::Limit6))));
        }
    }
    if !pieces.has(Piece::Contain) {
        return;
    }
    for family in FAMILIES {
        let outside = [Meta(IIF_TYPE, R1), Not(R1, &LOOPBACK)];
        let stranger = [family.source(R1), Outside(family.of(Set::Keep4, Set::Keep6), R1)];
        let login = [Load(R1, TRANSPORT, 2, 2), Within(Set::ContainSsh, R1), Count, Drop];
        rules.push(("input", then(then(then(family.asks(), &outside), &stranger), &login)));
        rules.push(("input", then(then(family.asks(), &outside), &[Jump("inward")])));
        rules.push(("input", unkept(family, family.source, outside, "inward")));
    }
}

/// UDP with a stranger, over something else than loopback.
fn unkept(family: Family, at: u32, outside: [Step; 2], chain: &'static str) -> Vec<Step> {
    let stranger = then(family.far(at), &[Outside(family.of(Set::Keep4, Set::Keep6), R1)]);
    then(then(then(family.protocol(&[UDP]), &stranger), &outside), &[Jump(chain)])
}

fn forward(rules: &mut Rules, pieces: Pieces) {
    for family in FAMILIES {
        if pieces.has(family.of(Piece::BlockIn4, Piece::BlockIn6)) {
            rules.push(("forward", dropped(family, family.source, family.of(Set::BlockIn4, Set::BlockIn6))));
        }
        if pieces.has(family.of(Piece::BlockOut4, Piece::BlockOut6)) {
            rules.push(("forward", dropped(family, family.destination, family.of(Set::BlockOut4, Set::BlockOut6))));
        }
        if pieces.has(family.of(Piece::Limit4, Piece::Limit6)) {
            rules.push(("forward", dropped(family, family.source, family.of(Set::Limit4, Set::Limit6))));
        }
        if pieces.has(family.of(Piece::DenyFrom4, Piece::DenyFrom6)) {
            let pair = [family.source(R1), family.destination(family.next()), Within(family.of(Set::DenyFrom4, Set::DenyFrom6), R1)];
            rules.push(("forward", then(then(family.begin(), &pair), &[Count, Drop])));
        }
    }
    if pieces.has(Piece::Contain) {
        for family in FAMILIES {
            rules.push(("forward", then(family.asks(), &[Jump("through")])));
            rules.push(("forward", then(family.protocol(&[UDP]), &[Jump("through")])));
        }
    }
}

fn output(rules: &mut Rules, pieces: Pieces) {
    for family in FAMILIES {
        if pieces.has(family.of(Piece::BlockOut4, Piece::BlockOut6)) {
            rules.push(("output", dropped(family, family.destination, family.of(Set::BlockOut4, Set::BlockOut6))));
        }
        if is_denied(family, pieces) {
            let end = [Jump(family.of("denied4", "denied6"))];
            rules.push(("output", looked_up(family, family.destination, family.of(Set::DenyTo4, Set::DenyTo6), &end)));
        }
    }
    if pieces.has(Piece::Contain) {
        for family in FAMILIES {
            let outside = [Meta(OIF_TYPE, R1), Not(R1, &LOOPBACK)];
            rules.push(("output", then(then(family.asks(), &outside), &[Jump("outward")])));
            rules.push(("output", unkept(family, family.destination, outside, "outward")));
        }
    }
}
