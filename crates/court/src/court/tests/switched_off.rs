//! Kinds of action that a person switched off: neither done nor asked about, nor allowed by hand.

use super::holding::{guessing, many};
use super::*;

fn without(bench: &mut Bench, off: &[ActionKind]) {
    let mut policy = Policy::built_in().unwrap();
    policy.actions.off = off.to_vec();
    bench.court.set_policy(&policy);
}

#[test]
fn a_kind_that_is_off_is_not_done_not_asked_about_and_refused_by_hand_and_the_others_go_on() {
    let mut bench = Bench::new();
    without(&mut bench, &[ActionKind::BlockAddress]);
    assert_eq!(bench.said(), ["act: freeze /bin/sh (pid 900) and below"]);
    let refusal = bench.grant(block("203.0.113.9")).unwrap_err();
    let expected =
        "block from 203.0.113.9 is refused: policy.toml switches block-address off ([actions] off); take it off there and reload";
    assert_eq!(refusal.to_string(), expected);
    without(&mut bench, &[]);
    assert!(bench.said().contains(&"act: block from 203.0.113.9".to_owned()), "switched on again");
}

#[test]
fn who_guesses_passwords_is_left_alone_where_holds_are_off() {
    let both = [ActionKind::BlockAddress, ActionKind::LimitSource];
    for mode in Mode::ALL {
        let mut bench = guessing(&["203.0.113.9"]);
        bench.mode = mode;
        without(&mut bench, &both);
        assert!(bench.said().is_empty(), "{mode}");
        without(&mut bench, &[]);
        assert_eq!(bench.said().len(), 1, "{mode}");
    }
    let crowd = many(200);
    let mut bench = guessing(&crowd.iter().map(String::as_str).collect::<Vec<_>>());
    bench.mode = Mode::Paranoid;
    without(&mut bench, &[ActionKind::BlockAddresses]);
    assert!(bench.said().iter().all(|said| !said.contains("addresses")), "{:?}", bench.said());
}
