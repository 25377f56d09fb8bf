//! The sign of life to an address outside: it stays away when the agent has ended, when the host is down, and when a thread that
//! must move does not.

use std::time::Duration;

use crate::troubles::Troubles;
use bartizan_config::Secret;
use bartizan_outbound::Heartbeat;
use bartizan_sensors::Stop;

/// The name under which trouble is reported.
const TROUBLE: &str = "heartbeat to outside";

/// The thread: asks the address every so often while nothing is `stuck`.
pub(crate) fn run(url: Secret, every: Duration, stop: &Stop, troubles: &Troubles, stuck: impl Fn() -> Option<String>) {
    let heartbeat = Heartbeat::new(url);
    while !stop.is_set() {
        let trouble = match stuck() {
            Some(why) => Some(format!("withheld: {why}")),
            None => heartbeat.beat().err().map(|why| format!("{why}: whoever expects it will report this host as silent")),
        };
        troubles.report(TROUBLE, trouble);
        stop.sleep(every);
    }
}
