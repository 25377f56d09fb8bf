//! What lives on the host now: the process table that every collector resolves pids in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::model::Process;

/// The process table. One is shared by all collectors and read by the engine.
#[derive(Debug, Default)]
pub struct World {
    by_pid: Mutex<HashMap<u32, Arc<Process>>>,
}

impl World {
    /// The process that has this pid now, or had it last.
    pub fn by_pid(&self, pid: u32) -> Option<Arc<Process>> {
        self.by_pid.lock().ok()?.get(&pid).cloned()
    }
}
