//! Whose deed it was: from the pid a sensor names to the process beyond doubt, or to an honest "unknown".

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::World;
use crate::host::file_watch::Toucher;
use crate::model::Process;

/// How long to wait for the process sensors, whose events travel beside ours, to tell of a process just born.
pub(super) const PATIENCE: Duration = Duration::from_millis(60);
/// One look every so often.
const LOOK: Duration = Duration::from_millis(10);

/// Finds processes by pid.
#[derive(Clone)]
pub struct Attribution(Arc<dyn Fn(u32) -> Option<Arc<Process>> + Send + Sync>);

impl Attribution {
    /// From the process table.
    pub fn from_world(world: Arc<World>) -> Self {
        Self(Arc::new(move |pid| world.by_pid(pid)))
    }

    /// From any other table.
    pub fn by(find: impl Fn(u32) -> Option<Arc<Process>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The process, and whether it is certain. A process that started at another time than the one that acted is
    /// never named: its pid was used again. Waits at most until `until`, which a whole batch shares.
    pub(super) fn of(&self, who: Option<Toucher>, until: Instant) -> (Option<Arc<Process>>, bool) {
        let Some(who) = who else { return (None, false) };
        loop {
            let found = (self.0)(who.pid);
            match (&found, who.start) {
                (Some(process), Some(start)) if process.key.start == start => return (found, true),
                // It had ended when we looked: the table's last owner of the pid, without proof.
                (Some(_), None) => return (found, false),
                _ if Instant::now() >= until => return (None, false),
                _ => std::thread::sleep(LOOK),
            }
        }
    }
}
