//! The words that stand in the JSON of an event without anyone on the host having written them: names of fields and of values.

use std::sync::LazyLock;

use super::field::ROLES;
use super::{SOURCES, blank};
use bartizan_model::{Ancestor, Event, EventId, EventKind, Exit, HostText, Process, Root, Sha256, Timestamp, Variable};

/// An event in which every field is there and none says anything, and all names that a field can have as its value.
static WORDS: LazyLock<String> = LazyLock::new(|| {
    let exit = EventKind::Exit { exit: Exit { code: Some(0), signal: Some(0) } };
    let event = Event {
        id: EventId(0),
        at: Timestamp::UNIX_EPOCH,
        kind: exit,
        process: Some(specimen().into()),
        source: SOURCES[0],
        complete: true,
    };
    let mut words = serde_json::to_string(&(event, SOURCES, ROLES)).unwrap_or_default();
    words.push_str("\"false\"");
    words.push_str(&EventKind::NAMES.join("\""));
    words
});

/// Whether a text may come from these words alone.
pub(crate) fn holds(text: &str) -> bool {
    WORDS.contains(text)
}

/// A process that hides no field for being empty.
fn specimen() -> Process {
    let nothing = HostText::default();
    let mut process = blank();
    process.exe_file.changed = 1;
    process.exe_file.sha256 = Some(Sha256([0; 32]));
    process.tty = Some(nothing.clone());
    process.package = Some(nothing.clone());
    process.container_name = Some(nothing.clone());
    process.environment = vec![Variable { name: nothing.clone(), value: nothing.clone() }];
    process.lineage.elided = 1;
    process.lineage.ancestors = vec![Ancestor { key: process.key, exe: nothing.clone() }].into();
    process.lineage.roots = vec![Root { role: ROLES[0], key: process.key, exe: nothing }].into();
    process
}
