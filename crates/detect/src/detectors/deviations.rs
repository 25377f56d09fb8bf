//! What deviates from what is normal here, as signals: the baseline judges each event after all detectors and rules.

use bartizan_baseline::{Baseline, Circumstances, Deviation, DeviationKind};
use bartizan_model::{Entity, Event, EventId, EventKind, Family, Process, ProcessKey, Severity, Signal, Stage, Tier, Timestamp};

use super::context::in_writable_dir;
use super::detector_set::signal as of_event;
use super::kinship::{by_agent, by_package_manager, grown_from};
use super::{Detection, DetectorContext, Info, Words};

/// Signals of deviations begin with this place, so that they never have the name of another about the same event.
const FIRST_ORDINAL: u16 = 1000;

/// Where the baseline meets the events.
#[derive(Debug, Default)]
pub(super) struct Deviations {
    baseline: Option<Baseline>,
}

impl Deviations {
    pub(super) fn set(&mut self, baseline: Option<Baseline>) {
        self.baseline = baseline;
    }

    pub(super) fn baseline(&mut self) -> Option<&mut Baseline> {
        self.baseline.as_mut()
    }

    /// What of an event is not as usual; `signals` are those that others gave about it.
    pub(super) fn observe(&mut self, event: &Event, signals: &[Signal], words: &Words) -> Vec<Signal> {
        let Some(baseline) = &mut self.baseline else { return Vec::new() };
        suspects(event, signals).for_each(|key| baseline.suspect(key));
        let found = baseline.observe(event, &|| circumstances(event, signals, words));
        let context = DetectorContext::new(words);
        let place = |index: usize| FIRST_ORDINAL.saturating_add(u16::try_from(index).unwrap_or(u16::MAX));
        found.into_iter().enumerate().map(|(index, deviation)| signal(event, place(index), deviation, &context)).collect()
    }

    /// What has been silent for too long. Such a signal rests on the last sign of life.
    pub(super) fn tick(&mut self, now: Timestamp, alive: &dyn Fn(ProcessKey) -> bool) -> Vec<Signal> {
        let Some(baseline) = &mut self.baseline else { return Vec::new() };
        let silent = baseline.tick(now, alive).into_iter();
        silent.filter_map(|deviation| Some(of_silence(deviation.event?, now, deviation))).collect()
    }
}

/// An event of the past teaches what it would have taught then; `reported` says that something was reported about it.
pub fn teach(baseline: &mut Baseline, words: &Words, event: &Event, reported: bool) {
    if event.behind().is_some_and(|process| by_agent(process)) {
        return;
    }
    if let Some(process) = event.behind().filter(|_| reported) {
        baseline.suspect(process.key);
    }
    baseline.observe(event, &|| Circumstances { reported, ..circumstances(event, &[], words) });
}

/// Processes that a detector or rule speaks about in earnest.
fn suspects<'a>(event: &'a Event, signals: &'a [Signal]) -> impl Iterator<Item = ProcessKey> + 'a {
    let grave = signals.iter().filter(|signal| signal.severity >= Severity::Medium && signal.excepted.is_none());
    grave.flat_map(|signal| signal.subject.into_iter().chain(event.behind().map(|process| process.key)))
}

/// What stands beside an event and decides whether it may teach anything.
fn circumstances(event: &Event, signals: &[Signal], words: &Words) -> Circumstances {
    let reported = signals.iter().any(|signal| signal.excepted.is_none());
    let Some(process) = event.behind() else { return Circumstances { reported, ..Circumstances::default() } };
    Circumstances {
        reported,
        // A worker that runs the same program as the service is the service.
        below_service: grown_from(process).is_some_and(|root| root.exe != process.exe),
        installing: by_package_manager(process),
        writable: is_writable(process),
        anything: DetectorContext::new(words).could_be_anything(&process.exe),
    }
}

/// Whether others than root can change the executable, as far as its place says, or it has no file.
fn is_writable(process: &Process) -> bool {
    let exe = &process.exe;
    in_writable_dir(exe) || exe.starts_with("/run/user/") || process.exe_file.memfd || process.exe_file.deleted
}

fn signal(event: &Event, ordinal: u16, deviation: Deviation, context: &DetectorContext<'_>) -> Signal {
    let info = info(deviation.kind);
    // The name by which a person approves or rejects it.
    let name = deviation.habit.map(|habit| format!(" ({habit})")).unwrap_or_default();
    let mut detection = Detection::new(format!("{}{name}", deviation.sentence)).rated(deviation.severity, deviation.confidence);
    detection.subject = event.process.as_ref().map(|process| process.key);
    if let EventKind::LoginAccepted { auth } = &event.kind {
        detection.entities.extend(auth.from.map(Entity::Address));
        detection.entities.extend(auth.user.clone().map(Entity::User));
    }
    of_event(event, ordinal, info, detection, context)
}

/// Nobody is behind silence: it joins nothing but what happened to the same event.
fn of_silence(event: EventId, at: Timestamp, deviation: Deviation) -> Signal {
    let info = info(deviation.kind);
    Signal {
        id: bartizan_model::SignalId { event, ordinal: FIRST_ORDINAL - 1 },
        at,
        detector: info.name.to_owned(),
        technique: info.technique.iter().map(|id| bartizan_model::Technique::new(id)).collect(),
        severity: deviation.severity,
        confidence: bartizan_model::Confidence::new(deviation.confidence),
        tier: info.tier,
        family: info.family,
        stage: info.stage,
        events: vec![event],
        entities: Vec::new(),
        subject: None,
        act: None,
        hostile: None,
        sentence: deviation.sentence,
        complete: true,
        excepted: None,
    }
}

/// Which detector a kind of deviation is.
fn info(kind: DeviationKind) -> &'static Info {
    match kind {
        DeviationKind::Program => &UNUSUAL_PROGRAM,
        DeviationKind::Child => &UNUSUAL_CHILD,
        DeviationKind::Listener => &UNUSUAL_LISTENER,
        DeviationKind::Destination => &UNUSUAL_DESTINATION,
        DeviationKind::Place => &UNUSUAL_PLACE,
        DeviationKind::Login => &UNUSUAL_LOGIN,
        DeviationKind::Hour => &UNUSUAL_HOUR,
        DeviationKind::Rate => &RATE_SPIKE,
        DeviationKind::Silence => &FELL_SILENT,
        DeviationKind::Beacon => &BEACONING,
        DeviationKind::Volume => &VOLUME_OUT,
    }
}

/// What each says of itself.
pub(super) fn catalogue() -> [&'static Info; 11] {
    [
        &UNUSUAL_PROGRAM, &UNUSUAL_CHILD, &UNUSUAL_LISTENER, &UNUSUAL_DESTINATION, &UNUSUAL_PLACE, &UNUSUAL_LOGIN, &UNUSUAL_HOUR,
        &RATE_SPIKE, &FELL_SILENT, &BEACONING, &VOLUME_OUT,
    ]
}

/// What all deviations have in common.
const DEVIATION: Info = Info {
    name: "",
    title: "",
    technique: &[],
    family: Family::Anomaly,
    stage: Stage::Execution,
    tier: Tier::Experimental,
    severity: Severity::Low,
    confidence: 0.35,
    meaning: "",
    false_positives: "",
    quiet: "Say that it is normal: `bartizan baseline approve` with the name in brackets.",
};

static UNUSUAL_PROGRAM: Info = Info {
    name: "unusual_program",
    title: "Unusual program",
    technique: &["T1204.002", "T1036"],
    meaning: "A program runs in a place of this host where it never ran (a unit, a container, a scheduler), or its content is another than it always was.",
    false_positives: "New software that was not installed by a package manager; a new job of cron; the owner's own deployments.",
    ..DEVIATION
};

static UNUSUAL_CHILD: Info = Info {
    name: "unusual_child",
    title: "Unusual child process",
    technique: &["T1059"],
    confidence: 0.5,
    meaning: "A program starts another one that it never started here.",
    false_positives: "A rare task of a service: a yearly report, an error path that calls sendmail.",
    ..DEVIATION
};

static UNUSUAL_LISTENER: Info = Info {
    name: "unusual_listener",
    title: "Unusual listener",
    technique: &["T1571"],
    stage: Stage::Persistence,
    confidence: 0.5,
    meaning: "A program that is known here listens where it never did.",
    false_positives: "A changed configuration.",
    ..DEVIATION
};

static UNUSUAL_DESTINATION: Info = Info {
    name: "unusual_destination",
    title: "Unusual destination",
    technique: &["T1071"],
    stage: Stage::CommandAndControl,
    confidence: 0.4,
    meaning: "A program calls a name, or a network and port, that it never called here.",
    false_positives: "A service that it uses moved; a feature that was switched on.",
    ..DEVIATION
};

static UNUSUAL_PLACE: Info = Info {
    name: "unusual_place",
    title: "Unusual place of changes",
    technique: &["T1565.001"],
    stage: Stage::Persistence,
    meaning: "A program changes watched files in a directory in which it never changed any.",
    false_positives: "Configuration management that begins to manage something new.",
    ..DEVIATION
};

static UNUSUAL_LOGIN: Info = Info {
    name: "unusual_login",
    title: "Unusual login",
    technique: &["T1078"],
    stage: Stage::InitialAccess,
    confidence: 0.4,
    meaning: "An account logs in from a network, or with a key, that it never used here, or for the first time at all.",
    false_positives: "People travel, change providers and make new keys.",
    ..DEVIATION
};

static UNUSUAL_HOUR: Info = Info {
    name: "unusual_hour",
    title: "Login at an unusual hour",
    technique: &["T1078"],
    stage: Stage::InitialAccess,
    confidence: 0.25,
    meaning: "An account that logged in on at least eight days logs in at an hour at which it never did.",
    false_positives: "Somebody works late.",
    quiet: "Nothing needs to be done: the hour is known from then on.",
    ..DEVIATION
};

static RATE_SPIKE: Info = Info {
    name: "rate_spike",
    title: "Rate spike",
    technique: &["T1499"],
    confidence: 0.25,
    meaning: "A program does many times more within an hour than in its busiest hour so far.",
    false_positives: "A load test, a crawler, a migration of data.",
    quiet: "Nothing needs to be done: it is told once an hour at most.",
    ..DEVIATION
};

static FELL_SILENT: Info = Info {
    name: "fell_silent",
    title: "Fell silent",
    technique: &["T1562"],
    meaning: "Something that ran regularly (a job of cron, a backup) has not run for much longer than ever.",
    false_positives: "The owner switched it off.",
    quiet: "Nothing needs to be done: it is told once.",
    ..DEVIATION
};

static BEACONING: Info = Info {
    name: "beaconing",
    title: "Beaconing",
    technique: &["T1071", "T1029"],
    stage: Stage::CommandAndControl,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "A program calls a destination that is not normal here at even intervals, as one that waits for commands does; jitter of up to half the period is seen through.",
    false_positives: "Agents for monitoring, update checks, health checks.",
    ..DEVIATION
};

static VOLUME_OUT: Info = Info {
    name: "volume_out",
    title: "Unusual amount sent",
    technique: &["T1048", "T1041"],
    stage: Stage::CommandAndControl,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "A program sends many times more within an hour than in its busiest hour so far, and at least 64 MiB.",
    false_positives: "A full backup, a release that many people fetch.",
    quiet: "Nothing needs to be done: it is told once an hour at most.",
    ..DEVIATION
};
