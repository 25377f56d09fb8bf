//! fail2ban's own labelled log lines: address, user and time as its authors say, line for line, in the order in which they stand.
//!
//! The lines are fail2ban's (GPL-2) and no part of this repository. They are read from `shared/data` beside the checkout, or from
//! `BARTIZAN_CORPUS`; without them the test says that it is skipped. docs/logs.md lists where we answer otherwise, and why.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bartizan_logs::{Context, Format, Parsed, Raw, What, parse};
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("BARTIZAN_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/data"));
    named.into_iter().chain(beside).map(|folder| folder.join("logs/fail2ban_labelled.jsonl")).find(|file| file.exists())
}

/// The modes of a filter in which a line is labelled; none given is the filter's usual one.
fn modes(line: &Value) -> Vec<String> {
    let mode = |options: &Value| options["mode"].as_str().unwrap_or("normal").to_owned();
    let mut modes: Vec<String> = match &line["options"] {
        Value::Array(all) => all.iter().map(mode).collect(),
        other => vec![mode(other)],
    };
    let constraint = line["truth"]["constraint"].as_str().unwrap_or_default();
    modes.retain(|mode| match constraint {
        "opts.get('mode') != 'aggressive'" => mode != "aggressive",
        "opts.get('mode') == 'aggressive'" => mode == "aggressive",
        _ => true,
    });
    modes
}

/// Whether the line counts against its source: an attempt in every mode, a probe or an early end in the stricter ones. What sshd says is
/// joined over the lines of a connection; the other filters take each line by itself, as they do.
fn matches(record: &Raw<'_>, filter: &str, mode: &str) -> bool {
    let early = record.what == What::Probe || (record.what == What::Disconnected && record.preauth);
    let strict = matches!(mode, "aggressive" | "ddos" | "extra");
    let failure = match filter {
        "sshd" | "sshd-journal" => record.attempts > 0,
        _ => matches!(record.what, What::LoginFailed | What::InvalidUser | What::TooManyFailures | What::Rejected),
    };
    let known = record.address.is_some() || record.host.is_some();
    known && (failure || (strict && early))
}

/// What is wrong with our answer, if anything.
fn wrong(line: &Value, filter: &str, mode: &str, parsed: Parsed<'_>) -> Option<String> {
    let truth = &line["truth"];
    let record = match parsed {
        Parsed::Record(record) if matches(&record, filter, mode) => record,
        other => {
            let kind = match other {
                Parsed::Record(record) => format!("{:?}", record.what),
                other => format!("{other:?}"),
            };
            return truth["match"].as_bool().unwrap().then(|| format!("should match, is {kind}"));
        }
    };
    if !truth["match"].as_bool().unwrap() {
        return Some(format!("should not match, is {:?}", record.what));
    }
    let address = record.address.map(|address| address.to_string()).or(record.host.map(|host| String::from_utf8_lossy(host).into_owned()));
    if let Some(host) = truth["host"].as_str().filter(|host| Some(*host) != address.as_deref()) {
        return Some(format!("address {host} expected, is {address:?}"));
    }
    let user = record.user.map(|user| String::from_utf8_lossy(user).into_owned());
    if let Some(wanted) = truth["user"].as_str().filter(|wanted| Some(*wanted) != user.as_deref()) {
        return Some(format!("user {wanted:?} expected, is {user:?}"));
    }
    let at = record.at.map(|at| (at + chrono::TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%S").to_string());
    // fail2ban takes TAI64N labels for UTC, ten seconds off; one of its times is no ISO 8601.
    let certain = |time: &&str| time.len() == 19 && !line["line"].as_str().unwrap().starts_with('@');
    let time = truth["time"].as_str().filter(certain).filter(|time| at.as_deref().is_some_and(|at| at != *time))?;
    Some(format!("time {time} expected, is {at:?}"))
}

/// Lines right and all lines of these filters, and what is wrong with the others.
fn judge(file: &Path, wanted: impl Fn(&str, &str) -> bool) -> (usize, usize, Vec<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut contexts: BTreeMap<(String, String), Context> = BTreeMap::new();
    let (mut all, mut faults) = (0, Vec::new());
    for line in &lines {
        let (filter, text) = (line["filter"].as_str().unwrap(), line["line"].as_str().unwrap());
        if !wanted(filter, text) {
            continue;
        }
        all += 1;
        let fault = modes(line).iter().find_map(|mode| {
            // fail2ban's own tests run in this summer, in Zurich.
            let new = || Context::new("2005-08-14T10:00:00Z".parse().unwrap(), 2 * 3600);
            let context = contexts.entry((filter.to_owned(), mode.clone())).or_insert_with(new);
            wrong(line, filter, mode, parse(Format::Auth, text.as_bytes(), context)).map(|fault| format!("({mode}) {fault}"))
        });
        faults.extend(fault.map(|fault| format!("{filter} line {} {fault}\n    {text}", line["line_no"])));
    }
    (all - faults.len(), all, faults)
}

fn at_least(percent: usize, what: &str, wanted: impl Fn(&str, &str) -> bool) {
    let Some(file) = corpus() else {
        eprintln!("SKIPPED: no shared/data/logs/fail2ban_labelled.jsonl beside the checkout and no BARTIZAN_CORPUS: {what} not compared");
        return;
    };
    let (right, all, faults) = judge(&file, wanted);
    eprintln!("{what}: {right} of {all} right\n{}", faults.join("\n"));
    assert!(all > 0 && right * 100 >= all * percent, "{what}: {right} of {all} right, {percent} % wanted\n{}", faults.join("\n"));
}

#[test]
fn lines_of_sshd_and_pam_are_read_as_fail2bans_authors_label_them() {
    let pam = |text: &str| text.contains("authentication failure; logname=");
    at_least(99, "sshd, sshd-journal, PAM", |filter, text| matches!(filter, "sshd" | "sshd-journal" | "pam-generic") || pam(text));
}

#[test]
fn lines_of_mail_and_ftp_servers_are_read_as_fail2bans_authors_label_them() {
    at_least(95, "dovecot, postfix, vsftpd, proftpd, pure-ftpd", |filter, _| {
        matches!(filter, "dovecot" | "postfix" | "vsftpd" | "proftpd" | "pure-ftpd")
    });
}
