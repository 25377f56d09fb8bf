//! Attacks of each kind, after two weeks: found within their window, on many seeds.

use bartizan_baseline::{Baseline, DeviationKind, Settings};

use super::host::{APP, BACKUP, CRON_JOB, DAY, HOUR, Host, MINUTE, PHP, POSTGRES, START, Who};

type Attack = fn(&mut Host);

/// A program of no package, where cron starts it.
const DROPPED: Who = Who { exe: "/usr/local/bin/.sysd", package: None, parent: "/usr/bin/dash", ..CRON_JOB };

fn shell_below_php(host: &mut Host) {
    let php = host.process(&PHP);
    let shell = host.child(&php, "/usr/bin/dash");
    host.exec(&shell);
}

fn php_calls_out(host: &mut Host) {
    let php = host.process(&PHP);
    host.call(&php, "185.220.101.5", 8443, None);
}

fn database_calls_out(host: &mut Host) {
    let postgres = host.process(&POSTGRES);
    host.call(&postgres, "185.220.101.5", 443, Some("paste.example"));
}

fn back_door_listens(host: &mut Host) {
    let php = host.process(&PHP);
    host.listen(&php, "0.0.0.0", 31_337);
}

fn php_changes_cron(host: &mut Host) {
    let php = host.process(&PHP);
    host.change(&php, "/etc/cron.d/php");
}

fn cron_runs_a_dropped_program(host: &mut Host) {
    host.start(&DROPPED);
}

fn a_stolen_password(host: &mut Host) {
    host.login("ann", "185.220.101.5", None);
}

fn a_planted_key(host: &mut Host) {
    host.login("ann", "185.220.101.5", Some("ED25519 SHA256:eve"));
}

fn a_login_at_night(host: &mut Host) {
    host.until(START + (host.now - START) / DAY * DAY + DAY + 2 * HOUR);
    host.login("ann", "91.12.44.7", Some("ED25519 SHA256:ann"));
}

fn a_beacon_with_jitter(host: &mut Host) {
    let app = host.process(&APP);
    for _ in 0..40 {
        let pause = 10 * MINUTE - i64::try_from(host.below(300)).unwrap();
        host.until(host.now + pause);
        host.call(&app, "45.9.148.7", 443, None);
    }
}

fn a_slow_beacon(host: &mut Host) {
    for _ in 0..40 {
        let pause = 4 * HOUR - i64::try_from(host.below(3600)).unwrap();
        host.until(host.now + pause);
        let job = host.start(&CRON_JOB);
        host.call(&job, "45.9.148.7", 443, Some("cdn.static.example"));
    }
}

fn the_database_is_taken_out(host: &mut Host) {
    let php = host.process(&PHP);
    for _ in 0..40 {
        host.sent(&php, "54.187.1.9", 30 << 20);
        host.until(host.now + 40);
    }
}

fn a_flood_of_requests_from_the_worker(host: &mut Host) {
    let app = host.process(&APP);
    for _ in 0..4_000 {
        host.call(&app, "127.0.0.1", 5432, None);
    }
}

fn the_backup_stops(host: &mut Host) {
    host.until(START + (host.now - START) / DAY * DAY + DAY);
    (0..4).for_each(|_| host.day(true));
}

fn a_backup_goes_elsewhere(host: &mut Host) {
    let backup = host.start(&BACKUP);
    host.call(&backup, "45.9.148.7", 22, Some("u9.backup.example"));
}

const ATTACKS: [(&str, DeviationKind, Attack); 15] = [
    ("a shell below php", DeviationKind::Child, shell_below_php),
    ("php calls out", DeviationKind::Destination, php_calls_out),
    ("the database calls out", DeviationKind::Destination, database_calls_out),
    ("a back door listens", DeviationKind::Listener, back_door_listens),
    ("php changes cron", DeviationKind::Place, php_changes_cron),
    ("cron runs a dropped program", DeviationKind::Program, cron_runs_a_dropped_program),
    ("a stolen password", DeviationKind::Login, a_stolen_password),
    ("a planted key", DeviationKind::Login, a_planted_key),
    ("a login at night", DeviationKind::Hour, a_login_at_night),
    ("a beacon with jitter", DeviationKind::Beacon, a_beacon_with_jitter),
    ("a slow beacon", DeviationKind::Beacon, a_slow_beacon),
    ("the database is taken out", DeviationKind::Volume, the_database_is_taken_out),
    ("a flood from the worker", DeviationKind::Rate, a_flood_of_requests_from_the_worker),
    ("the backup stops", DeviationKind::Silence, the_backup_stops),
    ("a backup goes elsewhere", DeviationKind::Destination, a_backup_goes_elsewhere),
];

#[test]
fn attacks_of_each_kind_stand_out() {
    let (mut all, mut found, mut missed) = (0, 0, Vec::new());
    for seed in 1..=4 {
        for (name, kind, attack) in ATTACKS {
            let mut host = Host::new(seed * 31, Baseline::new(Settings::default()));
            host.days(15);
            // The afternoon of a working day.
            host.until(host.now + 15 * HOUR);
            host.found.clear();
            attack(&mut host);
            all += 1;
            match host.found.iter().find(|(_, one)| one.kind == kind) {
                Some((_, one)) => {
                    found += 1;
                    assert!((0.1..=0.5).contains(&one.confidence) && one.sentence.len() < 400, "{one:?}");
                }
                None => missed.push(format!("{name} (seed {seed}): {:?}", host.found)),
            }
        }
    }
    println!("{found} of {all} attacks found; missed:\n{}", missed.join("\n"));
    assert!(found * 10 >= all * 9, "{found} of {all}: {missed:#?}");
    for (name, ..) in ATTACKS {
        assert!(missed.iter().filter(|one| one.starts_with(name)).count() <= 1, "{name}: {missed:#?}");
    }
}
