//! Uses of privilege: a process becomes another user, or attaches to another process.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::{emit, patience};
use super::guarding;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, Loss, Privilege, PrivilegeKind, Source};
use bartizan_sys::file_watch::Toucher;
use bartizan_sys::process_connector::{PrivilegeEvents, PrivilegeSeen};
use bartizan_sys::process_start;

/// The hop's name in loss counts.
const HOP: &str = "process-connector-privilege";
/// After the first event, so that the process sensors have told of the process by then.
const NAP: Duration = Duration::from_millis(8);
/// Most events a second: a program that flips its identity in a loop says nothing new. More are counted as lost.
const MAX_PER_SECOND: u64 = 2000;

/// Watches uses of privilege.
pub struct Privileges {
    who: Attribution,
}

impl Privileges {
    /// With this process table.
    pub fn new(who: Attribution) -> Self {
        Self { who }
    }

    fn tell(&self, seen: PrivilegeSeen, until: Instant, sink: &dyn Sink) {
        let process = |pid: u32| self.who.of(Some(Toucher { pid, start: process_start::just_now(pid) }), until);
        let (actor, privilege) = match seen {
            PrivilegeSeen::Uid { pid, euid } => (process(pid), Privilege { new_uid: Some(euid), ..Privilege::new(PrivilegeKind::SetUid) }),
            PrivilegeSeen::Ptrace { tracer, tracee } => {
                let (target, _) = process(tracee);
                let actor = process(tracer);
                let alarm =
                    target.as_deref().and_then(|target| guarding::alarm(actor.0.as_ref(), tracer, target, "took control by ptrace of"));
                if let Some(alarm) = alarm {
                    emit(sink, alarm, actor.0.clone(), Source::ProcessConnector, actor.1);
                }
                let privilege = Privilege {
                    target: target.as_ref().map(|target| target.key),
                    target_exe: target.as_ref().map(|target| target.exe.clone()),
                    target_uid: target.as_ref().map(|target| target.uid),
                    ..Privilege::new(PrivilegeKind::Ptrace)
                };
                (actor, privilege)
            }
        };
        let (process, certain) = actor;
        let complete = certain && (privilege.what != PrivilegeKind::Ptrace || privilege.target.is_some());
        emit(sink, EventKind::PrivilegeUse { privilege }, process, Source::ProcessConnector, complete);
    }
}

impl Collector for Privileges {
    fn name(&self) -> &'static str {
        "privilege"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let broken = |what: &str, why: std::io::Error| CollectorError {
            what: format!("process connector: {what}"),
            why: why.to_string(),
            mend: "run as root in the initial namespaces, on a kernel with CONFIG_PROC_EVENTS".to_owned(),
        };
        let mut events = PrivilegeEvents::open().map_err(|why| broken("subscribing", why.into()))?;
        let (mut second, mut told) = (Instant::now(), 0);
        while !stop.is_set() {
            if !events.wait(Stop::LOOK).map_err(|why| broken("waiting", why))? {
                continue;
            }
            std::thread::sleep(NAP);
            let (mut batch, mut folded, mut received) = (Vec::new(), HashSet::new(), 0);
            let take = &mut |seen| {
                received += 1;
                if folded.insert(seen) {
                    batch.push(seen);
                }
            };
            let mut lost = events.drain(take).map_err(|why| broken("reading", why))?;
            if second.elapsed() >= Duration::from_secs(1) {
                (second, told) = (Instant::now(), 0);
            }
            let until = patience();
            for seen in batch {
                if told >= MAX_PER_SECOND {
                    lost += 1;
                } else {
                    told += 1;
                    self.tell(seen, until, sink);
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

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Shell, beside, root, tree};
    use super::*;
    use bartizan_sys::process_connector::PrivilegeEvents;

    #[test]
    fn becoming_another_user_is_told_with_the_process() {
        if !root() {
            return;
        }
        if let Err(why) = PrivilegeEvents::open() {
            return eprintln!("skipped: process connector: {why}");
        }
        let directory = tree(&[]);
        let mut shell = Shell::start(directory.path());
        let table = shell.table();
        let probe = || assert!(std::process::Command::new("setpriv").args(["--reuid", "65534", "true"]).status().unwrap().success());
        let became = |uid| move |event: &bartizan_model::Event| matches!(&event.kind, EventKind::PrivilegeUse { privilege } if privilege.new_uid == Some(uid));
        beside(Privileges::new(table), probe, |seen| {
            probe();
            let stranger = seen.wait("a stranger's new identity", became(65534));
            assert_eq!((stranger.process, stranger.complete), (None, false), "an unknown process is said to be unknown");
            shell.exec("setpriv --reuid 65533 sleep 5");
            let told = seen.wait("the shell's new identity", became(65533));
            assert_eq!(
                (told.process.map(|process| process.pid), told.complete, told.source),
                (Some(shell.pid()), true, Source::ProcessConnector)
            );
        });
    }
}
