//! Keeps every collector running: each on a thread of its own, started again with growing pauses when it fails.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::collector::Collector;

/// First pause before a failed collector starts again; doubled each time up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A collector that ran this long is forgiven its earlier failures.
const FORGIVEN: Duration = Duration::from_secs(300);

/// Runs one collector until the agent stops. The sensor ladder's collectors take the next rung when run again.
pub(super) fn watch(shared: Arc<Shared>, mut collector: Box<dyn Collector>) -> std::io::Result<JoinHandle<()>> {
    let name = collector.name();
    // Thread names are cut at 15 bytes by the kernel (prctl(2)).
    std::thread::Builder::new().name(format!("c-{name}")).spawn(move || {
        let mut pause = FIRST_PAUSE;
        while !shared.stop.is_set() {
            let begun = Instant::now();
            let Err(error) = collector.run(&*shared.lanes, &shared.stop) else { return };
            shared.degrade(name, Some(format!("{error}; {}", error.mend)));
            if begun.elapsed() > FORGIVEN {
                pause = FIRST_PAUSE;
            }
            wait(&shared, pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

fn wait(shared: &Shared, pause: Duration) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !shared.stop.is_set() {
        std::thread::sleep(Duration::from_millis(100));
    }
}
