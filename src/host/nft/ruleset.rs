//! The shape of our nftables table: four sets, three chains, eight rules; written, and recognised again.

use super::wire::{Batch, Existing, attr, attrs, text};

/// Our table's name, in family inet. The emergency script deletes exactly this.
pub const TABLE: &str = "bartizan";
pub(super) const INET: u8 = 1;
/// The most addresses that one set takes.
const SET_SIZE: u32 = 65_536;

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
    pub(in super::super) const NEW_ELEMENT: u16 = 12;
    pub(in super::super) const GET_ELEMENT: u16 = 13;
    pub(in super::super) const DELETE_ELEMENT: u16 = 14;
}

/// A set of addresses: its name, nft's number for the key type (7 ipv4_addr, 8 ipv6_addr) and the key's bytes.
pub(super) const SETS: [(&str, u32, u32); 4] = [("block_in4", 7, 4), ("block_in6", 8, 16), ("block_out4", 7, 4), ("block_out6", 8, 16)];

/// A chain: its name and hook (`enum nf_inet_hooks`: 1 local in, 2 forward, 3 local out).
const CHAINS: [(&str, u32); 3] = [("input", 1), ("forward", 2), ("output", 3)];
/// Before the usual filter chains (0), so that nobody's accept lets a blocked packet pass.
const PRIORITY: i32 = -10;

/// A rule: chain, set, NFPROTO number, and where in the IP header the address stands.
const RULES: [(&str, &str, u8, u32, u32); 8] = [
    ("input", "block_in4", 2, 12, 4),
    ("input", "block_in6", 10, 8, 16),
    ("forward", "block_in4", 2, 12, 4),
    ("forward", "block_in6", 10, 8, 16),
    ("forward", "block_out4", 2, 16, 4),
    ("forward", "block_out6", 10, 24, 16),
    ("output", "block_out4", 2, 16, 4),
    ("output", "block_out6", 10, 24, 16),
];

/// Appends everything that makes the table to a transaction; fails there when a table of our name exists.
pub(super) fn write(batch: &mut Batch) {
    batch.change(kind::NEW_TABLE, Existing::Refuse, INET, |b| b.name(1, TABLE));
    for (number, (set, key_type, key_length)) in (1..).zip(SETS) {
        batch.change(kind::NEW_SET, Existing::Refuse, INET, |b| {
            b.name(1, TABLE);
            b.name(2, set);
            b.number(3, 0x10); // NFT_SET_TIMEOUT
            b.number(4, key_type);
            b.number(5, key_length);
            b.nest(9, |b| b.number(1, SET_SIZE));
            b.number(10, number);
        });
    }
    for (chain, hook) in CHAINS {
        batch.change(kind::NEW_CHAIN, Existing::Refuse, INET, |b| {
            b.name(1, TABLE);
            b.name(3, chain);
            b.nest(4, |b| {
                b.number(1, hook);
                b.attr(2, &PRIORITY.to_be_bytes());
            });
            b.number(5, 1); // policy: accept
            b.name(7, "filter");
        });
    }
    for (chain, set, protocol, offset, length) in RULES {
        write_rule(batch, chain, set, protocol, offset, length);
    }
}

fn write_rule(batch: &mut Batch, chain: &str, set: &str, protocol: u8, offset: u32, length: u32) {
    let set_number = SETS.iter().zip(1..).find(|((name, ..), _)| *name == set).map_or(0, |(_, number)| number);
    batch.change(kind::NEW_RULE, Existing::Append, INET, |b| {
        b.name(1, TABLE);
        b.name(2, chain);
        b.nest(4, |b| {
            expression(b, "meta", |b| {
                b.number(1, 1);
                b.number(2, 15); // NFT_META_NFPROTO
            });
            expression(b, "cmp", |b| {
                b.number(1, 1);
                b.number(2, 0); // NFT_CMP_EQ
                b.nest(3, |b| b.attr(1, &[protocol]));
            });
            expression(b, "payload", |b| {
                b.number(1, 1);
                b.number(2, 1); // NFT_PAYLOAD_NETWORK_HEADER
                b.number(3, offset);
                b.number(4, length);
            });
            expression(b, "lookup", |b| {
                b.name(1, set);
                b.number(2, 1);
                b.number(4, set_number);
            });
            expression(b, "counter", |_| {});
            expression(b, "immediate", |b| {
                b.number(1, 0); // the verdict register
                b.nest(2, |b| b.nest(2, |b| b.number(1, 0))); // NF_DROP
            });
        });
    });
}

fn expression(batch: &mut Batch, name: &str, body: impl FnOnce(&mut Batch)) {
    batch.nest(1, |b| {
        b.name(1, name);
        b.nest(2, body);
    });
}

/// What a chain says of itself: name, hook, priority, policy.
pub(super) fn read_chain(bytes: &[u8]) -> Option<String> {
    (text(attr(bytes, 1)) == TABLE).then(|| {
        let hook = attr(bytes, 4);
        chain_line(&text(attr(bytes, 3)), attr(hook, 1), attr(hook, 2), attr(bytes, 5))
    })
}

fn chain_line(name: &str, hook: &[u8], priority: &[u8], policy: &[u8]) -> String {
    format!("chain {name} hook {hook:?} priority {priority:?} policy {policy:?}")
}

/// What a rule says of itself: its chain and each expression with what matters of it (counters change by
/// themselves, so their values do not matter).
pub(super) fn read_rule(bytes: &[u8]) -> Option<String> {
    if text(attr(bytes, 1)) != TABLE {
        return None;
    }
    let mut line = format!("rule {}", text(attr(bytes, 2)));
    for (_, expression) in attrs(attr(bytes, 4)) {
        let (name, data) = (text(attr(expression, 1)), attr(expression, 2));
        let detail = match name.as_str() {
            "cmp" => format!("{:?}", attr(attr(data, 3), 1)),
            "payload" => format!("{:?}{:?}", attr(data, 3), attr(data, 4)),
            "lookup" => format!("{} {:?}", text(attr(data, 1)), attr(data, 5)),
            "immediate" => format!("{:?}", attr(attr(attr(data, 2), 2), 1)),
            _ => String::new(),
        };
        line.push_str(&format!(" {name}({detail})"));
    }
    Some(line)
}

/// What [`read_chain`] and [`read_rule`] give for an untouched table, in the kernel's order.
pub(super) fn expected() -> (Vec<String>, Vec<String>) {
    let chains = CHAINS.iter().map(|(name, hook)| chain_line(name, &hook.to_be_bytes(), &PRIORITY.to_be_bytes(), &1u32.to_be_bytes()));
    let rules = RULES.iter().map(|(chain, set, protocol, offset, length)| {
        let (at, long) = (offset.to_be_bytes(), length.to_be_bytes());
        format!(
            "rule {chain} meta() cmp({:?}) payload({at:?}{long:?}) lookup({set} [0, 0, 0, 0]) counter() immediate([0, 0, 0, 0])",
            [protocol]
        )
    });
    (chains.collect(), rules.collect())
}
