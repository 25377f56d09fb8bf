//! Keeps what is normal on disk: what the pipeline learned is written down once a minute and at the end, and every day is a version.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Ingest;
use super::pipeline::Pipeline;
use crate::mailbox::NoAnswer;
use crate::troubles::Troubles;
use bartizan_baseline::{Asked, Baseline, Changes, Settings, take_changes};
use bartizan_config::Policy;
use bartizan_model::{BaselineVersion, Timestamp, Unpoisoned as _};
use bartizan_store::{Habits, StoreError};

/// Under this name trouble with it is shown.
const TROUBLE: &str = "baseline";
/// So long the pipeline may take to hand over what it learned, or to decide.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file, when it could be opened.
pub(crate) struct HabitKeeper {
    store: Mutex<Option<Habits>>,
    pub(super) troubles: Arc<Troubles>,
    /// When learning began and how long it takes, in seconds; 0 while nothing is learned.
    began: AtomicI64,
    learn_for: AtomicI64,
}

/// Why nothing can be said about what is normal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HabitError {
    /// It is not learned.
    #[error("it is not learned what is normal here ([baseline] learn in policy.toml)")]
    Off,
    /// Its file cannot be used.
    #[error("baseline.db cannot be used; see `bartizan doctor`")]
    Away,
    /// The disk or the database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipeline did not answer.
    #[error("the ingest {0}; ask again in a moment")]
    NoAnswer(#[from] NoAnswer),
}

/// How it is learned under a policy; `None` when it is not.
pub(crate) fn settings(policy: &Policy) -> Option<Settings> {
    let learn_for = i64::try_from(policy.baseline.learn_for.as_secs()).ok()?;
    policy.baseline.learn.then(|| Settings { learn_for, ..Settings::default() })
}

impl HabitKeeper {
    /// Opens the file. What cannot be read is reported, left as it is, and learned anew in memory.
    pub(crate) fn open(dir: &std::path::Path, troubles: Arc<Troubles>) -> Self {
        let store = Habits::open(dir);
        let trouble = store.as_ref().err().map(|error| format!("{error}; it is learned anew, and not kept"));
        troubles.report(TROUBLE, trouble);
        Self { store: Mutex::new(store.ok()), troubles, began: AtomicI64::new(0), learn_for: AtomicI64::new(0) }
    }

    /// What was learned before, watched from now on.
    pub(crate) fn load(&self, settings: Settings, now: Timestamp) -> Baseline {
        let mut store = self.store.lock().unpoisoned();
        let kept = match store.as_ref().map(Habits::load) {
            Some(Ok(kept)) => kept,
            Some(Err(error)) => {
                // What is learned anew must not be written over what cannot be read now.
                *store = None;
                self.troubles.report(TROUBLE, Some(format!("{error}; it is learned anew, and not kept")));
                Changes::default()
            }
            None => Changes::default(),
        };
        drop(store);
        self.began.store(kept.began, Ordering::Relaxed);
        self.learn_for.store(settings.learn_for, Ordering::Relaxed);
        let mut baseline = Baseline::restore(settings, kept);
        baseline.watch_from(now);
        baseline
    }

    /// How much of the time of learning is over, 0 to 1; `None` when nothing is learned.
    pub(crate) fn progress(&self, now: Timestamp) -> Option<f64> {
        let (began, learn_for) = (self.began.load(Ordering::Relaxed), self.learn_for.load(Ordering::Relaxed));
        let part = if began == 0 { 0.0 } else { (now.timestamp().saturating_sub(began)) as f64 / learn_for.max(1) as f64 };
        (learn_for > 0).then_some(part.clamp(0.0, 1.0))
    }

    /// Asks the file.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut Habits) -> Result<T, StoreError>) -> Result<T, HabitError> {
        let mut store = self.store.lock().unpoisoned();
        Ok(question(store.as_mut().ok_or(HabitError::Away)?)?)
    }

    /// Takes what changed from whoever has it and does this with it. Whoever took first writes first: an older state is never written over a
    /// newer one.
    fn keep<T>(
        &self,
        take: impl FnOnce() -> Result<Changes, (HabitError, Option<Box<Changes>>)>,
        then: impl FnOnce(&mut Habits, &Changes) -> Result<T, StoreError>,
    ) -> Result<T, NotKept> {
        let mut store = self.store.lock().unpoisoned();
        let changes = take().map_err(|(error, changes)| NotKept { error, changes })?;
        self.began.store(changes.began, Ordering::Relaxed);
        let kept = match store.as_mut() {
            Some(store) => then(store, &changes).map_err(HabitError::Store),
            None => Err(HabitError::Away),
        };
        drop(store);
        match &kept {
            Ok(_) => self.troubles.report(TROUBLE, None),
            Err(HabitError::Store(error)) => self.troubles.report(TROUBLE, Some(error.to_string())),
            Err(HabitError::Away | HabitError::Off | HabitError::NoAnswer(_)) => {}
        }
        kept.map_err(|error| NotKept { error, changes: Some(Box::new(changes)) })
    }
}

/// What was learned could not be kept.
struct NotKept {
    error: HabitError,
    /// What was taken and has to go back.
    changes: Option<Box<Changes>>,
}

/// Writes down what changed; where a day is over, what was learned in it becomes a version.
fn save(store: &mut Habits, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
    if !changes.is_empty() {
        store.save(changes)?;
    }
    let [learned, waiting, rejected] = store.turned()?;
    let newest = store.versions()?.last().map(|version| version.at.date_naive());
    if learned + waiting + rejected > 0 && newest != Some(now.date_naive()) {
        store.make_version(now, "bartizan", &format!("learned {learned}, set aside {waiting}"))?;
    }
    Ok(())
}

impl Asked for Ingest {
    type Error = HabitError;

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Baseline) -> T + Send + 'static) -> Result<T, HabitError> {
        self.ask_baseline(question)
    }
}

impl Ingest {
    /// Asks the baseline, on the pipeline's thread.
    pub(crate) fn ask_baseline<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Baseline) -> T + Send + 'static,
    ) -> Result<T, HabitError> {
        self.pipeline.ask(PATIENCE, move |pipeline| pipeline.detectors.baseline().map(question))?.ok_or(HabitError::Off)
    }

    /// Writes down what was learned since the last time.
    pub(crate) fn keep_habits(&self, now: Timestamp) {
        let kept = self.habits.keep(|| take_changes(self), |store, changes| save(store, changes, now));
        kept.unwrap_or_else(|failed| drop(self.give_back(failed)));
    }

    /// What could not be kept is kept another time. Where there is no file, it is gone: it is learned in memory only.
    fn give_back(&self, NotKept { error, changes }: NotKept) -> HabitError {
        match (&error, changes) {
            (HabitError::Store(_) | HabitError::NoAnswer(_), Some(changes)) => {
                self.pipeline.tell(move |pipeline| pipeline.habits_not_kept(*changes));
            }
            (HabitError::Store(_) | HabitError::Off | HabitError::Away | HabitError::NoAnswer(_), _) => {}
        }
        error
    }

    /// A person decided something: it is written down at once, and is a version of its own.
    pub(crate) fn keep_decision(&self, now: Timestamp, by: &str, what: &str) -> Result<BaselineVersion, HabitError> {
        let kept = self.habits.keep(
            || take_changes(self),
            |store, changes| {
                store.save(changes)?;
                store.make_version(now, by, what)
            },
        );
        kept.map_err(|failed| self.give_back(failed))
    }
}

impl Pipeline {
    /// These changes are not on disk.
    fn habits_not_kept(&mut self, changes: Changes) {
        if let Some(baseline) = self.detectors.baseline() {
            baseline.not_kept(changes);
        }
    }

    /// At the end.
    pub(super) fn keep_habits(&mut self) {
        let take = || self.detectors.baseline().map(Baseline::take_changes).ok_or((HabitError::Off, None));
        // Trouble with it is reported; there is nobody left to do it later.
        self.ties.ingest.habits.keep(take, |store, changes| store.save(changes)).unwrap_or_default();
    }
}
