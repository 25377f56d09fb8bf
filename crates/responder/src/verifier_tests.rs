//! The verifier against transactions made by hand, byte by byte: each one something that must never reach the kernel.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::verifier::{Case, judge};
use bartizan_enforce::nft::{Pieces, SKELETON, decode, lines};
use bartizan_model::{Lifeline, LifelineReason};

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [((4 + value.len()) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((20 + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(body);
    bytes
}

/// A transaction of these orders of nftables, all in family inet.
fn transaction(orders: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = message(0x10, 0, &[]);
    orders.iter().for_each(|(kind, body)| bytes.extend(message(10 << 8 | kind, 1, body)));
    bytes.extend(message(0x11, 0, &[]));
    bytes
}

fn element(table: &str, set: &str, parts: &[Vec<u8>]) -> (u16, Vec<u8>) {
    let names = [attr(1, format!("{table}\0").as_bytes()), attr(2, format!("{set}\0").as_bytes())].concat();
    (12, [names, attr(3, &attr(1, &parts.concat()))].concat())
}

fn key(bytes: &[u8]) -> Vec<u8> {
    attr(1, &attr(1, bytes))
}

fn time(milliseconds: u64) -> Vec<u8> {
    attr(4, &milliseconds.to_be_bytes())
}

fn says(bytes: &[u8], by_person: bool) -> Result<(), String> {
    let lifeline = Lifeline { addresses: vec![("203.0.113.9".parse().unwrap(), LifelineReason::SshSession)], ..Lifeline::default() };
    let case = Case {
        lifeline: &lifeline,
        by_person,
        known: &HashSet::new(),
        before: Some(Pieces::all()),
        kept: &|_: IpAddr| None::<Duration>,
        contained: false,
    };
    judge(&decode(bytes)?, &case)
}

#[test]
fn one_block_with_an_end_passes() {
    let good = element("bartizan", "block_in4", &[key(&[198, 51, 100, 7]), time(60_000)]);
    assert_eq!(says(&transaction(&[good]), false), Ok(()));
}

/// The set of kept addresses, made as we make it.
fn keep4() -> (u16, Vec<u8>) {
    let numbers = [(3, 0x10u32), (4, 7), (5, 4)].map(|(kind, number)| attr(kind, &number.to_be_bytes())).concat();
    let size = attr(9, &attr(1, &65_535u32.to_be_bytes()));
    (9, [attr(1, b"bartizan\0"), attr(2, b"contain_keep4\0"), numbers, size].concat())
}

/// The chain of what comes in, with a policy that drops.
fn dropping() -> (u16, Vec<u8>) {
    let hook = [attr(1, &1u32.to_be_bytes()), attr(2, &(-10i32).to_be_bytes())].concat();
    (3, [attr(1, b"bartizan\0"), attr(3, b"input\0"), attr(4, &hook), attr(5, &[0; 4]), attr(7, b"filter\0")].concat())
}

#[test]
fn hostile_transactions_are_refused() {
    const MINUTE: u64 = 60_000;
    let stranger = key(&[198, 51, 100, 7]);
    let owner = key(&[203, 0, 113, 9]);
    let mapped: Vec<u8> = "::ffff:203.0.113.9".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let mapped_stranger: Vec<u8> = "::ffff:198.51.100.7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let ours = || attr(1, b"bartizan\0");
    let limit = |rate: u64, flags: u32| {
        let numbers = [attr(1, &rate.to_be_bytes()), attr(2, &1u64.to_be_bytes()), attr(4, &[0; 4]), attr(5, &flags.to_be_bytes())];
        attr(7, &[attr(1, b"limit\0"), attr(2, &numbers.concat())].concat())
    };
    let one = |set: &str, parts: &[Vec<u8>]| transaction(&[element("bartizan", set, parts)]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an interval", one("block_in4", &[stranger.clone(), time(MINUTE), attr(10, &attr(1, &[198, 51, 100, 255]))]), "attribute 10"),
        ("an interval's flag", one("block_in4", &[stranger.clone(), attr(3, &1u32.to_be_bytes()), time(MINUTE)]), "attribute 3"),
        ("a short key", one("block_in4", &[key(&[198, 51, 100]), time(MINUTE)]), "3 bytes"),
        ("a network as a key", one("block_in6", &[key(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]), time(MINUTE)]), "8 bytes"),
        ("no end", one("block_in4", std::slice::from_ref(&stranger)), "without an end"),
        ("an end of nothing", one("block_in4", &[stranger.clone(), time(0)]), "without an end"),
        ("a year", one("block_in4", &[stranger.clone(), time(365 * 86_400_000)]), "longer than a day"),
        ("the owner", one("block_in4", &[owner.clone(), time(MINUTE)]), "live SSH session"),
        ("the owner in IPv6 form", one("block_out6", &[key(&mapped), time(MINUTE)]), "live SSH session"),
        ("a stranger in IPv6 form", one("block_out6", &[key(&mapped_stranger), time(MINUTE)]), "in the form of IPv6"),
        ("the owner, denied to root", one("deny_uid4", &[key(&[0, 0, 0, 0, 203, 0, 113, 9]), time(MINUTE)]), "live SSH session"),
        ("loopback", one("block_in4", &[key(&[127, 0, 0, 1]), time(MINUTE)]), "loopback"),
        ("everybody", one("block_in4", &[key(&[0, 0, 0, 0]), time(MINUTE)]), "no single host"),
        ("a limit of nothing", one("limit4", &[stranger.clone(), time(MINUTE), limit(0, 1)]), "packets a second"),
        ("a limit that matches what is below", one("limit4", &[stranger.clone(), time(MINUTE), limit(5, 0)]), "packets a second"),
        ("a limit without a limit", one("limit4", &[stranger.clone(), time(MINUTE)]), "over a limit"),
        ("a key twice", one("block_in4", &[stranger.clone(), owner.clone(), time(MINUTE)]), "attribute 1"),
        ("another set", one("allow4", &[stranger.clone(), time(MINUTE)]), "no set of ours"),
        ("another table", transaction(&[element("filter", "block_in4", &[stranger.clone(), time(MINUTE)])]), "not ours"),
        ("a name that begins like ours", transaction(&[element("bartizan2", "block_in4", &[stranger.clone(), time(MINUTE)])]), "not ours"),
        ("containment without the owner", one("contain_out", &[key(&[2]), time(MINUTE)]), "would cut off 203.0.113.9"),
        ("logins paused without the owner", one("contain_ssh", &[key(&[0, 22]), time(MINUTE)]), "would cut off 203.0.113.9"),
        ("inbound cut instead of limited", one("contain_in", &[key(&[6]), time(MINUTE)]), "over a limit"),
        (
            "an owner who is let through for too short",
            transaction(&[
                element("bartizan", "contain_keep4", &[owner.clone(), time(MINUTE / 2)]),
                element("bartizan", "contain_out", &[key(&[2]), time(MINUTE)]),
            ]),
            "would cut off",
        ),
        ("a rule", transaction(&[(6, [ours(), attr(2, b"input\0")].concat())]), "not ours: rule input"),
        ("a chain", transaction(&[(3, [ours(), attr(3, b"other\0")].concat())]), "not ours: chain other"),
        ("a table more", transaction(&[(0, ours())]), "sets, chains and rules instead of"),
        ("all rules gone", transaction(&[(8, ours())]), "missing: rule"),
        ("rules of one chain gone", transaction(&[(8, [ours(), attr(2, b"input\0")].concat())]), "attribute 2"),
        ("a set gone", transaction(&[(11, [ours(), attr(2, b"contain_keep4\0")].concat())]), "missing: set contain_keep4"),
        ("a set that is not there gone", transaction(&[(11, [ours(), attr(2, b"other\0")].concat())]), "which our table has not"),
        (
            "the kept emptied by making their set anew",
            transaction(&[(11, [ours(), attr(2, b"contain_keep4\0")].concat()), keep4()]),
            "emptied",
        ),
        ("a chain that drops", transaction(&[(5, [ours(), attr(3, b"input\0")].concat()), dropping()]), "missing: chain input"),
        ("the table's end", transaction(&[(2, ours())]), "not made again"),
        ("a set emptied", transaction(&[(14, [ours(), attr(2, b"contain_keep4\0")].concat())]), "without a list"),
        ("a chain removed", transaction(&[(5, [ours(), attr(3, b"input\0")].concat())]), "missing: chain input"),
        ("an order that we never give", transaction(&[(18, ours())]), "never give"),
        ("another family", [message(0x10, 0, &[]), message(10 << 8 | 2, 2, &ours()), message(0x11, 0, &[])].concat(), "family"),
        ("an order outside", message(10 << 8 | 2, 1, &ours()), "outside"),
        ("an order after the end", [transaction(&[]), message(10 << 8 | 2, 1, &ours())].concat(), "none of the packet filter"),
        ("a cut message", transaction(&[(0, ours())]).get(..50).unwrap().to_vec(), "fit"),
    ];
    for (what, bytes, why) in cases {
        let refused = says(&bytes, true);
        assert!(refused.as_ref().is_err_and(|said| said.contains(why)), "{what}: {refused:?}");
    }
}

#[test]
fn by_itself_it_adds_one_address_and_a_person_may_add_more() {
    let two = transaction(&[
        element("bartizan", "block_in4", &[key(&[198, 51, 100, 7]), time(1000)]),
        element("bartizan", "block_in4", &[key(&[198, 51, 100, 8]), time(1000)]),
    ]);
    assert!(says(&two, false).unwrap_err().contains("2 addresses at once"));
    assert_eq!(says(&two, true), Ok(()));
}

#[test]
fn the_page_of_the_table_ends_every_base_chain_with_accept() {
    // A policy that drops would cut off everybody when a rule is lost.
    assert_eq!(lines(Pieces::all()).len(), SKELETON.lines().count());
    let hooks: Vec<&str> = SKELETON.lines().filter(|line| line.contains(" hook ")).collect();
    assert_eq!(hooks.len(), 3);
    assert!(hooks.iter().all(|line| line.contains("policy 1 ")), "{hooks:?}");
}
