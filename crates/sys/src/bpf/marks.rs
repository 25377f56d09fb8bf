//! What the kernel programs know of single processes: which are urgent, and which are guarded.

use std::sync::Mutex;

use aya::maps::{HashMap, Map, MapData, MapError};

use super::layout::{GUARDED, URGENT};
use bartizan_model::Unpoisoned as _;

/// The marks. A child inherits urgency at its fork; the kernel forgets a process's marks at its end. When the map is
/// full (16,384 processes), later ones are just not urgent.
pub struct Marks(Mutex<HashMap<MapData, u32, u32>>);

impl Marks {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        HashMap::try_from(map).map(|map| Self(Mutex::new(map)))
    }

    /// From now on everything that this process and its later children do is urgent.
    pub fn urgent(&self, pid: u32) {
        self.add(pid, URGENT);
    }

    /// From now on it is told who ends or stops this process.
    pub fn guard(&self, pid: u32) {
        self.add(pid, GUARDED);
    }

    fn add(&self, pid: u32, mark: u32) {
        let mut map = self.0.lock().unpoisoned();
        let known = map.get(&pid, 0).unwrap_or_default();
        // A full map costs speed for this process, nothing else.
        let _full = map.insert(pid, known | mark, 0);
    }
}
