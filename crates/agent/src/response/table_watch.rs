//! Somebody else changes our table in the packet filter: told at once by the kernel, alarmed, and mended in milliseconds.

use std::time::Duration;

use super::Response;
use bartizan_enforce::nft::monitor::{Monitor, Touched};
use bartizan_guard::watchdog::EMERGENCY_SIGN;
use bartizan_model::{Alarm, AlarmKind, HostText};

const PART: &str = "watch over our table";
/// How long a monitor that cannot be opened, or that broke, is let be.
const AGAIN: Duration = Duration::from_secs(10);

impl Response {
    /// The thread: listens until the agent ends. A kernel that does not tell is shown as degraded; the reconciler still sees
    /// every drift within its two seconds.
    pub(crate) fn watch_table(&self) {
        while !self.stop.is_set() {
            let why = match Monitor::open() {
                Ok(monitor) => {
                    self.troubles.report(PART, None);
                    match self.listen(monitor) {
                        Ok(()) => return,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            let trouble = format!("the kernel does not tell who changes our table ({why}); it is still compared every two seconds");
            self.troubles.report(PART, Some(trouble));
            self.stop.sleep(AGAIN);
        }
    }

    fn listen(&self, mut monitor: Monitor) -> std::io::Result<()> {
        while !self.stop.is_set() {
            // Waits at most half a second, so that a stop is seen.
            let touched = monitor.hear()?;
            // Without an action of ours the table is none of our business; the emergency script is the owner.
            if touched.is_empty() || !self.console.has_active_actions() || self.runtime().join(EMERGENCY_SIGN).exists() {
                continue;
            }
            touched.iter().for_each(|touched| self.alarm_touched(touched));
            self.reconcile_now();
        }
        Ok(())
    }

    fn alarm_touched(&self, touched: &Touched) {
        let who =
            if touched.pid == 0 { "nobody known".to_owned() } else { format!("{} (pid {})", touched.name.escape_debug(), touched.pid) };
        let detail = HostText::from(format!("table inet bartizan: {}, by {who}", touched.what).as_str());
        let alarm = Alarm { what: AlarmKind::TableChanged, detail, action: None, path: None };
        self.ingest.alarm_by(alarm, self.processes.by_pid(touched.pid));
    }
}
