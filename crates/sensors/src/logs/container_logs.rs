//! Logs of running containers: where their runtime writes what they say. Which driver that is stands in the container's own settings.

use std::collections::HashMap;
use std::sync::Mutex;

use super::discovery::file;
use super::{LogPlace, Place};
use bartizan_model::{HostText, LogState, Unpoisoned as _};
use bartizan_sys::container_api::{ContainerApi, ContainerLog, runtimes};
use bartizan_worker::LogFormat;

/// Containers of one runtime whose logs are looked for.
const MAX_CONTAINERS: usize = 64;

/// What is known of containers: where one writes does not change as long as it has its id.
#[derive(Debug, Default)]
pub(super) struct ContainerLogs(Mutex<HashMap<String, ContainerLog>>);

impl ContainerLogs {
    /// The logs of the containers that run now, in the order of their names.
    pub(super) fn find(&self) -> Vec<LogPlace<LogFormat>> {
        let mut known = self.0.lock().unpoisoned();
        let mut all = HashMap::new();
        let mut places = Vec::new();
        for runtime in runtimes() {
            let logs = running(&runtime, &mut known);
            places.extend(logs.iter().map(|(_, log)| place(runtime.runtime(), log)));
            all.extend(logs);
        }
        *known = all;
        places.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        places
    }
}

/// One that does not answer has none.
fn running(runtime: &ContainerApi, known: &mut HashMap<String, ContainerLog>) -> Vec<(String, ContainerLog)> {
    let ids = runtime.running(MAX_CONTAINERS).unwrap_or_default();
    let mut logs = Vec::new();
    for id in ids {
        match known.remove(&id).map(Some).map_or_else(|| runtime.log_of(&id), Ok) {
            Ok(Some(log)) => logs.push((id, log)),
            Ok(None) => {}
            // Whoever does not answer now does not answer for the next one either.
            Err(_) => break,
        }
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
}
