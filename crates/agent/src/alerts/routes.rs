//! The rules of a sink, from its settings.

use chrono::TimeDelta;

use bartizan_alerts::Route;
use bartizan_config::SinkSetting;

pub(super) fn route(setting: &SinkSetting) -> Route {
    Route {
        sink: setting.name.clone(),
        place: bartizan_outbound::place(&setting.to),
        kinds: setting.kinds.clone(),
        at_least: setting.from,
        at_once: setting.at_once,
        digest: setting.digest,
        quiet: setting.quiet,
        after: TimeDelta::from_std(setting.after).unwrap_or_default(),
    }
}
