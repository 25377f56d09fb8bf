//! The fixed shape of our nftables table: sets, chains and rules that never change. Every action is elements only.

use super::element::{SETS, Set};
use super::wire::{Batch, Existing};

/// Our table's name, in family inet. The emergency script deletes exactly this.
pub const TABLE: &str = "bartizan";
pub(super) const INET: u8 = 1;
/// The most elements that one set takes.
const SET_SIZE: u32 = 65_535;

/// `enum nf_tables_msg_types`, include/uapi/linux/netfilter/nf_tables.h
pub(super) mod kind {
    pub(in super::super) const NEW_TABLE: u16 = 0;
    pub(in super::super) const GET_TABLE: u16 = 1;
    pub(in super::super) const DELETE_TABLE: u16 = 2;
    pub(in super::super) const NEW_CHAIN: u16 = 3;
    pub(in super::super) const GET_CHAIN: u16 = 4;
    pub(in super::super) const NEW_RULE: u16 = 6;
    pub(in super::super) const GET_RULE: u16 = 7;
    pub(in super::super) const NEW_SET: u16 = 9;
    pub(in super::super) const GET_SET: u16 = 10;
    pub(in super::super) const NEW_ELEMENT: u16 = 12;
    pub(in super::super) const GET_ELEMENT: u16 = 13;
    pub(in super::super) const DELETE_ELEMENT: u16 = 14;
}

/// A chain: its name and hook (`enum nf_inet_hooks`: 1 local in, 2 forward, 3 local out), if it has one.
const CHAINS: [(&str, Option<u32>); 5] =
    [("inward", None), ("outward", None), ("input", Some(1)), ("forward", Some(2)), ("output", Some(3))];
/// Before the usual filter chains (0), so that nobody's accept lets a blocked packet pass.
const PRIORITY: i32 = -10;
/// How long a UDP peer that spoke to us first may be answered, in milliseconds; conntrack's own time for a stream.
pub(super) const ANSWERED: u64 = 120_000;

/// `enum nft_meta_keys`
const OIF_TYPE: u32 = 9;
const IIF_TYPE: u32 = 8;
const SK_UID: u32 = 10;
const NF_PROTO: u32 = 15;
const L4_PROTO: u32 = 16;
const IIF_KIND: u32 = 26;
const OIF_KIND: u32 = 27;
/// `enum nft_payload_bases`
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// `enum nft_registers`: the verdict, the first two of 16 bytes, and the first ones of 4.
const VERDICT: u32 = 0;
const R1: u32 = 1;
const R2: u32 = 2;
const R32: u32 = 8;
/// ARPHRD_LOOPBACK, include/uapi/linux/if_arp.h
const LOOPBACK: [u8; 2] = 772u16.to_ne_bytes();
const TCP: u8 = 6;
const UDP: u8 = 17;
/// DHCP client to server, and the same of IPv6: source and destination port (RFC 2131, RFC 8415).
const DHCP: [[u8; 4]; 2] = [[0, 68, 0, 67], [2, 34, 2, 35]];

/// One expression of a rule.
#[derive(Debug, Clone, Copy)]
enum Step {
    Meta(u32, u32),
    Is(u32, &'static [u8]),
    Load(u32, u32, u32, u32),
    Mask(u8),
    Within(Set, u32),
    Outside(Set, u32),
    Cgroup(u32, u32),
    Learn(Set),
    Count,
    Drop,
    Accept,
    Jump(&'static str),
}
use Step::{Accept, Cgroup, Count, Drop, Is, Jump, Learn, Load, Mask, Meta, Outside, Within};

type Rules = Vec<(&'static str, Vec<Step>)>;

/// The two families: NFPROTO number, where source and destination stand in the header, their length.
#[derive(Debug, Clone, Copy)]
struct Family {
    proto: &'static [u8],
    source: u32,
    destination: u32,
    length: u32,
    six: bool,
}
const FAMILIES: [Family; 2] = [
    Family { proto: &[2], source: 12, destination: 16, length: 4, six: false },
    Family { proto: &[10], source: 8, destination: 24, length: 16, six: true },
];

impl Family {
    fn of(self, four: Set, six: Set) -> Set {
        if self.six { six } else { four }
    }

    fn begin(self) -> Vec<Step> {
        vec![Meta(NF_PROTO, R1), Is(R1, self.proto)]
    }

    fn source(self, register: u32) -> Step {
        Load(register, NETWORK, self.source, self.length)
    }

    fn destination(self, register: u32) -> Step {
        Load(register, NETWORK, self.destination, self.length)
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

/// TCP segments that ask for a new connection: SYN without ACK. What is established never sends one.
fn asks() -> Vec<Step> {
    then(protocol(&[TCP]), &[Load(R1, TRANSPORT, 13, 1), Mask(0x12), Is(R1, &[0x02])])
}

/// Every rule, chain by chain, in its order.
fn rules() -> Rules {
    let mut rules = Rules::new();
    inward(&mut rules);
    outward(&mut rules);
    for family in FAMILIES {
        rules.push(("input", then(family.begin(), &[family.source(R1), Within(family.of(Set::BlockIn4, Set::BlockIn6), R1), Count, Drop])));
        rules.push(("input", then(family.begin(), &[family.source(R1), Within(family.of(Set::Limit4, Set::Limit6), R1), Count, Drop])));
    }
    rules.push(("input", vec![Meta(IIF_TYPE, R1), Is(R1, &LOOPBACK), Accept]));
    for family in FAMILIES {
        let stranger = [family.source(R1), Outside(family.of(Set::Keep4, Set::Keep6), R1)];
        let login = then(asks(), &[Load(R1, TRANSPORT, 2, 2), Within(Set::ContainSsh, R1), Count, Drop]);
        rules.push(("input", then(then(family.begin(), &stranger), &login)));
    }
    rules.push(("input", vec![Jump("inward")]));
    forward(&mut rules);
    output(&mut rules);
    rules
}

/// New work for us or ours while contained: the kept pass, the rest is limited, and who speaks by UDP may be answered.
fn inward(rules: &mut Rules) {
    for family in FAMILIES {
        rules.push(("inward", then(family.begin(), &[family.source(R1), Within(family.of(Set::Keep4, Set::Keep6), R1), Accept])));
    }
    rules.push(("inward", then(asks(), &[Meta(L4_PROTO, R1), Within(Set::ContainIn, R1), Count, Drop])));
    rules.push(("inward", then(protocol(&[UDP]), &[Meta(L4_PROTO, R1), Within(Set::ContainIn, R1), Count, Drop])));
    for family in FAMILIES {
        let contained = [Meta(NF_PROTO, R1), Within(Set::ContainOut, R1)];
        let (theirs, ours) = family.ports();
        let learn = then(protocol(&[UDP]), &contained);
        let peer = [family.source(R1), Load(theirs, TRANSPORT, 0, 2), Load(ours, TRANSPORT, 2, 2), Learn(family.of(Set::Answer4, Set::Answer6))];
        rules.push(("inward", then(then(family.begin(), &learn), &peer)));
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
        rules.push(("outward", then(then(family.begin(), &protocol(&[UDP])), &flow)));
    }
    for new in [asks(), protocol(&[UDP])] {
        rules.push(("outward", then(new, &[Meta(NF_PROTO, R1), Within(Set::ContainOut, R1), Count, Drop])));
    }
}

fn forward(rules: &mut Rules) {
    for family in FAMILIES {
        let mut drop = |load: Step, set: Set| rules.push(("forward", then(family.begin(), &[load, Within(set, R1), Count, Drop])));
        drop(family.source(R1), family.of(Set::BlockIn4, Set::BlockIn6));
        drop(family.destination(R1), family.of(Set::BlockOut4, Set::BlockOut6));
        drop(family.source(R1), family.of(Set::Limit4, Set::Limit6));
        let pair = [family.source(R1), family.destination(family.next()), Within(family.of(Set::DenyFrom4, Set::DenyFrom6), R1)];
        rules.push(("forward", then(then(family.begin(), &pair), &[Count, Drop])));
    }
    // From bridge to bridge is between containers. What else leaves a bridge or a veth goes out; the rest comes in.
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, BRIDGE), Meta(OIF_KIND, R1), Is(R1, BRIDGE), Accept]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, BRIDGE), Jump("outward")]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, BRIDGE), Accept]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, VETH), Meta(OIF_KIND, R1), Is(R1, BRIDGE), Jump("inward")]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, VETH), Meta(OIF_KIND, R1), Is(R1, BRIDGE), Accept]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, VETH), Jump("outward")]));
    rules.push(("forward", vec![Meta(IIF_KIND, R1), Is(R1, VETH), Accept]));
    rules.push(("forward", vec![Jump("inward")]));
}
/// Kinds of device (`IFLA_INFO_KIND`), as 16 bytes.
const BRIDGE: &[u8] = b"bridge\0\0\0\0\0\0\0\0\0\0";
const VETH: &[u8] = b"veth\0\0\0\0\0\0\0\0\0\0\0\0";

fn output(rules: &mut Rules) {
    for family in FAMILIES {
        let blocked = [family.destination(R1), Within(family.of(Set::BlockOut4, Set::BlockOut6), R1), Count, Drop];
        rules.push(("output", then(family.begin(), &blocked)));
        // The user id takes the first four bytes.
        let user = [Meta(SK_UID, R1), family.destination(R32 + 1), Within(family.of(Set::DenyUid4, Set::DenyUid6), R1), Count, Drop];
        rules.push(("output", then(family.begin(), &user)));
        for level in 1..=6 {
            let group = [Cgroup(R1, level), family.destination(R32 + 2), Within(family.of(Set::DenyCgroup4, Set::DenyCgroup6), R1)];
            rules.push(("output", then(then(family.begin(), &group), &[Count, Drop])));
        }
    }
    rules.push(("output", vec![Meta(OIF_TYPE, R1), Is(R1, &LOOPBACK), Accept]));
    rules.push(("output", vec![Jump("outward")]));
}

/// Appends everything that makes the table to a transaction; fails there when a table of our name exists.
pub(super) fn write(batch: &mut Batch) {
    batch.change(kind::NEW_TABLE, Existing::Refuse, INET, |b| b.name(1, TABLE));
    for (number, set) in (1..).zip(&SETS) {
        batch.change(kind::NEW_SET, Existing::Refuse, INET, |b| {
            b.name(1, TABLE);
            b.name(2, set.name);
            b.number(3, set.flags);
            b.number(4, set.key_type);
            b.number(5, set.key_length as u32);
            b.nest(9, |b| b.number(1, SET_SIZE));
            b.number(10, number);
        });
    }
    for (chain, hook) in CHAINS {
        batch.change(kind::NEW_CHAIN, Existing::Refuse, INET, |b| {
            b.name(1, TABLE);
            b.name(3, chain);
            let Some(hook) = hook else { return };
            b.nest(4, |b| {
                b.number(1, hook);
                b.attr(2, &PRIORITY.to_be_bytes());
            });
            b.number(5, 1); // policy: accept
            b.name(7, "filter");
        });
    }
    for (chain, steps) in rules() {
        batch.change(kind::NEW_RULE, Existing::Append, INET, |b| {
            b.name(1, TABLE);
            b.name(2, chain);
            b.nest(4, |b| steps.iter().for_each(|step| expression(b, *step)));
        });
    }
}

/// Attributes of include/uapi/linux/netfilter/nf_tables.h.
fn expression(batch: &mut Batch, step: Step) {
    let mut write = |name: &str, body: &dyn Fn(&mut Batch)| {
        batch.nest(1, |b| {
            b.name(1, name);
            b.nest(2, |b| body(b));
        });
    };
    match step {
        Meta(key, register) => write("meta", &|b| (b.number(1, register), b.number(2, key)).1),
        Is(register, bytes) => write("cmp", &|b| {
            b.number(1, register);
            b.number(2, 0); // NFT_CMP_EQ
            b.nest(3, |b| b.attr(1, bytes));
        }),
        Load(register, base, offset, length) => write("payload", &|b| {
            for (kind, value) in [(1, register), (2, base), (3, offset), (4, length)] {
                b.number(kind, value);
            }
        }),
        Mask(mask) => write("bitwise", &|b| {
            for (kind, value) in [(1, R1), (2, R1), (3, 1)] {
                b.number(kind, value);
            }
            b.nest(4, |b| b.attr(1, &[mask]));
            b.nest(5, |b| b.attr(1, &[0]));
        }),
        Within(set, register) => write("lookup", &|b| lookup(b, set, register, 0)),
        Outside(set, register) => write("lookup", &|b| lookup(b, set, register, 1)),
        Cgroup(register, level) => write("socket", &|b| {
            for (kind, value) in [(1, 3), (2, register), (3, level)] {
                b.number(kind, value); // NFT_SOCKET_CGROUPV2
            }
        }),
        Learn(set) => write("dynset", &|b| {
            b.name(1, set.name());
            b.number(2, set.number());
            b.number(3, 1); // NFT_DYNSET_OP_UPDATE
            b.number(4, R1);
            b.attr(6, &ANSWERED.to_be_bytes());
        }),
        Count => write("counter", &|_| {}),
        Drop => write("immediate", &|b| verdict(b, 0, "")),
        Accept => write("immediate", &|b| verdict(b, 1, "")),
        Jump(chain) => write("immediate", &|b| verdict(b, -3, chain)),
    }
}

fn lookup(b: &mut Batch, set: Set, register: u32, flags: u32) {
    b.name(1, set.name());
    b.number(2, register);
    b.number(4, set.number());
    b.number(5, flags);
}

fn verdict(b: &mut Batch, code: i32, chain: &str) {
    b.number(1, VERDICT);
    b.nest(2, |b| {
        b.nest(2, |b| {
            b.attr(1, &code.to_be_bytes());
            if !chain.is_empty() {
                b.name(2, chain);
            }
        });
    });
}
