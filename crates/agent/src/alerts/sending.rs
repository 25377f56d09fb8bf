//! One thread a sink: takes what may be sent, sends it, and says what came of it. Nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::Alerts;
use bartizan_alerts::Parcel;
use bartizan_config::SinkSetting;
use bartizan_model::Unpoisoned as _;
use bartizan_outbound::Sink;

/// Longest sleep between two looks at the clock, which may have been set.
const ROUND: Duration = Duration::from_secs(30);

/// Starts a sender for each of these sinks. They end by themselves, and nobody waits for that: one may hang in a name server.
pub(crate) fn send_all(alerts: &Arc<Alerts>, sinks: &[SinkSetting]) -> std::io::Result<()> {
    for setting in sinks {
        let (alerts, setting) = (Arc::clone(alerts), setting.clone());
        std::thread::Builder::new().name("alert-sender".to_owned()).spawn(move || alerts.send_to(&setting))?;
    }
    Ok(())
}

impl Alerts {
    fn send_to(&self, setting: &SinkSetting) {
        let (name, sink) = (setting.name.as_str(), Sink::new(setting));
        while let Some(parcel) = self.next(name) {
            let outcome = sink.send(&parcel, chrono::Utc::now());
            let now = chrono::Utc::now();
            match outcome {
                Ok(said) => {
                    tracing::debug!(sink = name, messages = parcel.count, said, "sent");
                    self.change(|queue| queue.sent(name, &self.host, now));
                }
                Err(failure) => {
                    tracing::warn!(sink = name, messages = parcel.count, why = failure.why, "not sent");
                    self.change(|queue| queue.failed(name, &failure, &self.host, now));
                }
            }
        }
    }

    /// Sleeps until something may be sent to this sink; `None` when the agent ends.
    fn next(&self, sink: &str) -> Option<Parcel> {
        let mut held = self.held();
        loop {
            if held.is_over {
                return None;
            }
            let now = chrono::Utc::now();
            if let Some(parcel) = held.queue.take(sink, now) {
                // What is on its way is part of what is kept.
                held.changes += 1;
                return Some(parcel);
            }
            let next = held.queue.next_at(sink).map_or(ROUND, |next| (next - now).to_std().unwrap_or_default());
            let sleep = next.clamp(Duration::from_millis(20), ROUND);
            held = self.changed.wait_timeout(held, sleep).unpoisoned().0;
        }
    }
}
