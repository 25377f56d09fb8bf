//! Ordinary weeks: at most one false alarm in each after learning.

use bartizan_baseline::{Baseline, Settings};
use bartizan_model::{HabitId, HabitState, Maturity, Timestamp};

use super::host::{APP, DAY, HOUR, Host, MAIL, START};

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

#[test]
fn who_calls_somebody_new_every_day_is_expected_to() {
    let mut host = Host::new(6, Baseline::new(Settings::default()));
    let mail = |host: &mut Host, day: usize| {
        let exim = host.process(&MAIL);
        for _ in 0..200 {
            host.call(&exim, "142.250.1.27", 25, None);
        }
        host.call(&exim, &format!("45.10.{day}.25"), 25, None);
        host.day(false);
    };
    (0..14).for_each(|day| mail(&mut host, day));
    host.found.clear();
    (14..42).for_each(|day| mail(&mut host, day));
    let told: Vec<_> = host.found.iter().filter(|(_, one)| one.sentence.starts_with("/usr/sbin/exim4")).collect();
    assert!(told.len() <= 2, "{told:#?}");
}

#[test]
fn an_account_with_a_password_is_told_of_once_for_an_hour() {
    let mut host = Host::new(15, Baseline::new(Settings::default()));
    let at = |host: &mut Host, day: i64, hour: i64| {
        host.until(START + day * DAY + hour * HOUR);
        host.login("bob", "91.12.44.7", None);
    };
    (0..12).for_each(|day| at(&mut host, day, 10));
    host.found.clear();
    (12..30).for_each(|day| at(&mut host, day, 3));
    assert_eq!(host.found.len(), 1, "{:#?}", host.found);
}

#[test]
fn who_called_many_is_judged_again_when_it_has_called_few_for_a_month() {
    let mut host = Host::new(16, Baseline::new(Settings::default()));
    host.day(false);
    let app = host.process(&APP);
    (0..80).for_each(|number| drop(host.call(&app, &format!("45.9.{number}.7"), 443, None)));
    let crowded = |host: &Host| {
        let status = host.baseline.status(Timestamp::from_timestamp(host.now, 0).unwrap(), None);
        status.crowded.iter().any(|(profile, _)| profile.exe == *APP.exe)
    };
    assert!(crowded(&host));
    host.days(35);
    assert!(!crowded(&host));
    host.found.clear();
    host.call(&app, "185.220.101.5", 443, None);
    assert_eq!(host.found.len(), 1);
}
