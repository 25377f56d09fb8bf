//! Who ends our actions when we cannot must live: another one at once when it was ended, and the word is out.

use super::Response;
use bartizan_guard::watchdog::{Seen, Standing, WatchdogError};
use bartizan_model::{Alarm, AlarmKind, HostText};
use bartizan_sys::service_manager;

/// Where the watchdog of this agent stands.
pub(super) fn standing(response: &Response) -> Result<Standing, WatchdogError> {
    Standing::of(&response.settings.runtime, &response.settings.data)
}

impl Response {
    pub(super) fn keep_watchdog(&self, standing: &Result<Standing, WatchdogError>) {
        let seen = standing.as_ref().map_or_else(|error| Seen::Missing(error.to_string()), Standing::look);
        let trouble = match seen {
            Seen::Watches | Seen::Started => None,
            // A host that is shut down ends every unit, in an order of its own.
            Seen::StartedAnew(_) if self.stop.is_set() || service_manager::host_stops() => None,
            Seen::StartedAnew(found) => {
                let detail = HostText::from(format!("{found}; a new one watches").as_str());
                self.ingest.alarm(Alarm { what: AlarmKind::WatchdogGone, detail, action: None, path: None });
                None
            }
            Seen::Missing(why) => Some(format!("{why}; each action gets a shell or timer of its own instead")),
        };
        self.troubles.report("watchdog", trouble);
        let second = self.responder.look_after_second_end().err();
        self.troubles.report("second end", second.map(|error| error.to_string()));
    }
}
