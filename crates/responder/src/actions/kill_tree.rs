//! End a process and everything below it: frozen first so that nobody escapes, then ended together.

use serde::{Deserialize, Serialize};

use super::freeze_tree::{radius, tree};
use super::{Act, ActError, ActionContext, ObservedState, root_of};
use crate::{evidence, group_name};
use bartizan_enforce::freeze::Purpose;
use bartizan_guard::watchdog::{self, Expiry};
use bartizan_model::{Action, ActionId, ActionPlan, Preview, ProcessKey, Timestamp};
use bartizan_sys::pidfd::key_of;

pub(super) struct KillTree;

/// What was ended; what was only frozen is let go by its name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    name: String,
    #[serde(default)]
    ended: Vec<ProcessKey>,
}

impl Act for KillTree {
    type Snapshot = Snapshot;

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let caught = radius(context, root_of(plan.target())?)?;
        let steps = vec![
            format!("freeze the tree ({}), so that nobody forks away", context.freezer.method().noun()),
            evidence::foretold(context),
            "SIGKILL to all of it at once (cgroup.kill where the kernel has it)".to_owned(),
            "wait until the kernel shows every one gone".to_owned(),
        ];
        Ok(Preview { steps, blast_radius: caught, undo: vec!["cannot be undone".to_owned()], ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        radius(context, root_of(plan.target())?)?;
        Ok(Snapshot { name: group_name(id, &context.instance), ended: Vec::new() })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let root = root_of(&action.target)?;
        let group = snapshot.name.clone();
        let allowed = context.may_stop(by_person)?;
        let note = context.freezer.note(&group);
        // Should we die between freezing and killing, the tree does not stay frozen for ever.
        let expiry = Expiry { name: group.clone(), note: note.clone(), after: std::time::Duration::from_secs(60), lasting: false };
        let watchdog = watchdog::set(&expiry)?;
        let ended = context
            .freezer
            .freeze(&group, Purpose::End, &|| tree(context, root), &allowed)
            .inspect(|frozen| context.keep_evidence(action, &group, frozen))
            .and_then(|frozen| context.freezer.kill(&frozen).inspect_err(|_| drop(context.freezer.thaw(&frozen))));
        if !note.exists() {
            watchdog::call_off(&watchdog);
        }
        snapshot.ended = ended?;
        Ok(snapshot)
    }

    fn verify(
        &self,
        _hand: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        _now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let ended = &snapshot.ended;
        let root = root_of(&action.target)?;
        match ended.iter().chain([&root]).find(|key| key_of(key.pid) == Some(**key)) {
            Some(key) => Ok(ObservedState::Drifted(format!("pid {} still lives", key.pid))),
            None => {
                let kept = action.evidence.as_ref().map(evidence::summary).map(|words| format!("; {words}")).unwrap_or_default();
                Ok(ObservedState::Gone(format!("{} processes ended, none of them lives{kept}", ended.len())))
            }
        }
    }

    /// What was only frozen is let go; the ended stay ended.
    fn revert(&self, context: &ActionContext, _action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let group = &snapshot.name;
        let mut done = Vec::new();
        if let Some(frozen) = context.freezer.recall(group) {
            done.push(format!("{} processes that were to be ended run again", context.freezer.thaw(&frozen)?.count()));
        }
        watchdog::call_off_noted(&context.freezer.note(group));
        Ok(done)
    }

    /// A kill that was interrupted is never continued.
    fn is_whole(&self, _hand: &ActionContext, _action: &Action, _snapshot: &Self::Snapshot, _now: Timestamp) -> Result<bool, ActError> {
        Ok(false)
    }
}
