//! Floods: what the court asks the host about them, what it asks a person, and what it forgets of its rulings.

use std::cell::Cell;

use chrono::TimeDelta;

use super::holding::{attack, guessing, many, source};
use super::*;

/// A host that counts how often it is asked.
#[derive(Debug, Default)]
struct Counting {
    logins: Vec<IpAddr>,
    histories: Cell<usize>,
    elsewhere: Cell<usize>,
}

impl Sources for Counting {
    fn history(&self, _addr: IpAddr, _since: Timestamp) -> History {
        self.histories.set(self.histories.get() + 1);
        History::default()
    }
    fn login(&self, addr: IpAddr) -> Option<String> {
        self.logins.contains(&addr).then(|| "ann logged in from there".to_owned())
    }
    fn held_elsewhere(&self, _addr: IpAddr) -> Option<String> {
        self.elsewhere.set(self.elsewhere.get() + 1);
        None
    }
    fn jitter(&self) -> f64 {
        0.0
    }
}

fn judged(bench: &mut Bench, sources: &Counting, now: Timestamp) -> Vec<String> {
    let Bench { court, incident, proof, mode, lifeline, tree, active, connections, .. } = bench;
    let rulings = court.propose(&Case { incident, proof, mode: *mode, lifeline, tree, active, connections, sources, now });
    rulings.iter().map(say).collect()
}

#[test]
fn a_flood_is_judged_as_a_whole_once_a_second_while_all_that_comes_of_it_is_a_question() {
    let (mut bench, host) = (attack(600, 0), Counting::default());
    assert_eq!(judged(&mut bench, &host, at(0)).len(), 1);
    assert_eq!((host.histories.take(), host.elsewhere.take()), (600, 600));
    for n in 0..100 {
        bench.proof.sources.push(source(&format!("198.51.100.{n}"), 0));
        assert!(judged(&mut bench, &host, at(0) + TimeDelta::milliseconds(9 * n)).is_empty());
    }
    assert_eq!((host.histories.take(), host.elsewhere.take()), (100, 100), "only who is new");
    judged(&mut bench, &host, at(1));
    assert_eq!(host.histories.take(), 700);
    assert!(host.elsewhere.take() <= 188, "who is asked about already is not looked up again");
    bench.court.rearm();
    judged(&mut bench, &host, at(1));
    assert_eq!(host.histories.take(), 700, "a person changed something");
}

#[test]
fn whoever_may_be_held_alone_is_held_at_once_however_many_come() {
    let (mut bench, host) = (guessing(&[]), Counting::default());
    bench.court.policy.holds.most_per_minute = 30;
    (bench.court.policy.actions.most_per_minute, bench.court.policy.holds.most_active) = (100, 100);
    for (n, addr) in many(40).iter().enumerate() {
        bench.proof.sources.push(source(addr, 0));
        let said = judged(&mut bench, &host, at(0));
        assert_eq!(said.iter().filter(|line| line.starts_with("act")).count(), usize::from(n < 30), "{n}: {said:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_asked_and_held_is_the_same_as_if_all_were_judged_at_each_signal(
        steps in prop::collection::vec((0usize..12, 0usize..6, any::<bool>()), 1..24),
        mode in 0usize..3,
    ) {
        let host = Counting { logins: many(200).iter().skip(20).step_by(90).map(|addr| addr.parse().unwrap()).collect(), ..Counting::default() };
        let (mut paced, mut whole) = (guessing(&[]), guessing(&[]));
        (paced.mode, whole.mode) = (Mode::ALL[mode], Mode::ALL[mode]);
        let (all, mut come, mut now) = (many(400), 20, at(0));
        for (more, pause, again) in steps {
            now += TimeDelta::milliseconds([0, 90, 400, 1500, 25_000, 61_000][pause]);
            let named = (now - at(0)).num_seconds();
            let first = if again { 0 } else { come };
            for addr in &all[first..come + more] {
                paced.proof.sources.retain(|known| known.addr.to_string() != *addr);
                paced.proof.sources.push(source(addr, named));
            }
            come += more;
            whole.proof = paced.proof.clone();
            whole.court.crowds.clear();
            prop_assert_eq!(judged(&mut paced, &host, now), judged(&mut whole, &host, now));
        }
    }
}

#[test]
fn a_flood_of_refusals_and_questions_pushes_out_no_no_of_a_person_and_nothing_that_is_being_done() {
    let mut bench = Bench::new();
    let (no, yes, asked) = (block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3"));
    let hour = Duration::from_secs(3600);
    bench.court.decline(&no, IncidentId(7), at(0));
    for (plan, stand) in [(&yes, Stand::Allowed), (&asked, Stand::Asked)] {
        bench.court.remember(plan.clone(), IncidentId(7), stand, at(0), hour);
    }
    let flood = |bench: &mut Bench, stand| {
        let plans = many(MAX_REMEMBERED + 50);
        plans.iter().for_each(|addr| bench.court.remember(block(addr), IncidentId(7), stand, at(1), hour));
        assert_eq!(bench.court.court.len(), MAX_REMEMBERED);
        [&no, &yes, &asked].map(|plan| bench.court.stand(plan))
    };
    assert_eq!(flood(&mut bench, Stand::Refused), [Some(Stand::Declined), Some(Stand::Allowed), Some(Stand::Asked)]);
    assert_eq!(flood(&mut bench, Stand::Asked), [Some(Stand::Declined), Some(Stand::Allowed), None], "the oldest question goes first");
    bench.court.remember(block("192.0.2.4"), IncidentId(7), Stand::Refused, at(1), hour);
    assert_eq!(bench.court.stand(&block("192.0.2.4")), None, "no question makes room for a refusal");
    assert_eq!(flood(&mut bench, Stand::Allowed), [Some(Stand::Declined), None, None]);
}
