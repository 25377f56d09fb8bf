//! One value of a settings file, checked: a text, a path, a number, a size, one of a few names. An error says where it was set.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Value;

use super::layers::{ConfigError, Layers, Origin};

pub(super) fn bad(layers: &Layers, key: &str, problem: String) -> ConfigError {
    let origin = layers.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
    ConfigError::Value { origin, key: key.to_owned(), problem }
}

pub(super) fn text_of(key: &str, path: &Path) -> Result<Value, ConfigError> {
    let fail = || ConfigError::Value { origin: Origin::Flag, key: key.to_owned(), problem: "is not UTF-8 text".to_owned() };
    let absolute = std::path::absolute(path).map_err(|_| fail())?;
    absolute.to_str().map(|text| Value::String(text.to_owned())).ok_or_else(fail)
}

/// A text; empty means not set.
pub(super) fn text(layers: &Layers, key: &str) -> Result<Option<String>, ConfigError> {
    match &layers.get(key)?.0 {
        Value::String(text) if text.contains(|c: char| c.is_control()) => {
            Err(bad(layers, key, "holds a control character: remove it".to_owned()))
        }
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        other => Err(bad(layers, key, format!("{other} is not a text: write it in quotes"))),
    }
}

pub(super) fn path(layers: &Layers, key: &str) -> Result<Option<PathBuf>, ConfigError> {
    let Some(text) = text(layers, key)? else { return Ok(None) };
    if !text.starts_with('/') {
        return Err(bad(layers, key, format!("\"{text}\" is not an absolute path: begin it with /")));
    }
    Ok(Some(PathBuf::from(text)))
}

pub(super) fn number(layers: &Layers, key: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
    let value = &layers.get(key)?.0;
    value
        .as_integer()
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| bad(layers, key, format!("{value} is not a whole number from {least} to {most}")))
}

pub(super) fn lane(layers: &Layers, key: &str) -> Result<usize, ConfigError> {
    number(layers, key, 64, 1_000_000).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

pub(super) fn ids(layers: &Layers, key: &str) -> Result<Vec<u32>, ConfigError> {
    let value = &layers.get(key)?.0;
    let fail = || bad(layers, key, format!("{value} is not a list of numeric ids: write [1000, 1001] (`id` shows them)"));
    let list = value.as_array().ok_or_else(fail)?;
    list.iter().map(|id| id.as_integer().and_then(|id| u32::try_from(id).ok()).ok_or_else(fail)).collect()
}

pub(super) fn one_of<T: Copy>(layers: &Layers, key: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    let given = text(layers, key)?.unwrap_or_default();
    choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        bad(layers, key, format!("\"{}\" is not one of {}", given.escape_debug(), names.join(", ")))
    })
}

/// A size in bytes, as a number or with KiB, MiB, GiB, TiB.
pub(super) fn bytes(layers: &Layers, key: &str, range: RangeInclusive<u64>, range_said: &str) -> Result<u64, ConfigError> {
    let value = &layers.get(key)?.0;
    let parsed = match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::String(text) => {
            let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (digits, unit) = text.split_at(split);
            let shift = match unit.trim() {
                "" | "B" => Some(0),
                "KiB" => Some(10),
                "MiB" => Some(20),
                "GiB" => Some(30),
                "TiB" => Some(40),
                _ => None,
            };
            shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift))
        }
        _ => None,
    };
    parsed
        .filter(|size| range.contains(size))
        .ok_or_else(|| bad(layers, key, format!("{value} is not a size from {range_said}: write 512MiB or 2GiB")))
}
