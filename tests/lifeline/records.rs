//! What utmp and wtmp say of where people come from: logins that servers wrote, and what any local user may write.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::host::{Host, Program, Said};

/// A record of utmp(5).
fn record(pid: u32, user: &str, from: &str, address: [u8; 4], age: u32) -> Vec<u8> {
    let mut record = vec![0; 384];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    record[..2].copy_from_slice(&7_i16.to_ne_bytes());
    record[4..8].copy_from_slice(&pid.to_ne_bytes());
    record[44..44 + user.len()].copy_from_slice(user.as_bytes());
    record[76..76 + from.len()].copy_from_slice(from.as_bytes());
    record[340..344].copy_from_slice(&(now - age).to_ne_bytes());
    record[348..352].copy_from_slice(&address);
    record
}

fn write(host: &Host, path: &str, records: &[Vec<u8>]) {
    std::fs::write(host.lan.host.path(path), records.concat()).unwrap();
}

/// A process of this account that stays.
fn stays(host: &Host, user: &str) -> Program {
    let program = host.runs("setpriv", &["--reuid", user, "--clear-groups", "sleep", "120"]);
    let exe = format!("/proc/{}/exe", program.0.id());
    let runs = || std::fs::read_link(&exe).is_ok_and(|exe| exe.ends_with("sleep")).then_some(());
    crate::support::wait_for("the account's process", std::time::Duration::from_secs(5), runs, String::new);
    program
}

#[test]
fn a_roaming_shell_counts_for_the_owner_while_it_lives_and_is_a_question_for_anybody_else() {
    let Some(host) = Host::new(&["setpriv"], "") else { return };
    host.lan.host.shell("useradd -m guest");
    let (owner, guest) = (stays(&host, "owner"), stays(&host, "guest"));
    let records = |owner: u32| {
        vec![
            record(owner, "owner", "203.0.113.5 via mosh [10383]", [0; 4], 60),
            record(owner, "owner", "203.0.113.6:S.0", [0; 4], 60),
            record(guest.0.id(), "guest", "203.0.113.7 via mosh [10384]", [0; 4], 60),
            record(guest.0.id(), "owner", "203.0.113.8", [0; 4], 60),
        ]
    };
    write(&host, "/run/utmp", &records(owner.0.id()));
    for (addr, wanted) in [
        ("203.0.113.5", Said::Refused),
        ("203.0.113.6", Said::Refused),
        ("203.0.113.7", Said::ToBeConfirmed),
        ("203.0.113.8", Said::Done),
        ("203.0.113.9", Said::Done),
    ] {
        assert_eq!((addr, host.to_block(addr)), (addr, wanted));
    }
    drop(owner);
    host.settle();
    assert_eq!(host.to_block("203.0.113.5"), Said::Done, "its shell has ended");
}

#[test]
fn a_roaming_shell_that_no_record_places_makes_blocks_wait_for_a_yes() {
    let Some(host) = Host::new(&["setpriv", "mosh-server"], "") else { return };
    let started =
        host.runs("setpriv", &["--reuid", "owner", "--clear-groups", "env", "LC_ALL=C.UTF-8", "mosh-server", "new", "-i", "127.0.0.1"]);
    host.settle();
    let own = host.pids_of("mosh-server");
    let said = host.to_block("203.0.113.9");
    // It detaches itself from whoever started it.
    own.iter().for_each(|pid| crate::support::agent::signal(*pid, nix::sys::signal::Signal::SIGKILL));
    assert!(!own.is_empty() && said == Said::ToBeConfirmed, "{own:?}: {said:?}");
    drop(started);
}

#[test]
fn the_owners_last_login_is_known_after_the_log_was_rotated_and_after_many_logins_of_others() {
    let Some(host) = Host::new(&[], "") else { return };
    let hour = 3600;
    let robots = (1..=60).map(|turn| record(1, "ci", "", [198, 18, 0, turn], 60 * u32::from(turn)));
    write(&host, "/var/log/wtmp", &robots.collect::<Vec<_>>());
    write(&host, "/var/log/wtmp.1", &[record(1, "owner", "", [203, 0, 113, 5], 24 * 3 * hour)]);
    write(&host, "/var/log/wtmp-20261101", &[record(1, "owner", "", [203, 0, 113, 6], 24 * 20 * hour)]);
    assert_eq!(host.to_block("203.0.113.5"), Said::Refused);
    assert_eq!(host.to_block("203.0.113.6"), Said::Refused);
    assert_eq!(host.to_block("198.18.0.1"), Said::Refused, "the newest of an account");
    assert_eq!(host.to_block("198.18.0.2"), Said::Done, "an older one of somebody who cannot become root");
    write(&host, "/var/log/wtmp.2.gz", &[vec![1]]);
    host.settle();
    assert_eq!(host.to_block("198.18.0.2"), Said::ToBeConfirmed, "a compressed log may hold the owner's login");
}
