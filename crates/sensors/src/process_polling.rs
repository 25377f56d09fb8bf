//! The last rung: looking at /proc twice a second. What lives shorter is not seen.

use bartizan_sys::process_stat::Stat;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{ProcessCache, Sink, Stop, false_names};
use bartizan_model::{Event, EventId, EventKind, ExeFile, Exit, Process, ProcessKey, Source};
use bartizan_sys::sighting::Who;
use bartizan_sys::{clock, proc_files};

const EVERY: Duration = Duration::from_millis(500);

/// What was told of each living process: the file it executes, by device and inode. The cache cannot stand for it: other
/// collectors take processes into it that nobody has told of. As long as the list of processes, which the kernel bounds.
type Told = HashMap<ProcessKey, Option<(u32, u64)>>;

/// Feeds the cache and the sink until told to stop; else why it cannot go on.
pub(super) fn run(cache: &ProcessCache, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    // What was there before us is no event.
    let mut told: Told = cache.living().into_iter().map(|process| (process.key, place(process.exe_file))).collect();
    while !stop.is_set() {
        look(&mut told, cache, sink).map_err(|e| format!("/proc cannot be listed: {e}"))?;
        std::thread::sleep(EVERY);
    }
    Ok(())
}

fn look(told: &mut Told, cache: &ProcessCache, sink: &dyn Sink) -> std::io::Result<()> {
    let pids = proc_files::pids()?;
    let stats: HashMap<u32, Stat> = pids.iter().filter_map(|pid| Some((*pid, Stat::read(*pid)?))).collect();
    let gone = |key: &ProcessKey| stats.get(&key.pid).is_none_or(|stat| stat.start != key.start || stat.is_dead());
    let mut ended: HashSet<ProcessKey> = told.keys().copied().filter(gone).collect();
    ended.extend(cache.living().iter().map(|process| process.key).filter(gone));
    for key in ended {
        told.remove(&key);
        let process = cache.exit(key.pid, key.start, clock::boot_ns());
        // How it ended is not to be known from here.
        tell(sink, EventKind::Exit { exit: Exit { code: None, signal: None } }, process, false);
    }
    let mut living: Vec<(&u32, &Stat)> = stats.iter().filter(|(_, stat)| !stat.is_dead()).collect();
    living.sort_unstable_by_key(|(pid, stat)| (stat.start, **pid)); // parents first
    for (pid, stat) in living {
        let (key, file) = (cache.key(*pid, stat.start), proc_files::exe_file(*pid).and_then(place));
        match told.insert(key, file) {
            Some(before) if before == file || file.is_none() => drop(told.insert(key, before)),
            Some(_) => executed(cache, sink, *pid),
            None => appeared(cache, sink, *pid),
        }
    }
    Ok(())
}

fn place(file: ExeFile) -> Option<(u32, u64)> {
    (file.inode != 0).then_some((file.device, file.inode))
}

fn executed(cache: &ProcessCache, sink: &dyn Sink, pid: u32) {
    let image = proc_files::image(pid);
    let Some(who) = proc_files::who(pid) else { return };
    let complete = image.complete;
    let who = Who { at: clock::boot_ns(), ..who };
    let process = cache.exec(&who, image);
    tell(sink, EventKind::Exec, Some(Arc::clone(&process)), complete);
    if let Some(lie) = false_names::lie(&process) {
        tell(sink, lie, Some(process), complete);
    }
}

/// A new process that runs its parent's program with its parent's arguments was only created.
fn appeared(cache: &ProcessCache, sink: &dyn Sink, pid: u32) {
    let image = proc_files::image(pid);
    let Some(who) = proc_files::who(pid) else { return };
    let runs = |process: &Process| place(process.exe_file) == place(image.exe_file) && process.argv == image.argv;
    let copy = cache.by_pid(who.ppid).is_some_and(|parent| runs(&parent));
    let complete = image.complete && !inherited(cache, &who);
    let known = cache.get(cache.key(pid, who.start)).filter(|known| runs(known));
    let (kind, process) = match known {
        // Another collector met it first.
        Some(known) => (if copy { EventKind::Fork } else { EventKind::Exec }, known),
        None if copy => (EventKind::Fork, cache.fork(&who)),
        None => (EventKind::Exec, cache.exec(&who, image)),
    };
    let lie = (kind == EventKind::Exec).then(|| false_names::lie(&process)).flatten();
    tell(sink, kind, Some(Arc::clone(&process)), complete);
    if let Some(lie) = lie {
        tell(sink, lie, Some(process), complete);
    }
}

/// Whether init, or another program of init's such as the service manager of a user, stands where the parent may have stood:
/// whoever forked the process may have ended before it was looked at, and orphans fall to it (PR_SET_CHILD_SUBREAPER, prctl(2)).
fn inherited(cache: &ProcessCache, who: &Who) -> bool {
    let init = cache.by_pid(1).and_then(|init| place(init.exe_file));
    who.ppid <= 1 || cache.by_pid(who.ppid).is_some_and(|parent| init.is_some() && place(parent.exe_file) == init)
}

fn tell(sink: &dyn Sink, kind: EventKind, process: Option<std::sync::Arc<Process>>, complete: bool) {
    sink.emit(Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process, source: Source::Procfs, complete });
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::test_bench::Seen;

    /// Who forked it cannot be known, and a web shell could hide so: that is said of the event, not passed over.
    #[test]
    fn a_process_that_init_may_have_inherited_is_told_as_incomplete() {
        let (cache, seen, mut told) = (ProcessCache::default(), Seen::default(), Told::new());
        look(&mut told, &cache, &seen).unwrap();
        let mut child = Command::new("sleep").arg("30.25").spawn().unwrap();
        let output = Command::new("sh").args(["-c", "sleep 30.5 >/dev/null 2>&1 & echo $!"]).output().unwrap();
        let orphan: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        let heir = proc_files::who(orphan).unwrap().ppid;
        std::thread::sleep(Duration::from_millis(50));
        look(&mut told, &cache, &seen).unwrap();
        let complete = |pid: u32| {
            let all = seen.all();
            all.iter().rev().find(|event| event.process.as_ref().is_some_and(|process| process.pid == pid)).map(|event| event.complete)
        };
        let (of_child, of_orphan) = (complete(child.id()), complete(orphan));
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = Command::new("kill").arg(orphan.to_string()).status();
        assert_eq!(of_child, Some(true), "its parent is known");
        if heir != 1 {
            return eprintln!("skipped: here process {heir} inherits orphans, not init");
        }
        assert_eq!(of_orphan, Some(false));
    }
}
