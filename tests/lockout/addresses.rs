//! The owner's addresses, those of the gateway, the name server, the time server and the host itself, in every spelling and
//! through every door that takes an address.

use serde_json::json;

use crate::stage::{Attempt, CONSOLE, Must, Stage};
use crate::support::lan::{CLOCK, GATEWAY, HOST, OPERATOR, RESOLVER};

/// The same IPv4 address as somebody writes it who means it; each of them is that peer.
fn same_peer(addr: &str) -> Vec<String> {
    let octets: Vec<u8> = addr.split('.').map(|part| part.parse().unwrap()).collect();
    let [a, b, c, d] = octets[..] else { unreachable!() };
    vec![
        addr.to_owned(),
        format!("::ffff:{addr}"),
        format!("::FFFF:{a:02X}{b:02X}:{c:02X}{d:02X}"),
        format!("0000:0000:0000:0000:0000:ffff:{a:02x}{b:02x}:{c:02x}{d:02x}"),
    ]
}

/// What only looks like it: no address, a network, a name, or another address in whose bytes it stands.
fn look_alikes(addr: &str) -> Vec<String> {
    let (network, last) = addr.rsplit_once('.').unwrap();
    vec![
        format!("{addr}/32"),
        format!("{network}.0/24"),
        format!("::{addr}"),
        format!("64:ff9b::{addr}"),
        format!("{network}.0{last}"),
        format!(" {addr}"),
        format!("{addr}:22"),
    ]
}

/// Nobody's single address.
const NOBODY: [&str; 14] = [
    "0.0.0.0", "0.0.0.0/0", "255.255.255.255", "127.0.0.1", "::ffff:127.0.0.1", "::", "::/0", "::1", "224.0.0.1", "ff02::1", "localhost",
    "0", "0x7f000001", "0.1.2.3",
];

fn block(must: Must, addr: &str, out: bool) -> Attempt {
    // After `--`: an address must not be taken for a flag.
    let arguments: &[&str] = if out { &["block", "--out", addr] } else { &["block", addr] };
    Attempt::by_command(must, arguments)
}

pub fn attempts(_stage: &Stage) -> Vec<Attempt> {
    let mut all = Vec::new();
    let own4 = [OPERATOR[0], GATEWAY[0], RESOLVER, CLOCK, HOST[0]];
    let own6 = [OPERATOR[1], GATEWAY[1], HOST[1]];
    for addr in own4 {
        for (turn, spelling) in same_peer(addr).iter().enumerate() {
            all.push(block(Must::BeRefused, spelling, turn % 2 == 1));
        }
        all.push(block(Must::BeRefused, addr, true));
    }
    for addr in own6 {
        let (head, tail) = addr.split_once("::").unwrap();
        let long = format!("{}:0:0:0:0:00{tail}", head.to_uppercase());
        all.extend([block(Must::BeRefused, addr, false), block(Must::BeRefused, addr, true), block(Must::BeRefused, &long, false)]);
        all.push(block(Must::BeRefused, &format!("{addr}/64"), false));
    }
    all.extend(look_alikes(OPERATOR[0]).iter().map(|text| block(Must::DoNoHarm, text, false)));
    all.extend(look_alikes(GATEWAY[0]).iter().map(|text| block(Must::DoNoHarm, text, true)));
    all.extend(NOBODY.iter().map(|text| block(Must::BeRefused, text, false)));
    all.extend(NOBODY[..6].iter().map(|text| block(Must::BeRefused, text, true)));
    all.push(block(Must::BeRefused, CONSOLE, false));
    all.push(block(Must::DoNoHarm, "198.51.100.255", false));
    all.push(block(Must::DoNoHarm, "fe80::1", false));
    for addr in [OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER] {
        all.push(Attempt::by_command(Must::BeRefused, &["limit", addr, "--packets", "1"]));
        all.push(Attempt::by_command(Must::BeRefused, &["block", addr, "--user", "0"]));
        all.push(Attempt::by_command(Must::BeRefused, &["block", addr, "--cgroup", "/"]));
    }
    all.extend(raw());
    all
}

/// The same without a client that could have looked first.
fn raw() -> Vec<Attempt> {
    let mut all = Vec::new();
    for addr in [OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER, CLOCK, HOST[0], CONSOLE, "::ffff:192.0.2.7"] {
        all.push(Attempt::by_wire(Must::BeRefused, "block-address", json!({ "address": { "addr": addr, "direction": "in" } }), 600));
        all.push(Attempt::by_wire(Must::BeRefused, "limit-source", json!({ "source": { "addr": addr, "packets_per_second": 1 } }), 600));
        let user = json!({ "destination": { "addr": addr, "whose": { "user": { "uid": 0 } } } });
        all.push(Attempt::by_wire(Must::BeRefused, "block-destination", user, 600));
    }
    let everybody = json!({ "destination": { "addr": OPERATOR[0], "whose": { "cgroup": { "path": "/" } } } });
    all.push(Attempt::by_wire(Must::BeRefused, "block-destination", everybody, 600));
    for (addr, seconds) in
        [("192.0.2.0/24", 600), ("operator.example", 600), (OPERATOR[0], 0), (OPERATOR[0], u64::MAX), ("203.0.113.5", 315_360_000)]
    {
        all.push(Attempt::by_wire(Must::BeRefused, "block-address", json!({ "address": { "addr": addr, "direction": "in" } }), seconds));
    }
    for kind in ["contain-host", "freeze-tree", "disable-user", "restore-file"] {
        let misfit = json!({ "address": { "addr": OPERATOR[0], "direction": "in" } });
        all.push(Attempt::by_wire(Must::BeRefused, kind, misfit, 600));
    }
    all
}
