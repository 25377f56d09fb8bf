//! Whoever guesses passwords of a real sshd is held at once; an owner who mistypes, or sits behind the same address, never is.

#![allow(unreachable_pub, missing_docs)] // parts of one test program
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

#[path = "logs_acting/host.rs"]
mod host;
#[path = "logs_acting/jails.rs"]
mod jails;
mod support;

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use host::Host;
use support::ends::Program;
use support::lan::{OPERATOR, SECOND_STRANGER, STRANGER};
use support::network::Network;
use support::{can_run, wait_for};

/// Clients that guess at the same time, and passwords that each tries on one connection.
const CLIENTS: usize = 8;
const ON_ONE: usize = 4;
/// `[logins] brute_force_attempts` of the built-in policy.
const THRESHOLD: usize = 10;
/// Holds that are measured.
const MEASURED: u32 = 50;

fn is_possible() -> bool {
    can_run(&["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen", "useradd", "chpasswd"])
        && std::path::Path::new("/usr/sbin/sshd").is_file()
}

/// Eight clients guess from one address until `work` is done.
fn while_guessed_at<T>(host: &Host, from: &Network, source: &str, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut client = Program::start(host.client(from, source, u32::MAX).stdout(Stdio::null()));
                    // One that is held would wait for its answer as long as sshd does.
                    while !over.load(Ordering::Relaxed) && client.try_wait().unwrap().is_none() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    let _ = client.kill();
                    client.wait().unwrap();
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_password_brute_force_is_stopped_and_an_owner_who_mistypes_or_shares_the_address_is_not() {
    if !is_possible() {
        return;
    }
    let host = Host::boot("");

    // The owner mistypes three times and is let in.
    let let_in = host.client(&host.lan.operator, OPERATOR[0], 3).output().unwrap();
    assert_eq!((let_in.stdout.as_slice(), host.failed(OPERATOR[0])), (b"in\n".as_slice(), 3));

    let failed = while_guessed_at(&host, &host.lan.stranger, STRANGER[0], || {
        let held = || host.about("actions", STRANGER[0]).into_iter().find(|action| action["state"] == "live");
        let action = wait_for("the guesser to be held", Duration::from_secs(20), held, || format!("{:#?}", host.json(&["incidents"])));
        assert_eq!((&action["kind"], &action["by"]), (&"limit-source".into(), &"BALANCED".into()), "{action:#}");
        assert!(action["reason"].as_str().unwrap().contains("203.0.113.66 failed to log in "), "{action:#}");
        let at_once = host.failed(STRANGER[0]);
        std::thread::sleep(Duration::from_secs(5));
        eprintln!("brute force: {at_once} attempts until the hold was seen, {} five seconds later", host.failed(STRANGER[0]));
        host.failed(STRANGER[0])
    });
    assert!(failed <= THRESHOLD + CLIENTS * ON_ONE, "{failed} attempts: the threshold, and what was on its way");

    // Somebody with an account sits behind the same address as another guesser.
    let (from, shared) = (&host.lan.stranger, SECOND_STRANGER);
    let mut session = Program::start(&mut host.with_key(from, shared, "exec sleep 120"));
    let entered = || host.with_key(from, shared, "echo in").output().unwrap().stdout == b"in\n";
    wait_for("the owner to be let in", Duration::from_secs(10), || entered().then_some(()), String::new);
    while_guessed_at(&host, from, shared, || {
        let asked = || host.about("approvals", shared).into_iter().next();
        let asked = wait_for("a question", Duration::from_secs(20), asked, || format!("{:#?}", host.json(&["incidents"])));
        assert!(asked["held_because"].as_str().unwrap().contains("share the address with the attacker"), "{asked:#}");
    });
    assert!(entered() && session.try_wait().unwrap().is_none(), "the owner was cut off");
    assert!(host.about("actions", shared).is_empty() && host.about("actions", OPERATOR[0]).is_empty(), "{:#?}", host.json(&["actions"]));
    assert!(host.about("approvals", OPERATOR[0]).is_empty(), "who mistypes three times is nobody's business");
    drop(session);
}

/// `cargo test --release --test logs_acting -- --ignored --nocapture` prints how long it takes.
#[test]
#[ignore = "a measurement"]
fn from_a_line_in_the_log_to_a_hold_in_the_kernel() {
    if !is_possible() {
        return;
    }
    let host = Host::boot("[actions]\nmost_per_minute = 1000\nmost_active = 1000\n[holds]\nmost_per_minute = 1000\nmost_active = 1000\n");
    let mut log = std::fs::OpenOptions::new().append(true).open(host.lan.host.path("/var/log/auth.log")).unwrap();
    let mut took: Vec<f64> = (1..=MEASURED)
        .map(|n| {
            let (addr, stamp) = (format!("198.18.0.{n}"), chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+00:00"));
            let line = format!("{stamp} guarded sshd[{n}]: Failed password for root from {addr} port 4242 ssh2\n");
            log.write_all(line.repeat(THRESHOLD - 1).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(150));
            let (begun, written) = (Instant::now(), chrono::Utc::now());
            log.write_all(line.as_bytes()).unwrap();
            let live = loop {
                let applied = host.about("actions", &addr).into_iter().find_map(|action| action["applied_at"].as_str().map(str::to_owned));
                if let Some(at) = applied {
                    break at.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
                }
                assert!(begun.elapsed() < Duration::from_secs(10), "{addr} was not held");
                std::thread::sleep(Duration::from_millis(20));
            };
            (live - written).num_microseconds().unwrap() as f64 / 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let median = took[took.len() / 2];
    eprintln!("line to hold, {MEASURED} times: median {median:.1} ms, p99 {:.1} ms", took[took.len() - 1]);
}
