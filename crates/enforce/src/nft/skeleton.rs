//! The shape of our nftables table: the sets, chains and rules of the pieces that live actions need, written in one
//! transaction with the elements they are for.

use super::element::{SETS, Set, Shape};
use super::piece::Pieces;
use super::rules::{R1, Rules, Step, rules};
use super::wire::{Batch, Existing};
use bartizan_sys::netlink::message::Writer;

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
    pub(in super::super) const DELETE_CHAIN: u16 = 5;
    pub(in super::super) const NEW_RULE: u16 = 6;
    pub(in super::super) const GET_RULE: u16 = 7;
    pub(in super::super) const DELETE_RULE: u16 = 8;
    pub(in super::super) const NEW_SET: u16 = 9;
    pub(in super::super) const GET_SET: u16 = 10;
    pub(in super::super) const DELETE_SET: u16 = 11;
    pub(in super::super) const NEW_ELEMENT: u16 = 12;
    pub(in super::super) const GET_ELEMENT: u16 = 13;
    pub(in super::super) const DELETE_ELEMENT: u16 = 14;
}

/// A chain: its name and hook (`enum nf_inet_hooks`: 1 local in, 2 forward, 3 local out), if it has one.
type Chain = (&'static str, Option<u32>);

/// All of them, those that are jumped to first. One without rules is not made.
const CHAINS: [Chain; 8] = [
    ("inward", None),
    ("outward", None),
    ("through", None),
    ("denied4", None),
    ("denied6", None),
    ("input", Some(1)),
    ("forward", Some(2)),
    ("output", Some(3)),
];
/// Before the usual filter chains (0), so that nobody's accept lets a blocked packet pass.
const PRIORITY: i32 = -10;
/// How long a UDP peer that spoke to us first may be answered, in milliseconds; conntrack's own time for a stream.
const ANSWERED: u64 = 120_000;

/// What a table consists of.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) sets: Vec<Set>,
    pub(super) chains: Vec<Chain>,
    pub(super) rules: Rules,
}

impl Layout {
    /// What these pieces need, and nothing else.
    pub(super) fn of(pieces: Pieces) -> Self {
        let rules = rules(pieces);
        let chains = CHAINS.into_iter().filter(|(name, _)| rules.iter().any(|(chain, _)| chain == name)).collect();
        // A set that no rule asks is part of none of them.
        let asked: Vec<Set> = rules.iter().flat_map(|(_, steps)| steps).filter_map(|step| step.set()).collect();
        Self { sets: Set::all().filter(|set| asked.contains(set)).collect(), chains, rules }
    }
}

impl Step {
    /// The set it asks or fills.
    fn set(&self) -> Option<Set> {
        match self {
            Self::Within(set, _) | Self::Outside(set, _) | Self::Learn(set) => Some(*set),
            Self::Meta(..)
            | Self::Is(..)
            | Self::Not(..)
            | Self::Load(..)
            | Self::Mask(_)
            | Self::Cgroup(..)
            | Self::Count
            | Self::Drop
            | Self::Accept
            | Self::Jump(_) => None,
        }
    }
}

/// Appends a table of this name that is made whole; fails there when one exists.
pub(super) fn make(batch: &mut Batch, table: &str, layout: &Layout) {
    batch.change(kind::NEW_TABLE, Existing::Refuse, INET, |b| b.name(1, table));
    add(batch, table, &Layout::default(), layout);
}

/// Appends what turns the shape that our table has into another one. Sets that both have keep their elements; rules are few, and all of
/// them are made anew, so that their order is always the same.
pub(super) fn reshape(batch: &mut Batch, from: Pieces, to: Pieces) {
    let (old, new) = (Layout::of(from), Layout::of(to));
    batch.change(kind::DELETE_RULE, Existing::Need, INET, |b| b.name(1, TABLE));
    // Who jumps comes last in the list, and goes first.
    for (chain, _) in old.chains.iter().rev().filter(|chain| !new.chains.contains(chain)) {
        batch.change(kind::DELETE_CHAIN, Existing::Need, INET, |b| {
            b.name(1, TABLE);
            b.name(3, chain);
        });
    }
    for set in old.sets.iter().filter(|set| !new.sets.contains(set)) {
        batch.change(kind::DELETE_SET, Existing::Need, INET, |b| {
            b.name(1, TABLE);
            b.name(2, set.name());
        });
    }
    add(batch, TABLE, &old, &new);
}

/// What `new` has and `old` has not, and every rule.
fn add(batch: &mut Batch, table: &str, old: &Layout, new: &Layout) {
    for shape in SETS.iter().filter(|shape| new.sets.contains(&shape.set) && !old.sets.contains(&shape.set)) {
        batch.change(kind::NEW_SET, Existing::Refuse, INET, |b| set(b, table, shape));
    }
    for (name, hook) in new.chains.iter().filter(|chain| !old.chains.contains(chain)) {
        batch.change(kind::NEW_CHAIN, Existing::Refuse, INET, |b| {
            b.name(1, table);
            b.name(3, name);
            let Some(hook) = hook else { return };
            b.nest(4, |b| {
                b.number(1, *hook);
                b.attr(2, &PRIORITY.to_be_bytes());
            });
            b.number(5, 1); // policy: accept
            b.name(7, "filter");
        });
    }
    for (chain, steps) in &new.rules {
        batch.change(kind::NEW_RULE, Existing::Append, INET, |b| {
            b.name(1, table);
            b.name(2, chain);
            b.nest(4, |b| steps.iter().for_each(|step| expression(b, *step)));
        });
    }
}

fn set(b: &mut Writer, table: &str, shape: &Shape) {
    b.name(1, table);
    b.name(2, shape.name);
    b.number(3, shape.flags);
    b.number(4, shape.key_type);
    b.number(5, shape.key_length as u32);
    b.nest(9, |b| b.number(1, SET_SIZE));
    b.number(10, shape.set.number());
}

/// Attributes of include/uapi/linux/netfilter/nf_tables.h.
fn expression(batch: &mut Writer, step: Step) {
    let mut write = |name: &str, body: &dyn Fn(&mut Writer)| {
        batch.nest(1, |b| {
            b.name(1, name);
            b.nest(2, |b| body(b));
        });
    };
    match step {
        Step::Meta(key, register) => write("meta", &|b| (b.number(1, register), b.number(2, key)).1),
        Step::Is(register, bytes) => write("cmp", &|b| compare(b, register, 0, bytes)), // NFT_CMP_EQ
        Step::Not(register, bytes) => write("cmp", &|b| compare(b, register, 1, bytes)), // NFT_CMP_NEQ
        Step::Load(register, base, offset, length) => write("payload", &|b| {
            for (kind, value) in [(1, register), (2, base), (3, offset), (4, length)] {
                b.number(kind, value);
            }
        }),
        Step::Mask(mask) => write("bitwise", &|b| {
            for (kind, value) in [(1, R1), (2, R1), (3, mask.len() as u32)] {
                b.number(kind, value);
            }
            b.nest(4, |b| b.attr(1, &mask));
            b.nest(5, |b| b.attr(1, &[0; 4]));
        }),
        Step::Within(set, register) => write("lookup", &|b| lookup(b, set, register, 0)),
        Step::Outside(set, register) => write("lookup", &|b| lookup(b, set, register, 1)),
        Step::Cgroup(register, level) => write("socket", &|b| {
            for (kind, value) in [(1, 3), (2, register), (3, level)] {
                b.number(kind, value); // NFT_SOCKET_CGROUPV2
            }
        }),
        Step::Learn(set) => write("dynset", &|b| {
            b.name(1, set.name());
            b.number(2, set.number());
            b.number(3, 1); // NFT_DYNSET_OP_UPDATE
            b.number(4, R1);
            b.attr(6, &ANSWERED.to_be_bytes());
        }),
        Step::Count => write("counter", &|_| {}),
        Step::Drop => write("immediate", &|b| verdict(b, 0, "")),
        Step::Accept => write("immediate", &|b| verdict(b, 1, "")),
        Step::Jump(chain) => write("immediate", &|b| verdict(b, -3, chain)),
    }
}

fn compare(b: &mut Writer, register: u32, how: u32, bytes: &[u8]) {
    b.number(1, register);
    b.number(2, how);
    b.nest(3, |b| b.attr(1, bytes));
}

fn lookup(b: &mut Writer, set: Set, register: u32, flags: u32) {
    b.name(1, set.name());
    b.number(2, register);
    b.number(4, set.number());
    b.number(5, flags);
}

/// The register of verdicts is the first one.
fn verdict(b: &mut Writer, code: i32, chain: &str) {
    b.number(1, 0);
    b.nest(2, |b| {
        b.nest(2, |b| {
            b.attr(1, &code.to_be_bytes());
            if !chain.is_empty() {
                b.name(2, chain);
            }
        });
    });
}
