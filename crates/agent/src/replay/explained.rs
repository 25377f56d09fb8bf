//! What became of one line of a log, in words: which parser read what, how far the counts are, what would be done.

use serde::Serialize;
use serde_json::{Map, Value};

use bartizan_detect::detectors::logins::{Finding, Fold, Standing};
use bartizan_model::{Family, HostText, Tier};
use bartizan_worker::{LogFormat, LogRecord};

/// How far an address is from what a detector speaks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Which detector.
    pub detector: &'static str,
    /// Counted so far, this line included. After a finding the detector counts anew.
    pub count: u32,
    /// From how many on it speaks.
    pub of: u32,
    /// Within so many seconds.
    pub within_seconds: u32,
}

/// What a detector said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaidOf {
    /// Which.
    pub detector: &'static str,
    /// How bad, if true.
    pub severity: String,
    /// One sentence.
    pub sentence: String,
    /// By itself, or part of which campaign.
    pub told: String,
    /// The address that may be acted on.
    pub hostile: Option<String>,
    /// How often its source was told of.
    pub strikes: u8,
}

/// One line, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// As which format it was read.
    pub format: &'static str,
    /// The parser that understood it: a service, or the format.
    pub parser: Option<String>,
    /// What it read.
    pub fields: Map<String, Value>,
    /// How far the counts are.
    pub counts: Vec<Counted>,
    /// What a detector said.
    pub finding: Option<SaidOf>,
    /// What would be done.
    pub would: String,
}

impl Explained {
    /// A line that nobody understands.
    pub(super) fn nothing(line: &[u8]) -> Self {
        let would = match line {
            [] => "nothing: the line is empty".to_owned(),
            _ => "nothing: no parser understands it; it is counted as unparsed".to_owned(),
        };
        Self { format: "unknown", parser: None, fields: Map::new(), counts: Vec::new(), finding: None, would }
    }

    pub(super) fn of(format: &LogFormat, record: Option<&LogRecord>, finding: Option<&Finding>, standing: &[Standing]) -> Self {
        let (parser, value) = match record {
            Some(LogRecord::Auth(record)) => (Some(word(&record.service)), serde_json::to_value(record)),
            Some(LogRecord::Request(request)) => (Some(format.noun().to_owned()), serde_json::to_value(request)),
            Some(LogRecord::Trouble(trouble)) => (Some(format.noun().to_owned()), serde_json::to_value(trouble)),
            Some(LogRecord::Jails(_)) | None => (None, Ok(Value::Null)),
        };
        let fields = match value {
            Ok(Value::Object(fields)) => fields.into_iter().filter(|(_, value)| says_something(value)).collect(),
            _ => Map::new(),
        };
        let counted = |one: &Standing| Counted { detector: one.detector, count: one.count, of: one.of, within_seconds: one.within };
        Self {
            format: format.noun(),
            parser,
            fields,
            counts: standing.iter().filter(|one| one.count > 0).map(counted).collect(),
            finding: finding.map(said),
            would: would(record, finding),
        }
    }
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

fn said(finding: &Finding) -> SaidOf {
    let told = match finding.fold {
        Fold::Alone => "by itself".to_owned(),
        Fold::Opens(number) => format!("opens campaign {number}: one alert"),
        Fold::Worsens(number) => format!("makes campaign {number} graver: an alert more"),
        Fold::Joins(number) => format!("joins campaign {number}: counted in its alert"),
    };
    SaidOf {
        detector: finding.info.name,
        severity: finding.severity.to_string(),
        sentence: finding.sentence.clone(),
        told,
        hostile: finding.hostile.map(|address| address.to_string()),
        strikes: finding.strikes,
    }
}

/// What the agent would do, by the modes; `[holds]`, the lifeline and what is protected still have their say.
fn would(record: Option<&LogRecord>, finding: Option<&Finding>) -> String {
    let forged = matches!(record, Some(LogRecord::Auth(record)) if word(&record.origin) == "forged");
    match (record, finding) {
        _ if forged => "nothing: another program than the service wrote it; it is counted as forged".to_owned(),
        (None, _) => "nothing: it says nothing that matters here".to_owned(),
        (Some(_), None) => "nothing: it is counted".to_owned(),
        (Some(_), Some(finding)) => match finding.hostile {
            None => "it is told; no address is named for an action".to_owned(),
            Some(address) if finding.info.tier != Tier::Stable => format!("it is told; {address} is held by nobody alone"),
            Some(address) => {
                let balanced = if finding.info.family == Family::Auth { "limits it" } else { "asks" };
                let again = if finding.strikes > 1 { ", longer than the last time" } else { "" };
                format!("{address} is named: PARANOID asks, BALANCED {balanced}, AGGRESSIVE blocks or limits it for a time{again}")
            }
        },
    }
}

impl std::fmt::Display for Explained {
    /// For people, a line a fact. Safe to show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parser = self.parser.as_deref().unwrap_or("none");
        write!(f, "format    {}\nparser    {parser}", self.format)?;
        for (name, value) in &self.fields {
            let text = match value {
                Value::String(text) => HostText::from(text.as_str()).escaped(),
                Value::Array(all) => {
                    all.iter().map(|one| HostText::from(one.to_string().as_str()).escaped()).collect::<Vec<_>>().join("\n          ")
                }
                Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::Null => value.to_string(),
            };
            write!(f, "\n  {name:<12} {text}")?;
        }
        for one in &self.counts {
            let time = humantime_seconds(one.within_seconds);
            write!(f, "\ncount     {}: {} of {} within {time}", one.detector, one.count, one.of)?;
        }
        if let Some(finding) = &self.finding {
            write!(f, "\nfinding   {} [{}]: {}", finding.detector, finding.severity, finding.sentence)?;
            write!(f, "\ntold      {}", finding.told)?;
        }
        write!(f, "\nwould do  {}", self.would)
    }
}

fn humantime_seconds(seconds: u32) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (hours, 0, 0) => format!("{hours}h"),
        _ => format!("{seconds}s"),
    }
}
