//! Taking over the programs that an earlier binary attached, so that an upgrade has no gap.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use aya::maps::{Map, MapData, PerCpuArray, RingBuf};

use super::{Attached, BpfError, CounterMap, Marks, OBJECT, Programs, Ring, Sensor};

/// Names the programs in this binary: only an equal name stands for equal records.
pub fn object_name() -> String {
    blake3::hash(OBJECT).to_hex().chars().take(16).collect()
}

impl Sensor {
    /// The open ends of programs that an earlier binary attached: maps by their names, links kept as they are.
    ///
    /// # Errors
    /// [`BpfError::Refused`] when one is missing or cannot be used; load the programs anew then.
    pub fn adopt(ends: Vec<OwnedFd>, links: Vec<OwnedFd>, udp: Result<(), String>, absent: Vec<String>) -> Result<Self, BpfError> {
        let mut maps = HashMap::new();
        for end in ends {
            let map = MapData::from_fd(end).map_err(|e| refused("a map", &e))?;
            let name = map.info().ok().and_then(|info| info.name_as_str().map(str::to_owned)).unwrap_or_default();
            maps.insert(name, map);
        }
        let mut map = |name: &'static str| maps.remove(name).ok_or_else(|| missing(name));
        let ring = |map: MapData| RingBuf::try_from(Map::RingBuf(map)).map(Ring::new).map_err(|e| refused("mapping a ring", &e));
        let (ordinary, urgent) = (ring(map("ring")?)?, ring(map("urgent")?)?);
        let marks = Marks::new(Map::HashMap(map("marks")?)).map_err(|e| refused("opening the marks", &e))?;
        let counters = PerCpuArray::try_from(Map::PerCpuArray(map("counters")?)).map_err(|e| refused("opening the counters", &e))?;
        if links.is_empty() {
            return Err(missing("links"));
        }
        let programs = Programs { _attached: Attached::Inherited { _links: links }, udp, absent };
        Ok(Self { ordinary, urgent, marks, counters: CounterMap(counters), programs })
    }
}

fn missing(what: &'static str) -> BpfError {
    BpfError::Refused { what, why: "the earlier binary did not leave it open".to_owned() }
}

fn refused(what: &'static str, error: &dyn std::error::Error) -> BpfError {
    BpfError::Refused { what, why: super::reason(error) }
}
