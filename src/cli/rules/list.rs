//! Tables of rules: what there is, what one says of itself, and which are evaluated on this host.

use std::io;

use serde::Serialize;

use super::super::outcome::{FAILED, Failure, Outcome};
use super::super::print::{self, notice, table};
use super::Loaded;
use bartizan_model::{Severity, Technique, Tier};
use bartizan_rules::{Pack, Rule, same_techniques};

/// A rule, as JSON.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    uuid: Option<&'a str>,
    title: &'a str,
    pack: Pack,
    file: &'a str,
    severity: Severity,
    confidence: f64,
    tier: Tier,
    technique: &'a [Technique],
    enabled: bool,
    evaluated: bool,
    reason: Option<String>,
    /// What of it can never match here.
    missing: &'a [String],
    logsource: Option<&'static str>,
}

/// A rule, and everything it says of itself.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    description: &'a str,
    author: &'a str,
    false_positives: &'a [String],
}

fn row(rule: &Rule, off: bool) -> Row<'_> {
    let reason = if off { Some("it is switched off".to_owned()) } else { rule.reason.clone() };
    Row {
        id: &rule.key,
        uuid: rule.id.as_deref(),
        title: &rule.title,
        pack: rule.pack,
        file: &rule.file,
        severity: rule.severity,
        confidence: rule.confidence,
        tier: rule.tier,
        technique: &rule.techniques,
        enabled: !off,
        evaluated: reason.is_none(),
        reason,
        missing: &rule.missing,
        logsource: rule.route.map(|route| route.name()),
    }
}

fn rows(loaded: &Loaded) -> impl Iterator<Item = (&Rule, bool)> {
    loaded.set.rules().iter().enumerate().map(|(index, rule)| (rule, loaded.set.is_off(index)))
}

fn problems(loaded: &Loaded) {
    loaded.problems.iter().for_each(|problem| notice(&format!("refused: {problem}")));
}

pub(super) fn list(loaded: &Loaded, technique: Option<&str>, json: bool) -> Result<Outcome, Failure> {
    let wanted = technique.map(same_techniques);
    let is_wanted = |rule: &Rule| {
        wanted.as_ref().is_none_or(|ids| rule.techniques.iter().any(|has| ids.iter().any(|id| has.0.eq_ignore_ascii_case(id))))
    };
    let shown: Vec<(&Rule, bool)> = rows(loaded).filter(|(rule, _)| is_wanted(rule)).collect();
    problems(loaded);
    if json {
        print::items(&shown.iter().map(|(rule, off)| row(rule, *off)).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let lines: Vec<[String; 6]> = shown
        .iter()
        .map(|(rule, off)| {
            let state = match (off, &rule.reason) {
                (true, _) => "off",
                (false, Some(_)) => "not evaluated",
                (false, None) => "on",
            };
            let ids: Vec<&str> = rule.techniques.iter().map(|id| id.0.as_ref()).collect();
            [rule.key.clone(), rule.severity.to_string(), rule.pack.name().to_owned(), state.to_owned(), ids.join(" "), rule.title.clone()]
        })
        .collect();
    print::written(table::write(&mut io::stdout().lock(), ["RULE", "SEVERITY", "PACK", "STATE", "TECHNIQUE", "TITLE"], &lines))?;
    Ok(Outcome::Done)
}

pub(super) fn coverage(loaded: &Loaded, json: bool) -> Result<Outcome, Failure> {
    problems(loaded);
    if json {
        print::items(&rows(loaded).map(|(rule, off)| row(rule, off)).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut lines = Vec::new();
    for (rule, off) in rows(loaded) {
        let of = row(rule, off);
        let why = match &of.reason {
            Some(reason) => reason.clone(),
            None if !rule.missing.is_empty() => format!("in part: {} is missing", rule.missing.join(" and ")),
            None => String::new(),
        };
        lines.push([rule.key.clone(), if of.evaluated { "yes" } else { "no" }.to_owned(), rule.title.clone(), why]);
    }
    print::written(table::write(&mut io::stdout().lock(), ["RULE", "EVALUATED", "TITLE", "WHY"], &lines))?;
    let all = loaded.set.rules().len();
    notice(&format!("{} of {all} rules are evaluated; rules about files see only the places that are watched", loaded.set.evaluated()));
    Ok(Outcome::Done)
}

pub(super) fn show(loaded: &Loaded, name: &str, json: bool) -> Result<Outcome, Failure> {
    let Some((rule, off)) = rows(loaded).find(|(rule, _)| rule.is_called(name)) else {
        return Err(unknown(name));
    };
    let of = row(rule, off);
    if json {
        let document = Document { row: of, description: &rule.description, author: &rule.author, false_positives: &rule.false_positives };
        return print::document(&document).map(|()| Outcome::Done);
    }
    let ids: Vec<&str> = rule.techniques.iter().map(|id| id.0.as_ref()).collect();
    let evaluated = of.reason.map_or_else(|| "yes".to_owned(), |reason| format!("no: {reason}"));
    let lines = [
        ["rule".to_owned(), rule.key.clone()],
        ["title".to_owned(), rule.title.clone()],
        ["id".to_owned(), rule.id.clone().unwrap_or_default()],
        ["file".to_owned(), rule.file.clone()],
        ["author".to_owned(), rule.author.clone()],
        ["severity".to_owned(), format!("{}, sure {:.2}, {:?}", rule.severity, rule.confidence, rule.tier).to_lowercase()],
        ["technique".to_owned(), ids.join(" ")],
        ["log source".to_owned(), rule.route.map(|route| format!("{} ({})", route.name(), route.events())).unwrap_or_default()],
        ["evaluated".to_owned(), evaluated],
        ["missing".to_owned(), rule.missing.join(", ")],
        ["what".to_owned(), rule.description.clone()],
        ["harmless".to_owned(), rule.false_positives.join("; ")],
    ];
    let lines: Vec<[String; 2]> = lines.into_iter().filter(|[_, value]| !value.is_empty()).collect();
    print::written(table::write(&mut io::stdout().lock(), ["", ""], &lines))?;
    Ok(Outcome::Done)
}

pub(super) fn unknown(name: &str) -> Failure {
    let shown: String = name.escape_debug().take(80).collect();
    Failure::new(FAILED, format!("no rule is called \"{shown}\""), "`bartizan rules list` names them all")
}
