//! Requests judged as a server logs them: attacks that others wrote, ordinary requests made here, and error lines that others labelled.
//!
//! The attacks are the Core Rule Set's own tests (Apache-2.0), the error lines fail2ban's (GPL-2); neither is part of this repository. They are
//! read from `shared/data` beside the checkout, or from `BARTIZAN_CORPUS`; without them those tests say that they are skipped.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::print_stderr)]

mod ordinary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bartizan_logs::web::error::{NginxErrors, read_apache};
use bartizan_logs::web::{AccessReader, Finding, judge};
use serde_json::Value;

fn corpus(file: &str) -> Option<Vec<Value>> {
    let named = std::env::var_os("BARTIZAN_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/data"));
    let found = named.into_iter().chain(beside).map(|folder| folder.join(file)).find(|file| file.exists());
    let Some(found) = found else {
        eprintln!("SKIPPED: no shared/data/{file} beside the checkout and no BARTIZAN_CORPUS");
        return None;
    };
    Some(std::fs::read_to_string(found).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// As nginx writes a client's bytes in `combined` (`ngx_http_log_escape`).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| match byte {
        b'"' | b'\\' | ..=0x1f | 0x7f.. => format!("{out}\\x{byte:02X}"),
        byte => format!("{out}{}", byte as char),
    })
}

fn judged(line: &str) -> Vec<Finding> {
    judge(&AccessReader::guessing().read(line.as_bytes()).unwrap_or_else(|| panic!("no access line: {line}")))
}

/// FNV-1a: halves of a set that nobody chose.
fn half(id: &str) -> usize {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    usize::from(hash >> 32 & 1 == 1)
}

#[test]
fn attacks_that_others_wrote_are_found_in_a_combined_line() {
    let Some(stages) = corpus("web/crs-stages.jsonl") else { return };
    let mut counts: BTreeMap<String, [[usize; 2]; 2]> = BTreeMap::new();
    for stage in &stages {
        let (family, uri) = (stage["family"].as_str().unwrap(), stage["uri"].as_str().unwrap());
        let family = family.split('-').nth(1).unwrap();
        let wanted = ["930", "931", "932", "933", "934", "941", "942", "944"].contains(&family);
        if !wanted || stage["label"] != "attack" || stage["method"] != "GET" || !uri.contains('?') {
            continue;
        }
        let header = |name: &str| escaped(stage["headers"][name].as_str().unwrap_or("-"));
        // The suite's own name for itself proves nothing.
        let agent = header("User-Agent").replace("OWASP CRS test agent", "Mozilla/5.0");
        let line = format!(
            r#"192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "GET {} HTTP/1.1" 200 5 "{}" "{agent}""#,
            escaped(uri),
            header("Referer")
        );
        let counted = &mut counts.entry(family.to_owned()).or_default()[half(stage["id"].as_str().unwrap())];
        counted[1] += 1;
        counted[0] += usize::from(!judged(&line).is_empty());
    }
    let sum = |half: usize, which: usize| counts.values().map(|family| family[half][which]).sum::<usize>();
    for (family, [first, second]) in &counts {
        eprintln!("{family}: {} of {} and {} of {}", first[0], first[1], second[0], second[1]);
    }
    let (found, all) = (sum(0, 0) + sum(1, 0), sum(0, 1) + sum(1, 1));
    eprintln!("all: {found} of {all}; {} of {} and {} of {}", sum(0, 0), sum(0, 1), sum(1, 0), sum(1, 1));
    assert!(all > 300 && found * 100 >= all * 85, "{found} of {all} found");
}

/// How many ordinary requests are judged here; `BARTIZAN_ORDINARY` asks for more.
const ORDINARY: usize = 2000;

#[test]
fn ordinary_requests_of_real_applications_are_no_attack() {
    let count = std::env::var("BARTIZAN_ORDINARY").ok().and_then(|count| count.parse().ok()).unwrap_or(ORDINARY);
    let mut numbers = ordinary::Numbers::new(20_261_128);
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..count {
        let line = ordinary::line(&mut numbers);
        for finding in judged(&line) {
            let why = format!("{:?} {:?} {}: {}", finding.family, finding.strength, finding.why, finding.excerpt.escaped());
            wrong.entry(why).or_insert_with(|| line.clone());
        }
    }
    assert!(wrong.is_empty(), "{} kinds of {count} lines: {wrong:#?}", wrong.len());
}

#[test]
fn error_lines_name_the_client_that_others_labelled() {
    let Some(lines) = corpus("logs/fail2ban_labelled.jsonl") else { return };
    let (mut right, mut all, mut wrong) = (0, 0, Vec::new());
    for line in &lines {
        let filter = line["filter"].as_str().unwrap();
        let (text, truth) = (line["line"].as_str().unwrap(), &line["truth"]);
        let Some(host) = truth["host"].as_str().filter(|_| truth["match"] == true) else { continue };
        if !filter.starts_with("nginx-") && !filter.starts_with("apache-") {
            continue;
        }
        all += 1;
        let message =
            text.split_once("]: ").filter(|(before, _)| !before.starts_with('[') && before.len() < 60).map_or(text, |(_, message)| message);
        let client = read_apache(message.as_bytes(), 0)
            .or_else(|| NginxErrors::new(0).read(text.as_bytes()))
            .map_or_else(|| AccessReader::guessing().read(text.as_bytes()).and_then(|access| access.peer), |error| error.client);
        match client {
            Some(client) if client.to_string() == host => right += 1,
            client => wrong.push(format!("{filter} {}: {host} expected, is {client:?}\n    {text}", line["line_no"])),
        }
    }
    eprintln!("nginx and Apache: {right} of {all} clients\n{}", wrong.join("\n"));
    assert!(all > 100 && right * 100 >= all * 95, "{right} of {all}\n{}", wrong.join("\n"));
}

/// What `tests/crawl/run` had real applications log: WordPress, MediaWiki, phpMyAdmin, Adminer.
#[test]
fn crawled_requests_of_real_applications_are_no_attack() {
    let Some(log) = std::env::var_os("BARTIZAN_ACCESS_LOG") else {
        return eprintln!("SKIPPED: needs an hour of real servers, which tests/crawl/run starts (BARTIZAN_ACCESS_LOG is not set)");
    };
    let (mut count, mut wrong) = (0, BTreeMap::<String, (usize, String)>::new());
    for line in std::fs::read(log).unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        let access = AccessReader::guessing().read(line).unwrap_or_else(|| panic!("no access line: {}", String::from_utf8_lossy(line)));
        for finding in judge(&access) {
            let why = format!("{:?} {:?} {}: {}", finding.family, finding.strength, finding.why, finding.excerpt.escaped());
            wrong.entry(why).or_insert_with(|| (0, String::from_utf8_lossy(line).into_owned())).0 += 1;
        }
    }
    eprintln!("{count} lines, {} kinds of them taken for an attack", wrong.len());
    assert!(count > 0 && wrong.is_empty(), "{wrong:#?}");
}
