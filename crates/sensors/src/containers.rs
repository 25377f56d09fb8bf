//! Containers as a runtime tells of them: read at the start, then followed; each start and end is an event.
//!
//! A host without the runtime is watched just as well: the socket is looked for again and again.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::container_book::Stage;
use super::{Collector, CollectorError, ProcessCache, Sink, Stop};
use bartizan_model::{Container, Event, EventId, EventKind, Process, Source};
use bartizan_sys::container_api::{ApiError, ContainerApi, Found, Happened};

/// How often an absent runtime is looked for, and one without a stream of events is asked.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What runs is compared with the runtime's own list at least this often.
const COMPARE_EVERY: Duration = Duration::from_secs(60);
/// Longest wait for one event, so that a stop is seen within half a second.
const MAX_WAIT: Duration = Duration::from_millis(900);
/// Containers of one runtime that are read.
const MAX_RUNNING: usize = 4_096;

/// Follows one runtime.
pub(super) struct Containers {
    api: ContainerApi,
    cache: Arc<ProcessCache>,
    /// What was started before is no event.
    since: DateTime<Utc>,
}

impl Containers {
    /// The runtime behind this socket.
    pub(super) fn new(runtime: &'static str, socket: &Path, cache: Arc<ProcessCache>) -> Self {
        Self { api: ContainerApi::at(socket, runtime), cache, since: Utc::now() }
    }

    /// The runtimes that we know how to ask, at their usual places below `root`.
    pub(super) fn all(root: &Path, cache: &Arc<ProcessCache>) -> Vec<Self> {
        let at = |runtime, place: &str| Self::new(runtime, &root.join(place), Arc::clone(cache));
        vec![at("docker", "var/run/docker.sock"), at("podman", "run/podman/podman.sock")]
    }

    /// Follows the runtime until it ends, or until told to stop or pause.
    fn follow(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), ApiError> {
        // Listening begins before the list is read, so that nothing falls between.
        let mut events = self.api.events(Utc::now())?;
        self.compare(sink)?;
        let mut compared = Instant::now();
        while self.goes_on(stop) {
            match events.next(MAX_WAIT) {
                Ok(Some(happened)) => self.take(sink, happened)?,
                Ok(None) => {}
                Err(ApiError::Refused(_, status, words)) => {
                    tracing::warn!(runtime = self.api.runtime(), status, words, "no stream of events: the list is read instead");
                    return self.poll(sink, stop);
                }
                Err(why) => return Err(why),
            }
            if compared.elapsed() >= COMPARE_EVERY {
                compared = Instant::now();
                self.compare(sink)?;
            }
        }
        Ok(())
    }

    fn poll(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), ApiError> {
        while self.goes_on(stop) {
            self.compare(sink)?;
            self.rest(stop, LOOK_EVERY);
        }
        Ok(())
    }

    fn goes_on(&self, stop: &Stop) -> bool {
        !stop.is_set() && !self.cache.enrichment().names_are_paused()
    }

    fn rest(&self, stop: &Stop, long: Duration) {
        let until = Instant::now() + long;
        while self.goes_on(stop) && Instant::now() < until {
            stop.sleep(Stop::LOOK);
        }
    }

    /// Compares with the runtime's own list.
    fn compare(&self, sink: &dyn Sink) -> Result<(), ApiError> {
        let ids = self.api.running(MAX_RUNNING)?;
        let known = self.cache.enrichment().containers().running(self.api.runtime());
        for gone in known.iter().filter(|known| !ids.iter().any(|id| id.starts_with(&known.id))) {
            self.stopped(sink, gone.clone(), Utc::now());
        }
        for id in ids.iter().filter(|id| !known.iter().any(|known| id.starts_with(&known.id))) {
            if let Some(found) = self.api.inspect(id)?.filter(|found| found.running) {
                self.started(sink, found.container, found.started);
            }
        }
        Ok(())
    }

    fn take(&self, sink: &dyn Sink, happened: Happened) -> Result<(), ApiError> {
        let Happened { action, container, at } = happened;
        let runs = self.cache.enrichment().containers().get(&container.id).is_some_and(|(_, stage)| *stage == Stage::Running);
        match action.as_str() {
            // Its name is known before its first process is seen.
            "create" if !runs => self.cache.enrichment().containers().put(container, Stage::Made),
            "start" if !runs => {
                // One that lives shorter than this question is told of without its pid.
                let found = self.api.inspect(&container.id)?.filter(|found| found.running);
                let container = found.map_or(container, |Found { container, .. }| container);
                self.started(sink, container, Some(at));
            }
            "die" if runs => self.stopped(sink, container, at),
            "rename" => self.renamed(container),
            "destroy" if !runs => self.cache.enrichment().containers().put(container, Stage::Ended(Instant::now())),
            _ => {}
        }
        Ok(())
    }

    fn started(&self, sink: &dyn Sink, container: Container, at: Option<DateTime<Utc>>) {
        self.know(container.clone(), Stage::Running);
        let at = at.unwrap_or_else(Utc::now);
        if at >= self.since {
            let complete = container.pid.is_some();
            tell(sink, EventKind::ContainerStart { container }, at, complete);
        }
    }

    fn stopped(&self, sink: &dyn Sink, container: Container, at: DateTime<Utc>) {
        let mut book = self.cache.enrichment().containers();
        let container = book.get(&container.id).map_or(container, |(known, _)| known.clone());
        book.put(container.clone(), Stage::Ended(Instant::now()));
        drop(book);
        tell(sink, EventKind::ContainerStop { container }, at, true);
    }

    fn renamed(&self, renamed: Container) {
        let known = self.cache.enrichment().containers().get(&renamed.id).cloned();
        if let Some((container, stage)) = known {
            self.know(Container { name: renamed.name, ..container }, stage);
        }
    }

    /// Takes it in, and gives its name to the processes that run in it already.
    fn know(&self, container: Container, stage: Stage) {
        self.cache.enrichment().containers().put(container.clone(), stage);
        self.cache.amend_living(|process| {
            let nameless = process.container.as_ref() == Some(&container.id) && process.container_name.as_ref() != Some(&container.name);
            nameless.then(|| Process { container_name: Some(container.name.clone()), ..process.clone() })
        });
    }
}

/// Who did it is the runtime, in whose name anybody may have asked: nobody is named.
fn tell(sink: &dyn Sink, kind: EventKind, at: DateTime<Utc>, complete: bool) {
    sink.emit(Event { id: EventId(0), at, kind, process: None, source: Source::Containers, complete });
}

/// A runtime that is there and says nothing.
fn silent(why: &std::io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Collector for Containers {
    fn name(&self) -> &'static str {
        self.api.runtime()
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        while !stop.is_set() {
            if self.cache.enrichment().names_are_paused() {
                stop.sleep(Stop::LOOK);
                continue;
            }
            match self.follow(sink, stop) {
                Ok(()) => {}
                // No runtime here, or it ended: it may come back.
                Err(ApiError::Absent(..)) => self.rest(stop, LOOK_EVERY),
                Err(ApiError::Broken(_, why)) if !silent(&why) => self.rest(stop, LOOK_EVERY),
                Err(why) => {
                    return Err(CollectorError {
                        what: format!("containers of {}", self.api.runtime()),
                        why: why.to_string(),
                        mend: "see whether the runtime works: `docker ps`, `podman ps`".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
