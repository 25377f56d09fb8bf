//! The baseline: each event meets what is known of whoever is behind it.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_model::{
    Ancestor, Event, EventKind, HabitKind, HostText, Process, ProcessKey, Profile, ServiceRole, Severity, Source, Timestamp,
};

use super::circumstances::Circumstances;
use super::deviation::{Deviation, DeviationKind, days};
use super::gone::Gone;
use super::guard::Guard;
use super::known::Known;
use super::meeting::Meeting;
use super::observation::{content, is_packaged, of_process};
use super::settings::{DAY, Settings};
use super::who::{is_a_persons, is_an_installer, profile_of};

/// Processes whose profile is remembered.
const MAX_PROCESSES: usize = 16_384;
/// Processes of one profile that are looked at to know whether one runs.
const MAX_LOOKS: usize = 64;
/// Who decides when no person does.
pub(crate) const OURSELVES: &str = "bartizan";

/// What is normal here, as far as it was learned.
#[derive(Debug)]
pub struct Baseline {
    pub(crate) settings: Settings,
    /// When learning began, in seconds since 1970; 0 before the first event.
    pub(crate) began: i64,
    /// The newest event.
    pub(crate) newest: i64,
    /// Since when nothing was missed.
    pub(crate) watched_since: i64,
    pub(crate) profiles: HashMap<u64, Known>,
    pub(crate) by_who: HashMap<Arc<Profile>, u64>,
    by_process: HashMap<ProcessKey, u64>,
    /// Since when a container or unit is known, and when something new in it was told last.
    pub(crate) worlds: HashMap<HostText, (i64, i64)>,
    pub(crate) guard: Guard,
    pub(crate) next_profile: u64,
    pub(crate) next_habit: u64,
    pub(crate) gone: Gone,
    pub(crate) evicted: u64,
    pub(crate) ourselves: Arc<str>,
}

impl Baseline {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            began: 0,
            newest: 0,
            watched_since: 0,
            profiles: HashMap::new(),
            by_who: HashMap::new(),
            by_process: HashMap::new(),
            worlds: HashMap::new(),
            guard: Guard::default(),
            next_profile: 1,
            next_habit: 1,
            gone: Gone::default(),
            evicted: 0,
            ourselves: Arc::from(OURSELVES),
        }
    }

    /// From this moment on nothing is missed: silence before it says nothing.
    pub fn watch_from(&mut self, now: Timestamp) {
        self.watched_since = now.timestamp();
    }

    /// Something was reported of this process: it and what descends from it teach nothing.
    pub fn suspect(&mut self, key: ProcessKey) {
        self.guard.suspect(key);
    }

    /// What of this event is not as usual. `ask` is called when something new is seen.
    pub fn observe(&mut self, event: &Event, ask: &dyn Fn() -> Circumstances) -> Vec<Deviation> {
        let at = self.moment(event);
        let meeting = |process| Meeting { event, process, ask, at };
        match (&event.kind, event.process.as_deref()) {
            (EventKind::Loss { .. }, _) => {
                self.guard.loss(at);
                // What was lost may have been a sign of life.
                self.watched_since = self.watched_since.max(at);
            }
            (EventKind::LoginFailed { auth }, _) => self.guard.login_failed(auth, at),
            (EventKind::LoginAccepted { auth }, _) => return self.login((event, at), auth, ask),
            (EventKind::Exit { .. }, Some(process)) => drop(self.by_process.remove(&process.key)),
            (EventKind::Exec, Some(process)) => return self.start(&meeting(process)),
            (EventKind::Close { traffic, .. }, Some(process)) => return self.sent(traffic.sent, &meeting(process)).into_iter().collect(),
            (
                EventKind::Connect { .. }
                | EventKind::Listen { .. }
                | EventKind::FileChange { .. }
                | EventKind::PersistenceChange { .. }
                | EventKind::Accept { .. },
                Some(process),
            ) => return self.acted(&meeting(process)),
            (
                EventKind::Fork
                | EventKind::FileOpen { .. }
                | EventKind::UserChange { .. }
                | EventKind::PrivilegeUse { .. }
                | EventKind::ContainerStart { .. }
                | EventKind::ContainerStop { .. }
                | EventKind::WebAttack { .. }
                | EventKind::Alarm { .. }
                | EventKind::Budget { .. },
                Some(_),
            ) => {}
            (_, None) => {}
        }
        Vec::new()
    }

    /// The moment of an event. A log says by itself when its lines were written, and is believed for the past only.
    fn moment(&mut self, event: &Event) -> i64 {
        let at = event.at.timestamp();
        if event.source == Source::Logs && self.newest > 0 {
            return at.min(self.newest);
        }
        self.clock(at);
        if self.began == 0 {
            (self.began, self.watched_since) = (self.newest, self.watched_since.max(self.newest));
        }
        self.newest
    }

    /// What time it is.
    pub(crate) fn clock(&mut self, at: i64) {
        if at < self.newest - DAY {
            self.clock_went_back(at);
        }
        self.newest = self.newest.max(at);
    }

    /// The clock was corrected, or somebody set it back: life goes on at this time, and no time of learning comes back.
    fn clock_went_back(&mut self, at: i64) {
        let over = at - self.settings.learn_for;
        (self.newest, self.began, self.watched_since) = (at, self.began.min(over), self.watched_since.min(at));
        for known in self.profiles.values_mut() {
            (known.first, known.last, known.changed) = (known.first.min(over), known.last.min(at), true);
            known.habits.iter_mut().for_each(|entry| entry.last = entry.last.min(at));
        }
        self.worlds.values_mut().for_each(|(since, told)| (*since, *told) = ((*since).min(over), (*told).min(at)));
    }

    /// Whether a process of this profile runs. An end may have been missed: the newest are looked at, and those that are gone forgotten.
    pub(crate) fn runs(&mut self, id: u64, alive: &dyn Fn(ProcessKey) -> bool) -> bool {
        let mut known: Vec<ProcessKey> = self.by_process.iter().filter(|(_, of)| **of == id).map(|(key, _)| *key).collect();
        known.sort_unstable_by_key(|key| std::cmp::Reverse(key.start));
        for key in known.into_iter().take(MAX_LOOKS) {
            if alive(key) {
                return true;
            }
            self.by_process.remove(&key);
        }
        false
    }

    /// A program starts: whoever started it may never have done so, and the program may be new or another.
    fn start(&mut self, meeting: &Meeting<'_>) -> Vec<Deviation> {
        let mut found = Vec::new();
        let process = meeting.process;
        let Some(who) = profile_of(process) else {
            // What it was before it executed this is over.
            self.by_process.remove(&process.key);
            return found;
        };
        if let Some(parent) = process.lineage.ancestors.first().filter(|parent| is_a_parent(parent, process)) {
            // Of a parent its path is known; where it runs and as whom is told by its child.
            let parent = self.profile(Profile { exe: parent.exe.clone(), ..who.clone() }, meeting);
            self.seen(parent, meeting.at);
            found.extend(self.meet(parent, HabitKind::Child, process.exe.clone(), meeting));
        }
        let is_new = !self.by_who.contains_key(&who);
        let id = self.profile(who, meeting);
        self.remember(process.key, id);
        self.seen(id, meeting.at);
        if let Some(known) = self.profiles.get_mut(&id) {
            known.activity.start(meeting.at);
            known.last_start = meeting.event.id.0;
        }
        found.extend(self.rate(id, meeting.at));
        let value = content(process);
        if is_new {
            found.extend(self.newcomer(id, value.as_ref(), meeting));
        }
        found.extend(value.and_then(|value| self.meet(id, HabitKind::Program, value, meeting)));
        found
    }

    /// A process does something.
    fn acted(&mut self, meeting: &Meeting<'_>) -> Vec<Deviation> {
        let Some(id) = self.profile_of(meeting) else { return Vec::new() };
        self.seen(id, meeting.at);
        let unusual = self.rate(id, meeting.at);
        let met = of_process(meeting.event).and_then(|(kind, value)| self.meet(id, kind, value, meeting));
        met.into_iter().chain(unusual).collect()
    }

    pub(crate) fn profile_of(&mut self, meeting: &Meeting<'_>) -> Option<u64> {
        let key = meeting.process.key;
        if let Some(id) = self.by_process.get(&key).copied().filter(|id| self.profiles.contains_key(id)) {
            return Some(id);
        }
        let id = self.profile(profile_of(meeting.process)?, meeting);
        self.remember(key, id);
        Some(id)
    }

    fn remember(&mut self, key: ProcessKey, id: u64) {
        if self.by_process.len() >= MAX_PROCESSES {
            self.by_process.clear();
        }
        self.by_process.insert(key, id);
    }

    pub(crate) fn seen(&mut self, id: u64, at: i64) {
        if let Some(known) = self.profiles.get_mut(&id) {
            known.seen(at);
        }
    }

    /// The profile of this name; a new one may teach by itself when learning is not over, or when a package explains it.
    fn profile(&mut self, who: Profile, meeting: &Meeting<'_>) -> u64 {
        if let Some(id) = self.by_who.get(&who) {
            return *id;
        }
        let at = meeting.at;
        let world = who.container.clone().or_else(|| who.unit.as_deref().map(HostText::from));
        let (since, _) = world.map_or((0, 0), |world| *self.worlds.entry(world).or_insert((at, 0)));
        let young = who.container.is_some() && at - since < self.settings.learn_for;
        let about = (meeting.ask)();
        let by_package = is_a_packages_service(&who, meeting.process) && !about.anything;
        let clean = !about.below_service && self.guard.objection(meeting.process, &about, meeting.moment()).is_none();
        let trusted = self.is_learning(at) || about.installing || clean && (young || by_package || is_a_persons(&who));
        self.add(who, at, trusted)
    }

    /// Whether learning is not over on this host.
    pub(crate) fn is_learning(&self, at: i64) -> bool {
        at - self.began < self.settings.learn_for
    }

    /// A profile that was not here before, once learning is over.
    fn newcomer(&mut self, id: u64, value: Option<&HostText>, meeting: &Meeting<'_>) -> Option<Deviation> {
        if self.is_learning(meeting.at) || (meeting.ask)().installing {
            return None;
        }
        let known = self.profiles.get(&id).filter(|known| !known.trusted && !is_an_installer(&known.who))?;
        let who = Arc::clone(&known.who);
        let world = who.container.clone().or_else(|| who.unit.as_deref().map(HostText::from)).unwrap_or_default();
        let told = self.worlds.entry(world).or_insert((meeting.at, 0));
        if meeting.at - told.1 < DAY {
            return None;
        }
        told.1 = meeting.at;
        let packaged = value.is_some_and(is_packaged);
        let (known_as, part) = match value {
            Some(value) if packaged => (format!(" ({value})"), 0.6),
            Some(_) => (", and no package owns it".to_owned(), 1.0),
            None => (String::new(), 0.8),
        };
        let learned = u32::try_from((meeting.at - self.began) / DAY).unwrap_or_default();
        let sentence = format!("{who} runs for the first time in {}{known_as}", days(learned));
        let confidence = DeviationKind::Program.most() * part;
        Some(Deviation { kind: DeviationKind::Program, sentence, severity: Severity::Low, confidence, event: None, habit: None })
    }
}

/// Whether a unit of the system runs a program that a package brought: units of users and transient ones are made by anybody.
fn is_a_packages_service(who: &Profile, process: &Process) -> bool {
    let service = who.unit.as_deref().is_some_and(|unit| unit.ends_with(".service") && !unit.starts_with("run-"));
    let packaged = content(process).is_some_and(|content| is_packaged(&content));
    let of_a_user = process.cgroup.starts_with("/user.slice/");
    service && packaged && !of_a_user && who.below.is_none_or(|role| role != ServiceRole::Scheduler)
}

/// Whether what a process was started by has habits of its own: init starts whatever its units say, and a program that executes itself again
/// starts nothing new.
fn is_a_parent(parent: &Ancestor, process: &Process) -> bool {
    parent.key.pid > 1 && parent.exe != process.exe && parent.exe.starts_with("/")
}
