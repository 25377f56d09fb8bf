//! The last rung: looking at /proc twice a second. What lives shorter is not seen.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Sink, Stop, World};
use crate::host::sighting::Who;
use crate::host::{clock, procfs};
use crate::model::{Event, EventId, EventKind, ExeFile, Exit, Process, ProcessKey, Source};

const EVERY: Duration = Duration::from_millis(500);

/// What was told of each living process: the file it executes, by device and inode. The world cannot stand for it: other
/// collectors take processes into it that nobody has told of. As long as the list of processes, which the kernel bounds.
type Told = HashMap<ProcessKey, Option<(u32, u64)>>;

/// Feeds the world and the sink until told to stop; else why it cannot go on.
pub(super) fn run(world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    // What was there before us is no event.
    let mut told: Told = world.living().into_iter().map(|process| (process.key, place(process.exe_file))).collect();
    while !stop.is_set() {
        look(&mut told, world, sink).map_err(|e| format!("/proc cannot be listed: {e}"))?;
        std::thread::sleep(EVERY);
    }
    Ok(())
}

fn look(told: &mut Told, world: &World, sink: &dyn Sink) -> std::io::Result<()> {
    let pids = procfs::pids()?;
    let stats: HashMap<u32, procfs::Stat> = pids.iter().filter_map(|pid| Some((*pid, procfs::stat(*pid)?))).collect();
    let gone = |key: &ProcessKey| stats.get(&key.pid).is_none_or(|stat| stat.start != key.start || stat.is_dead());
    let mut ended: HashSet<ProcessKey> = told.keys().copied().filter(gone).collect();
    ended.extend(world.living().iter().map(|process| process.key).filter(gone));
    for key in ended {
        told.remove(&key);
        let process = world.exit(key.pid, key.start, clock::boot_ns());
        // How it ended is not to be known from here.
        tell(sink, EventKind::Exit { exit: Exit { code: None, signal: None } }, process, false);
    }
    let mut living: Vec<(&u32, &procfs::Stat)> = stats.iter().filter(|(_, stat)| !stat.is_dead()).collect();
    living.sort_unstable_by_key(|(pid, stat)| (stat.start, **pid)); // parents first
    for (pid, stat) in living {
        let (key, file) = (world.key(*pid, stat.start), procfs::exe_file(*pid).and_then(place));
        match told.insert(key, file) {
            Some(before) if before == file || file.is_none() => drop(told.insert(key, before)),
            Some(_) => executed(world, sink, *pid),
            None => appeared(world, sink, *pid),
        }
    }
    Ok(())
}

fn place(file: ExeFile) -> Option<(u32, u64)> {
    (file.inode != 0).then_some((file.device, file.inode))
}

fn executed(world: &World, sink: &dyn Sink, pid: u32) {
    let image = procfs::image(pid);
    let Some(who) = procfs::who(pid) else { return };
    let complete = image.complete;
    let who = Who { at: clock::boot_ns(), ..who };
    tell(sink, EventKind::Exec, Some(world.exec(&who, image)), complete);
}

/// A new process that runs its parent's program with its parent's arguments was only created.
fn appeared(world: &World, sink: &dyn Sink, pid: u32) {
    let image = procfs::image(pid);
    let Some(who) = procfs::who(pid) else { return };
    let runs = |process: &Process| place(process.exe_file) == place(image.exe_file) && process.argv == image.argv;
    let copy = world.by_pid(who.ppid).is_some_and(|parent| runs(&parent));
    let complete = image.complete;
    let known = world.get(world.key(pid, who.start)).filter(|known| runs(known));
    let (kind, process) = match known {
        // Another collector met it first.
        Some(known) => (if copy { EventKind::Fork } else { EventKind::Exec }, known),
        None if copy => (EventKind::Fork, world.fork(&who)),
        None => (EventKind::Exec, world.exec(&who, image)),
    };
    tell(sink, kind, Some(process), complete);
}

fn tell(sink: &dyn Sink, kind: EventKind, process: Option<std::sync::Arc<Process>>, complete: bool) {
    sink.emit(Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process, source: Source::Procfs, complete });
}
