//! fail2ban's own labelled lines through fail2ban's own filters, run by us: match, address, user and time as its authors say.
//!
//! The lines are fail2ban's (GPL-2) and no part of this repository: they are read from `shared/data` beside the checkout or from
//! `BARTIZAN_CORPUS`. The filters are those of the installed package (`/etc/fail2ban`, or `BARTIZAN_FAIL2BAN`). Where one of the two is
//! missing the test says that it is skipped. docs/fail2ban.md lists where we answer otherwise, and why.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bartizan_fail2ban::{Failure, Filter, Installed, Line, import};
use chrono::Datelike;
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("BARTIZAN_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/data"));
    named.into_iter().chain(beside).map(|folder| folder.join("logs/fail2ban_labelled.jsonl")).find(|file| file.exists())
}

fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_FAIL2BAN").map_or_else(|| PathBuf::from("/etc/fail2ban"), PathBuf::from);
    folder.join("jail.conf").exists().then_some(folder)
}

/// All filters of the package, and a jail for each set of options that the labels ask for.
struct Filters {
    folder: PathBuf,
    made: BTreeMap<(String, String), Option<Filter>>,
}

impl Filters {
    /// The filter with these options, made by a jail that names them.
    fn get(&mut self, name: &str, options: &Value) -> Option<&mut Filter> {
        let key = (name.to_owned(), options.to_string());
        let folder = &self.folder;
        self.made.entry(key).or_insert_with(|| make(folder, name, options)).as_mut()
    }
}

fn make(folder: &Path, name: &str, options: &Value) -> Option<Filter> {
    let mut options: BTreeMap<String, String> = options
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.starts_with("test."))
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let filter = if name == "sshd-journal" {
        options.entry("logtype".to_owned()).or_insert_with(|| "journal".to_owned());
        "sshd"
    } else {
        name
    };
    let parameters: Vec<String> = options.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let jail = format!("[tested]\nenabled = true\nfilter = {filter}[{}]\n", parameters.join(", "));
    let mut texts = vec![("jail.conf".to_owned(), jail)];
    // fail2ban's own tests bring a filter that only shows what a filter can do; Debian installs it beside them.
    let examples =
        ["../../usr/lib/python3/dist-packages/fail2ban/tests/config", "../fail2ban/tests/config"].map(|inside| folder.join(inside));
    for root in examples.iter().map(PathBuf::as_path).chain([folder]) {
        for entry in std::fs::read_dir(root.join("filter.d")).into_iter().flatten().flatten() {
            let inside = format!("filter.d/{}", entry.file_name().to_str().unwrap());
            let text = std::fs::read_to_string(entry.path());
            // What the examples include stands elsewhere in fail2ban's sources than in the package.
            let text = text.map(|text| if root == folder { text } else { text.replace("../", "").replace("config/filter.d/", "") });
            texts.extend(text.ok().map(|text| (inside, text)));
        }
    }
    let installed = Installed::of(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let imported = import(&installed, true);
    let jail = &imported.jails[0];
    for problem in &jail.problems {
        eprintln!("{name}: {problem}");
    }
    Filter::new(jail.spec.as_ref()?).0
}

/// The options under which a line is labelled.
fn options(line: &Value) -> Vec<Value> {
    let mut all = match &line["options"] {
        Value::Array(all) => all.clone(),
        Value::Null => vec![Value::Object(Default::default())],
        one => vec![one.clone()],
    };
    let aggressive = |options: &Value| options["mode"] == "aggressive";
    match line["truth"]["constraint"].as_str().unwrap_or_default() {
        "opts.get('mode') != 'aggressive'" => all.retain(|options| !aggressive(options)),
        "opts.get('mode') == 'aggressive'" => all.retain(aggressive),
        _ => {}
    }
    all
}

/// What is wrong with our answer, if anything.
fn wrong(line: &Value, failure: Option<Failure>) -> Option<String> {
    let truth = &line["truth"];
    let matches = truth["match"].as_bool().unwrap();
    let failure = match failure {
        None => return matches.then(|| "should match".to_owned()),
        Some(_) if !matches => return Some("should not match".to_owned()),
        Some(failure) => failure,
    };
    let address = failure.address.map(|address| address.to_string()).or(failure.host).or(failure.id);
    if let Some(host) = truth["host"].as_str().filter(|host| Some(*host) != address.as_deref() && !same(host, address.as_deref())) {
        return Some(format!("address {host} expected, is {address:?}"));
    }
    if let Some(user) = truth["user"].as_str().filter(|user| *user != failure.user.as_deref().unwrap_or_default()) {
        return Some(format!("user {user:?} expected, is {:?}", failure.user));
    }
    // fail2ban's own tests run in Zurich; a line that names its zone is labelled with the local time of its season.
    let local = |hours| failure.at.map(|at| (at + chrono::TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%S").to_string());
    let at = if failure.at.is_some_and(|at| matches!(at.month(), 4..=9)) { [local(2), local(2)] } else { [local(2), local(1)] };
    // fail2ban takes TAI64N labels for UTC, ten seconds off; one of its times is no ISO 8601.
    let certain = |time: &&str| time.len() == 19 && !line["line"].as_str().unwrap().starts_with('@');
    let time = truth["time"].as_str().filter(certain).filter(|time| at.iter().all(|at| at.as_deref() != Some(*time)))?;
    Some(format!("time {time} expected, is {at:?}"))
}

/// The same address, written otherwise.
fn same(host: &str, address: Option<&str>) -> bool {
    let parsed = |text: &str| text.parse::<std::net::IpAddr>().ok();
    address.is_some_and(|address| parsed(address).is_some() && parsed(address) == parsed(host))
}

#[test]
fn labelled_lines_come_out_of_imported_filters_as_their_authors_say() {
    let (Some(file), Some(folder)) = (corpus(), installed()) else {
        eprintln!(
            "SKIPPED: no shared/data/logs/fail2ban_labelled.jsonl beside the checkout, or no fail2ban in /etc/fail2ban (BARTIZAN_FAIL2BAN)"
        );
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut filters = Filters { folder, made: BTreeMap::new() };
    let (mut right, mut without, mut faults) = (0, BTreeMap::new(), Vec::new());
    let now = "2005-08-14T10:00:00Z".parse().unwrap();
    for line in &lines {
        let name = line["filter"].as_str().unwrap();
        let mut fault = None;
        for options in options(line) {
            let Some(filter) = filters.get(name, &options) else {
                *without.entry(name.to_owned()).or_insert(0) += 1;
                fault = Some(String::new());
                break;
            };
            let text = format!("{}{}", options["test.prefix-line"].as_str().unwrap_or_default(), line["line"].as_str().unwrap());
            let journal = name == "sshd-journal" || options["logtype"] == "journal";
            let failure = filter.line(Line { text: &text, at: journal.then_some(now), now, zone: 7200 });
            let own = wrong(line, failure.unwrap());
            fault = fault.or(own.map(|own| format!("{name} line {} {options} {own}\n    {text}", line["line_no"])));
        }
        match fault {
            None => right += 1,
            Some(fault) if fault.is_empty() => {}
            Some(fault) => faults.push(fault),
        }
    }
    let absent: usize = without.values().sum();
    eprintln!("{right} of {} right; {absent} of filters that are not installed ({without:?})\n{}", lines.len(), faults.join("\n"));
    // The labels are of fail2ban's latest sources; an older package has neither all of the filters nor all of the expressions.
    let percent = if absent == 0 { 99 } else { 89 };
    let all = lines.len();
    assert!(right * 100 >= all * percent, "{right} of {all} right, {percent} % wanted:\n{}", faults.join("\n"));
}
