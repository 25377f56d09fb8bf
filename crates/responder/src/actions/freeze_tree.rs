//! Stop a process and everything below it, kept intact; a watchdog outside of us ends it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Act, ActError, ActionContext, ObservedState, escapee_check, root_of};
use crate::{evidence, group_name};
use bartizan_config::policy::DriftPolicy;
use bartizan_enforce::freeze::{FreezeError, Freezer, Frozen, Method, Purpose};
use bartizan_guard::watchdog::{self, Expiry, Watchdog};
use bartizan_model::{Action, ActionId, ActionPlan, Preview, ProcessKey, Timestamp};
use bartizan_sys::pidfd::key_of;

/// Holds again whoever of it lives, for the time that is left, under the same name: what undoes it stays true.
fn again(context: &ActionContext, action: &Action, left: Duration) -> Result<(), ActError> {
    let id = action.id;
    let snapshot = context.recorded::<FreezeTree>(action)?;
    let (Some(frozen), root) = (snapshot.frozen, root_of(&action.target)?) else {
        return Err(ActError::Unverified(format!("nothing was frozen by {id}")));
    };
    let allowed = context.may_stop(action.by.is_person())?;
    let whole = || frozen.members.iter().map(|member| member.key).chain(tree(context, root)).collect();
    // First the end, then the beginning, as at first.
    watchdog::set(&Expiry { name: snapshot.name, note: context.freezer.note(&frozen.name), after: left, lasting: false })?;
    Ok(context.freezer.freeze_again(&frozen, &whole, &allowed)?)
}

/// Names shown in a preview.
const SHOWN: usize = 12;

pub(super) struct FreezeTree;

/// What undoes a freeze.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    name: String,
    pub(super) frozen: Option<Frozen>,
    watchdog: Option<Watchdog>,
}

/// The root and what the engine remembers below it.
pub(super) fn tree(context: &ActionContext, root: ProcessKey) -> Vec<ProcessKey> {
    let mut tree = (context.tree)(root);
    tree.push(root);
    tree
}

/// "3 processes: sh (812), nc (813), sleep (814)".
pub(super) fn radius(context: &ActionContext, root: ProcessKey) -> Result<String, ActError> {
    let caught = Freezer::would_catch(&tree(context, root));
    if caught.is_empty() {
        return Err(FreezeError::Nothing.into());
    }
    let names: Vec<String> = caught.iter().take(SHOWN).map(|(key, name)| format!("{name} ({})", key.pid)).collect();
    let more = caught.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let noun = if caught.len() == 1 { "process" } else { "processes" };
    Ok(format!("{} {noun}: {}{rest}", caught.len(), names.join(", ")))
}

fn steps(context: &ActionContext, plan: &ActionPlan, blast_radius: String) -> Preview {
    let until = humantime::format_duration(plan.lasts());
    let first = format!("a watchdog outside of bartizan is set to undo it after {until}");
    let then = match context.freezer.group_dir("ID") {
        Some(dir) => vec![
            "SIGSTOP to each by pidfd, those that are known first".to_owned(),
            format!("mkdir {0}; freeze it while it is empty", dir.display()),
            "move the tree in, and SIGCONT: it is held there; look again until nobody new appears, a frozen process cannot fork".to_owned(),
        ],
        None => vec!["SIGSTOP to each by pidfd, look again until nobody new appears".to_owned()],
    };
    let steps = [first].into_iter().chain(then).chain([evidence::foretold(context)]).collect();
    let undo = vec![match context.freezer.method() {
        Method::Stop => "SIGCONT to each that ran before".to_owned(),
        _ => "each process goes back to exactly its cgroup and runs on; the group is removed".to_owned(),
    }];
    Preview { steps, blast_radius, undo, ..Preview::default() }
}

impl Act for FreezeTree {
    type Snapshot = Snapshot;

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let caught = radius(context, root_of(plan.target())?)?;
        Ok(steps(context, plan, format!("{caught}; their connections stay open and time out at the other end")))
    }

    /// Whom it would catch is not looked for: that takes longer than catching them.
    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        root_of(plan.target())?;
        Ok(steps(context, plan, String::new()))
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let root = root_of(plan.target())?;
        // Only when nobody whom we remember lives, all processes are looked through for orphans.
        if !tree(context, root).iter().any(|key| key_of(key.pid) == Some(*key)) {
            radius(context, root)?;
        }
        Ok(Snapshot { name: group_name(id, &context.instance), frozen: None, watchdog: None })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let root = root_of(&action.target)?;
        tracing::debug!(action = %action.id, "applying");
        let allowed = context.may_stop(by_person)?;
        let lasts = (action.ends_at() - action.planned_at).to_std().unwrap_or_default();
        let note = context.freezer.note(&snapshot.name);
        // First the end, then the beginning: at no moment is something frozen that nobody will thaw.
        let expiry = Expiry { name: snapshot.name.clone(), note: note.clone(), after: lasts, lasting: false };
        let watchdog = watchdog::set(&expiry)?;
        match context.freezer.freeze(&snapshot.name, Purpose::Hold, &|| tree(context, root), &allowed) {
            Ok(frozen) => {
                (snapshot.frozen, snapshot.watchdog) = (Some(frozen), Some(watchdog));
                Ok(snapshot)
            }
            Err(error) => {
                if !note.exists() {
                    watchdog::call_off(&watchdog);
                }
                Err(error.into())
            }
        }
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let Some(frozen) = snapshot.frozen.clone().or_else(|| context.freezer.recall(&snapshot.name)) else {
            return Ok(ObservedState::Gone("nothing was frozen".into()));
        };
        let hold = context.freezer.look(&frozen);
        let over = now >= action.ends_at();
        if hold.held.is_empty() && hold.loose.is_empty() {
            return Ok(ObservedState::Gone("all of its processes have ended".into()));
        }
        if hold.held.is_empty() && !context.freezer.note(&frozen.name).exists() {
            return Ok(match over {
                true => ObservedState::Gone("the watchdog ended it at its time".into()),
                false => ObservedState::Drifted("somebody thawed it before its time".into()),
            });
        }
        if let Some(key) = hold.loose.first() {
            return Ok(ObservedState::Drifted(format!("pid {} runs: somebody let it go", key.pid)));
        }
        if !hold.frozen {
            return Ok(ObservedState::Drifted("somebody thawed the group".into()));
        }
        // Not for the receipt: what is held must stay held although somebody is missing, who is caught a moment later.
        if let (false, Some(_), Some(noted)) = (over, action.applied_at, context.freezer.recall(&frozen.name))
            && let Some(why) =
                escapee_check::by(context, root_of(&action.target)?, &noted.members.iter().map(|member| member.key).collect())
        {
            return Ok(ObservedState::Drifted(why));
        }
        if !over && !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) {
            return Ok(ObservedState::Drifted("its watchdog is gone: roll it back by hand, or bartizan ends it at its time".into()));
        }
        let mut proof = vec![format!("{}: {} processes, none runs", frozen.method.noun(), hold.held.len())];
        proof.extend(action.evidence.as_ref().map(evidence::summary));
        Ok(ObservedState::Live(proof))
    }

    fn revert(&self, context: &ActionContext, _action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let note = context.freezer.note(&snapshot.name);
        let mut done = Vec::new();
        if let Some(frozen) = snapshot.frozen.clone().or_else(|| context.freezer.recall(&snapshot.name)) {
            let thawed = context.freezer.thaw(&frozen)?;
            done.push(thawed.words());
            let hold = context.freezer.look(&frozen);
            let is_held = |key: &&ProcessKey| hold.frozen && frozen.method != Method::Stop && key_of(key.pid) == Some(**key);
            if let Some(key) = hold.held.iter().find(is_held) {
                return Err(ActError::Unverified(format!("pid {} is still held", key.pid)));
            }
        }
        // Only now: had the thawing failed, the watchdog would have tried again.
        match &snapshot.watchdog {
            Some(watchdog) => watchdog::call_off(watchdog),
            None => watchdog::call_off_noted(&note),
        }
        Ok(done)
    }

    fn restore(&self, context: &ActionContext, action: &Action, _others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        let left = (action.ends_at() - now).to_std().ok().filter(|left| !left.is_zero())?;
        (context.policy().actions.drifted_freeze == DriftPolicy::Reapply).then(|| again(context, action, left))
    }

    fn is_whole(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot, _now: Timestamp) -> Result<bool, ActError> {
        let watched = snapshot.watchdog.as_ref().is_some_and(watchdog::is_set);
        let Some(frozen) = &snapshot.frozen else { return Ok(false) };
        Ok(watched && context.freezer.is_whole(frozen, &tree(context, root_of(&action.target)?)))
    }
}
