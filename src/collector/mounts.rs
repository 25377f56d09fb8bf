//! What is mounted and unmounted on the host, as uses of privilege.

use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::{emit, patience};
use super::{Collector, CollectorError, Sink, Stop};
use crate::host::mount_watch::{MountSeen, MountWatch};
use crate::model::{EventKind, HostText, Loss, Privilege, PrivilegeKind, Source};

/// The hop's name in loss counts.
const HOP: &str = "mounts";
/// After the first change, so that a burst arrives whole and the process sensors have told of the process by then.
const NAP: Duration = Duration::from_millis(8);
/// Most told a second: a program that mounts in a loop says nothing new. More are counted as lost.
const MOST_PER_SECOND: u64 = 500;

/// Watches init's mount namespace.
pub struct Mounts {
    who: Attribution,
}

impl Mounts {
    /// With this process table.
    pub fn new(who: Attribution) -> Self {
        Self { who }
    }

    fn tell(&self, seen: &MountSeen, until: Instant, sink: &dyn Sink, source: Source) {
        let (process, certain) = self.who.of(seen.by, until);
        let complete = certain && seen.mount.is_some();
        let privilege = Privilege { detail: Some(detail(seen)), ..Privilege::new(PrivilegeKind::Mount) };
        emit(sink, EventKind::PrivilegeUse { privilege }, process, source, complete);
    }

    fn watch(&self, mut watch: MountWatch, sink: &dyn Sink, stop: &Stop) -> std::io::Result<()> {
        let source = if watch.tells_who() { Source::Fanotify } else { Source::Procfs };
        let (mut second, mut told) = (Instant::now(), 0);
        while !stop.is_set() {
            if !watch.wait(Duration::from_millis(400))? {
                continue;
            }
            let (mut batch, mut lost) = (Vec::new(), 0);
            // At once and again: what is gone in a moment can be looked up only now.
            for pause in [Duration::ZERO, NAP] {
                std::thread::sleep(pause);
                lost += watch.drain(&mut |seen| batch.push(seen))?.overflows;
            }
            if second.elapsed() >= Duration::from_secs(1) {
                (second, told) = (Instant::now(), 0);
            }
            let (received, until) = (batch.len() as u64 + lost, patience());
            for seen in batch {
                if told >= MOST_PER_SECOND {
                    lost += 1;
                } else {
                    told += 1;
                    self.tell(&seen, until, sink, source);
                }
            }
            sink.account(HOP, received, lost);
            if lost > 0 {
                emit(sink, EventKind::Loss { loss: Loss::new(HOP, lost) }, None, Source::Agent, false);
            }
        }
        Ok(())
    }
}

/// `mount tmpfs on /mnt (from none)`, `umount /mnt`.
fn detail(seen: &MountSeen) -> HostText {
    let Some(mount) = &seen.mount else {
        return if seen.attached { "mount, gone before it could be looked up" } else { "umount of what was there too short to be known" }
            .into();
    };
    let (point, kind, source) = (mount.point.as_bytes(), mount.kind.as_bytes(), mount.source.as_bytes());
    HostText::from(match (seen.attached, source.is_empty()) {
        (false, _) => [b"umount ", point].concat(),
        (true, true) => [b"mount ", kind, b" on ", point].concat(),
        (true, false) => [b"mount ", kind, b" on ", point, b" (from ", source, b")"].concat(),
    })
}

impl Collector for Mounts {
    fn name(&self) -> &'static str {
        "mounts"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        MountWatch::open().and_then(|watch| self.watch(watch, sink, stop)).map_err(|why| CollectorError {
            what: "watching mounts".to_owned(),
            why: why.to_string(),
            mend: "run as root with /proc mounted".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Shell, at, beside, root, tree};
    use super::*;

    #[test]
    fn a_mount_is_told_with_its_maker() {
        if !root() {
            return;
        }
        let directory = tree(&["place"]);
        let mut shell = Shell::start(directory.path());
        let who = shell.process();
        // Any pid but ours is the shell's child here: the table knows the shell under each.
        let us = std::process::id();
        let table = Attribution::by(move |pid| (pid != us).then(|| who.clone()));
        let place = at(&directory, "place").display().to_string();
        let probe = || {
            let script = "mkdir -p probe && mount -t tmpfs probe probe && umount probe";
            assert!(std::process::Command::new("sh").args(["-c", script]).current_dir(directory.path()).status().unwrap().success());
        };
        let tells_who = MountWatch::open().unwrap().tells_who();
        beside(Mounts::new(table), probe, |seen| {
            shell.run(&format!("mount -t tmpfs evil '{place}'; sleep 0.2; umount '{place}'"));
            for wanted in [format!("mount tmpfs on {place} (from evil)"), format!("umount {place}")] {
                let told = seen.wait(&wanted, |event| {
                    matches!(&event.kind, EventKind::PrivilegeUse { privilege } if privilege.detail.as_ref().is_some_and(|d| *d == *wanted))
                });
                let source = if tells_who { Source::Fanotify } else { Source::Procfs };
                assert_eq!((told.process.is_some(), told.source), (tells_who, source));
            }
        });
    }
}
