//! Who is told what, where and when: `[alerts]` in `agent.toml`, and the one `webhook` of before.

use std::time::Duration;

use chrono::NaiveTime;
use toml::{Table, Value};

use super::layers::{ConfigError, Layers};
use super::secret::Secret;
use super::sink_types::{SinkType, sink_type};
use super::values::{bad, one_of, text};
use bartizan_model::{Hours, MessageKind, Severity, nearest};

/// Most sinks.
pub const MAX_SINKS: usize = 8;
/// Longest name of a sink, in bytes.
const MAX_NAME: usize = 32;
/// The longest time until a sink is told of what nobody acknowledged.
const LONGEST_AFTER: Duration = Duration::from_secs(86_400);

/// Everything about messages to people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// Where they go, each with its own rules.
    pub sinks: Vec<SinkSetting>,
    /// An address that is asked again and again while the agent works, so that its silence is noticed elsewhere.
    pub heartbeat: Option<Secret>,
    /// How often.
    pub heartbeat_every: Duration,
}

impl AlertSettings {
    /// The sink of this name, or all of them when none is named.
    ///
    /// # Errors
    /// There is none: what is wrong, and what to do.
    pub fn chosen(&self, name: Option<&str>) -> Result<Vec<SinkSetting>, (String, String)> {
        if self.sinks.is_empty() {
            return Err(("no sink is configured".to_owned(), "write [[alerts.sinks]] into agent.toml (docs/alerts.md)".to_owned()));
        }
        let Some(name) = name else { return Ok(self.sinks.clone()) };
        let known = self.sinks.iter().map(|sink| sink.name.as_str());
        self.sinks.iter().find(|sink| sink.name == name).map(|sink| vec![sink.clone()]).ok_or_else(|| {
            let shown: String = name.escape_debug().take(40).collect();
            let meant = nearest(name, known.clone()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            (format!("there is no sink {shown}{meant}"), format!("sinks: {}", known.collect::<Vec<_>>().join(", ")))
        })
    }
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSetting {
    /// What it is called in commands and tables: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it is and where.
    pub to: SinkType,
    /// Only these kinds; all when empty.
    pub kinds: Vec<MessageKind>,
    /// Nothing below this is sent.
    pub from: Severity,
    /// From here on it is sent at once, the rest with the digest.
    pub at_once: Severity,
    /// When the digest is sent, in UTC.
    pub digest: NaiveTime,
    /// When only what is critical and questions are sent, in UTC.
    pub quiet: Option<Hours>,
    /// For escalation: how long something must have gone unacknowledged.
    pub after: Duration,
}

/// The settings of one sink as they are read: what is asked for is taken out, what is left was not understood.
pub(super) struct Fields {
    table: Table,
    asked: Vec<&'static str>,
}

impl Fields {
    pub(super) fn new(table: Table) -> Self {
        Self { table, asked: Vec::new() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    /// A text without control characters; none when it is not there.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= 1_024 && !text.contains(char::is_control) && !text.is_empty() => Ok(Some(text)),
            Some(Value::String(text)) if text.is_empty() => Err(format!("{key} is empty: write something or remove the line")),
            Some(other) => Err(format!("{key} is {other}, not a text of one line: write it in quotes")),
        }
    }

    pub(super) fn needed(&mut self, key: &'static str, such: &str) -> Result<String, String> {
        let given = self.text(key)?;
        given.ok_or_else(|| match nearest(key, self.table.keys().map(String::as_str)) {
            Some(near) => format!("\"{}\" is not a setting: did you mean {key}?", near.escape_debug()),
            None => format!("has no {key}: write {key} = {such}"),
        })
    }

    pub(super) fn span(&mut self, key: &'static str, or: Duration, longest: Duration) -> Result<Duration, String> {
        let Some(text) = self.text(key)? else { return Ok(or) };
        let span = humantime::parse_duration(&text).ok().filter(|span| *span <= longest);
        let such = if longest < Duration::from_secs(900) { "10s" } else { "15m" };
        span.ok_or_else(|| format!("{key} is \"{text}\", not a time up to {}: write {such}", humantime::format_duration(longest)))
    }

    fn severity(&mut self, key: &'static str, or: Severity) -> Result<Severity, String> {
        let Some(text) = self.text(key)? else { return Ok(or) };
        let found = Severity::ALL.into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| format!("{key} is \"{text}\", not one of {}", Severity::ALL.map(|one| one.to_string()).join(", ")))
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), String> {
        let Some(left) = self.table.keys().next() else { return Ok(()) };
        let left: String = left.escape_debug().take(60).collect();
        let meant = nearest(&left, self.asked.iter().copied()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        Err(format!("\"{left}\" is not a setting of it{meant}; it has {}", self.asked.join(", ")))
    }
}

/// All of it.
pub(super) fn alerts(layers: &Layers) -> Result<AlertSettings, ConfigError> {
    let value = &layers.get("alerts_sinks")?.0;
    let list = value.as_array().filter(|list| list.len() <= MAX_SINKS);
    let fail = |problem: String| bad(layers, "alerts_sinks", problem);
    let list = list.ok_or_else(|| fail(format!("is not a list of at most {MAX_SINKS} sinks: write [[alerts.sinks]]")))?;
    let mut sinks: Vec<SinkSetting> = webhook(layers)?.into_iter().collect();
    for one in list {
        let table = one.as_table().ok_or_else(|| fail("is not a list of sinks: write [[alerts.sinks]]".to_owned()))?;
        let sink = sink(table.clone()).map_err(fail)?;
        if sinks.iter().any(|other| other.name == sink.name) {
            return Err(fail(format!("two sinks are called {}: give one another name", sink.name)));
        }
        sinks.push(sink);
    }
    if !sinks.is_empty() && sinks.iter().all(|sink| !sink.after.is_zero()) {
        return Err(fail("every sink has `after`: one must be told first, remove its `after`".to_owned()));
    }
    let heartbeat = match &layers.get("alerts_heartbeat")?.0 {
        Value::String(text) if text.is_empty() => None,
        value => Some(Secret::address(value).map_err(|problem| bad(layers, "alerts_heartbeat", problem))?),
    };
    Ok(AlertSettings { sinks, heartbeat, heartbeat_every: heartbeat_every(layers)? })
}

fn heartbeat_every(layers: &Layers) -> Result<Duration, ConfigError> {
    let given = text(layers, "alerts_heartbeat_every")?.unwrap_or_default();
    let every = humantime::parse_duration(&given).ok();
    let range = Duration::from_secs(10)..=Duration::from_secs(86_400);
    let problem = || format!("\"{}\" is not a time from 10s to 1day: write 5m", given.escape_debug());
    every.filter(|every| range.contains(every)).ok_or_else(|| bad(layers, "alerts_heartbeat_every", problem()))
}

fn sink(table: Table) -> Result<SinkSetting, String> {
    let mut fields = Fields::new(table);
    let name = fields.needed("name", "\"ops\"").map_err(|why| format!("a sink {why}"))?;
    if name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(format!("\"{}\" is not a valid name of a sink: at most {MAX_NAME} letters, digits, - _ and .", name.escape_debug()));
    }
    let rules = |mut fields: Fields| -> Result<SinkSetting, String> {
        let to = sink_type(&mut fields)?;
        let setting = SinkSetting {
            name: name.clone(),
            to,
            kinds: kinds(fields.take("kinds"))?,
            from: fields.severity("from", Severity::Info)?,
            at_once: fields.severity("at_once", Severity::Medium)?,
            digest: hour(fields.text("digest")?)?,
            quiet: quiet(fields.text("quiet")?)?,
            after: fields.span("after", Duration::ZERO, LONGEST_AFTER)?,
        };
        fields.end().map(|()| setting)
    };
    rules(fields).map_err(|why| format!("sink {name}: {why}"))
}

fn hour(text: Option<String>) -> Result<NaiveTime, String> {
    let text = text.unwrap_or_else(|| "08:00".to_owned());
    Hours::time(&text).ok_or_else(|| format!("digest is \"{text}\", not a time of day: write 08:00 (UTC)"))
}

fn quiet(text: Option<String>) -> Result<Option<Hours>, String> {
    let fail = |text: &str| format!("quiet is \"{text}\", not hours of a day: write 22:00-07:00 (UTC)");
    text.map(|text| Hours::parse(&text).ok_or_else(|| fail(&text))).transpose()
}

fn kinds(value: Option<Value>) -> Result<Vec<MessageKind>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let kind = |one: &Value| MessageKind::CHOICES.into_iter().find(|kind| one.as_str() == Some(kind.name()));
    let kinds: Option<Vec<_>> = value.as_array().and_then(|list| list.iter().map(kind).collect());
    kinds.filter(|kinds| !kinds.is_empty()).ok_or_else(|| {
        let names = MessageKind::CHOICES.map(MessageKind::name).join(", ");
        format!("kinds is {value}, not a list of some of {names}: write kinds = [\"alert\"]")
    })
}

/// The sink of those who only set `webhook`: it is sent everything, at once.
fn webhook(layers: &Layers) -> Result<Option<SinkSetting>, ConfigError> {
    let url = text(layers, "webhook")?.map(|url| Secret::address(&Value::String(url))).transpose();
    let url = url.map_err(|problem| bad(layers, "webhook", problem))?;
    let kinds = [
        ("json", SinkType::json as fn(Secret) -> SinkType),
        ("slack", SinkType::slack),
        ("discord", SinkType::discord),
        ("ntfy", SinkType::ntfy),
    ];
    let to = one_of(layers, "webhook_format", &kinds)?;
    Ok(url.map(|url| SinkSetting {
        name: "webhook".to_owned(),
        to: to(url),
        kinds: Vec::new(),
        from: Severity::Info,
        at_once: Severity::Info,
        digest: NaiveTime::MIN,
        quiet: None,
        after: Duration::ZERO,
    }))
}

/// What of these settings may be shown: names and kinds, no address.
pub(super) fn shown(settings: &AlertSettings) -> String {
    let named = |sink: &SinkSetting| format!("{} ({})", sink.name, sink.to.name());
    format!("[{}]", settings.sinks.iter().map(named).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
