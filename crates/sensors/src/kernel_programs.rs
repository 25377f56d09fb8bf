//! BPF programs that others load into the kernel, as uses of privilege: found by walking program ids once a second, with the
//! process that the kernel names as the loader of each, whatever the program calls itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::patience;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{Event, EventId, EventKind, HostText, Privilege, PrivilegeKind, Process, Source};
use bartizan_sys::bpf_loads::{BpfLoads, Load};
use bartizan_sys::bpf_programs::{self, Program};
use bartizan_sys::file_watch::Toucher;
use bartizan_sys::{clock, process_start};

/// The hop's name in loss counts.
const HOP: &str = "kernel-programs";
/// A program that lives shorter than this may be seen by the record of its load alone.
const EVERY: Duration = Duration::from_secs(1);
/// Most told of one walk; more are told as one event with their number.
const MOST: usize = 64;
/// The service manager loads some for every unit that it starts or changes: those of one walk are one event.
const SERVICE_MANAGER: u32 = 1;
/// How many of them that event names.
const NAMED: usize = 4;

/// Watches what is loaded.
pub struct KernelPrograms {
    who: Attribution,
    /// Ids of the last walk; `None` before the first, which is no news.
    known: Option<HashSet<u32>>,
    /// The highest id ever seen: the kernel counts upwards, so a gap is programs that came and went between two walks.
    highest: u32,
    /// The kernel's own records of loads; `None` where it does not give them.
    loads: Option<BpfLoads>,
    /// Loads that came after the last walk.
    pending: Vec<Load>,
}

/// What one walk brought.
#[derive(Debug, Default)]
struct News {
    fresh: Vec<Program>,
    /// Who loaded which, as the kernel says.
    loaders: HashMap<u32, u32>,
    /// How many programs of which loader are gone already.
    gone: BTreeMap<u32, u64>,
    /// Loaded and gone again since the last walk without a record, or too many to look at.
    unseen: u64,
}

impl KernelPrograms {
    /// With this process table.
    pub fn new(who: Attribution) -> Self {
        Self { who, known: None, highest: 0, loads: None, pending: Vec::new() }
    }

    fn recorded(&mut self) -> Vec<Load> {
        self.loads.as_mut().map(BpfLoads::take).unwrap_or_default()
    }

    fn look(&mut self) -> io::Result<News> {
        // What is on record before the walk and not found by it is gone; what comes on record later may live.
        let mut recorded = std::mem::take(&mut self.pending);
        recorded.extend(self.recorded());
        let ids = bpf_programs::walk()?.ids;
        let present: HashSet<u32> = ids.iter().copied().collect();
        let (late, found): (Vec<Load>, Vec<Load>) = self.recorded().into_iter().partition(|load| !present.contains(&load.id));
        self.pending = late;
        let known = self.known.replace(present.clone());
        let gone: Vec<Load> = recorded.iter().filter(|load| !present.contains(&load.id)).copied().collect();
        let highest = ids.iter().copied().chain(gone.iter().map(|load| load.id)).max().unwrap_or(0).max(self.highest);
        let grown = u64::from(highest - self.highest);
        self.highest = highest;
        let Some(known) = known else { return Ok(News::default()) };
        let fresh: Vec<u32> = ids.into_iter().filter(|id| !known.contains(id)).collect();
        if fresh.is_empty() && grown == 0 {
            return Ok(News::default());
        }
        let gone: Vec<Load> = gone.into_iter().filter(|load| !known.contains(&load.id)).collect();
        let own = std::process::id();
        let held = bpf_programs::held_by(own);
        let loaders: HashMap<u32, u32> = recorded.iter().chain(&found).map(|load| (load.id, load.pid)).collect();
        let programs: Vec<Program> = fresh.iter().take(MOST).filter_map(|id| bpf_programs::program(*id)).collect();
        let accounted = (programs.len() + gone.len()) as u64;
        let is_ours = |program: &Program| held.contains(&program.id) || loaders.get(&program.id) == Some(&own);
        let mut news = News { unseen: grown.max(fresh.len() as u64).saturating_sub(accounted), ..News::default() };
        news.fresh = programs.into_iter().filter(|program| !is_ours(program)).collect();
        gone.iter().filter(|load| load.pid != own).for_each(|load| *news.gone.entry(load.pid).or_default() += 1);
        news.loaders = loaders;
        Ok(news)
    }

    fn tell(&self, news: &News, sink: &dyn Sink) {
        let until = patience();
        let (managers, others): (Vec<&Program>, Vec<&Program>) =
            news.fresh.iter().partition(|program| news.loaders.get(&program.id) == Some(&SERVICE_MANAGER));
        let nameless = others.iter().map(|program| program.id).filter(|id| !news.loaders.contains_key(id)).collect::<HashSet<u32>>();
        let holders = if nameless.is_empty() { HashMap::new() } else { bpf_programs::holders(&nameless) };
        for program in others {
            let pid = news.loaders.get(&program.id).or_else(|| holders.get(&program.id)).copied();
            let (process, certain) = self.process(pid, until);
            // A holder that began after the program was loaded got it from another.
            let loader =
                process.filter(|process| process.key.start.saturating_mul(10_000_000) <= program.loaded_at.saturating_add(10_000_000));
            let complete = certain && loader.is_some();
            let privilege = Privilege { target_uid: None, ..bpf(HostText::from(words(program))) };
            let privilege = Privilege { new_uid: loader.is_none().then_some(program.uid), ..privilege };
            sink.emit(event(privilege, program.loaded_at, loader, complete));
        }
        self.tell_of_manager(&managers, news.gone.get(&SERVICE_MANAGER).copied().unwrap_or(0), until, sink);
        for (pid, count) in news.gone.iter().filter(|(pid, _)| **pid != SERVICE_MANAGER) {
            let (process, certain) = self.process(Some(*pid), until);
            let complete = certain && process.is_some();
            sink.emit(event(bpf(HostText::from(gone_words(*count))), clock::boot_ns(), process, complete));
        }
        if news.unseen > 0 {
            let detail = format!("{} program(s) loaded and gone within a second, or too many to name", news.unseen);
            sink.emit(event(bpf(HostText::from(detail)), clock::boot_ns(), None, false));
        }
        sink.account(HOP, news.fresh.len() as u64 + news.gone.values().sum::<u64>() + news.unseen, 0);
    }

    /// What the service manager loaded since the last walk, as one event.
    fn tell_of_manager(&self, programs: &[&Program], gone: u64, until: Instant, sink: &dyn Sink) {
        if programs.is_empty() && gone == 0 {
            return;
        }
        let mut named: Vec<Vec<u8>> = programs.iter().take(NAMED).map(|program| words(program)).collect();
        if programs.len() > NAMED {
            named.push(format!("{} more", programs.len() - NAMED).into_bytes());
        }
        if gone > 0 {
            named.push(gone_words(gone).into_bytes());
        }
        let at = programs.iter().map(|program| program.loaded_at).max().unwrap_or_else(clock::boot_ns);
        let (process, certain) = self.process(Some(SERVICE_MANAGER), until);
        let complete = certain && process.is_some();
        sink.emit(event(bpf(HostText::from(named.join(&b"; "[..]))), at, process, complete));
    }

    /// The process with this pid, and whether it is certain. Pid 0 is one outside of our pid namespace.
    fn process(&self, pid: Option<u32>, until: Instant) -> (Option<Arc<Process>>, bool) {
        let toucher = pid.filter(|pid| *pid > 0).map(|pid| Toucher { pid, start: process_start::just_now(pid) });
        self.who.of(toucher, until)
    }
}

/// `cgroup_device sd_devices (id 12)`.
fn words(program: &Program) -> Vec<u8> {
    [program.kind.as_bytes(), b" ", program.name.as_bytes(), format!(" (id {})", program.id).as_bytes()].concat()
}

fn gone_words(count: u64) -> String {
    match count {
        1 => "one that is gone again".to_owned(),
        more => format!("{more} that are gone again"),
    }
}

fn bpf(detail: HostText) -> Privilege {
    Privilege { detail: Some(detail), ..Privilege::new(PrivilegeKind::Bpf) }
}

fn event(privilege: Privilege, at: u64, process: Option<Arc<Process>>, complete: bool) -> Event {
    let kind = EventKind::PrivilegeUse { privilege };
    Event { id: EventId(0), at: clock::wall(at), kind, process, source: Source::Procfs, complete }
}

impl Collector for KernelPrograms {
    fn name(&self) -> &'static str {
        "kernel-programs"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        // Without it who loaded a program is known only while somebody holds it: the blind spots say so.
        self.loads = BpfLoads::open().ok();
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

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Seen, Shell};
    use super::*;

    fn program(id: u32, name: &str) -> Program {
        // Ids beyond what this kernel has given out: nobody holds them.
        Program { id: 0x7fff_0000 + id, kind: "cgroup_device".to_owned(), name: HostText::from(name), loaded_at: u64::MAX / 2, uid: 0 }
    }

    fn told(loaders: &[u32], names: &[&str], gone: &[(u32, u64)], who: Attribution) -> Vec<Event> {
        let fresh: Vec<Program> = (0..).zip(names).map(|(id, name)| program(id, name)).collect();
        let loaders = fresh.iter().zip(loaders).map(|(program, pid)| (program.id, *pid)).collect();
        let news = News { fresh, loaders, gone: gone.iter().copied().collect(), unseen: 0 };
        let seen = Seen::default();
        KernelPrograms::new(who).tell(&news, &seen);
        seen.all()
    }

    fn detail(event: &Event) -> String {
        match &event.kind {
            EventKind::PrivilegeUse { privilege } => privilege.detail.as_ref().map(ToString::to_string).unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_is_systemds_by_its_loader_and_not_by_its_name() {
        let shell = Shell::start(std::path::Path::new("/"));
        let first = process_start::just_now(1).unwrap_or_default();
        let (stranger, systemd) = (shell.process(), Arc::new(Process { pid: 1, ..(*shell.process()).clone() }));
        let key = bartizan_model::ProcessKey { pid: 1, start: first, ..systemd.key };
        let systemd = Arc::new(Process { key, ..(*systemd).clone() });
        let known = [stranger.clone(), systemd];
        let who = Attribution::by(move |pid| known.iter().find(|process| process.pid == pid).cloned());
        // All that systemd loads in a second is one line, with its loader.
        let names = ["sd_devices", "sd_fw_egress", "sd_fw_ingress", "anything", "sd_devices", "sd_devices"];
        let all = told(&[1; 6], &names, &[(1, 3)], who.clone());
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].process.as_ref().map(|process| process.pid), Some(1));
        let said = detail(&all[0]);
        assert!(said.starts_with("cgroup_device sd_devices (id ") && said.ends_with("; 2 more; 3 that are gone again"), "{said}");
        // The same names from another are a stranger's, each of them.
        let all = told(&[stranger.pid, stranger.pid], &["sd_devices", "sd_fw_egress"], &[(stranger.pid, 1)], who.clone());
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.iter().all(|event| event.process.as_ref().map(|process| process.pid) == Some(stranger.pid)), "{all:?}");
        // A name with no loader says nothing.
        let all = told(&[], &["sd_devices"], &[], who);
        assert_eq!((all.len(), all[0].process.is_none(), all[0].complete), (1, true, false));
    }
}
