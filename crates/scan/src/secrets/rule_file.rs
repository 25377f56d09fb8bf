//! Rule files as gitleaks writes them (TOML: `[[rules]]` with id, regex, keywords, entropy, path, allowlists), and our own short form of
//! a rule: the names beside which a value stands, and how the value looks.

use regex::bytes::Regex;
use serde::Deserialize;

use super::allowlist::{Against, Allowlist};
use super::re2;
use super::rule::Rule;
use bartizan_model::Severity;

/// Bytes of a rule file, rules in it, keywords of one rule.
pub(super) const MAX_BYTES: usize = 4 << 20;
const MAX_RULES: usize = 5_000;
const MAX_KEYWORDS: usize = 200;

/// Between a name and its value: the rest of the name, quotes, and what assigns (`key = "..."`, `key: ...`, `key => ...`).
const ASSIGNED: &str = r#"[ \t\w.-]{0,20}[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}"#;
/// What may stand behind a value.
const END: &str = r#"(?:[\x60'"\s;,&)\]}<]|\\[nr]|$)"#;

/// Why a rule file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// It is not such a file.
    #[error("it is no rule file: {0}")]
    NotToml(String),
    /// It has too many bytes or too many rules; the message says how many may be.
    #[error("it is too large: at most {MAX_BYTES} bytes and {MAX_RULES} rules")]
    TooLarge,
    /// A pattern cannot be compiled within its bounds.
    #[error("rule {rule}: {why}")]
    Pattern {
        /// Which rule.
        rule: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    rules: Vec<Spec>,
    #[serde(default)]
    allowlist: Option<ListSpec>,
    #[serde(default)]
    allowlists: Vec<ListSpec>,
}

#[derive(Deserialize)]
struct Spec {
    id: String,
    #[serde(default)]
    description: String,
    regex: Option<String>,
    #[serde(default)]
    near: Vec<String>,
    value: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    entropy: Option<f64>,
    path: Option<String>,
    #[serde(rename = "secretGroup")]
    secret_group: Option<usize>,
    severity: Option<Severity>,
    #[serde(default)]
    allowlist: Option<ListSpec>,
    #[serde(default)]
    allowlists: Vec<ListSpec>,
}

#[derive(Deserialize)]
struct ListSpec {
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(rename = "regexTarget")]
    target: Option<String>,
    #[serde(default)]
    stopwords: Vec<String>,
    condition: Option<String>,
}

/// The rules of a file, with its list for all of them put to each.
///
/// # Errors
/// [`RuleFileError`]: a file is used as a whole or not at all.
pub fn parse(text: &str) -> Result<Vec<Rule>, RuleFileError> {
    if text.len() > MAX_BYTES {
        return Err(RuleFileError::TooLarge);
    }
    let file: File = toml::from_str(text).map_err(|why| RuleFileError::NotToml(why.message().to_owned()))?;
    if file.rules.len() > MAX_RULES {
        return Err(RuleFileError::TooLarge);
    }
    let for_all: Vec<Allowlist> =
        file.allowlist.into_iter().chain(file.allowlists).map(|list| allowlist("allowlist", list)).collect::<Result<_, _>>()?;
    file.rules.into_iter().map(|spec| rule(spec, &for_all)).collect()
}

fn rule(spec: Spec, for_all: &[Allowlist]) -> Result<Rule, RuleFileError> {
    let Spec { id, description, regex, near, value, mut keywords, entropy, path, secret_group, severity, allowlist: one, allowlists } =
        spec;
    let wrong = |why: &str| RuleFileError::Pattern { rule: id.clone(), why: why.to_owned() };
    let pattern = match (regex, value) {
        (Some(regex), None) => Some(regex),
        (None, Some(value)) if !near.is_empty() => {
            if keywords.is_empty() {
                keywords.clone_from(&near);
            }
            let names: Vec<String> = near.iter().map(|name| regex::escape(name)).collect();
            Some(format!("(?i)(?:{}){ASSIGNED}({value}){END}", names.join("|")))
        }
        (None, None) if path.is_some() => None,
        _ => return Err(wrong("it needs `regex`, or `near` and `value`, or `path`")),
    };
    if keywords.len() > MAX_KEYWORDS {
        return Err(wrong("it has too many keywords"));
    }
    let mut lists = for_all.to_vec();
    for list in one.into_iter().chain(allowlists) {
        lists.push(allowlist(&id, list)?);
    }
    let path = path.map(|path| compile(&id, &path)).transpose()?;
    let what = if description.is_empty() { id.clone() } else { description };
    let mut rule = Rule::new(id, what, severity.unwrap_or(Severity::High), keywords, pattern);
    (rule.group, rule.entropy, rule.path, rule.allowlists) = (secret_group, entropy, path, lists);
    Ok(rule)
}

fn allowlist(rule: &str, spec: ListSpec) -> Result<Allowlist, RuleFileError> {
    let compiled = |patterns: Vec<String>| patterns.iter().map(|pattern| compile(rule, pattern)).collect::<Result<Vec<_>, _>>();
    let against = match spec.target.as_deref() {
        Some("match") => Against::Match,
        Some("line") => Against::Line,
        _ => Against::Secret,
    };
    Ok(Allowlist {
        paths: compiled(spec.paths)?,
        patterns: compiled(spec.regexes)?,
        against,
        stopwords: spec.stopwords.iter().map(|word| word.to_ascii_lowercase()).filter(|word| !word.is_empty()).collect(),
        all: spec.condition.is_some_and(|condition| condition.eq_ignore_ascii_case("and")),
    })
}

fn compile(rule: &str, pattern: &str) -> Result<Regex, RuleFileError> {
    re2::compile(pattern).map_err(|why| RuleFileError::Pattern { rule: rule.to_owned(), why })
}
