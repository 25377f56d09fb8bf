//! What is mounted and unmounted on the host, as uses of privilege.

use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::{emit, patience};
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, HostText, Loss, Privilege, PrivilegeKind, Source};
use bartizan_sys::mount_watch::{MountSeen, MountWatch};

/// The hop's name in loss counts.
const HOP: &str = "mounts";
/// After the first change, so that a burst arrives whole and the process sensors have told of the process by then.
const NAP: Duration = Duration::from_millis(8);
/// Most told a second: a program that mounts in a loop says nothing new. More are counted as lost.
const MAX_PER_SECOND: u64 = 500;

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
            if !watch.wait(Stop::LOOK)? {
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
                if told >= MAX_PER_SECOND {
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
    use std::process::{Child, Command};
    use std::sync::Arc;

    use super::super::test_bench::{at, beside, root, tree};
    use super::*;
    use bartizan_model::{BootId, Process, ProcessKey};
    use bartizan_sys::process_start;

    #[test]
    fn a_mount_is_told_with_its_maker() {
        if !root() {
            return;
        }
        let directory = tree(&["place", "probe"]);
        let (place, probed) = (at(&directory, "place").display().to_string(), at(&directory, "probe").display().to_string());
        // Those that we do not wait for yet stay in /proc: a table of every process, by its real start.
        let table = Attribution::by(|pid| {
            let start = process_start::just_now(pid)?;
            Some(Arc::new(Process::unknown(ProcessKey { boot: BootId(1), pid, start }, chrono::Utc::now())))
        });
        let mount = |place: &str| Command::new("mount").args(["-t", "tmpfs", "evil", place]).spawn().unwrap();
        let umount = |place: &str| Command::new("umount").arg(place).spawn().unwrap();
        let probe = || assert!(mount(&probed).wait().unwrap().success() && umount(&probed).wait().unwrap().success());
        let tells_who = MountWatch::open().unwrap().tells_who();
        beside(Mounts::new(table), probe, |seen| {
            let told = |mut maker: Child, wanted: &str| {
                let told = seen.wait(wanted, |event| {
                    matches!(&event.kind, EventKind::PrivilegeUse { privilege } if privilege.detail.as_ref().is_some_and(|d| *d == *wanted))
                });
                let source = if tells_who { Source::Fanotify } else { Source::Procfs };
                let by = tells_who.then_some(maker.id());
                assert_eq!((told.process.map(|process| process.pid), told.complete, told.source), (by, tells_who, source));
                assert!(maker.wait().unwrap().success());
            };
            told(mount(&place), &format!("mount tmpfs on {place} (from evil)"));
            told(umount(&place), &format!("umount {place}"));
        });
    }
}
