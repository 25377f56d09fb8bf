//! Somebody else changes our table in the packet filter: told at once by the kernel, alarmed, and mended in milliseconds.

use std::sync::Arc;
use std::time::Duration;

use super::shared::{Shared, lock};
use super::supervisor;
use bartizan_enforce::nft::monitor::{Monitor, Touched};
use bartizan_guard::watchdog::EMERGENCY_SIGN;
use bartizan_model::{Alarm, AlarmKind, HostText};
use bartizan_sensors::Sink;

const PART: &str = "watch over our table";
/// How long a monitor that cannot be opened, or that broke, is let be.
const AGAIN: Duration = Duration::from_secs(10);

/// The thread: listens until the agent ends. A kernel that does not tell is shown as degraded; the reconciler still sees
/// every drift within its two seconds.
pub(super) fn watch(shared: &Arc<Shared>) {
    while !shared.stop.is_set() {
        let why = match Monitor::open() {
            Ok(monitor) => {
                shared.degrade(PART, None);
                match listen(shared, monitor) {
                    Ok(()) => return,
                    Err(why) => why,
                }
            }
            Err(why) => why,
        };
        shared
            .degrade(PART, Some(format!("the kernel does not tell who changes our table ({why}); it is still compared every two seconds")));
        for _ in 0..AGAIN.as_secs() {
            if shared.stop.is_set() {
                return;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

fn listen(shared: &Arc<Shared>, mut monitor: Monitor) -> std::io::Result<()> {
    while !shared.stop.is_set() {
        // Waits at most half a second, so that a stop is seen.
        let touched = monitor.hear()?;
        // Without an action of ours the table is none of our business; the emergency script is the owner.
        let idle = !lock(&shared.live).actions.values().any(|action| action.state.is_active());
        if touched.is_empty() || idle || shared.settings.runtime.join(EMERGENCY_SIGN).exists() {
            continue;
        }
        touched.iter().for_each(|touched| alarm(shared, touched));
        mend(shared);
    }
    Ok(())
}

fn alarm(shared: &Shared, touched: &Touched) {
    let who = if touched.pid == 0 { "nobody known".to_owned() } else { format!("{} (pid {})", touched.name.escape_debug(), touched.pid) };
    let detail = HostText::from(format!("table inet bartizan: {}, by {who}", touched.what).as_str());
    let mut event = supervisor::alarmed(Alarm { what: AlarmKind::TableChanged, detail, action: None, path: None });
    event.process = shared.processes.by_pid(touched.pid);
    shared.lanes.emit(event);
}

/// The reconciler's own comparison, now instead of at its next turn; its errors are shown by its next turn too.
fn mend(shared: &Shared) {
    match shared.responder.reconcile(chrono::Utc::now()) {
        Ok(changed) => changed.iter().for_each(|action| shared.action_changed(action)),
        Err(error) => tracing::warn!(%error, "our table was changed, and could not be compared at once"),
    }
}
