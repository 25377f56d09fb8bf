//! One look at watched files: wait, let a burst arrive whole, take it.

use std::time::{Duration, Instant};

use super::attribution::PATIENCE;
use super::{CollectorError, Sink};
use bartizan_model::{Event, EventId, EventKind, Loss, Process, Source};
use bartizan_sys::file_watch::{FileWatch, Noticed};

/// Between two takes of one look: a burst (write, close, rename) arrives whole, the kernel wakes us twice instead of a
/// thousand times, and the process sensors have told of the process by then. The first take is at once, because a
/// short-lived process can be proven only while it is there.
const NAP: Duration = Duration::from_millis(8);

/// What a look brought.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// In the kernel's order, overflow apart.
    pub(super) noticed: Vec<Noticed>,
    /// The queue was full: anything may have happened.
    pub(super) overflow: bool,
}

/// Waits at most `timeout` and takes what there is; counts it as `hop`.
pub(super) fn gather(watch: &mut FileWatch, timeout: Duration, hop: &'static str, sink: &dyn Sink) -> Result<Look, CollectorError> {
    let mut look = Look::default();
    let broken = |why: std::io::Error| CollectorError {
        what: format!("{hop}: reading the watch"),
        why: why.to_string(),
        mend: "it is begun again by itself".to_owned(),
    };
    if !watch.wait(timeout).map_err(broken)? {
        return Ok(look);
    }
    for pause in [Duration::ZERO, NAP] {
        std::thread::sleep(pause);
        watch
            .drain(&mut |noticed| match noticed {
                Noticed::Overflow => look.overflow = true,
                other => look.noticed.push(other),
            })
            .map_err(broken)?;
    }
    sink.account(hop, look.noticed.len() as u64, u64::from(look.overflow));
    if look.overflow {
        // How many is not known; one stands for the gap.
        emit(sink, EventKind::Loss { loss: Loss::new(hop, 1) }, None, Source::Agent, false);
    }
    Ok(look)
}

/// Gives an event to the sink, dated now: the kernel's queue holds no times.
pub(super) fn emit(sink: &dyn Sink, kind: EventKind, process: Option<std::sync::Arc<Process>>, source: Source, complete: bool) {
    sink.emit(Event { id: EventId(0), at: chrono::Utc::now(), kind, process, source, complete });
}

/// Until when a batch that is looked at now may wait for process sensors.
pub(super) fn patience() -> Instant {
    Instant::now() + PATIENCE
}

/// Which sensor events of this watch come from.
pub(super) fn source(watch: &FileWatch) -> Source {
    if watch.tells_who() { Source::Fanotify } else { Source::Inotify }
}

/// Opens a watch, by fanotify or below it.
pub(super) fn open(what: &'static str) -> Result<FileWatch, CollectorError> {
    FileWatch::open().map_err(|why| CollectorError {
        what: format!("{what}: watching files"),
        why: why.to_string(),
        mend: "run as root, or raise fs.inotify.max_user_instances".to_owned(),
    })
}
