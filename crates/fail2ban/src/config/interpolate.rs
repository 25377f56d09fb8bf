//! References: `%(name)s` of the section, of `[DEFAULT]`, of another section (`%(section/name)s`) and of earlier files (`%(known/name)s`).

use std::collections::BTreeMap;

use thiserror::Error;

use super::Config;

/// How deep references may lead (configparser's own bound), and how long a value may become.
const MAX_DEPTH: usize = 10;
/// References that one value may have, those in what they stand for counted: ten deep, they could be more than ever end.
const MAX_REFERENCES: usize = 5000;
pub(super) const MAX_VALUE: usize = 256 << 10;

/// Why a value could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Why {
    #[error("`%({0})s` is set nowhere")]
    Missing(String),
    #[error("a single `%`: write `%%`")]
    Percent,
    #[error("refers to itself, or to too many others")]
    TooDeep,
    #[error("becomes longer than 256 KiB")]
    TooLong,
}

/// Where references are looked up.
struct Scope<'a> {
    section: &'a str,
    vars: &'a BTreeMap<String, String>,
}

impl Config {
    /// What a setting says with its references filled in; `vars` stand in front of everything. `None` when it is set nowhere.
    pub(crate) fn get(&self, section: &str, name: &str, vars: &BTreeMap<String, String>) -> Result<Option<String>, Why> {
        let lower = name.to_lowercase();
        let Some(raw) = vars.get(&lower).map(String::as_str).or_else(|| self.raw(section, &lower)) else { return Ok(None) };
        let mut out = String::new();
        let mut left = MAX_REFERENCES;
        self.fill(&Scope { section, vars }, raw, 0, &mut left, &mut out)?;
        Ok(Some(out))
    }

    fn fill(&self, scope: &Scope<'_>, raw: &str, depth: usize, left: &mut usize, out: &mut String) -> Result<(), Why> {
        *left = left.saturating_sub(1);
        if depth > MAX_DEPTH || *left == 0 {
            return Err(Why::TooDeep);
        }
        let mut rest = raw;
        while let Some(at) = rest.find('%') {
            out.push_str(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + 1..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let (name, after) = rest.strip_prefix('(').and_then(|rest| rest.split_once(")s")).ok_or(Why::Percent)?;
            let lower = name.to_lowercase();
            if lower == "__name__" {
                out.push_str(scope.section);
            } else {
                let found = scope.vars.get(&lower).map(String::as_str).or_else(|| self.referred(scope.section, name, &lower));
                self.fill(scope, found.ok_or_else(|| Why::Missing(name.to_owned()))?, depth + 1, left, out)?;
            }
            rest = after;
            if out.len() > MAX_VALUE {
                return Err(Why::TooLong);
            }
        }
        out.push_str(rest);
        if out.len() > MAX_VALUE { Err(Why::TooLong) } else { Ok(()) }
    }

    /// What a reference in this section stands for.
    fn referred(&self, section: &str, name: &str, lower: &str) -> Option<&str> {
        if let Some(own) = self.raw(section, lower) {
            return Some(own);
        }
        let (other, option) = name.split_once('/')?;
        let option = option.to_lowercase();
        match other.to_lowercase().as_str() {
            "known" | "default" => self.defaults.get(&option).map(String::as_str),
            _ => self.sections.contains_key(other).then(|| self.raw(other, &option)).flatten(),
        }
    }
}
