//! The probe loop: runs the host's health probes, and undoes what does harm. Nobody who acts waits for it.

use std::time::{Duration, Instant};

use crate::response::Response;
use crate::schedule::due;
use bartizan_sensors::Stop;

/// How often it is asked whether probes are due; each at its own time.
const ROUND: Duration = Duration::from_millis(500);
/// How much longer while no action is watched.
const REST: Duration = Duration::from_secs(1);
/// How often it is asked whether what a change needs must be looked up again.
const LOOK_AHEAD: Duration = Duration::from_secs(60);

/// The thread.
pub(crate) fn run(response: &Response, stop: &Stop) {
    let mut ahead = Instant::now();
    response.look_ahead();
    while !stop.is_set() {
        if due(&mut ahead, LOOK_AHEAD) {
            response.look_ahead();
        }
        response.check_probes();
        response.rest(REST);
        std::thread::sleep(ROUND);
    }
}
