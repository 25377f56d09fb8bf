//! Amounts: many times more than in the busiest hour, or nothing where there always was something.

use bartizan_model::{EventId, Maturity, ProcessKey, Severity, Timestamp};

use super::activity::Unusual;
use super::baseline::Baseline;
use super::deviation::{Deviation, DeviationKind, bytes, lasting};
use super::known::Known;
use super::meeting::{Meeting, may_tell};
use super::who::{is_a_persons, is_an_installer};

impl Baseline {
    /// What has been silent for too long. `alive`: whether the kernel still has this process.
    pub fn tick(&mut self, now: Timestamp, alive: &dyn Fn(ProcessKey) -> bool) -> Vec<Deviation> {
        if self.newest > 0 {
            self.clock(now.timestamp());
        }
        let (at, learn_for, since) = (now.timestamp(), self.settings.learn_for, self.watched_since);
        let regular = self.profiles.iter_mut().filter(|(_, known)| {
            known.trusted && known.maturity(at, learn_for) == Maturity::Known && !is_a_persons(&known.who) && !is_an_installer(&known.who)
        });
        let silent = regular.filter_map(|(id, known)| {
            let quiet = known.activity.silence(at, since)?;
            let sentence = format!(
                "{} has not run for {}: it ran about every {} before ({} times counted)",
                known.who,
                lasting(quiet.now),
                lasting(quiet.usual),
                quiet.samples
            );
            let event = Some(EventId(known.last_start)).filter(|event| event.0 > 0);
            let confidence = DeviationKind::Silence.most() * sureness(quiet.samples);
            Some((*id, Deviation { kind: DeviationKind::Silence, sentence, severity: Severity::Low, confidence, event, habit: None }))
        });
        let silent: Vec<(u64, Deviation)> = silent.collect();
        self.gone.habits(self.profiles.values_mut().flat_map(|known| known.make_room(at)));
        // What runs without being started again is not silent.
        silent.into_iter().filter(|(id, _)| !self.runs(*id, alive)).map(|(_, deviation)| deviation).collect()
    }

    pub(crate) fn rate(&mut self, id: u64, at: i64) -> Option<Deviation> {
        let learn_for = self.settings.learn_for;
        let known = self.profiles.get_mut(&id)?;
        let unusual = known.activity.act(at)?;
        let sentence = |known: &Known, Unusual { now, usual, most, .. }| {
            format!("{} did {now} things within an hour: {usual} are usual, and {most} were the most", known.who)
        };
        amount(known, DeviationKind::Rate, unusual, (at, learn_for), sentence)
    }

    pub(crate) fn sent(&mut self, sent: u64, meeting: &Meeting<'_>) -> Option<Deviation> {
        let learn_for = self.settings.learn_for;
        let id = self.profile_of(meeting)?;
        self.seen(id, meeting.at);
        let known = self.profiles.get_mut(&id)?;
        let unusual = known.activity.send(sent, meeting.at)?;
        let sentence = |known: &Known, Unusual { now, usual, most, .. }| {
            format!("{} sent {} within an hour: {} are usual, and {} were the most", known.who, bytes(now), bytes(usual), bytes(most))
        };
        amount(known, DeviationKind::Volume, unusual, (meeting.at, learn_for), sentence)
    }
}

fn amount(
    known: &mut Known,
    kind: DeviationKind,
    unusual: Unusual,
    (at, learn_for): (i64, i64),
    sentence: impl Fn(&Known, Unusual) -> String,
) -> Option<Deviation> {
    let is_known = known.maturity(at, learn_for) == Maturity::Known && (kind == DeviationKind::Volume || !is_an_installer(&known.who));
    if !is_known || !may_tell(known, kind, at) {
        return None;
    }
    let confidence = kind.most() * sureness(unusual.samples);
    let severity = if kind == DeviationKind::Volume { Severity::Medium } else { Severity::Low };
    Some(Deviation { kind, sentence: sentence(known, unusual), severity, confidence, event: None, habit: None })
}

/// How far so many samples carry: half at 7, nine tenths at 63.
pub(crate) fn sureness(samples: u64) -> f64 {
    let samples = samples as f64;
    samples / (samples + 7.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circumstances::Circumstances;
    use crate::settings::{DAY, HOUR, Settings};
    use bartizan_model::{BootId, Event, EventKind, Exit, Process, Source};
    use std::sync::Arc;

    const START: i64 = 1_741_564_800;

    fn event(number: u32, kind: EventKind, at: i64) -> Event {
        let at = Timestamp::from_timestamp(at, 0).unwrap();
        let mut process = Process::unknown(ProcessKey { boot: BootId(1), pid: number, start: number.into() }, at);
        (process.exe, process.unit) = ("/usr/bin/restic".into(), Some("backup.service".to_owned()));
        Event { id: EventId(number.into()), at, kind, process: Some(Arc::new(process)), source: Source::Ebpf, complete: true }
    }

    /// The backup runs every day for a month; the end of its last run was never reported.
    fn backed_up() -> (Baseline, Timestamp) {
        let mut baseline = Baseline::new(Settings { learn_for: DAY, ..Settings::default() });
        for day in 0..30 {
            let (number, at) = (u32::try_from(day).unwrap() + 10, START + day * DAY);
            baseline.observe(&event(number, EventKind::Exec, at), &Circumstances::default);
            if day < 29 {
                baseline.observe(
                    &event(number, EventKind::Exit { exit: Exit { code: Some(0), signal: None } }, at + HOUR),
                    &Circumstances::default,
                );
            }
        }
        (baseline, Timestamp::from_timestamp(START + 40 * DAY, 0).unwrap())
    }

    #[test]
    fn a_lost_exit_hides_no_silence_and_what_still_runs_is_not_silent() {
        let (mut baseline, now) = backed_up();
        assert_eq!(baseline.tick(now, &|key| key.pid == 39), [], "it is still at work");
        let (mut baseline, now) = backed_up();
        let silent = baseline.tick(now, &|_| false);
        assert_eq!(silent.iter().map(|one| one.kind).collect::<Vec<_>>(), [DeviationKind::Silence], "{silent:?}");
    }
}
