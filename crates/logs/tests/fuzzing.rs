//! Every way in by which bytes of strangers come, fed with what mutates from real lines: seconds at each test, as long as `BARTIZAN_FUZZ_SECONDS` says
//! by name. `fuzz/` has the same targets for libFuzzer, which looks for new paths by itself. And a line of a megabyte takes ten times as long as
//! one of a tenth of it, not a hundred times.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::print_stderr)]

mod fuzz_targets;
// Only its numbers.
#[allow(dead_code)]
#[path = "ordinary/mod.rs"]
mod ordinary;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fuzz_targets::{TARGETS, Target};
use ordinary::Numbers;

/// Lines to begin with, and pieces that a parser looks for.
const SEEDS: [&str; 15] = [
    "Nov 28 09:00:00 host sshd[7]: Failed password for invalid user bob from 192.0.2.1 port 5 ssh2",
    "<38>1 2026-11-28T09:00:00.1+01:00 host sshd-session 7 - - Accepted publickey for bob from 2001:db8::1 port 5 ssh2: ED25519 SHA256:abc",
    "Nov 28 09:00:00 host sudo:  bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
    "Nov 28 09:00:00 host dovecot: imap-login: Disconnected (auth failed, 2 attempts): user=<a>, method=PLAIN, rip=192.0.2.1, lip=10.0.0.1",
    "Nov 28 09:00:00 host postfix/smtpd[7]: warning: a.example[192.0.2.1]: SASL LOGIN authentication failed: x, sasl_username=bob",
    r#"{"__CURSOR":"s=1;i=1","_UID":"0","_EXE":"/usr/sbin/sshd","SYSLOG_IDENTIFIER":"sshd","__REALTIME_TIMESTAMP":"1764320400000000","MESSAGE":"Invalid user x from 192.0.2.1 port 5"}"#,
    r#"{"log":"Nov 28 09:00:00 h sshd[7]: Invalid user x from 192.0.2.1 port 5\n","stream":"stderr","time":"2026-11-28T09:00:00.1Z"}"#,
    r#"192.0.2.1 - bob [28/Nov/2026:10:00:00 +0000] "GET /a?id=1%27%20or%201=1--&q=%3Cscript%3E HTTP/1.1" 404 153 "-" "sqlmap/1.7""#,
    r#"{"remote_addr":"192.0.2.1","request":"GET /../../etc/passwd HTTP/1.1","status":200,"http_user_agent":"${jndi:ldap://x/a}"}"#,
    r#"2026/11/28 10:00:00 [error] 7#7: *1 user "bob": password mismatch, client: 192.0.2.1, server: _, request: "GET / HTTP/1.1", host: "h""#,
    "[Sat Nov 28 10:00:00.1 2026] [auth_basic:error] [pid 7:tid 8] [client 192.0.2.1:5] AH01618: user bob not found: /private",
    r#"type=USER_AUTH msg=audit(1764320400.243:2): pid=3280 uid=0 msg='op=PAM:authentication acct="root" exe="/usr/sbin/sshd" hostname=? addr=192.0.2.1 terminal=ssh res=failed'"#,
    "http { log_format own '$remote_addr [$time_local] \"$request\" $status'; access_log /var/log/nginx/a.log own; include conf.d/*.conf; }",
    "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common\nCustomLog ${APACHE_LOG_DIR}/access.log common\n<VirtualHost *:80>\nErrorLog /e.log\n</VirtualHost>",
    "d2hpbGUodHJ1ZSk7Cg==%2527%c0%af%u003c&lt;&#x3c;/**/union/*!50000select*/\\x27\u{ff1c}$@w'h'o\\ami",
];
const PIECES: [&str; 30] = [
    " from ", " port ", "\"", "\\\"", "\\x22", "%00", "%25", "%c0%af", "%u003c", "&#x3c;", "/*", "*/", "../", "${", "}}", "{", "[", "]",
    "'", " or ", "192.0.2.1", "::1", "\n", "\r", "\u{0}", "\\", "$(", "`", ": ", ", client: ",
];

fn mutated(numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = SEEDS[numbers.below(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = numbers.below(256) as u8),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].repeat(1 + numbers.below(40)).into_bytes())),
            3 => drop(bytes.splice(at..at, SEEDS[numbers.below(SEEDS.len())].bytes())),
            4 => drop(bytes.drain(at..(at + numbers.below(20)).min(bytes.len()))),
            _ => {
                let piece: Vec<u8> = bytes.iter().skip(at).take(numbers.below(60)).copied().collect();
                let to = numbers.below(bytes.len() + 1);
                drop(bytes.splice(to..to, piece));
            }
        }
    }
    bytes
}

#[test]
fn whatever_comes_of_real_lines_breaks_no_promise_of_a_parser() {
    let seconds = std::env::var("BARTIZAN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let seed = if seconds > 3 { std::process::id().into() } else { 20_261_128 };
    let (mut numbers, mut tried) = (Numbers::new(seed), 0_u64);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let bytes = mutated(&mut numbers);
        for (name, target) in TARGETS {
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                panic!("{name} breaks on {}", bytes.escape_ascii());
            }
        }
        tried += 1;
    }
    eprintln!("{tried} inputs for each of {} targets in {seconds} s", TARGETS.len());
    assert!(tried > 100, "{tried}");
}

/// CPU time of this thread: other work of the machine does not count.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn takes((_, target): Target, bytes: &[u8]) -> Duration {
    let begun = cpu();
    target(bytes);
    cpu() - begun
}

/// How long the longest line is: a megabyte by name, a tenth of it at each test, which is built without optimisation.
fn longest() -> (usize, usize) {
    if std::env::var_os("BARTIZAN_FUZZ_SECONDS").is_some() { (1_000_000, 1) } else { (100_000, 5) }
}

#[test]
fn time_grows_with_the_line_and_not_with_its_square() {
    let (longest, every) = longest();
    let whole_lines = [SEEDS[9], SEEDS[10], SEEDS[11], SEEDS[12], SEEDS[13]].map(|seed| format!("{seed}\n"));
    for target in TARGETS {
        for piece in PIECES.iter().copied().step_by(every).chain(whole_lines.iter().map(String::as_str).step_by(every)) {
            for start in ["", r#"192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "GET /"#] {
                let text = |length: usize| format!("{start}{}", piece.repeat(length / piece.len()));
                let (tenth, whole) = (text(longest / 10), text(longest));
                let (short, long) = (takes(target, tenth.as_bytes()), takes(target, whole.as_bytes()));
                // Ten times as long, with room for what a cache no longer holds.
                let most = short * 30 + Duration::from_millis(100);
                assert!(long < most, "{}: {start}{piece}...: {short:?} for a tenth, {long:?}", target.0);
            }
        }
    }
}
