//! The state of the agent as Prometheus metrics, in its text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4).

use std::fmt::Write as _;

use super::{Health, HopDrops, Rung};

/// Series of one metric that are written at most.
const MAX_SERIES: usize = 64;
/// Longest value of a label, in characters.
const MAX_LABEL: usize = 128;

/// Names and values of the labels of one series.
type Labels = Vec<(&'static str, String)>;

/// All metrics of a state.
#[allow(clippy::cast_precision_loss)] // Prometheus knows floating point only
pub fn metrics(health: &Health) -> String {
    let mut page = Page(String::new());
    page.gauge("bartizan_up", "Whether the agent answers.", 1.0);
    page.series(
        "bartizan_info",
        "gauge",
        "Version of the agent, release of the kernel, sensors in use, mode and posture.",
        [(info(health), 1.0)],
    );
    let since = health.watching_since.timestamp_millis() as f64 / 1000.0;
    page.gauge("bartizan_watching_since_timestamp_seconds", "Since when nothing is known to be missing.", since);
    page.counter("bartizan_events_total", "Events seen since the agent started.", health.events_total);
    page.counter("bartizan_lost_total", "Events, incidents, questions and alerts lost since the agent started.", health.lost());
    let hops = |count: fn(&HopDrops) -> u64| health.hops.iter().map(move |hop| (vec![("hop", hop.hop.clone())], count(hop) as f64));
    page.series("bartizan_hop_received_total", "counter", "What came in at each hop.", hops(|hop| hop.received));
    page.series("bartizan_hop_lost_total", "counter", "What was lost at each hop.", hops(HopDrops::lost));
    waiting(&mut page, health);
    cost(&mut page, health);
    let source = |log: &super::LogSource| vec![("source", log.name.escaped())];
    let lines = health.logs.iter().map(|log| (source(log), log.lines as f64));
    page.series("bartizan_log_lines_total", "counter", "Lines read of each followed log.", lines);
    let lags = health.logs.iter().filter_map(|log| Some((source(log), log.lag? as f64)));
    page.series("bartizan_log_lag_bytes", "gauge", "Bytes of each followed log that are not read yet.", lags);
    page.0
}

fn info(health: &Health) -> Labels {
    let rung = match health.rung {
        Rung::Ebpf => "ebpf",
        Rung::ProcessConnector => "process-connector",
        Rung::Procfs => "procfs",
    };
    vec![
        ("version", health.version.clone()),
        ("kernel", health.kernel.clone()),
        ("sensors", rung.to_owned()),
        ("mode", health.mode.to_string().to_lowercase()),
        ("posture", health.posture.standing().to_lowercase()),
    ]
}

/// What waits for a person, and what cannot be seen or done.
fn waiting(page: &mut Page, health: &Health) {
    let (counts, messages) = (&health.counts, &health.messages);
    let gauges = [
        ("bartizan_open_incidents", "Incidents that nobody has dealt with.", counts.open_incidents),
        ("bartizan_new_alerts", "Alerts that nobody has acknowledged.", counts.new_alerts),
        ("bartizan_pending_approvals", "Questions that wait for a person.", counts.pending_approvals),
        ("bartizan_active_actions", "Actions that may still have an effect.", counts.active_actions),
        ("bartizan_undo_pending", "Actions that are to be undone and could not be yet.", counts.undo_pending),
        ("bartizan_processes", "Living processes.", counts.processes),
        ("bartizan_blind_spots", "Kinds of events that the sensors in use cannot see.", health.blind_spots.len() as u64),
        ("bartizan_degraded_parts", "Parts of the agent that do not work.", health.degraded.len() as u64),
        ("bartizan_alert_sinks", "Sinks for alerts that are configured.", messages.sinks),
        ("bartizan_alert_sinks_lost", "Sinks for alerts that failed several times in a row.", messages.lost_sinks),
        ("bartizan_messages_waiting", "Messages that still have to be sent.", messages.waiting),
    ];
    #[allow(clippy::cast_precision_loss)]
    gauges.into_iter().for_each(|(name, help, value)| page.gauge(name, help, value as f64));
    page.counter("bartizan_messages_sent_total", "Messages that a sink took.", messages.sent);
    page.counter("bartizan_messages_given_up_total", "Messages that a sink refused for good.", messages.given_up);
}

/// What the agent costs.
#[allow(clippy::cast_precision_loss)]
fn cost(page: &mut Page, health: &Health) {
    let seconds = |us: u64| us as f64 / 1e6;
    let latency = &health.urgent_latency;
    page.gauge("bartizan_cpu_ratio", "Own CPU over ten seconds, as a part of one core.", health.cpu_percent / 100.0);
    page.gauge("bartizan_resident_memory_bytes", "Own resident memory.", health.rss_bytes as f64);
    page.gauge("bartizan_store_bytes", "Size of the databases on disk.", health.store_bytes as f64);
    page.gauge("bartizan_budget_level", "Steps of work left out to stay within the budget.", f64::from(health.budget.level));
    let half = "Half of the urgent events took no longer from the kernel to the detectors.";
    page.gauge("bartizan_urgent_latency_median_seconds", half, seconds(latency.median_us));
    let most = "99 of 100 urgent events took no longer from the kernel to the detectors.";
    page.gauge("bartizan_urgent_latency_p99_seconds", most, seconds(latency.p99_us));
}

/// The text as far as it is written.
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.series(name, "gauge", help, [(Labels::new(), value)]);
    }

    #[allow(clippy::cast_precision_loss)]
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.series(name, "counter", help, [(Labels::new(), value as f64)]);
    }

    fn series(&mut self, name: &str, kind: &str, help: &str, rows: impl IntoIterator<Item = (Labels, f64)>) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows.into_iter().take(MAX_SERIES) {
            let labels: Vec<String> = labels.into_iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(&value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

/// As the format demands it, and without control characters, which no reader needs.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for letter in value.chars().filter(|letter| !letter.is_control()).take(MAX_LABEL) {
        if matches!(letter, '\\' | '"') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_nothing_that_ends_it_and_series_have_a_bound() {
        assert_eq!(escaped("a\"b\\c\nd\u{1b}[31m"), "a\\\"b\\\\cd[31m");
        assert_eq!(escaped(&"x".repeat(1000)).len(), MAX_LABEL);
        let mut page = Page(String::new());
        page.series("m", "gauge", "Some.", (0..1000).map(|n| (vec![("n", n.to_string())], 1.5)));
        assert!(page.0.starts_with("# HELP m Some.\n# TYPE m gauge\nm{n=\"0\"} 1.5\n"));
        assert_eq!(page.0.lines().count(), 2 + MAX_SERIES);
    }
}
