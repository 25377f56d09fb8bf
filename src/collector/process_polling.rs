//! The last rung: looking at /proc twice a second. What lives shorter is not seen.

use std::collections::HashMap;
use std::time::Duration;

use super::{Sink, Stop, World};
use crate::host::sighting::Who;
use crate::host::{clock, procfs};
use crate::model::{Event, EventId, EventKind, Exit, ProcessKey, Source};

const EVERY: Duration = Duration::from_millis(500);

/// Feeds the world and the sink until told to stop; else why it cannot go on.
pub(super) fn run(world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    while !stop.is_set() {
        look(world, sink).map_err(|e| format!("/proc cannot be listed: {e}"))?;
        std::thread::sleep(EVERY);
    }
    Ok(())
}

fn look(world: &World, sink: &dyn Sink) -> std::io::Result<()> {
    let pids = procfs::pids()?;
    let stats: HashMap<u32, procfs::Stat> = pids.iter().filter_map(|pid| Some((*pid, procfs::stat(*pid)?))).collect();
    let known: HashMap<ProcessKey, _> = world.living().into_iter().map(|process| (process.key, process)).collect();
    for key in known.keys().filter(|key| stats.get(&key.pid).is_none_or(|stat| stat.start != key.start || stat.is_dead())) {
        let process = world.exit(key.pid, key.start, clock::boot_ns());
        // How it ended is not to be known from here.
        tell(sink, EventKind::Exit { exit: Exit { code: None, signal: None } }, process, false);
    }
    let mut living: Vec<(&u32, &procfs::Stat)> = stats.iter().filter(|(_, stat)| !stat.is_dead()).collect();
    living.sort_unstable_by_key(|(pid, stat)| (stat.start, **pid)); // parents first
    for (pid, stat) in living {
        let known = known.get(&world.key(*pid, stat.start));
        match known {
            Some(process) if procfs::exe_file(*pid).is_none_or(|file| file == process.exe_file) => {}
            Some(_) => executed(world, sink, *pid),
            None => appeared(world, sink, *pid),
        }
    }
    Ok(())
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
    let copy = world.by_pid(who.ppid).is_some_and(|parent| parent.exe_file == image.exe_file && parent.argv == image.argv);
    let complete = image.complete;
    let (kind, process) = if copy { (EventKind::Fork, world.fork(&who)) } else { (EventKind::Exec, world.exec(&who, image)) };
    tell(sink, kind, Some(process), complete);
}

fn tell(sink: &dyn Sink, kind: EventKind, process: Option<std::sync::Arc<crate::model::Process>>, complete: bool) {
    sink.emit(Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process, source: Source::Procfs, complete });
}
