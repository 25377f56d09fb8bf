//! Alerts: one an incident, raised when it first matters, updated in place, and seen by a person.

use std::sync::atomic::Ordering;

use super::Console;
use crate::record::Record;
use bartizan_alerts::Message;
use bartizan_model::{Alert, AlertId, AlertState, Confidence, Incident, Severity};

impl Console {
    /// Raises the alert about an incident, or brings it up to date.
    pub(crate) fn alert_about(&self, incident: &Incident) {
        self.alert(incident, false);
    }

    /// The same when something grave by itself has joined the incident: whoever has seen the alert must look again.
    pub(crate) fn alert_again(&self, incident: &Incident) {
        self.alert(incident, true);
    }

    fn alert(&self, incident: &Incident, is_news: bool) {
        let mut rows = self.rows();
        if incident.severity < Severity::Medium && incident.confidence < Confidence::new(rows.contain) {
            return;
        }
        let known = rows.live.alerts.values().find(|alert| alert.incident == incident.id).cloned();
        let new = known.is_none();
        let mut alert = known.unwrap_or_else(|| Alert {
            id: AlertId(self.next_alert.fetch_add(1, Ordering::Relaxed)),
            incident: incident.id,
            at: incident.opened,
            updated: incident.updated,
            severity: incident.severity,
            sentence: String::new(),
            count: 0,
            state: AlertState::New,
            by: None,
        });
        let worse = incident.severity > alert.severity || (is_news && alert.state == AlertState::Acknowledged);
        alert.updated = incident.updated;
        alert.severity = incident.severity;
        alert.sentence.clone_from(&incident.sentence);
        alert.count = incident.signal_count;
        if worse {
            // What grew worse since somebody looked must be looked at again.
            (alert.state, alert.by) = (AlertState::New, None);
        }
        rows.live.alert(&alert);
        let active = rows.live.actions.values().filter(|action| action.state.is_active()).cloned().collect::<Vec<_>>();
        drop(rows);
        if new {
            self.counters.count_alert();
        }
        if new || worse {
            self.alerts.offer(|host| Message::alert(host, &alert, incident.confidence, &active));
        }
        self.recorder.keep(Record::Alert(Box::new(alert)));
    }

    /// A person has seen an alert; gives it as it is now, or nothing when there is none of this number.
    pub(crate) fn acknowledge(&self, id: AlertId, actor: &str) -> Option<Alert> {
        let mut rows = self.rows();
        let mut alert = rows.live.alerts.get(&id).cloned()?;
        alert.state = AlertState::Acknowledged;
        alert.by = Some(actor.to_owned());
        rows.live.alert(&alert);
        drop(rows);
        self.alerts.acknowledge(&id.to_string());
        self.recorder.keep(Record::Alert(Box::new(alert.clone())));
        Some(alert)
    }

    /// All alerts, the oldest first.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.rows().live.alerts.values().cloned().collect()
    }
}
