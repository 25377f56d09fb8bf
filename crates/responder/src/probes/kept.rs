//! What was before an action, kept where a restart finds it: an agent that is started anew goes on comparing.
//!
//! One file for each watched action below the runtime directory. It goes with the kernel, as connections and sessions do: after
//! a reboot nothing is as it was before, whatever was done.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Responder;
use super::book::Before;
use bartizan_model::{ActionId, Desired, Probe};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};

/// In the runtime directory.
const DIRECTORY: &str = "before";
/// A host with hundreds of sessions and probes has less.
const LONGEST: u64 = 1 << 20;
/// Files that are looked through at one start.
const MOST: usize = 8192;

/// The directory of these files.
#[derive(Debug)]
pub(super) struct Kept {
    place: PathBuf,
    /// The ledger's own name, in which each file's name ends.
    instance: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    signs: Vec<Probe>,
    may_carry: bool,
    /// Which boot, and when the action stood by its clock.
    boot: u32,
    since: u64,
}

impl Kept {
    pub(super) fn below(runtime: &Path, instance: &str) -> Self {
        Self { place: runtime.join(DIRECTORY), instance: instance.to_owned() }
    }

    fn file(&self, id: ActionId) -> PathBuf {
        self.place.join(format!("{id}-{}", self.instance))
    }

    /// What cannot be written is only compared while this agent lives.
    fn keep(&self, id: ActionId, record: &Record) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.place);
        if let (Ok(()), Ok(bytes)) = (made, serde_json::to_vec(record)) {
            let _ = replace_file::replace(&self.file(id), &bytes, 0o600, Outlives::Us);
        }
    }

    fn read(&self, id: ActionId) -> Option<Record> {
        serde_json::from_slice(&read_bounded(&self.file(id), LONGEST).ok()?).ok()
    }

    /// Harmless when there is none.
    pub(super) fn remove(&self, id: ActionId) {
        let _ = fs::remove_file(self.file(id));
    }

    /// Removes those of this ledger that tell of no action that `is_known`.
    fn retain(&self, is_known: impl Fn(&Path) -> bool) {
        let suffix = format!("-{}", self.instance);
        let entries = fs::read_dir(&self.place).into_iter().flatten().flatten().take(MOST);
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&suffix));
        ours.filter(|entry| !is_known(&entry.path())).for_each(|entry| drop(fs::remove_file(entry.path())));
    }
}

impl Responder {
    /// Notes down what was before a change that a restart must not keep from being compared with.
    pub(crate) fn keep_before(&self, id: ActionId, before: &Before, since: u64) {
        let (signs, boot) = (before.signs.to_vec(), self.clock.boot().0);
        self.signs.kept.keep(id, &Record { signs, may_carry: before.may_carry, boot, since });
    }

    /// After a restart: what stands since before it is compared with what was before it stood.
    pub(crate) fn compare_on(&self) {
        let mut watched = Vec::new();
        for held in self.ledger.held().into_iter().filter(|held| held.action.desired == Desired::Live) {
            let id = held.action.id;
            let Some(record) = self.signs.kept.read(id).filter(|record| record.boot == self.clock.boot().0) else { continue };
            watched.push(self.signs.kept.file(id));
            self.signs.remember(&record.signs);
            self.signs.watch(id, Before { signs: record.signs.into(), may_carry: record.may_carry }, record.since);
        }
        self.signs.kept.retain(|file| watched.iter().any(|known| known == file));
    }
}
