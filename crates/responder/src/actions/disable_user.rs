//! Lock an account so that neither password nor key nor su lets anybody in, and end its login sessions.

use serde::{Deserialize, Serialize};

use super::{Act, ActError, ActionContext, ObservedState, expiry_record, second_look};
use crate::group_name;
use bartizan_enforce::accounts::{self, AccountError, Look, Marks, Removed, Sessions};
use bartizan_guard::lifeline::check;
use bartizan_guard::watchdog::{self, Watchdog};
use bartizan_model::{Action, ActionId, ActionPlan, Alarm, AlarmKind, HostText, Lifeline, Preview, Target, Timestamp};
use bartizan_sys::digest::{Digest, digest};

pub(super) struct DisableUser;

/// What undoes it. The line itself holds a password's hash and is only in the note.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    name: String,
    marks: Option<Marks>,
    /// /etc/shadow before: hash, owner, mode.
    file: Option<Digest>,
    watchdog: Option<Watchdog>,
    /// Processes of login sessions that were ended.
    ended: usize,
    /// Those left alone because the owner's own path runs through them.
    spared: usize,
}

fn account(target: &Target) -> Result<(&HostText, u32), ActError> {
    match target {
        Target::User { name, uid } => Ok((name, *uid)),
        _ => Err(ActError::Misfit("what is no account")),
    }
}

/// The account is of this host, is the one that is meant, and can be locked. Gives the marks for its line and the line
/// with them.
fn marks(name: &HostText, uid: u32) -> Result<(Marks, Vec<u8>), AccountError> {
    let found = accounts::find(name)?.ok_or_else(|| AccountError::Foreign(name.clone()))?;
    if found.uid != uid {
        return Err(AccountError::OtherUid { name: name.clone(), now: found.uid, meant: uid });
    }
    let line = accounts::line_of(name)?.ok_or_else(|| AccountError::NoShadow(name.clone()))?;
    Marks::set(&line).ok_or_else(|| AccountError::Malformed(name.clone()))
}

/// Refuses the last account that can become root; where that cannot be told, says so: then a person may do it, for as long as
/// they confirm it in time.
fn others_remain(name: &HostText, uid: u32) -> Result<Option<String>, ActError> {
    match check::account(name, uid) {
        Ok(Some(why)) => Err(ActError::Lifeline { what: format!("account {name}"), why }),
        Ok(None) => Ok(None),
        Err(unknown) => Ok(Some(unknown)),
    }
}

fn sessions(uid: u32, lifeline: &Lifeline) -> Result<Sessions, ActError> {
    Sessions::of(uid, lifeline).map_err(|why| AccountError::File { what: "read", file: "/proc", why }.into())
}

/// What was done about the sessions, in words; empty when there were none.
fn told(ended: usize, spared: usize) -> Vec<String> {
    let noun = |n: usize| if n == 1 { "process" } else { "processes" };
    let mut said = Vec::new();
    if ended > 0 {
        said.push(format!("{ended} {} of login sessions ended", noun(ended)));
    }
    if spared > 0 {
        said.push(format!("{spared} {} left alone: the owner's own path runs through them", noun(spared)));
    }
    said
}

/// Ends every login session; those on the owner's own path stay.
fn end_sessions(context: &ActionContext, uid: u32, by_person: bool) -> Result<(usize, usize), ActError> {
    let lifeline = (context.lifeline)();
    second_look::complete(&lifeline, by_person)?;
    if let Some(why) = lifeline.holds_account(uid) {
        return Err(ActError::Lifeline { what: format!("uid {uid}"), why });
    }
    let ended = Sessions::end(uid, &lifeline).map_err(|why| AccountError::File { what: "read", file: "/proc", why })?;
    match ended.left {
        0 => Ok((ended.ended, ended.spared)),
        left => Err(ActError::Unverified(format!("{left} processes of login sessions cannot be ended"))),
    }
}

impl DisableUser {
    /// What is known of the marks: from the note, which is there before they are set, else from the snapshot.
    fn known(context: &ActionContext, snapshot: &Snapshot) -> Option<Marks> {
        let noted = expiry_record::read(context, &snapshot.name).and_then(|note| Marks::recall(&note));
        noted.map(|(_, marks)| marks).or_else(|| snapshot.marks.clone())
    }

    /// Takes the marks away, on the line as it is at that moment; `removed` tells how.
    fn unlock(name: &HostText, marks: &Marks, removed: &mut Removed) -> Result<bool, AccountError> {
        accounts::rewrite(name, |line| {
            *removed = marks.remove(line);
            Ok(match removed {
                Removed::Exactly(line) | Removed::Partly(line) => Some(line.clone()),
                Removed::Nothing => None,
            })
        })
    }

    /// Sets the marks, on the line as it is at that moment; the note and the watchdog stand before.
    fn lock(context: &ActionContext, action: &Action, snapshot: &mut Snapshot) -> Result<(), ActError> {
        let (name, _) = account(&action.target)?;
        let known = Self::known(context, snapshot);
        let mut fresh = None;
        accounts::rewrite(name, |line| {
            // Of marks that somebody took away in part the rest goes first: they must not be taken for the owner's.
            let base = match known.as_ref().map(|known| known.remove(line)) {
                Some(Removed::Exactly(base) | Removed::Partly(base)) => base,
                _ => line.to_vec(),
            };
            let (marks, after) = Marks::set(&base).ok_or_else(|| AccountError::Malformed(name.clone()))?;
            let note = Marks::note(name, &base, &after);
            match &snapshot.watchdog {
                Some(_) => expiry_record::write(&expiry_record::note(context, &snapshot.name), &note)?,
                None => snapshot.watchdog = Some(expiry_record::begin(context, &snapshot.name, action, &note)?),
            }
            fresh = Some(marks);
            Ok::<_, ActError>(Some(after))
        })?;
        snapshot.marks = fresh;
        Ok(())
    }
}

impl Act for DisableUser {
    type Snapshot = Snapshot;

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (name, uid) = account(plan.target())?;
        marks(name, uid)?;
        let doubt = others_remain(name, uid)?;
        let found = sessions(uid, &(context.lifeline)())?;
        let (open, spared) = (found.open.len(), found.spared.len());
        let mut steps: Vec<String> = doubt.into_iter().map(|doubt| format!("{doubt}: make sure that you can before you confirm")).collect();
        steps.extend([
            expiry_record::foretold(context, plan.lasts()),
            format!("/etc/shadow, line of {name}: ! before the password, expiry day 1 (1970-01-02), so that password, key and su are refused"),
            "each process of its login sessions: SIGHUP and SIGTERM, after 1s SIGKILL; what a service runs under this account is left alone"
                .to_owned(),
        ]);
        let kept = if spared > 0 { format!("; {spared} left alone: the owner's own path runs through them") } else { String::new() };
        Ok(Preview {
            steps,
            blast_radius: format!("account {name} (uid {uid}); {open} processes of its login sessions end now{kept}"),
            undo: vec![
                "the line of /etc/shadow comes back byte for byte; when it was changed meanwhile, only the two marks go".to_owned(),
                "ended sessions are not reopened".to_owned(),
            ],
            ..Preview::default()
        })
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (name, uid) = account(plan.target())?;
        let (marks, _) = marks(name, uid)?;
        others_remain(name, uid)?;
        let file = digest(std::path::Path::new("/etc/shadow")).ok().flatten();
        let name = group_name(id, &context.instance);
        Ok(Snapshot { name, marks: Some(marks), file, watchdog: None, ended: 0, spared: 0 })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let (name, uid) = account(&action.target)?;
        context.may_touch(&action.target, by_person)?;
        // Again: what was found when planning may be another account by now.
        marks(name, uid)?;
        Self::lock(context, action, &mut snapshot)?;
        (snapshot.ended, snapshot.spared) = end_sessions(context, uid, by_person)?;
        Ok(snapshot)
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let (name, uid) = account(&action.target)?;
        let Some(marks) = Self::known(context, snapshot) else { return Ok(ObservedState::Gone("nothing was locked".into())) };
        let Some(line) = accounts::line_of(name)? else { return Ok(ObservedState::Gone(format!("account {name} was removed"))) };
        let over = now >= action.ends_at();
        let proof = match marks.look(&line) {
            Look::Ours => "/etc/shadow: locked and expired, as we left it".to_owned(),
            Look::Locked => "/etc/shadow: locked and expired; somebody changed the line otherwise since".to_owned(),
            Look::Before | Look::Open if over => return Ok(ObservedState::Gone("the watchdog ended it at its time".into())),
            Look::Before => return Ok(ObservedState::Drifted("somebody unlocked it before its time".into())),
            Look::Open => return Ok(ObservedState::Drifted("somebody changed its password or expiry, so that it is open again".into())),
        };
        let open = sessions(uid, &(context.lifeline)())?.open;
        if let (Some(first), false) = (open.first(), over) {
            return Ok(ObservedState::Drifted(format!("{} processes of a new login session, pid {} first", open.len(), first.pid)));
        }
        if !over && !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) {
            return Ok(ObservedState::Drifted("its watchdog is gone".into()));
        }
        Ok(ObservedState::Live([vec![proof], told(snapshot.ended, snapshot.spared)].concat()))
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let (name, _) = account(&action.target)?;
        let mut done = Vec::new();
        if let Some(marks) = Self::known(context, snapshot) {
            let mut removed = Removed::Nothing;
            // Without a mark of ours there is nothing to take away, whoever holds the lock and whatever is read-only.
            let bare = accounts::line_of(name)?.is_some_and(|line| marks.remove(&line) == Removed::Nothing);
            let changed = if bare { Ok(false) } else { Self::unlock(name, &marks, &mut removed) };
            match (changed, removed) {
                (Err(AccountError::NoShadow(_)), _) => done.push(format!("account {name} was removed meanwhile: nothing to undo")),
                (Err(why), _) => return Err(why.into()),
                (Ok(_), Removed::Exactly(_)) => done.push(format!("the line of {name} in /etc/shadow is what it was, byte for byte")),
                (Ok(_), Removed::Partly(_)) => {
                    done.push(format!(
                        "somebody changed the line of {name} in /etc/shadow meanwhile: that stays, only our marks were taken away"
                    ));
                }
                (Ok(_), Removed::Nothing) => {}
            }
            if snapshot.ended > 0 && !done.is_empty() {
                done.push("ended sessions stay ended".to_owned());
            }
        }
        expiry_record::over(context, &snapshot.name, snapshot.watchdog.as_ref());
        Ok(done)
    }

    fn restore(&self, context: &ActionContext, action: &Action, _others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        Some(self.lock_again(context, action, now))
    }

    fn prolong(
        &self,
        context: &ActionContext,
        action: &Action,
        mut snapshot: Self::Snapshot,
        now: Timestamp,
    ) -> Result<Self::Snapshot, ActError> {
        snapshot.watchdog = Some(expiry_record::renew(context, &snapshot.name, action, snapshot.watchdog.as_ref(), now)?);
        Ok(snapshot)
    }
}

impl DisableUser {
    /// Whatever drifted: the marks, a session that began in between, the watchdog.
    fn lock_again(&self, context: &ActionContext, action: &Action, now: Timestamp) -> Result<(), ActError> {
        let (name, uid) = account(&action.target)?;
        let by_person = action.by.is_person();
        context.may_touch(&action.target, by_person)?;
        let mut snapshot = context.recorded::<Self>(action)?;
        let line = accounts::line_of(name)?.unwrap_or_default();
        if Self::known(context, &snapshot).is_none_or(|marks| matches!(marks.look(&line), Look::Before | Look::Open)) {
            (context.alarm)(Alarm {
                what: AlarmKind::ActionUndone,
                detail: HostText::from(format!("account {name} was unlocked while it was disabled").as_str()),
                action: Some(action.id),
                path: Some(HostText::from("/etc/shadow")),
            });
            Self::lock(context, action, &mut snapshot)?;
        }
        if !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) {
            snapshot.watchdog = Some(expiry_record::renew(context, &snapshot.name, action, None, now)?);
        }
        let (ended, spared) = end_sessions(context, uid, by_person)?;
        (snapshot.ended, snapshot.spared) = (snapshot.ended.saturating_add(ended), spared);
        context.record::<Self>(action, &snapshot)
    }
}
