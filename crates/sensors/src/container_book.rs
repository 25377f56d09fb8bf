//! The containers of the host as their runtimes tell of them: bounded; those that ended are kept a little for late events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bartizan_model::{Container, HostText};

/// Containers kept.
const MOST: usize = 4_096;
/// How long one that ended is kept.
const ENDED_KEPT: Duration = Duration::from_secs(60);

/// How far along a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Made, and may be about to start.
    Made,
    /// Its first process runs.
    Running,
    /// Ended or never begun, since.
    Ended(Instant),
}

#[derive(Debug, Default)]
pub(super) struct ContainerBook {
    by_id: HashMap<String, (Container, Stage)>,
    taken: u64,
    refused: u64,
}

impl ContainerBook {
    /// The name of the container with this short id.
    pub(super) fn name_of(&self, id: &str) -> Option<HostText> {
        self.by_id.get(id).map(|(container, _)| container.name.clone())
    }

    pub(super) fn get(&self, id: &str) -> Option<&(Container, Stage)> {
        self.by_id.get(id)
    }

    /// Takes it in, or takes over what changed. When there are too many, the one that ended first goes; when none ended,
    /// the new one is not taken, and counted.
    pub(super) fn put(&mut self, container: Container, stage: Stage) {
        let now = Instant::now();
        let lapsed = |stage: &Stage| matches!(stage, Stage::Ended(since) if now.duration_since(*since) > ENDED_KEPT);
        self.by_id.retain(|_, (_, stage)| !lapsed(stage));
        if self.by_id.len() >= MOST && !self.by_id.contains_key(&container.id) {
            let ended = self.by_id.iter().filter_map(|(id, (_, stage))| match stage {
                Stage::Ended(since) => Some((*since, id.clone())),
                Stage::Made | Stage::Running => None,
            });
            let Some((_, oldest)) = ended.min() else {
                self.refused += 1;
                return;
            };
            self.by_id.remove(&oldest);
        }
        if self.by_id.insert(container.id.clone(), (container, stage)).is_none() {
            self.taken += 1;
        }
    }

    /// Those of one runtime that run.
    pub(super) fn running(&self, runtime: &str) -> Vec<Container> {
        let running = self.by_id.values().filter(|(container, stage)| *stage == Stage::Running && container.runtime == runtime);
        running.map(|(container, _)| container.clone()).collect()
    }

    /// How many were taken in since the start, and how many were not because there were too many.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.taken, self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(number: usize) -> Container {
        Container {
            id: format!("{number:012x}"),
            name: "n".into(),
            image: "i".into(),
            runtime: "docker".to_owned(),
            pid: None,
            reach: Vec::new(),
        }
    }

    #[test]
    fn the_book_is_bounded_and_the_living_are_kept() {
        let mut book = ContainerBook::default();
        book.put(container(0), Stage::Ended(Instant::now()));
        for number in 1..MOST + 5 {
            book.put(container(number), Stage::Running);
        }
        assert_eq!((book.by_id.len(), book.counts()), (MOST, (MOST as u64 + 1, 4)));
        assert_eq!((book.name_of("000000000000"), book.name_of("000000000001")), (None, Some("n".into())));
        assert_eq!((book.running("docker").len(), book.running("podman").len()), (MOST, 0));
    }

    #[test]
    fn one_that_ended_lately_still_has_its_name() {
        let mut book = ContainerBook::default();
        book.put(container(1), Stage::Ended(Instant::now()));
        book.put(container(2), Stage::Running);
        assert!(book.name_of("000000000001").is_some());
        let Some(long_ago) = Instant::now().checked_sub(ENDED_KEPT + Duration::from_secs(1)) else {
            return eprintln!("skipped: the host has not been up for long enough");
        };
        book.put(container(1), Stage::Ended(long_ago));
        book.put(container(2), Stage::Running);
        assert!(book.name_of("000000000001").is_none());
    }
}
