//! Who would teach us evil: each strategy is tried during learning, and nothing that it did counts as normal afterwards.

use bartizan_baseline::{Baseline, Circumstances, Settings};
use bartizan_model::{EventKind, Habit, HabitId, HabitKind, HabitState, Loss, ServiceRole, Timestamp};

use super::host::{APP, CRON_JOB, DAY, HOUR, Host, MINUTE, PHP, Who};

const EVIL: &str = "185.220.101.5";

/// Tries it, and gives the learned habits that hold this text.
type Strategy = (&'static str, &'static str, fn(&mut Host));

fn with(host: &mut Host, about: Circumstances, act: impl FnOnce(&mut Host)) {
    host.about = about;
    act(host);
    host.about = Circumstances::default();
}

const NOTHING: Circumstances = Circumstances { reported: false, below_service: false, installing: false, writable: false, anything: false };
const REPORTED: Circumstances = Circumstances { reported: true, ..NOTHING };
const BELOW: Circumstances = Circumstances { below_service: true, ..NOTHING };
const WRITABLE: Circumstances = Circumstances { writable: true, ..NOTHING };
/// A package manager seems to be at work while a detector speaks about what it does.
const BORROWED_APT: Circumstances = Circumstances { reported: true, installing: true, ..NOTHING };

fn daily(host: &mut Host, mut act: impl FnMut(&mut Host)) {
    for _ in 0..3 {
        act(host);
        host.until(host.now + 11 * HOUR);
    }
}

fn reported_child(host: &mut Host) {
    with(host, REPORTED, |host| {
        let app = host.process(&APP);
        let child = host.child(&app, "/usr/bin/evil");
        host.exec(&child);
    });
}

fn below_a_reported_process(host: &mut Host) {
    let app = host.process(&APP);
    let child = host.child(&app, "/usr/bin/first");
    host.baseline.suspect(child.key);
    let grandchild = host.child(&child, "/usr/bin/evil");
    daily(host, |host| drop(host.exec(&grandchild)));
}

fn called_by_what_descends_from_it(host: &mut Host) {
    let app = host.process(&APP);
    host.baseline.suspect(app.key);
    let child = host.child(&app, "/usr/bin/curl");
    daily(host, |host| drop(host.call(&child, EVIL, 443, None)));
}

fn child_of_the_web_server(host: &mut Host) {
    with(host, BELOW, |host| {
        daily(host, |host| {
            let php = host.process(&PHP);
            let child = host.child(&php, "/usr/bin/evil");
            host.exec(&child);
        });
    });
}

fn called_from_below_the_web_server(host: &mut Host) {
    with(host, BELOW, |host| {
        let php = host.process(&PHP);
        let child = host.child(&php, "/usr/bin/curl");
        daily(host, |host| drop(host.call(&child, EVIL, 443, None)));
    });
}

fn listens_below_the_web_server(host: &mut Host) {
    with(host, BELOW, |host| {
        let php = host.process(&PHP);
        let child = host.child(&php, "/usr/bin/socat");
        daily(host, |host| drop(host.listen(&child, "0.0.0.0", 4545)));
    });
}

fn a_package_manager_below_the_web_server(host: &mut Host) {
    with(host, BORROWED_APT, |host| {
        let php = host.process(&PHP);
        let apt = host.child(&php, "/usr/bin/apt-get");
        let evil = host.child(&apt, "/usr/bin/evil");
        daily(host, |host| drop(host.exec(&evil)));
    });
}

fn while_events_are_lost(host: &mut Host) {
    daily(host, |host| {
        let loss = Loss::new("kernel-ring", 9);
        host.event(EventKind::Loss { loss }, None);
        let app = host.process(&APP);
        host.call(&app, EVIL, 443, None);
    });
}

fn with_incomplete_events(host: &mut Host) {
    host.complete = false;
    daily(host, |host| {
        let app = host.process(&APP);
        host.call(&app, EVIL, 443, None);
    });
    host.complete = true;
}

fn a_beacon_of_no_unit(host: &mut Host) {
    let tool = Who { exe: "/usr/bin/python3.11", unit: None, role: None, ..CRON_JOB };
    let tool = host.start(&tool);
    for _ in 0..60 {
        host.until(host.now + 10 * MINUTE);
        host.call(&tool, EVIL, 443, None);
    }
}

fn a_beacon_that_grows(host: &mut Host) {
    let tool = Who { exe: "/usr/bin/perl", unit: None, role: None, ..CRON_JOB };
    let tool = host.start(&tool);
    for turn in 1..120 {
        host.until(host.now + HOUR - 20 * turn);
        host.call(&tool, EVIL, 443, None);
    }
}

fn logins_after_failures(host: &mut Host) {
    daily(host, |host| {
        (0..5).for_each(|_| host.login_fails("ann", EVIL));
        host.login("ann", EVIL, Some("ED25519 SHA256:eve"));
    });
}

fn failures_from_next_door(host: &mut Host) {
    daily(host, |host| {
        host.login_fails("root", "185.220.101.77");
        host.login("ann", EVIL, Some("ED25519 SHA256:eve"));
    });
}

fn a_password_every_day(host: &mut Host) {
    daily(host, |host| drop(host.login("ann", EVIL, None)));
}

fn a_login_that_a_detector_reports(host: &mut Host) {
    with(host, REPORTED, |host| daily(host, |host| drop(host.login("ann", EVIL, Some("ED25519 SHA256:eve")))));
}

fn a_child_in_a_writable_place(host: &mut Host) {
    with(host, WRITABLE, |host| {
        daily(host, |host| {
            let job = host.process(&CRON_JOB);
            let child = host.child(&job, "/tmp/evil");
            host.exec(&child);
        });
    });
}

fn a_program_that_others_can_change(host: &mut Host) {
    with(host, WRITABLE, |host| {
        let tool = Who { exe: "/srv/upload/evil", unit: None, role: None, package: None, ..CRON_JOB };
        daily(host, |host| {
            let tool = host.start(&tool);
            host.call(&tool, EVIL, 443, None);
        });
    });
}

fn a_program_without_a_file(host: &mut Host) {
    daily(host, |host| {
        let mut tool = host.process(&CRON_JOB);
        tool.exe = "/memfd:evil".into();
        tool.exe_file.memfd = true;
        host.exec(&tool);
        host.call(&tool, EVIL, 443, None);
    });
}

fn a_deleted_program(host: &mut Host) {
    daily(host, |host| {
        let mut tool = host.process(&CRON_JOB);
        tool.exe = "/usr/bin/evil".into();
        tool.exe_file.deleted = true;
        host.exec(&tool);
        host.call(&tool, EVIL, 443, None);
    });
}

fn the_clock_set_back(host: &mut Host) {
    host.days(4);
    let now = host.now;
    host.now = now - 4 * DAY;
    let app = host.process(&APP);
    host.call(&app, EVIL, 443, None);
    let child = host.child(&app, "/usr/bin/evil");
    host.exec(&child);
    host.now = now;
}

fn the_same_again_and_again_after_learning(host: &mut Host) {
    host.days(4);
    let app = host.process(&APP);
    for _ in 0..20 {
        host.call(&app, EVIL, 443, None);
        host.until(host.now + 7 * HOUR);
    }
}

fn in_a_unit_of_its_own_after_learning(host: &mut Host) {
    host.days(4);
    let own = Who { exe: "/usr/bin/evil", unit: Some("dbus-helper.service"), package: None, ..APP };
    for _ in 0..10 {
        let own = host.start(&own);
        host.call(&own, EVIL, 443, None);
        host.until(host.now + 7 * HOUR);
    }
}

fn in_a_transient_unit_after_learning(host: &mut Host) {
    host.days(4);
    let own = Who { exe: "/usr/bin/socat", unit: Some("run-r0123456789ab.service"), package: Some("socat"), ..APP };
    for _ in 0..10 {
        let own = host.start(&own);
        host.call(&own, EVIL, 443, None);
        host.until(host.now + 7 * HOUR);
    }
}

fn a_packaged_tool_in_a_unit_of_its_own_after_learning(host: &mut Host) {
    host.days(4);
    let own = Who { exe: "/usr/bin/socat", unit: Some("dbus-helper.service"), package: Some("socat"), ..APP };
    with(host, Circumstances { anything: true, ..NOTHING }, |host| daily(host, |host| calls_as(host, &own)));
}

fn in_a_unit_of_a_user_after_learning(host: &mut Host) {
    host.days(4);
    let own = Who { exe: "/usr/bin/rclone", unit: Some("sync.service"), package: Some("rclone"), ..APP };
    daily(host, |host| {
        let mut own = host.process(&own);
        own.cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service".into();
        host.exec(&own);
        host.call(&own, EVIL, 443, None);
    });
}

fn calls_as(host: &mut Host, who: &Who) {
    let process = host.start(who);
    host.call(&process, EVIL, 443, None);
}

fn a_password_asked_for_interactively(host: &mut Host) {
    daily(host, |host| drop(host.login_by("ann", EVIL, "keyboard-interactive")));
}

fn a_flood_of_what_waits(host: &mut Host) {
    host.days(4);
    let app = host.process(&APP);
    for number in 0..200 {
        host.call(&app, &format!("45.9.{number}.7"), 443, None);
    }
    host.call(&app, EVIL, 443, None);
}

const STRATEGIES: [Strategy; 27] = [
    ("reported child", "evil", reported_child),
    ("below a reported process", "evil", below_a_reported_process),
    ("called by what descends from it", "185.220", called_by_what_descends_from_it),
    ("child of the web server", "evil", child_of_the_web_server),
    ("called from below the web server", "185.220", called_from_below_the_web_server),
    ("listens below the web server", "4545", listens_below_the_web_server),
    ("a package manager below the web server", "evil", a_package_manager_below_the_web_server),
    ("while events are lost", "185.220", while_events_are_lost),
    ("with incomplete events", "185.220", with_incomplete_events),
    ("a beacon of no unit", "185.220", a_beacon_of_no_unit),
    ("a beacon that grows", "185.220", a_beacon_that_grows),
    ("logins after failures", "185.220", logins_after_failures),
    ("failures from next door", "185.220", failures_from_next_door),
    ("a password every day", "185.220", a_password_every_day),
    ("a login that a detector reports", "eve", a_login_that_a_detector_reports),
    ("a child in a writable place", "evil", a_child_in_a_writable_place),
    ("a program that others can change", "185.220", a_program_that_others_can_change),
    ("a program without a file", "185.220", a_program_without_a_file),
    ("a deleted program", "185.220", a_deleted_program),
    ("the clock set back", "185.220", the_clock_set_back),
    ("the same again and again after learning", "185.220", the_same_again_and_again_after_learning),
    ("in a unit of its own after learning", "185.220", in_a_unit_of_its_own_after_learning),
    ("in a transient unit after learning", "185.220", in_a_transient_unit_after_learning),
    ("a packaged tool in a unit of its own after learning", "185.220", a_packaged_tool_in_a_unit_of_its_own_after_learning),
    ("in a unit of a user after learning", "185.220", in_a_unit_of_a_user_after_learning),
    ("a password asked for interactively", "185.220", a_password_asked_for_interactively),
    ("a flood of what waits", "185.220", a_flood_of_what_waits),
];

fn shown(habit: &Habit) -> String {
    format!("{} {} {}", habit.profile, habit.kind.verb(), habit.value)
}

#[test]
fn no_strategy_of_poisoning_teaches_anything() {
    let mut taught = Vec::new();
    for (name, evil, strategy) in STRATEGIES {
        let mut host = Host::new(7, Baseline::new(Settings::default()));
        host.day(false);
        host.until(host.now + 9 * HOUR);
        strategy(&mut host);
        host.days(3);
        let learned = host.baseline.habits(|habit| habit.state == HabitState::Learned && shown(habit).contains(evil), HabitId(0), 9);
        taught.extend(learned.iter().map(|habit| format!("{name}: {} because {}", shown(habit), habit.reason.sentence())));
    }
    assert!(taught.is_empty(), "{taught:#?}");
}

#[test]
fn a_line_of_a_log_from_the_future_ends_nothing_and_a_clock_that_was_corrected_goes_on() {
    let mut host = Host::new(10, Baseline::new(Settings::default()));
    host.days(1);
    let now = host.now;
    host.now = now + 4_000 * DAY;
    host.login("ann", EVIL, Some("ED25519 SHA256:eve"));
    host.now = now;
    let learning = |host: &Host| {
        let status = host.baseline.status(Timestamp::from_timestamp(host.now, 0).unwrap(), None);
        status.ends.unwrap().timestamp() > host.now
    };
    assert!(learning(&host), "who writes a log does not say what time it is");
    // The clock was a year ahead for a moment.
    host.now = now + 365 * DAY;
    host.start(&APP);
    host.now = now;
    host.days(16);
    let status = host.baseline.status(Timestamp::from_timestamp(host.now, 0).unwrap(), None);
    assert!(!learning(&host) && status.began.unwrap().timestamp() < now, "{status:?}");
    host.found.clear();
    let app = host.process(&APP);
    host.call(&app, EVIL, 443, None);
    assert_eq!(host.found.len(), 1, "it judges by the time that it is");
}

#[test]
fn many_calls_do_not_widen_a_network() {
    let mut host = Host::new(8, Baseline::new(Settings::default()));
    host.day(false);
    let app = host.process(&APP);
    for number in 0..250 {
        host.call(&app, &format!("185.220.{number}.5"), 443, None);
    }
    let all = host.baseline.habits(|habit| habit.value.starts_with("tcp 185."), HabitId(0), usize::MAX);
    assert!(all.len() <= 64 && all.iter().all(|habit| habit.value.lossy().ends_with("/24:443")), "{all:?}");
    let status = host.baseline.status(Timestamp::from_timestamp(host.now, 0).unwrap(), None);
    assert!(status.crowded.iter().any(|(profile, _)| profile.exe == *APP.exe), "a person is told that nothing stands out there");
}

#[test]
fn thousands_of_invented_programs_push_out_nobody_who_is_known() {
    let mut host = Host::new(9, Baseline::new(Settings { max_profiles: 500, ..Settings::default() }));
    host.days(3);
    let before = host.baseline.habits(|habit| habit.days > 1, HabitId(0), usize::MAX).len();
    for number in 0..3_000 {
        let app = host.process(&APP);
        let child = host.child(&app, &format!("/usr/local/bin/x{number}"));
        host.exec(&child);
    }
    let after = host.baseline.habits(|habit| habit.days > 1, HabitId(0), usize::MAX).len();
    assert_eq!(after, before);
    let status = host.baseline.status(Timestamp::from_timestamp(host.now, 0).unwrap(), None);
    assert!(status.evicted > 2_000 && status.profiles.iter().map(|(_, count)| count).sum::<u64>() <= 500);
}

#[test]
fn what_was_set_aside_while_learning_is_reported_once_when_it_goes_on_afterwards() {
    let mut host = Host::new(11, Baseline::new(Settings::default()));
    host.day(false);
    let act = |host: &mut Host| {
        let app = host.process(&APP);
        let child = host.child(&app, "/usr/bin/evil");
        host.exec(&child);
    };
    with(&mut host, BELOW, |host| daily(host, act));
    host.days(4);
    host.found.clear();
    with(&mut host, BELOW, |host| (0..4).for_each(|_| act(host)));
    let told: Vec<_> = host.found.iter().filter(|(_, one)| one.sentence.contains("evil again")).collect();
    assert_eq!(told.len(), 1, "{:#?}", host.found);
    assert!(told[0].1.sentence.ends_with("because it comes from below a service that strangers can talk to"), "{}", told[0].1.sentence);
    // Not again after a restart either.
    let mut again = Baseline::restore(Settings::default(), host.baseline.take_changes());
    std::mem::swap(&mut host.baseline, &mut again);
    host.found.clear();
    with(&mut host, BELOW, |host| act(host));
    assert!(!host.found.iter().any(|(_, one)| one.sentence.contains("evil")), "{:#?}", host.found);
}

#[test]
fn many_harmless_ones_that_wait_push_out_no_grave_one_and_hide_no_other_kind() {
    let mut host = Host::new(12, Baseline::new(Settings::default()));
    host.days(4);
    let app = host.process(&APP);
    with(&mut host, REPORTED, |host| drop(host.call(&app, EVIL, 443, None)));
    host.found.clear();
    let flood = |host: &mut Host, net: u8| {
        for number in 0..200 {
            host.call(&app, &format!("45.{net}.{number}.7"), 443, None);
        }
    };
    flood(&mut host, 8);
    assert_eq!(host.baseline.take_changes().gone_habits.len(), 0, "what never was on disk need not go from there");
    flood(&mut host, 9);
    let child = host.child(&app, "/usr/bin/evil");
    host.exec(&child);
    assert!(host.found.iter().any(|(_, one)| one.sentence.contains("evil")), "five new destinations an hour, and a child besides");
    let waiting = host.baseline.habits(|habit| habit.state == HabitState::Waiting && habit.profile.exe == *APP.exe, HabitId(0), usize::MAX);
    let has = |text: &str| waiting.iter().any(|habit| shown(habit).contains(text));
    assert!(has("185.220") && has("45.9.199"), "the grave one stays, and the newest is there: {waiting:#?}");
    assert_eq!(waiting.len(), 32);
    let kept = host.baseline.take_changes();
    assert!((1..=32).contains(&kept.gone_habits.len()), "only what was there: {}", kept.gone_habits.len());
    host.baseline.not_kept(kept.clone());
    assert_eq!(host.baseline.take_changes().gone_habits, kept.gone_habits, "what failed to be kept is kept the next time");
}

#[test]
fn whose_program_a_person_rejected_teaches_nothing_any_more() {
    let mut host = Host::new(13, Baseline::new(Settings::default()));
    host.day(false);
    let ids = |host: &Host, kind| {
        let own = |habit: &Habit| habit.profile.exe == *APP.exe && habit.kind == kind;
        host.baseline.habits(own, HabitId(0), usize::MAX).into_iter().map(|habit| habit.id).collect::<Vec<_>>()
    };
    let app = host.start(&APP);
    host.baseline.decide(&ids(&host, HabitKind::Program), false, "ann").unwrap();
    host.call(&app, EVIL, 443, None);
    let learned = host.baseline.habits(|habit| habit.state == HabitState::Learned && shown(habit).contains("185.220"), HabitId(0), 9);
    assert!(learned.is_empty(), "{learned:?}");
}

#[test]
fn a_package_manager_of_a_users_own_is_judged_like_everybody() {
    let mut host = Host::new(14, Baseline::new(Settings::default()));
    let fake =
        Who { exe: "/home/app/bin/dpkg", role: Some((ServiceRole::PackageManager, "/home/app/bin/dpkg")), package: None, ..CRON_JOB };
    for _ in 0..4 {
        host.start(&fake);
        host.day(false);
    }
    host.found.clear();
    let process = host.start(&fake);
    host.call(&process, EVIL, 443, None);
    assert!(host.found.iter().any(|(_, one)| one.sentence.contains("185.220")), "{:#?}", host.found);
}
