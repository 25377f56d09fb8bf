//! Logs of running containers: where their runtime writes what they say. Which driver that is stands in the container's own settings.

use std::collections::HashMap;
use std::sync::Mutex;

use super::discovery::file;
use super::{LogPlace, Place};
use bartizan_model::{HostText, LogState, Unpoisoned as _};
use bartizan_sys::container_api::{ContainerLog, runtimes};
use bartizan_worker::LogFormat;

/// Containers of one runtime whose logs are looked for.
const MAX_CONTAINERS: usize = 64;

/// Containers that a runtime does not tell of, one after the other, before it is not asked about more.
const MAX_FAILURES: usize = 3;

/// Ids, and where those containers write.
type Known = Vec<(String, ContainerLog)>;

/// What is known of the containers of each runtime: where one writes does not change as long as it has its id.
#[derive(Debug, Default)]
pub(super) struct ContainerLogs(Mutex<HashMap<&'static str, Known>>);

impl ContainerLogs {
    /// The logs of the containers that run now, in the order of their names.
    pub(super) fn find(&self) -> Vec<LogPlace<LogFormat>> {
        let mut all = self.0.lock().unpoisoned();
        let mut places = Vec::new();
        for runtime in runtimes() {
            let known = all.entry(runtime.runtime()).or_default();
            *known = running(runtime.running(MAX_CONTAINERS), std::mem::take(known), |id| runtime.log_of(id));
            places.extend(known.iter().map(|(_, log)| place(runtime.runtime(), log)));
        }
        drop(all);
        places.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        places
    }
}

/// The logs of those that are listed. A runtime that does not answer takes away none: only a listing says that a container is gone.
fn running<E>(listed: Result<Vec<String>, E>, known: Known, mut log_of: impl FnMut(&str) -> Result<Option<ContainerLog>, E>) -> Known {
    let Ok(ids) = listed else { return known };
    let mut known: HashMap<_, _> = known.into_iter().collect();
    let (mut logs, mut failures) = (Known::new(), 0);
    for id in ids {
        let log = match known.remove(&id) {
            // Whoever does not answer again and again does not answer for the next one either.
            None if failures < MAX_FAILURES => log_of(&id).unwrap_or_else(|_| {
                failures += 1;
                None
            }),
            log => log,
        };
        logs.extend(log.map(|log| (id, log)));
    }
    logs
}

fn place(runtime: &str, log: &ContainerLog) -> LogPlace<LogFormat> {
    let name = HostText::from([runtime.as_bytes(), b":", log.name.as_bytes()].concat());
    let off = |state, why: String| LogPlace {
        off: Some((state, why)),
        ..LogPlace::new(Place::File(log.path.clone().unwrap_or_default()), LogFormat::Docker, log.driver.clone())
    };
    let place = match (log.driver.as_str(), &log.path) {
        ("json-file", Some(path)) => file(path.clone(), LogFormat::Docker),
        ("journald", _) => off(LogState::Off, "the journal has its lines".to_owned()),
        ("none", _) => off(LogState::Off, "the container is set to keep no log".to_owned()),
        (driver, _) => off(
            LogState::Unreadable,
            format!("the log driver \"{driver}\" keeps lines in a form that is not read: give the container json-file or journald"),
        ),
    };
    LogPlace { name, ..place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_not_read_says_why() {
        let log =
            |driver: &str, path: Option<&str>| ContainerLog { name: "web".into(), driver: driver.to_owned(), path: path.map(Into::into) };
        let read = place("docker", &log("json-file", Some("/var/lib/docker/containers/x/x-json.log")));
        assert_eq!((read.name, read.format.as_str(), read.off), ("docker:web".into(), "docker", None));
        let states =
            [("journald", LogState::Off), ("none", LogState::Off), ("local", LogState::Unreadable), ("json-file", LogState::Unreadable)];
        for (driver, state) in states {
            let off = place("docker", &log(driver, None)).off.unwrap();
            assert_eq!(off.0, state, "{driver}: {off:?}");
        }
    }

    #[test]
    fn a_runtime_that_does_not_answer_once_takes_no_log_away() {
        let log = |name: &str| ContainerLog { name: name.into(), driver: "json-file".to_owned(), path: Some("/x".into()) };
        let listing = |ids: &[&str]| Ok::<_, ()>(ids.iter().map(|id| (*id).to_owned()).collect());
        let names = |known: &Known| known.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let known = running(listing(&["a", "b"]), Known::new(), |id| Ok(Some(log(id))));
        let known = running(Err(()), known, |_| Err(()));
        assert_eq!(names(&known), ["a", "b"], "nobody answered");
        // A new one that is not told of takes neither those behind it nor those that are known.
        let known = running(listing(&["new", "other", "a", "b"]), known, |id| if id == "new" { Err(()) } else { Ok(Some(log(id))) });
        assert_eq!(names(&known), ["other", "a", "b"]);
        let (mut asked, ids) = (0, ["1", "2", "3", "4", "5", "a"]);
        let known = running(listing(&ids), known, |_| {
            asked += 1;
            Err(())
        });
        assert_eq!((names(&known), asked), (vec!["a".to_owned()], MAX_FAILURES), "a listing says who is gone");
    }
}
