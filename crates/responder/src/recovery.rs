//! At start: every intent without a receipt finds an end, and nothing in the kernel stays without an owner.

use std::collections::BTreeSet;

use super::Responder;
use super::actions::{self, ActError};
use bartizan_guard::watchdog::{self, Expiry};
use bartizan_model::{Action, ActionKind, ActionState, Alarm, AlarmKind, Desired, EndCause, HostText, Target, Timestamp};
use bartizan_store::ledger::Held;

/// Where snapshots of earlier versions keep that somebody began to undo the action.
const UNDOING: &str = "undoing";

/// Notes without an owner that are ended at one start.
const MAX_ORPHANS: usize = 4096;
/// Most of such a note that is read.
const LONGEST_NOTE: u64 = 4 << 20;

impl Responder {
    /// Settles what a crash left behind: what was ended without a record stays ended; an intent without a receipt is adopted
    /// when the kernel shows the whole change, else undone; never done again. What stands is compared with what was before it
    /// as if there had been no crash. Blocks and groups of ours without a row are removed and recorded. Then
    /// everything is compared as by [`Responder::reconcile`]. Gives the actions whose row changed.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn recover(&self, now: Timestamp) -> Result<Vec<Action>, ActError> {
        let _turn = self.my_turn();
        let mut changed = Vec::new();
        self.remember_harm(now);
        self.honour_endings(now);
        self.forget_ruleset();
        for held in self.ledger.held().into_iter().filter(|held| held.action.state == ActionState::Applying) {
            if !self.died_with_its_kernel(&held) {
                changed.push(self.settle(&held, now)?);
                self.checkpoint("while settling");
            }
        }
        self.prolong_again(now);
        self.forget_ruleset();
        for orphan in self.remove_orphans() {
            self.tell(now, "recovery", "orphan.removed", "kernel", orphan);
        }
        changed.extend(self.compare_all(now)?);
        self.compare_on();
        // Frozen by an earlier life that ended before it could keep evidence.
        for held in self.ledger.held() {
            if held.action.kind == ActionKind::FreezeTree && held.action.state == ActionState::Live && held.action.evidence.is_none() {
                self.keep_evidence_of(&held.action);
            }
        }
        Ok(changed)
    }

    /// What was ended by an earlier life that could not put it on record is meant to be gone; so is what outlives a reboot
    /// and whose note went before it. What is not known to be wanted is never applied again.
    fn honour_endings(&self, now: Timestamp) {
        let marks = &self.context.marks;
        let live: Vec<Held> = self.ledger.held().into_iter().filter(|held| held.action.desired == Desired::Live).collect();
        let were_kept = marks.are_kept();
        for held in &live {
            let mut action = Action::clone(&held.action);
            let name = self.name_of(&action);
            let begun_to_undo = held.snapshot.get(UNDOING).is_some();
            let unmarked = were_kept && !marks.is_set(&name) && !self.died_with_its_kernel(held);
            if begun_to_undo || unmarked || self.lost_its_note(held, &name) {
                let why = "undone before the agent restarted; it could not be recorded at the time";
                self.want_gone(&mut action, EndCause::Undone, "recovery", why, now);
            }
        }
        let meant: BTreeSet<String> =
            self.ledger.held().iter().filter(|held| held.action.desired == Desired::Live).map(|held| self.name_of(&held.action)).collect();
        if were_kept {
            marks.retain(&format!("-{}", self.context.instance), &meant);
        } else if let Err(why) = marks.begin(&meant.into_iter().collect::<Vec<_>>()) {
            self.tell(now, "recovery", "marks.failed", "runtime directory", why.to_string());
        }
    }

    /// Of another boot: the note by which it is undone goes before its effect does, and only then.
    fn lost_its_note(&self, held: &Held, name: &str) -> bool {
        let another = held.anchor.is_some_and(|anchor| anchor.boot != self.clock.boot());
        another
            && held.action.kind.outlives_reboot()
            && held.action.applied_at.is_some()
            && !watchdog::note_path(self.ledger.directory(), name).exists()
    }

    fn settle(&self, held: &Held, now: Timestamp) -> Result<Action, ActError> {
        let (mut action, snapshot) = (Action::clone(&held.action), &*held.snapshot);
        let act = actions::of(action.kind);
        let moment = self.moment_of(held, now);
        // What nobody saw whole and nobody confirmed in time is not adopted.
        let meant = action.desired == Desired::Live;
        let whole = meant && moment < action.ends_at() && act.is_whole(&self.context, &action, snapshot, moment).unwrap_or(false);
        if whole {
            (action.state, action.applied_at, action.verified_at) = (ActionState::Live, Some(now), Some(now));
            action.note = "found whole in the kernel after a restart and adopted".into();
        } else {
            self.want_gone(&mut action, EndCause::Failed, "recovery", "bartizan ended in the middle of it; not done again", now);
            if let Ok(done) = self.try_to_undo(&mut action, snapshot, now) {
                let undone = if done.is_empty() { "nothing of it was left".to_owned() } else { done.join("; ") };
                action.note = format!("{}: {undone}", action.note);
                self.killed_after_all(&mut action);
            }
        }
        // What a full disk does not take is in memory and follows: the settling itself is done.
        if let Err(error) = self.put(&action, now, "recovery", if whole { "action.adopted" } else { "action.settled" }) {
            action.note = format!("{}; not on record yet: {error}", action.note);
        }
        Ok(action)
    }

    /// A kill whose root is gone did what it should, receipt or not.
    fn killed_after_all(&self, action: &mut Action) {
        if let (ActionKind::KillTree, Target::ProcessTree { root, .. }) = (action.kind, &action.target)
            && bartizan_sys::pidfd::key_of(root.pid) != Some(*root)
        {
            action.state = ActionState::Expired;
            action.note = "bartizan ended in the middle of it; the process has ended".into();
        }
    }

    /// What is in the kernel under our name and in no row; one sentence each.
    fn remove_orphans(&self) -> Vec<String> {
        let active = self.ledger.active().unwrap_or_default();
        let mut said = self
            .context
            .remove_orphans(&self.ledger.held())
            .unwrap_or_else(|error| vec![format!("our table could not be compared: {error}")]);
        if let Some(first) = said.first() {
            let detail = HostText::from(first.as_str());
            (self.context.alarm)(Alarm { what: AlarmKind::TableChanged, detail, action: None, path: None });
        }
        let suffix = format!("-{}", self.context.instance);
        let wanted: Vec<String> = active.iter().map(|action| super::group_name(action.id, &self.context.instance)).collect();
        let freezer = &self.context.freezer;
        // A note in our own directory is ours, even one of a ledger that was lost; a group elsewhere only by its name.
        let found = freezer.noted().into_iter().chain(freezer.groups().into_iter().filter(|name| name.ends_with(&suffix)));
        let orphans: std::collections::BTreeSet<String> = found.filter(|name| !wanted.contains(name)).collect();
        for name in orphans {
            watchdog::call_off_noted(&freezer.note(&name));
            match freezer.recall(&name).map(|frozen| freezer.thaw(&frozen)) {
                Some(Ok(thawed)) => said.push(format!("freeze {name} had no owner: {}", thawed.words())),
                Some(Err(error)) => said.push(format!("freeze {name} has no owner and could not be undone: {error}")),
                None => {}
            }
        }
        said.extend(self.end_lasting_orphans(&wanted));
        said
    }

    /// Notes of actions that outlive a reboot are a second journal: what a lost ledger forgot is ended by them. Who waits
    /// for their end outside of us is told that it is now.
    fn end_lasting_orphans(&self, wanted: &[String]) -> Vec<String> {
        let notes = watchdog::note_path(self.ledger.directory(), "x");
        let entries = notes.parent().map(std::fs::read_dir).into_iter().flatten().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.contains('.'));
        let orphans = names.filter(|name| !wanted.contains(name)).take(MAX_ORPHANS);
        orphans.map(|name| self.end_lasting(&name)).collect()
    }

    fn end_lasting(&self, name: &str) -> String {
        let note = watchdog::note_path(self.ledger.directory(), name);
        let method: String = bartizan_sys::digest::read_bounded(&note, LONGEST_NOTE).map_or_else(
            |_| "unreadable".to_owned(),
            |bytes| String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()).chars().take(32).collect(),
        );
        let expiry = Expiry { name: name.to_owned(), note, after: std::time::Duration::ZERO, lasting: true };
        match watchdog::set(&expiry) {
            Ok(_) => format!("note {} ({}) had no owner: its end is now", name.escape_debug(), method.escape_debug()),
            Err(error) => format!("note {} ({}) has no owner and could not be ended: {error}", name.escape_debug(), method.escape_debug()),
        }
    }
}
