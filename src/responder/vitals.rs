//! The host's vital signs before and after each action: what was well and is not any more is blamed on the action, and
//! the action is undone for it. Enforcement of the fast kinds never waits: their "before" is the last round's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Responder;
use super::transaction::line;
use crate::config::signs::{Listener, Probe};
use crate::host::vital;
use crate::model::{Action, ActionId, ActionState, Target, Timestamp, Vital, VitalCheck, VitalKind, VitalState, harmed};
use crate::outbound::probe;

const SECOND: u64 = 1_000_000_000;
/// How often everything is measured, and what the kernel alone knows.
const ALL: u64 = 30 * SECOND;
const QUICK: u64 = 2 * SECOND;
/// ... and how often while no action is looked at: it is the "before" of the next one.
const QUIET: u64 = 10 * SECOND;
/// When after a fast action its signs are looked at.
const LOOKS: [u64; 2] = [SECOND, 5 * SECOND];
/// An SSH server that was asked so lately is not asked again but for a disruptive action: OpenSSH 9.8 and later count
/// connections without a login against their source (PerSourcePenalties in sshd_config(5), one second each).
const ASKED_LATELY: u64 = 4 * SECOND;
/// For how long what did harm is not done to the same target without a person.
const SHUNNED: u64 = 600 * SECOND;
const MOST_SHUNNED: usize = 256;
/// Questions under way at once: those that hang (a name that does not resolve) end by themselves.
const MOST_ASKING: usize = 128;

static ASKING: AtomicUsize = AtomicUsize::new(0);

/// What is known of the signs.
#[derive(Debug, Default)]
pub(super) struct Signs(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// The last round, newest word of each sign.
    now: Arc<Vec<Vital>>,
    /// When all, and what the kernel alone knows, were measured last (boot clock).
    all_at: Option<u64>,
    quick_at: Option<u64>,
    /// The last word of the SSH servers.
    ssh: Option<(u64, Vec<Vital>)>,
    watched: BTreeMap<ActionId, Watched>,
    /// What did harm, and until when it is left alone (boot clock).
    shunned: VecDeque<(Target, u64)>,
}

/// An action under observation.
#[derive(Debug, Clone)]
struct Watched {
    before: Arc<Vec<Vital>>,
    since: u64,
    looks: usize,
    looked: u64,
}

type Question = Box<dyn FnOnce() -> Vital + Send>;

impl Signs {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last round.
    pub(super) fn before(&self) -> Arc<Vec<Vital>> {
        Arc::clone(&self.book().now)
    }

    /// From now on the signs are compared with `before`.
    pub(super) fn watch(&self, id: ActionId, before: Arc<Vec<Vital>>, since: u64) {
        self.book().watched.insert(id, Watched { before, since, looks: 0, looked: since });
    }

    pub(super) fn forget(&self, id: ActionId) {
        self.book().watched.remove(&id);
    }

    /// Whether acting on this did harm lately.
    pub(super) fn shuns(&self, target: &Target, now: u64) -> bool {
        self.book().shunned.iter().any(|(harmed, until)| *until > now && harmed.is_same(target))
    }

    pub(super) fn shun(&self, target: &Target, until: u64) {
        let mut book = self.book();
        if book.shunned.len() >= MOST_SHUNNED {
            book.shunned.pop_front();
        }
        book.shunned.push_back((target.clone(), until));
    }
}

impl Responder {
    /// The signs' own round, about once a second on a thread of its own: measures what is due, compares what is watched,
    /// undoes what does harm. Gives the actions whose row changed.
    pub fn check_vitals(&self, now: Timestamp) -> Vec<Action> {
        let at = self.clock.now();
        let (quick, all) = {
            let book = self.signs.book();
            let due = |last: Option<u64>, every| last.is_none_or(|last| at.saturating_sub(last) >= every);
            let quick = if book.watched.is_empty() { QUIET } else { QUICK };
            (due(book.quick_at, quick), due(book.all_at, ALL))
        };
        let due = self.due(at);
        if !quick && !all && due.is_empty() {
            return Vec::new();
        }
        // A look at a fast action's effect needs every sign; one that awaits a person is looked at all the time, by what
        // the kernel alone knows.
        let needs_all = all || due.iter().any(|(_, needs_all)| *needs_all);
        let signs = if needs_all { self.measure(false) } else { self.with_quick() };
        let mut book = self.signs.book();
        (book.now, book.quick_at) = (Arc::new(signs.clone()), Some(at));
        if needs_all {
            book.all_at = Some(at);
        }
        drop(book);
        due.into_iter().filter_map(|(id, _)| self.compare_signs(id, &signs, now)).collect()
    }

    /// Actions whose signs are to be looked at now, and whether all signs are needed. Those that are over leave.
    fn due(&self, at: u64) -> Vec<(ActionId, bool)> {
        let mut book = self.signs.book();
        let mut due = Vec::new();
        book.watched.retain(|id, watched| {
            let Some(held) = self.ledger.held_one(*id) else { return false };
            let age = at.saturating_sub(watched.since);
            if LOOKS.get(watched.looks).is_some_and(|look| age >= *look) {
                // A round that came late counts for every look that it is late for.
                watched.looks = LOOKS.iter().filter(|look| age >= **look).count();
                watched.looked = at;
                due.push((*id, true));
            } else if held.action.awaits_confirmation().is_some() {
                if at.saturating_sub(watched.looked) >= QUICK {
                    watched.looked = at;
                    due.push((*id, false));
                }
            } else if watched.looks >= LOOKS.len() {
                return false;
            }
            true
        });
        due
    }

    /// Compares one watched action's signs with those before it: written into its row, and undone when it does harm.
    /// `None` when it is not watched or over.
    pub(super) fn compare_signs(&self, id: ActionId, after: &[Vital], now: Timestamp) -> Option<Action> {
        let watched = self.signs.book().watched.get(&id).cloned()?;
        let _turn = self.my_turn();
        let mut action = Action::clone(&self.ledger.held_one(id)?.action);
        let check = judge(&action, &watched.before, after, now);
        let is_new = action.vitals.as_ref().is_none_or(|then| then.well != check.well || then.ill_before != check.ill_before);
        let is_harm = !check.harmed.is_empty() && action.kind.is_reversible();
        action.vitals = Some(check.clone());
        if !is_harm {
            // Only what is news needs the disk; the time of the last look is in memory.
            let _ = if is_new { self.ledger.update(&action) } else { self.ledger.refresh(std::slice::from_ref(&action)) };
            return Some(action);
        }
        self.signs.shun(&action.target, self.clock.now() + SHUNNED);
        let why = format!("it did harm: {}", check.harmed.join("; "));
        self.ledger.audit_or_owe(line(now, "vital signs", "action.harmful", id, why.clone()));
        self.checkpoint("after harm");
        match self.undo(action.clone(), "vital signs", &format!("undone by itself, {why}"), now) {
            Ok(undone) => Some(undone),
            Err(_) => self.ledger.action(id).ok().flatten(),
        }
    }

    /// What was harmful before a restart is left alone after it too.
    pub(super) fn remember_harm(&self, now: Timestamp) {
        let recent = chrono::Duration::nanoseconds(SHUNNED as i64);
        for action in self.ledger.actions(MOST_SHUNNED).unwrap_or_default() {
            let harmful = action.state == ActionState::RolledBack && action.vitals.as_ref().is_some_and(|check| !check.harmed.is_empty());
            if let Some(ended) = action.ended_at.filter(|ended| harmful && now - *ended < recent && *ended <= now) {
                let left = (recent - (now - ended)).num_nanoseconds().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                self.signs.shun(&action.target, self.clock.now() + left);
            }
        }
    }

    /// The last round with what the kernel alone knows put in new.
    fn with_quick(&self) -> Vec<Vital> {
        let old = self.signs.before();
        let quick = [VitalKind::OperatorConnection, VitalKind::Listener];
        old.iter().filter(|vital| !quick.contains(&vital.kind)).cloned().chain(self.quick()).collect()
    }

    fn quick(&self) -> Vec<Vital> {
        let ports: Vec<u16> = vital::ssh_servers().iter().map(|server| server.port()).collect();
        let policy = self.hand.policy();
        let declared: Vec<Listener> = policy.vitals.listeners.iter().filter_map(|word| word.parse().ok()).collect();
        let mut signs = vital::operator_connections(&ports);
        signs.extend(vital::listeners(&declared));
        signs
    }

    /// Every sign, all asked at once, within the policy's time; `fresh`: also an SSH server that was asked a moment ago.
    pub(super) fn measure(&self, fresh: bool) -> Vec<Vital> {
        let policy = self.hand.policy();
        let within = policy.vitals.within.min(vital::LONGEST);
        let at = self.clock.now();
        let known = self.signs.book().ssh.clone().filter(|(then, _)| !fresh && at.saturating_sub(*then) < ASKED_LATELY);
        let mut questions: Vec<(Vital, Question)> = Vec::new();
        let mut ask = |kind, name: String, question: Question| {
            let silence = Vital { kind, name, state: VitalState::Unknown, detail: "no answer in time".to_owned() };
            questions.push((silence, question));
        };
        if known.is_none() {
            for server in vital::ssh_servers() {
                ask(VitalKind::SshServer, format!("tcp {server}"), Box::new(move || vital::greets(server, within)));
            }
        }
        for unit in &policy.vitals.units {
            let unit = unit.clone();
            ask(VitalKind::Unit, unit.clone(), Box::new(move || vital::is_active(&unit, within)));
        }
        let name = policy.vitals.resolve.clone();
        for server in vital::resolvers().into_iter().filter(|_| !name.is_empty()) {
            let name = name.clone();
            ask(VitalKind::Resolver, server.to_string(), Box::new(move || vital::ask_resolver(server, &name, within)));
        }
        for declared in policy.vitals.probes.iter().filter_map(|word| word.parse::<Probe>().ok()) {
            ask(VitalKind::Probe, declared.to_string(), Box::new(move || probed(&declared, within)));
        }
        let answers = all_at_once(questions, within + within / 4);
        let mut signs = self.quick();
        match known {
            Some((_, known)) => signs.extend(known),
            None => {
                let ssh = answers.iter().filter(|vital| vital.kind == VitalKind::SshServer).cloned().collect();
                self.signs.book().ssh = Some((at, ssh));
            }
        }
        signs.extend(answers);
        signs
    }
}

fn probed(declared: &Probe, within: Duration) -> Vital {
    let (state, detail) = match probe::ask(declared, within) {
        Ok(detail) => (VitalState::Well, detail),
        Err(why) => (VitalState::Ill, why.escape_debug().to_string()),
    };
    Vital { kind: VitalKind::Probe, name: declared.to_string(), state, detail }
}

/// Asks all questions at once; who does not answer in time is put down as not answering.
fn all_at_once(questions: Vec<(Vital, Question)>, within: Duration) -> Vec<Vital> {
    let deadline = Instant::now() + within;
    let (sender, answers) = mpsc::channel();
    let mut signs = Vec::with_capacity(questions.len());
    for (at, (silence, question)) in questions.into_iter().enumerate() {
        signs.push(silence);
        if ASKING.fetch_add(1, Ordering::Relaxed) >= MOST_ASKING {
            ASKING.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let sender = sender.clone();
        let asked = std::thread::Builder::new().name("vital".to_owned()).spawn(move || {
            // Nobody may be there to hear it any more.
            let _ = sender.send((at, question()));
            ASKING.fetch_sub(1, Ordering::Relaxed);
        });
        if asked.is_err() {
            ASKING.fetch_sub(1, Ordering::Relaxed);
        }
    }
    drop(sender);
    while let Ok((at, answer)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(sign) = signs.get_mut(at) {
            *sign = answer;
        }
    }
    signs
}

/// What the signs say of one action.
fn judge(action: &Action, before: &[Vital], after: &[Vital], now: Timestamp) -> VitalCheck {
    let is_own = |vital: &&Vital| vital.kind == VitalKind::OperatorConnection;
    let unseen = |vital: &&Vital| !before.iter().any(|then| (then.kind, &then.name) == (vital.kind, &vital.name));
    // A connection that came after the last round was well when it came.
    let came = after.iter().filter(is_own).filter(unseen).map(|vital| Vital { state: VitalState::Well, ..vital.clone() });
    let before: Vec<Vital> = before.iter().cloned().chain(came).collect();
    let after: Vec<Vital> = after.iter().cloned().chain(cut(action, &before, after)).chain(deaf(&before, after)).collect();
    let harmed: Vec<String> = harmed(&before, &after).iter().map(|vital| vital.to_string()).collect();
    let is_well = |vital: &&Vital| vital.state == VitalState::Well;
    VitalCheck {
        at: Some(now),
        well: u32::try_from(after.iter().filter(is_well).count()).unwrap_or(u32::MAX),
        ill_before: before.iter().filter(|vital| !is_well(vital)).map(ToString::to_string).collect(),
        harmed,
    }
}

/// SSH servers that listened before and do not any more.
fn deaf(before: &[Vital], after: &[Vital]) -> Vec<Vital> {
    let server = |vital: &&Vital| vital.kind == VitalKind::SshServer && vital.state == VitalState::Well;
    let gone = |vital: &&Vital| !after.iter().any(|now| (now.kind, &now.name) == (vital.kind, &vital.name));
    let deaf = before.iter().filter(server).filter(gone);
    deaf.map(|vital| Vital { state: VitalState::Ill, detail: "does not listen any more".to_owned(), ..vital.clone() }).collect()
}

/// Connections of the operator that are gone as if they had been cut. Somebody who logs out is gone too, so it counts only
/// where the action closes connections: those with its own address. An action that keeps packets from a connection shows as
/// packets that are sent again and again.
fn cut(action: &Action, before: &[Vital], after: &[Vital]) -> Vec<Vital> {
    let open = |vital: &&Vital| vital.kind == VitalKind::OperatorConnection && vital.state == VitalState::Well;
    let gone = |vital: &&Vital| !after.iter().any(|now| (now.kind, &now.name) == (vital.kind, &vital.name));
    let counts = |vital: &&Vital| action.target.address().is_some_and(|address| vital::far_end(vital) == Some(address));
    let lost = before.iter().filter(open).filter(gone).filter(counts);
    lost.map(|vital| Vital { state: VitalState::Ill, detail: "gone".to_owned(), ..vital.clone() }).collect()
}

#[cfg(test)]
mod tests;
