//! SIGKILL at any moment of an action: after the restart, the record and the kernel say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::agent::{Home, told};
use support::can_run;
use support::ends::Program;
use support::network::Network;

/// Moments after the request at which the agent is killed, in milliseconds: before the intent, between intent and
/// receipt, after the receipt. Which is which depends on the machine; what must hold afterwards does not.
const MOMENTS: [u64; 12] = [0, 2, 4, 6, 8, 10, 14, 20, 30, 45, 70, 120];

#[test]
fn a_killed_agent_reconciles_record_and_kernel() {
    if !can_run(&["ip", "nft", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let rules_before = network.ruleset();
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        let address = format!("203.0.113.{}", 10 + round);
        let agent = home.start();
        let mut request = Program::start(home.command(&["block", &address, "--for", "10m"]).stdout(Stdio::null()).stderr(Stdio::null()));
        // The client needs a few milliseconds to start: spread the moments over its whole life.
        std::thread::sleep(Duration::from_millis(5 + moment));
        agent.kill();
        request.wait().unwrap();

        let agent = home.start();
        let actions = home.json(&["actions"]);
        let rules = network.ruleset();
        for action in &actions {
            let state = action["state"].as_str().unwrap();
            assert!(
                !matches!(state, "planned" | "applying" | "unknown" | "drifted"),
                "killed after {moment} ms, not reconciled: {action:#}"
            );
            let target = action["target"].to_string();
            let number: String = target.split("203.0.113.").nth(1).unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            let in_kernel = rules.split(|c: char| !(c.is_ascii_digit() || c == '.')).any(|word| word == format!("203.0.113.{number}"));
            assert_eq!(state == "live", in_kernel, "killed after {moment} ms, {action:#}\n{rules}");
        }
        let known = actions.iter().any(|action| action["target"].to_string().contains(&address));
        assert!(known || !rules.contains(&address), "killed after {moment} ms: a rule without a record\n{rules}");
        let verdict = home.run(&["audit", "verify"]);
        assert!(verdict.status.success(), "killed after {moment} ms: {}", told(&verdict));
        drop(agent);
    }
    let _agent = home.start();
    let undone = home.run(&["rollback", "--all"]);
    assert!(undone.status.success(), "{}", told(&undone));
    assert_eq!(network.ruleset(), rules_before);
    assert!(home.json(&["actions", "--active"]).is_empty());
}
