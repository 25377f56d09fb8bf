//! The self-test: what was tried on this host and what came of it, and how the running agent is.

use super::rounds;
use super::shared::{Shared, lock};
use crate::config::Settings;
use crate::host::bpf;
use crate::host::probe::{self, Grounds};
use crate::model::{Check, CheckState};

/// Tries every sensor, enforcer and dependency; changes nothing.
pub fn probe(settings: &Settings) -> Vec<Check> {
    let load_bpf = || bpf::Sensor::load().map(|_| "loaded and let go again".to_owned()).map_err(|error| error.to_string());
    probe::all(&Grounds { data: &settings.data, bpf_object: bpf::ORIGIN, load_bpf: &load_bpf })
}

/// The same from inside the agent, and how its own parts are.
pub(super) fn examine(shared: &Shared) -> Vec<Check> {
    let mut checks = vec![agent(shared), losses(shared)];
    for (part, trouble) in lock(&shared.degraded).iter() {
        checks.push(Check {
            name: part.clone(),
            state: CheckState::Degraded,
            detail: trouble.clone(),
            mend: "it is tried again by itself".to_owned(),
        });
    }
    checks.push(settings(&shared.settings));
    checks.extend(probe(&shared.settings));
    checks
}

fn agent(shared: &Shared) -> Check {
    let health = rounds::measure(shared);
    let spots: Vec<&str> = health.blind_spots.iter().map(|spot| spot.what.as_str()).collect();
    let blind = if spots.is_empty() { "no known blind spot".to_owned() } else { format!("does not see: {}", spots.join("; ")) };
    Check {
        name: "agent".to_owned(),
        state: if health.blind_spots.is_empty() { CheckState::Works } else { CheckState::Degraded },
        detail: format!(
            "pid {}, {} sensors ({} object), {} events seen, {blind}",
            health.pid,
            health.rung.noun(),
            health.bpf_object,
            health.events_total
        ),
        mend: health.blind_spots.first().map(|spot| spot.mend.clone()).unwrap_or_default(),
    }
}

fn losses(shared: &Shared) -> Check {
    let hops = shared.hops();
    let lost: u64 = hops.iter().map(|hop| hop.dropped).sum();
    let where_lost: Vec<String> = hops.iter().filter(|hop| hop.dropped > 0).map(|hop| format!("{} at {}", hop.dropped, hop.hop)).collect();
    Check {
        name: "event losses".to_owned(),
        state: if lost == 0 { CheckState::Works } else { CheckState::Degraded },
        detail: if lost == 0 { format!("none at {} hops", hops.len()) } else { where_lost.join(", ") },
        mend: if lost == 0 {
            String::new()
        } else {
            "incidents over that time are marked incomplete; raise the lane sizes in agent.toml".to_owned()
        },
    }
}

/// Which settings are not the built-in ones, and where they came from.
fn settings(settings: &Settings) -> Check {
    let own: Vec<String> = settings.describe().into_iter().filter(|line| !line.ends_with("(default)")).collect();
    let detail = if own.is_empty() { "all built-in".to_owned() } else { own.join("; ") };
    Check { name: "settings".to_owned(), state: CheckState::Works, detail, mend: String::new() }
}
