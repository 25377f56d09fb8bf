//! The shape of our table follows what is live: pieces come with the first action of a kind and go with the last, and
//! nothing of the other kinds is touched meanwhile.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::tests::{Bench, block, nft, now, on_bench, order, ruleset};
use bartizan_court::Warrant;
use bartizan_model::{Action, ActionKind, ActionPlan, ActionState, Direction, Target, Whose};

const MINUTE: Duration = Duration::from_secs(60);

fn limit(addr: &str, lasts: Duration) -> Warrant {
    let target = Target::Source { addr: addr.parse().unwrap(), packets_per_second: 20 };
    order(ActionPlan::new(ActionKind::LimitSource, target, lasts).unwrap())
}

fn deny(addr: &str, uid: u32, lasts: Duration) -> Warrant {
    let target = Target::Destination { addr: addr.parse().unwrap(), whose: Whose::User { uid } };
    order(ActionPlan::new(ActionKind::BlockDestination, target, lasts).unwrap())
}

/// The sets and hooks that are there.
fn shape() -> Vec<String> {
    let listed = ruleset();
    let words = listed.lines().map(str::trim).filter(|line| line.starts_with("set ") || line.starts_with("type filter hook"));
    let name = |line: &str| line.split(' ').find(|word| !["set", "type", "filter", "hook"].contains(word)).unwrap_or_default().to_owned();
    words.map(name).collect()
}

fn is_live(action: &Action) -> bool {
    action.state == ActionState::Live
}

#[test]
fn undoing_the_last_of_a_kind_takes_its_rules_away_and_leaves_the_rest() {
    on_bench(|bench: Bench| {
        let responder = bench.responder();
        let blocked = responder.execute(block("198.51.100.5", Direction::In, MINUTE), now()).unwrap();
        assert_eq!(shape(), ["block_in4", "input", "forward"]);
        let limited = responder.execute(limit("198.51.100.6", MINUTE), now()).unwrap();
        assert_eq!(shape(), ["block_in4", "limit4", "input", "forward"]);
        let denied = responder.execute(deny("2001:db8::7", 65_534, MINUTE), now()).unwrap();
        assert_eq!(shape(), ["block_in4", "limit4", "deny_to6", "deny_uid6", "input", "forward", "output"]);
        responder.rollback(limited.id, "root", now()).unwrap();
        assert_eq!(shape(), ["block_in4", "deny_to6", "deny_uid6", "input", "forward", "output"]);
        responder.rollback(denied.id, "root", now()).unwrap();
        assert_eq!(shape(), ["block_in4", "input", "forward"]);
        assert!(ruleset().contains("198.51.100.5 timeout"), "{}", ruleset());
        let seen = responder.reconcile(now()).unwrap();
        assert!(seen.iter().any(|action| action.id == blocked.id && is_live(action)), "{seen:?}");
        responder.rollback(blocked.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn what_the_kernel_ended_leaves_no_rules_behind_for_long() {
    on_bench(|bench| {
        let responder = bench.responder();
        responder.execute(block("198.51.100.5", Direction::In, MINUTE), now()).unwrap();
        responder.execute(limit("198.51.100.6", Duration::from_secs(1)), now()).unwrap();
        std::thread::sleep(Duration::from_millis(1300));
        assert_eq!(shape(), ["block_in4", "limit4", "input", "forward"], "rules without elements, which drop nothing");
        responder.reconcile(now()).unwrap();
        assert_eq!(shape(), ["block_in4", "input", "forward"]);
    });
}

#[test]
fn two_denials_of_one_address_do_not_end_each_other() {
    on_bench(|bench| {
        let responder = bench.responder();
        let first = responder.execute(deny("198.51.100.7", 65_534, Duration::from_secs(30)), now()).unwrap();
        let second = responder.execute(deny("198.51.100.7", 1, MINUTE), now()).unwrap();
        responder.rollback(first.id, "root", now()).unwrap();
        assert!(ruleset().contains("1 . 198.51.100.7 timeout"), "{}", ruleset());
        assert_eq!(shape(), ["deny_to4", "deny_uid4", "output"]);
        let third = responder.execute(deny("198.51.100.7", 2, Duration::from_secs(10)), now()).unwrap();
        let seen = responder.reconcile(now()).unwrap();
        assert!(seen.iter().all(is_live), "the longer one's way is not cut short: {seen:?}");
        responder.rollback(second.id, "root", now()).unwrap();
        responder.rollback(third.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}

/// Left by an older version, or by somebody who took our name: packets must not be dropped in our name unseen.
#[test]
fn a_left_over_table_of_another_shape_is_told_and_removed_at_the_start() {
    on_bench(|bench| {
        let responder = bench.responder();
        for left in [
            "add table inet bartizan; add chain inet bartizan input { type filter hook input priority -10; policy drop; }",
            "add table inet bartizan; add set inet bartizan block_in4 { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }",
            "add table inet bartizan { flags dormant; }",
        ] {
            nft(left);
            assert!(!ruleset().is_empty());
            responder.recover(now()).unwrap();
            assert_eq!(ruleset(), "", "{left}");
            let told = bench.alarms();
            assert!(told.last().unwrap().contains("not of the shape that this version makes"), "{left}: {told:?}");
            assert!(told.iter().any(|said| said.contains("drops what comes in")), "what it did to packets: {told:?}");
        }
        nft("add table inet bartizan { flags dormant; }");
        responder.reconcile(now()).unwrap();
        assert_eq!(ruleset(), "", "not only at the start");
    });
}

#[test]
fn a_table_of_our_name_that_another_program_owns_is_shown_until_it_is_gone() {
    on_bench(|bench| {
        let responder = bench.responder();
        let mut owner = Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let words = b"add table inet bartizan { flags owner; }\nadd chain inet bartizan input { type filter hook input priority 0; policy drop; }\n";
        owner.stdin.as_mut().unwrap().write_all(words).unwrap();
        let began = Instant::now();
        while !ruleset().contains("policy drop") && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..2 {
            responder.recover(now()).unwrap();
            responder.reconcile(now()).unwrap();
            let shown = responder.table_trouble().unwrap();
            assert!(shown.contains(&format!("nft (pid {})", owner.id())) && shown.contains("drops what comes in"), "{shown}");
        }
        assert!(bench.alarms().iter().filter(|said| said.contains("another program owns")).count() <= 3, "{:?}", bench.alarms());
        drop(owner.stdin.take());
        owner.wait().unwrap();
        responder.reconcile(now()).unwrap();
        assert_eq!((responder.table_trouble(), ruleset().as_str()), (None, ""));
    });
}
