//! Which logs the jails read that were taken over from fail2ban: beside our own parsers where those read the log too, else alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{LogPlace, Place};
use bartizan_fail2ban::TakenJail;
use bartizan_model::LogState;
use bartizan_worker::{JailFilter, Jailed, LogFormat};

/// Files that one pattern may name.
const MAX_FILES: usize = 64;
/// Names that are looked at for one pattern.
const MAX_LOOKED: usize = 10_000;
/// Why the files of a syslog daemon are not read where journald runs.
pub(super) const IN_JOURNAL: &str = "the journal has the same lines";

/// Lets the jails read what they name. A log that the user turned off stays off.
pub(super) fn attach(mut places: Vec<LogPlace<LogFormat>>, jails: &[TakenJail]) -> Vec<LogPlace<LogFormat>> {
    let mut wanted: BTreeMap<Option<PathBuf>, Vec<&TakenJail>> = BTreeMap::new();
    for jail in jails {
        let files = jail.logs.iter().flat_map(|pattern| files(pattern)).map(Some);
        for log in files.chain(jail.journal.then_some(None)) {
            let readers = wanted.entry(log).or_default();
            if !readers.iter().any(|other| other.name == jail.name) {
                readers.push(jail);
            }
        }
    }
    for (log, readers) in wanted {
        let place = log.map_or(Place::Journal, Place::File);
        match places.iter_mut().find(|known| known.place == place) {
            Some(known) => read_too(known, &readers),
            None => places.push(alone(place, &readers)),
        }
    }
    places
}

/// A log that is known already.
fn read_too(place: &mut LogPlace<LogFormat>, jails: &[&TakenJail]) {
    let counts = match &place.off {
        None => true,
        Some((LogState::Off, why)) if why == IN_JOURNAL => false,
        Some(_) => return,
    };
    let own = Some(std::mem::replace(&mut place.source, LogFormat::Auth));
    let word = if counts { format!("{}, ", place.format) } else { String::new() };
    let trouble = hand_over(place, Jailed { own, counts, jails: filters(jails) }, &word);
    place.off = trouble;
}

/// A log that only jails read.
fn alone(place: Place, jails: &[&TakenJail]) -> LogPlace<LogFormat> {
    // What is no journal here is none of a format: no parser of ours reads it.
    let own = matches!(place, Place::Journal).then_some(LogFormat::Journal);
    let mut log = LogPlace::new(place, LogFormat::Auth, String::new());
    let is_journal = own.is_some();
    log.off = hand_over(&mut log, Jailed { own, counts: true, jails: filters(jails) }, "");
    if is_journal {
        log.off = Some((LogState::Missing, "a jail reads the journal, and no journald runs here".to_owned()));
    }
    log
}

/// Makes the log one that jails read; why it is not read, where they are too many for one log.
fn hand_over(place: &mut LogPlace<LogFormat>, jailed: Jailed, word: &str) -> Option<(LogState, String)> {
    let (jailed, left) = jailed.bounded();
    let names: Vec<&str> = jailed.jails.iter().map(|jail| jail.jail.as_str()).collect();
    place.format = match names.as_slice() {
        [one] => format!("{word}jail {one}"),
        many => format!("{word}jails {}", many.join(" ")),
    };
    place.source = LogFormat::Jailed(Box::new(jailed));
    let too_many =
        || format!("the filters of its jails are longer than 64 KiB: {} would not run; name fewer jails for it", left.join(", "));
    (!left.is_empty()).then(|| (LogState::Failed, too_many()))
}

fn filters(jails: &[&TakenJail]) -> Vec<JailFilter> {
    jails.iter().map(|jail| JailFilter { jail: jail.name.clone(), spec: jail.filter.clone() }).collect()
}

/// The files that a pattern names now; a plain path also where there is no file yet.
fn files(pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?', '[']) {
        return vec![PathBuf::from(pattern)];
    }
    // fail2ban's patterns are those of Python's glob, which takes no hidden file for `*`.
    let options = glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(pattern, options).into_iter().flatten().take(MAX_LOOKED).flatten();
    found.filter(|path| path.is_file()).take(MAX_FILES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::discovery::file;
    use bartizan_fail2ban::{FilterSpec, JailKind};

    fn jail(name: &str, logs: &[&str], journal: bool) -> TakenJail {
        let filter = FilterSpec { name: name.to_owned(), failregex: vec!["^no <HOST>$".to_owned()], maxlines: 1, ..FilterSpec::default() };
        TakenJail {
            name: name.to_owned(),
            kind: JailKind::Auth,
            logs: logs.iter().map(|log| (*log).to_owned()).collect(),
            journal,
            maxretry: 2,
            findtime_seconds: 60,
            bantime_seconds: 60,
            ignoreip: Vec::new(),
            filter,
        }
    }

    fn jailed(place: &LogPlace<LogFormat>) -> (Option<&LogFormat>, bool, Vec<&str>) {
        let LogFormat::Jailed(jailed) = &place.source else { panic!("{place:?}") };
        (jailed.own.as_ref(), jailed.counts, jailed.jails.iter().map(|jail| jail.jail.as_str()).collect())
    }

    #[test]
    fn jails_read_beside_our_own_parsers_and_what_the_journal_has_only_to_be_judged() {
        let same = |path: &str| LogPlace { off: Some((LogState::Off, IN_JOURNAL.to_owned())), ..file(path.into(), LogFormat::Auth) };
        let off = LogPlace { off: Some((LogState::Off, "the configuration says so".to_owned())), ..file("/o".into(), LogFormat::Auth) };
        let known = vec![file("/a".into(), LogFormat::Access(None)), same("/s"), off.clone()];
        let jails = [jail("one", &["/a", "/s", "/o", "/new"], false), jail("two", &["/a", "/a"], true)];
        let places = attach(known, &jails);
        assert_eq!(jailed(&places[0]), (Some(&LogFormat::Access(None)), true, vec!["one", "two"]));
        assert_eq!((places[0].format.as_str(), &places[0].off), ("access, jails one two", &None));
        assert_eq!(jailed(&places[1]), (Some(&LogFormat::Auth), false, vec!["one"]));
        assert_eq!((places[1].format.as_str(), &places[1].off), ("jail one", &None), "it is read again, for the jail");
        assert_eq!(places[2], off, "the user's word goes first");
        let journal = places.iter().find(|place| place.place == Place::Journal).unwrap();
        assert_eq!(journal.off.as_ref().map(|(state, _)| *state), Some(LogState::Missing));
        let new = places.iter().find(|place| place.place == Place::File("/new".into())).unwrap();
        assert_eq!(jailed(new), (None, true, vec!["one"]));
    }

    #[test]
    fn patterns_name_what_is_there_and_filters_that_are_too_much_are_said() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/x.log", "b/x.log", "b/.x.log", "b/y.txt"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let pattern = format!("{}/*/[x-z].log", root.path().display());
        assert_eq!(files(&pattern), [root.path().join("a/x.log"), root.path().join("b/x.log")]);
        let mut large = jail("large", &["/a"], false);
        large.filter.failregex = vec!["x".repeat(1000); 100];
        let place = &attach(Vec::new(), &[jail("small", &["/a"], false), large])[0];
        assert!(place.off.as_ref().unwrap().1.contains("large would not run"), "{place:?}");
    }
}
