//! Command lines of processes that were seen to start: the parents of those to come.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_model::{Event, EventKind, Process, ProcessKey};

use super::record::command_line;

/// Processes remembered. At the bound all go: then `ParentCommandLine` is missing for a while, and nothing else.
const MAX_REMEMBERED: usize = 8192;
/// Longest command line remembered, in bytes: enough for what rules look for, and the memory stays below 8 MiB.
const MAX_COMMAND: usize = 1024;

/// Who ran what.
#[derive(Debug, Default)]
pub struct Memory(HashMap<ProcessKey, Arc<str>>);

impl Memory {
    /// Takes in what an event says; call it after the event was judged.
    pub fn learn(&mut self, event: &Event) {
        let Some(process) = event.process.as_deref() else { return };
        if matches!(event.kind, EventKind::Exec) {
            if self.0.len() >= MAX_REMEMBERED {
                self.0.clear();
            }
            let command = command_line(process);
            let end = (0..=MAX_COMMAND.min(command.len())).rev().find(|end| command.is_char_boundary(*end)).unwrap_or_default();
            self.0.insert(process.key, command.get(..end).unwrap_or_default().into());
        } else if matches!(event.kind, EventKind::Exit { .. }) {
            self.0.remove(&process.key);
        }
    }

    /// What the parent of a process ran.
    pub(crate) fn parent_command(&self, process: &Process) -> Option<Arc<str>> {
        self.0.get(&process.parent?).cloned()
    }
}
