//! Ordinary weeks: at most one false alarm in each after learning.

use bartizan_baseline::{Baseline, Settings};
use bartizan_model::{HabitId, HabitState, Maturity, Timestamp};

use super::host::{DAY, Host, START};

#[test]
fn ordinary_weeks_are_quiet_after_learning() {
    let (mut alarms, mut weeks) = (Vec::new(), 0);
    for seed in 1..=6 {
        let mut host = Host::new(seed, Baseline::new(Settings::default()));
        host.days(7);
        host.found.clear();
        host.days(28);
        weeks += 4;
        alarms.extend(host.found.into_iter().map(|(at, one)| format!("seed {seed}, day {}: {}", (at - START) / DAY, one.sentence)));
    }
    println!("{} alarms in {weeks} weeks:\n{}", alarms.len(), alarms.join("\n"));
    assert!(alarms.len() <= weeks, "{alarms:#?}");
}

#[test]
fn what_was_learned_is_small_and_says_since_when_and_why() {
    let mut host = Host::new(3, Baseline::new(Settings::default()));
    host.days(14);
    let now = Timestamp::from_timestamp(host.now, 0).unwrap();
    let status = host.baseline.status(now, None);
    let known = status.profiles.iter().find(|(maturity, _)| *maturity == Maturity::Known).unwrap().1;
    assert!(status.learned > 10 && status.learned < 200 && known >= 6, "{status:?}");
    let all = host.baseline.habits(|_| true, HabitId(0), usize::MAX);
    let database = all.iter().find(|habit| habit.value == *"tcp loopback:5432" && habit.profile.exe.starts_with("/usr/sbin/php")).unwrap();
    assert!(database.days >= 14 && database.count > 1000 && database.by == "bartizan" && database.state == HabitState::Learned);
}

#[test]
fn what_is_kept_comes_back_exactly() {
    let mut host = Host::new(4, Baseline::new(Settings::default()));
    host.days(10);
    let kept = host.baseline.take_changes();
    assert!(!kept.is_empty() && host.baseline.take_changes().is_empty());
    let mut again = Baseline::restore(Settings::default(), kept.clone());
    let everything = |baseline: &Baseline| baseline.habits(|_| true, HabitId(0), usize::MAX);
    assert_eq!(everything(&again), everything(&host.baseline));
    again.mark_all();
    let mut second = again.take_changes();
    let mut first = kept;
    first.profiles.sort_by_key(|profile| profile.id);
    second.profiles.sort_by_key(|profile| profile.id);
    first.habits.sort_by_key(|habit| habit.id);
    second.habits.sort_by_key(|habit| habit.id);
    assert_eq!((first.began, &first.profiles, &first.habits), (second.began, &second.profiles, &second.habits));
}

#[test]
fn export_and_import_agree_and_a_revert_takes_a_decision_back() {
    let mut host = Host::new(5, Baseline::new(Settings::default()));
    host.days(5);
    let learned = host.baseline.habits(|habit| habit.state == HabitState::Learned, HabitId(0), usize::MAX);
    let mut sister = Baseline::new(Settings::default());
    let done = sister.adopt(learned.clone(), bartizan_model::HabitReason::Imported, "root");
    assert_eq!((done.adopted, done.known, done.left_out), (learned.len() as u64, 0, 0));
    let there = sister.habits(|_| true, HabitId(0), usize::MAX);
    let bare = |habits: &[bartizan_model::Habit]| {
        let mut bare: Vec<_> = habits.iter().map(|habit| (habit.profile.clone(), habit.kind, habit.value.clone(), habit.count)).collect();
        bare.sort();
        bare
    };
    assert_eq!(bare(&there), bare(&learned));
    assert_eq!(sister.adopt(learned.clone(), bartizan_model::HabitReason::Imported, "root").known, learned.len() as u64);

    let before = learned.iter().map(|habit| (habit.id.0, habit.state)).collect();
    let rejected = host.baseline.decide(&[learned[0].id, learned[1].id], false, "ann").unwrap();
    assert!(rejected.iter().all(|habit| habit.state == HabitState::Rejected && habit.by == "ann"));
    assert_eq!(host.baseline.decide(&[learned[2].id, HabitId(9_999_999)], false, "ann"), Err(HabitId(9_999_999)));
    assert_eq!(host.baseline.revert(&before, "ann"), 2);
    let after = host.baseline.habits(|habit| habit.state == HabitState::Learned, HabitId(0), usize::MAX);
    assert_eq!(bare(&after), bare(&learned));
}
