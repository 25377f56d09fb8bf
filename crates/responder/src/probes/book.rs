//! What is known of the signs: their newest word, who is compared with what was before, and what did harm lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::kept::Kept;
use super::{SURE, verdict};
use bartizan_model::{ActionId, Probe, ProbeKind, ProbeState, Target, Unpoisoned as _, worse};

pub(super) const MAX_SHUNNED: usize = 256;
/// Answers of one sign by which its usual pace is known.
const PACES: usize = 5;
/// How much slower than usual an answer may be.
const SLOWER: u32 = 4;

/// What is known of the signs.
#[derive(Debug)]
pub(crate) struct Signs {
    book: Mutex<Book>,
    watching: Condvar,
    /// What a restart must not forget.
    pub(super) kept: Kept,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    /// The newest word of each sign.
    pub(super) now: Arc<Vec<Probe>>,
    /// Each sign that is still there as it was when it was well last.
    pub(super) well: Vec<Probe>,
    /// When all were looked at last (boot clock).
    pub(super) all_at: Option<u64>,
    pub(super) watched: BTreeMap<ActionId, Watched>,
    /// What did harm, and until when it is left alone (boot clock).
    pub(super) shunned: VecDeque<(Target, u64)>,
    /// How long the last answers of a sign took.
    pub(super) paces: BTreeMap<String, VecDeque<Duration>>,
    /// How many quiet rounds in a row found a sign ill that was well before.
    pub(super) doubts: BTreeMap<(ProbeKind, String), usize>,
    /// What was well, is not any more, and nothing that was done explains: told until it is well again.
    pub(super) unexplained: BTreeMap<(ProbeKind, String), String>,
}

/// What is kept of the moment before an action.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) signs: Arc<Vec<Probe>>,
    /// Whether the lifeline cannot say that nobody comes by the action's address.
    pub(crate) may_carry: bool,
}

/// An action under observation.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) before: Arc<Vec<Probe>>,
    /// Whether the lifeline could not say that nobody comes by the action's address.
    pub(super) may_carry: bool,
    pub(super) since: u64,
    pub(super) looks: usize,
    pub(super) looked: u64,
    /// How many looks in a row found something harmed, and when the last of them began (boot clock).
    pub(super) bad: usize,
    pub(super) bad_at: u64,
}

impl Signs {
    /// Nothing is known yet but what an earlier agent kept below `runtime`.
    pub(crate) fn below(runtime: &Path, instance: &str) -> Self {
        Self { book: Mutex::default(), watching: Condvar::new(), kept: Kept::below(runtime, instance) }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unpoisoned()
    }

    /// The last round.
    pub(crate) fn before(&self) -> Arc<Vec<Probe>> {
        Arc::clone(&self.book().now)
    }

    /// From now on the signs are compared with `before`.
    pub(crate) fn watch(&self, id: ActionId, before: Before, since: u64) {
        let Before { signs: before, may_carry } = before;
        self.book().watched.insert(id, Watched { before, may_carry, since, looks: 0, looked: since, bad: 0, bad_at: 0 });
        self.watching.notify_all();
    }

    pub(crate) fn forget(&self, id: ActionId) {
        self.book().watched.remove(&id);
        self.kept.remove(id);
    }

    /// What was known before a restart, as long as nothing newer is.
    pub(super) fn remember(&self, signs: &[Probe]) {
        let mut book = self.book();
        if book.now.is_empty() {
            book.now = Arc::new(signs.to_vec());
        }
    }

    /// Sleeps until something is watched, at most so long.
    pub(super) fn rest(&self, most: Duration) {
        drop(self.watching.wait_timeout_while(self.book(), most, |book| book.watched.is_empty()));
    }

    /// Whether something looks harmed by this action and another look must say the same.
    pub(super) fn suspects(&self, id: ActionId) -> bool {
        self.book().watched.get(&id).is_some_and(|watched| watched.bad > 0)
    }

    /// Whether acting on this did harm lately.
    pub(crate) fn shuns(&self, target: &Target, now: u64) -> bool {
        self.book().shunned.iter().any(|(harmed, until)| *until > now && harmed.is_same(target))
    }

    pub(crate) fn shun(&self, target: &Target, until: u64) {
        let mut book = self.book();
        if book.shunned.len() >= MAX_SHUNNED {
            book.shunned.pop_front();
        }
        book.shunned.push_back((target.clone(), until));
    }

    /// A person acts on it: what was before counts no more.
    pub(crate) fn no_longer_shun(&self, target: &Target) {
        self.book().shunned.retain(|(harmed, _)| !harmed.is_same(target));
    }

    /// How long the answer of this sign is waited for: as the policy says, and longer where it was slow before already.
    pub(super) fn patience(&self, name: &str, within: Duration, longest: Duration) -> Duration {
        let book = self.book();
        let mut paces: Vec<Duration> = book.paces.get(name).into_iter().flatten().copied().collect();
        paces.sort_unstable();
        let usual = paces.get(paces.len() / 2).copied().unwrap_or_default();
        within.max(usual.saturating_mul(SLOWER)).min(longest)
    }
}

impl Book {
    /// Takes new words in; those of kinds that were looked at whole replace all of that kind.
    pub(super) fn take(&mut self, signs: &[Probe], whole: &[ProbeKind]) {
        let kept = self.now.iter().filter(|old| !whole.contains(&old.kind) && !signs.iter().any(|new| new.is_same(old)));
        self.now = Arc::new(kept.chain(signs).cloned().collect());
        for sign in signs {
            let Some(took) = sign.took else { continue };
            let paces = self.paces.entry(sign.name.clone()).or_default();
            if paces.len() >= PACES {
                paces.pop_front();
            }
            paces.push_back(took);
        }
        let names: BTreeSet<&str> = self.now.iter().map(|sign| sign.name.as_str()).collect();
        self.paces.retain(|name, _| names.contains(name.as_str()));
    }

    /// Signs that are ill now.
    pub(super) fn ill(&self) -> Vec<Probe> {
        self.now.iter().filter(|sign| sign.state == ProbeState::Ill).cloned().collect()
    }

    /// Whether something looks ill and was not told yet: another look must say the same.
    pub(super) fn doubts(&self) -> bool {
        self.doubts.keys().any(|sign| !self.unexplained.contains_key(sign))
    }

    /// After a quiet round: what was well once, has been ill in several rounds, and was not told yet; not what a watched action
    /// can have harmed.
    pub(super) fn news(&mut self, explained: &dyn Fn(&Probe) -> bool) -> Vec<String> {
        let now = Arc::clone(&self.now);
        let is_ill = |(kind, name): &(ProbeKind, String)| {
            now.iter().any(|sign| (sign.kind, &sign.name) == (*kind, name) && sign.state == ProbeState::Ill)
        };
        self.unexplained.retain(|sign, _| is_ill(sign));
        self.doubts.retain(|sign, _| is_ill(sign));
        self.well.retain(|then| now.iter().any(|sign| sign.is_same(then)));
        let mut news = Vec::new();
        // A session that falls silent is mostly a closed laptop.
        for (then, now) in worse(&self.well, &now).filter(|(_, now)| now.kind != ProbeKind::OperatorConnection && !explained(now)) {
            let sign = (now.kind, now.name.clone());
            let times = self.doubts.entry(sign.clone()).or_default();
            *times += 1;
            let said = verdict::told(then, now);
            if *times >= SURE && self.unexplained.insert(sign, said.clone()).is_none() {
                news.push(said);
            }
        }
        for sign in now.iter().filter(|sign| sign.state == ProbeState::Well) {
            self.well.retain(|then| !then.is_same(sign));
            self.well.push(sign.clone());
        }
        news
    }
}
