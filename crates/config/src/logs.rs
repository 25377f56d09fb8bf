//! Logs that the user names: `[[logs]]` in `agent.toml`.

use std::path::PathBuf;

use toml::Value;

use super::layers::{ConfigError, Layers};
use super::values::bad;

/// Logs that may be named.
const MAX_LOGS: usize = 100;
/// Longest format, in bytes.
const MAX_FORMAT: usize = 4096;

/// What the user says of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSetting {
    /// The file; absolute. `None` is the journal.
    pub path: Option<PathBuf>,
    /// A name of a format, or a `log_format` of nginx (with `$`) or `LogFormat` of Apache (with `%`); `None` leaves it to discovery.
    pub format: Option<String>,
    /// It is not to be read.
    pub off: bool,
}

/// All of them.
pub(super) fn logs(layers: &Layers) -> Result<Vec<LogSetting>, ConfigError> {
    const WRITE: &str = "write [[logs]], path = \"/var/log/app/access.log\", format = \"access\"";
    let value = &layers.get("logs")?.0;
    let list = value.as_array().filter(|list| list.len() <= MAX_LOGS);
    let list = list.ok_or_else(|| bad(layers, "logs", format!("is not a list of at most {MAX_LOGS} logs: {WRITE}")))?;
    list.iter().map(|one| log(one).map_err(|problem| bad(layers, "logs", format!("{problem}: {WRITE}")))).collect()
}

fn log(value: &Value) -> Result<LogSetting, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is not a log"))?;
    if let Some(other) = table.keys().find(|key| !matches!(key.as_str(), "path" | "format" | "off")) {
        return Err(format!("\"{}\" is not known of a log, only path, format and off are", other.escape_debug()));
    }
    let path = table.get("path").and_then(Value::as_str).ok_or("a log has no path (a file, or \"journal\")")?;
    if path != "journal" && !path.starts_with('/') {
        return Err(format!("\"{}\" is not an absolute path", path.escape_debug()));
    }
    let format = match table.get("format") {
        None => None,
        Some(Value::String(format)) if format.len() <= MAX_FORMAT && !format.is_empty() => Some(format.clone()),
        Some(other) => return Err(format!("{other} is not a format")),
    };
    let off = match table.get("off") {
        None => false,
        Some(Value::Boolean(off)) => *off,
        Some(other) => return Err(format!("off is {other}, not true or false")),
    };
    Ok(LogSetting { path: Some(path).filter(|path| *path != "journal").map(PathBuf::from), format, off })
}
