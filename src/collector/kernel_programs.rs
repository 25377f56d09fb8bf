//! BPF programs that others load into the kernel, as uses of privilege: found by walking program ids once a second.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use super::attribution::Attribution;
use super::gather::patience;
use super::{Collector, CollectorError, Sink, Stop};
use crate::host::bpf_programs::{self, Program};
use crate::host::file_watch::Toucher;
use crate::host::{clock, process_start};
use crate::model::{Event, EventId, EventKind, HostText, Privilege, PrivilegeKind, Process, Source};

/// The hop's name in loss counts.
const HOP: &str = "kernel-programs";
/// A program that lives shorter than this may be seen by its missing number alone.
const EVERY: Duration = Duration::from_secs(1);
/// Most told of one walk; more are told as one event with their number.
const MOST: usize = 64;

/// Watches what is loaded.
pub struct KernelPrograms {
    who: Attribution,
    /// Ids of the last walk; `None` before the first, which is no news.
    known: Option<HashSet<u32>>,
    /// The highest id ever seen: the kernel counts upwards, so a gap is programs that came and went between two walks.
    highest: u32,
}

/// What one walk brought.
#[derive(Debug, Default)]
struct News {
    fresh: Vec<Program>,
    /// Loaded and gone again since the last walk, or too many to look at.
    unseen: u64,
}

impl KernelPrograms {
    /// With this process table.
    pub fn new(who: Attribution) -> Self {
        Self { who, known: None, highest: 0 }
    }

    fn look(&mut self) -> io::Result<News> {
        let ids = bpf_programs::walk()?.ids;
        let highest = ids.last().copied().unwrap_or(0).max(self.highest);
        let grown = u64::from(highest - self.highest);
        self.highest = highest;
        let Some(known) = self.known.replace(ids.iter().copied().collect()) else { return Ok(News::default()) };
        let fresh: Vec<u32> = ids.into_iter().filter(|id| !known.contains(id)).collect();
        if fresh.is_empty() && grown == 0 {
            return Ok(News::default());
        }
        let ours = bpf_programs::held_by(std::process::id());
        let programs: Vec<Program> = fresh.iter().take(MOST).filter_map(|id| bpf_programs::program(*id)).collect();
        let unseen = grown.max(fresh.len() as u64).saturating_sub(programs.len() as u64);
        Ok(News { fresh: programs.into_iter().filter(|program| !ours.contains(&program.id)).collect(), unseen })
    }

    fn tell(&self, news: &News, sink: &dyn Sink) {
        let wanted = news.fresh.iter().map(|program| program.id).collect();
        let (holders, until) = (bpf_programs::holders(&wanted), patience());
        for program in &news.fresh {
            let holder = holders.get(&program.id).map(|pid| Toucher { pid: *pid, start: process_start::just_now(*pid) });
            let (process, certain) = self.who.of(holder, until);
            // A holder that began after the program was loaded got it from another.
            let loader =
                process.filter(|process| process.key.start.saturating_mul(10_000_000) <= program.loaded_at.saturating_add(10_000_000));
            let complete = certain && loader.is_some();
            let detail = [program.kind.as_bytes(), b" ", program.name.as_bytes(), format!(" (id {})", program.id).as_bytes()].concat();
            let privilege = Privilege { target_uid: None, ..bpf(HostText::from(detail)) };
            let privilege = Privilege { new_uid: loader.is_none().then_some(program.uid), ..privilege };
            sink.emit(event(privilege, program.loaded_at, loader, complete));
        }
        if news.unseen > 0 {
            let detail = format!("{} program(s) loaded and gone within a second, or too many to name", news.unseen);
            sink.emit(event(bpf(HostText::from(detail)), clock::boot_ns(), None, false));
        }
        sink.account(HOP, news.fresh.len() as u64 + news.unseen, 0);
    }
}

fn bpf(detail: HostText) -> Privilege {
    Privilege { detail: Some(detail), ..Privilege::new(PrivilegeKind::Bpf) }
}

fn event(privilege: Privilege, at: u64, process: Option<std::sync::Arc<Process>>, complete: bool) -> Event {
    let kind = EventKind::PrivilegeUse { privilege };
    Event { id: EventId(0), at: clock::wall(at), kind, process, source: Source::Procfs, complete }
}

impl Collector for KernelPrograms {
    fn name(&self) -> &'static str {
        "kernel-programs"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        while !stop.is_set() {
            let news = self.look().map_err(|why| CollectorError {
                what: "walking the BPF programs in the kernel".to_owned(),
                why: why.to_string(),
                mend: "run as root (CAP_SYS_ADMIN)".to_owned(),
            })?;
            if !news.fresh.is_empty() || news.unseen > 0 {
                self.tell(&news, sink);
            }
            stop.sleep(EVERY);
        }
        Ok(())
    }
}
