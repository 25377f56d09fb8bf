//! Tricks with the packet filter: what somebody else prepared must not become the owner's lock when the guard acts.

use std::time::Duration;

use crate::stage::{Attempt, Must, Stage};
use crate::support::agent::told;
use crate::support::lan::{OPERATOR, STRANGER};

/// What somebody with root's rights prepared. Nothing of it cuts the operator off by itself.
const PREPARED: [(&str, &str); 9] = [
    (
        "a table that accepts everything before ours",
        "table inet early { chain input { type filter hook input priority -300; policy accept; accept; }; }",
    ),
    (
        "a table after ours that drops others",
        "table inet late { chain input { type filter hook input priority 300; policy accept; tcp dport 9 drop; }; }",
    ),
    ("a table of our name in another family", "table ip bartizan { chain input { type filter hook input priority -10; policy accept; }; }"),
    (
        "our table, empty of rules, with the operator among the blocked",
        "table inet bartizan { set block_in4 { type ipv4_addr; flags timeout; elements = { 192.0.2.7 timeout 1h }; }; set block_out4 { type ipv4_addr; flags timeout; elements = { 192.0.2.7 timeout 1h }; }; }",
    ),
    (
        "our table with the operator's IPv6 address among the blocked",
        "table inet bartizan { set block_in6 { type ipv6_addr; flags timeout; elements = { 2001:db8:2::7 timeout 1h }; }; }",
    ),
    (
        "our table with a whole network among the blocked",
        "table inet bartizan { set block_in4 { type ipv4_addr; flags interval,timeout; elements = { 192.0.2.0/24 timeout 1h }; }; }",
    ),
    (
        "our table with the gateway and the name server among the blocked",
        "table inet bartizan { set block_out4 { type ipv4_addr; flags timeout; elements = { 198.51.100.254 timeout 1h, 198.51.100.53 timeout 1h }; }; }",
    ),
    (
        "our table with chains of our names that hang nowhere and drop everything",
        "table inet bartizan { chain input { drop; }; chain output { drop; }; chain forward { drop; }; }",
    ),
    ("our table with a set of our name for ports", "table inet bartizan { set block_in4 { type inet_service; elements = { 22 }; }; }"),
];

/// What somebody does to our table while a stranger is blocked.
const MEDDLING: [&str; 6] = [
    "flush ruleset",
    "delete table inet bartizan",
    "flush chain inet bartizan input",
    "rename chain inet bartizan input inputt",
    "insert rule inet bartizan input accept",
    "add chain inet bartizan input2 { type filter hook input priority -20; policy accept; }",
];

fn nft(stage: &Stage, words: &str) {
    // What is not there cannot be changed: the next look tells.
    let _ = stage.lan.host.command("nft", &[words]).output().unwrap();
}

fn block_the_stranger(stage: &Stage) -> Result<bool, String> {
    let output = stage.home.run(&["block", STRANGER[0]]);
    match output.status.code() {
        Some(0) => Ok(false),
        // Rather nothing than something that cannot be told.
        Some(1 | 4) => Ok(true),
        _ => Err(told(&output)),
    }
}

pub fn attempts(_stage: &Stage) -> Vec<Attempt> {
    let mut all = Vec::new();
    for (name, content) in PREPARED {
        all.push(Attempt::new(format!("{name}, then a block of the stranger"), Must::DoNoHarm, move |stage| {
            nft(stage, content);
            let prepared = stage.lan.host.network.ruleset();
            assert!(prepared.contains("table"), "nft refused {content}");
            block_the_stranger(stage)
        }));
        // The table of others stays for a moment, with our block gone; then the host is as it was.
        all.push(Attempt::new(format!("{name}, after a reconciliation"), Must::DoNoHarm, |stage| {
            std::thread::sleep(Duration::from_millis(300));
            stage.home.run(&["status"]);
            nft(stage, "flush ruleset");
            Ok(true)
        }));
    }
    for words in MEDDLING {
        all.push(Attempt::new(format!("a stranger is blocked, then nft {words}"), Must::DoNoHarm, move |stage| {
            let done = block_the_stranger(stage);
            nft(stage, words);
            // Longer than the reconciler waits between two looks.
            std::thread::sleep(Duration::from_millis(2_500));
            done
        }));
    }
    all.push(Attempt::new("nothing of it names the operator", Must::DoNoHarm, |stage| {
        nft(stage, "flush ruleset");
        block_the_stranger(stage)?;
        let rules = stage.lan.host.network.ruleset();
        if OPERATOR.iter().any(|addr| rules.contains(addr)) { Err(rules) } else { Ok(true) }
    }));
    all
}
