//! How many pieces of evidence each mode asks for, and of what kind; what nobody does alone.

use super::*;

/// What is done without a person, in one word each.
fn alone(mode: Mode, pieces: usize, stages: usize, hostile: bool) -> Vec<String> {
    let mut bench = Bench::new();
    bench.mode = mode;
    (bench.proof, bench.merely_called) = (Proof { pieces, stages, ..proof(0.99) }, !hostile);
    let acts = |said: &String| said.strip_prefix("act: ").map(|what| what.split(" 203").next().unwrap_or(what).to_owned());
    bench.said().iter().filter_map(acts).collect()
}

#[test]
fn the_ladder_of_modes_and_pieces() {
    let freeze = "freeze /bin/sh (pid 900) and below";
    let none: [&str; 0] = [];
    for (mode, pieces, stages, hostile, expected) in [
        (Mode::Paranoid, 6, 6, true, &none[..]),
        (Mode::Balanced, 1, 3, true, &none[..]),
        (Mode::Balanced, 2, 2, true, &[freeze, "block from"]),
        (Mode::Balanced, 2, 2, false, &[freeze]),
        (Mode::Balanced, 3, 5, true, &[freeze, "block from"]),
        (Mode::Aggressive, 1, 3, true, &["block from"]),
        (Mode::Aggressive, 1, 6, false, &none[..]),
        (Mode::Aggressive, 2, 3, true, &[freeze, "block from"]),
        (Mode::Aggressive, 2, 3, false, &[freeze]),
        (Mode::Aggressive, 3, 3, true, &[freeze, "block to", "block from"]),
        (Mode::Aggressive, 2, 4, true, &[freeze, "block to", "block from"]),
        (Mode::Aggressive, 3, 3, false, &[freeze]),
    ] {
        assert_eq!(alone(mode, pieces, stages, hostile), expected, "{mode}, {pieces} pieces, {stages} stages, hostile {hostile}");
    }
}

#[test]
fn acts_that_no_hand_joins_weigh_one_less_whatever_the_stages() {
    let freeze = "freeze /bin/sh (pid 900) and below";
    for (mode, pieces, expected) in [
        (Mode::Balanced, 2, &[][..]),
        (Mode::Aggressive, 2, &[]),
        (Mode::Balanced, 3, &[freeze]),
        (Mode::Aggressive, 3, &[freeze]),
        (Mode::Aggressive, 4, &[freeze]),
    ] {
        let mut bench = Bench::new();
        (bench.mode, bench.merely_called) = (mode, true);
        bench.proof = Proof { pieces, stages: Stage::ALL.len(), apart: true, ..proof(0.99) };
        let said = bench.said();
        let acts: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("act: ")).collect();
        assert_eq!(acts, expected, "{mode}, {pieces} pieces: {said:#?}");
    }
    let mut bench = Bench::new();
    (bench.mode, bench.proof) = (Mode::Aggressive, Proof { pieces: 2, apart: true, ..proof(0.99) });
    let why = "the incident has 2 pieces of evidence, counted as 1: nothing shows that they belong together; to freeze without a person, AGGRESSIVE needs 2";
    assert!(bench.said().iter().any(|line| line.contains(why)), "{:#?}", bench.said());
}

#[test]
fn who_was_only_called_is_never_blocked_or_limited_without_a_person() {
    let mut bench = Bench::new();
    (bench.mode, bench.proof, bench.merely_called) = (Mode::Aggressive, Proof { pieces: 5, ..proof(1.0) }, true);
    let said = bench.said();
    let blocks: Vec<_> = said.iter().filter(|s| s.contains("block")).collect();
    let why = "nothing shows that 203.0.113.9 did anything here itself: it was only called";
    assert!(blocks.len() == 2 && blocks.iter().all(|s| s.starts_with("ask") && s.contains(why)), "{said:#?}");
    assert!(bench.grant(block("203.0.113.9")).is_ok(), "a person may");
}

#[test]
fn nothing_that_is_done_alone_lasts_longer_than_ten_minutes() {
    let mut bench = Bench::new();
    let long = Duration::from_secs(3600);
    (bench.court.policy.actions.freeze_for, bench.court.policy.actions.block_for) = (long, long);
    for ruling in bench.propose() {
        match ruling {
            Ruling::Act(warrant) => assert_eq!(warrant.plan().lasts(), Duration::from_secs(600), "{}", warrant.plan()),
            Ruling::Ask { plan, .. } => assert_eq!(plan.lasts(), long, "a person may allow the whole time: {plan}"),
            Ruling::Refuse { plan, reason } => panic!("{plan}: {reason}"),
        }
    }
}

#[test]
fn more_than_the_least_is_not_done_on_incomplete_evidence() {
    let mut bench = Bench::new();
    (bench.mode, bench.incident.complete) = (Mode::Aggressive, false);
    let said = bench.said();
    assert!(said[0].starts_with("act: freeze") && said[2].starts_with("act: block from"), "{said:#?}");
    assert!(said[1].starts_with("ask: block to") && said[1].contains("only on complete evidence"), "{said:#?}");
}
