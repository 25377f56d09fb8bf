//! `rules import`, `enable` and `disable`: changes to the folder of imported rules.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::super::outcome::{FAILED, Failure, Outcome};
use super::super::print::{self, notice};
use super::{Loaded, list};
use bartizan_config::rule_files;
use bartizan_rules::{BadRule, Pack, RuleSet, Switches, parse};
use bartizan_sys::replace_file::{Outlives, replace};

/// What was imported, as JSON.
#[derive(Serialize)]
struct Imported<'a> {
    folder: &'a Path,
    imported: usize,
    refused: Vec<Refused<'a>>,
}

#[derive(Serialize)]
struct Refused<'a> {
    file: &'a str,
    problem: &'a str,
}

/// Copies each valid rule file below `directory` into the folder of imported rules.
pub(super) fn import(loaded: &Loaded, directory: &Path, json: bool) -> Result<Outcome, Failure> {
    let name = directory.canonicalize().ok().and_then(|whole| Some(whole.file_name()?.to_owned()));
    let (Some(name), true) = (name, directory.is_dir()) else {
        return Err(Failure::new(
            FAILED,
            format!("{} is not a folder that can be read", directory.display()),
            "name a folder of Sigma rules",
        ));
    };
    let to = loaded.folders.imported.join(name);
    let found = rule_files(directory);
    if found.is_empty() {
        return Err(Failure::new(FAILED, format!("no .yml file below {}", directory.display()), "name a folder of Sigma rules"));
    }
    let (mut valid, mut refused) = (Vec::new(), Vec::new());
    for file in found {
        let path = file.path.display().to_string();
        let parsed = file
            .text
            .map_err(|problem| BadRule { file: path.clone(), problem })
            .and_then(|text| Ok((parse(&path, &text, Pack::Imported)?, text)));
        match parsed {
            Ok((rules, text)) => valid.push((file.path, rules, text)),
            Err(bad) => refused.push(bad),
        }
    }
    // A rule of the same name that lies elsewhere keeps it; one that this import replaces does not.
    let stays = |file: &str| !Path::new(file).starts_with(&to);
    let mut keys: HashSet<String> =
        loaded.set.rules().iter().filter(|rule| stays(&rule.file)).map(|rule| rule.key.to_ascii_lowercase()).collect();
    let (mut imported, mut written) = (0, Vec::new());
    for (path, rules, text) in valid {
        let mut own = HashSet::new();
        let taken = |key: String| keys.contains(&key) || !own.insert(key);
        if let Some(rule) = rules.iter().map(|rule| rule.key.to_ascii_lowercase()).position(taken).and_then(|at| rules.get(at)) {
            refused.push(BadRule { file: path.display().to_string(), problem: format!("another rule is called {}", rule.key) });
            continue;
        }
        keys.extend(own);
        let at = to.join(path.strip_prefix(directory).unwrap_or(&path));
        let made = at.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| replace(&at, text.as_bytes(), 0o600, Outlives::Power));
        made.map_err(|error| Failure::new(FAILED, format!("cannot write {}: {error}", at.display()), "run it as root"))?;
        imported += 1;
        written.extend(rules);
    }
    let (set, _) = RuleSet::new(written, &Switches::default());
    if json {
        let refused = refused.iter().map(|bad| Refused { file: &bad.file, problem: &bad.problem }).collect();
        print::document(&Imported { folder: &to, imported, refused })?;
    } else {
        refused.iter().for_each(|bad| notice(&format!("refused: {bad}")));
        let what = format!("imported {imported} rule files into {}; {} of their rules are evaluated here", to.display(), set.evaluated());
        print::done(
            &format!(
                "{what}. They are experimental: recorded, and never a reason to act. `bartizan reload` puts them into force; remove the folder and reload to undo"
            ),
            false,
        )?;
    }
    Ok(if refused.is_empty() { Outcome::Done } else { Outcome::Found })
}

/// Switches rules on or off.
pub(super) fn switch(loaded: &Loaded, names: &[String], on: bool, json: bool) -> Result<Outcome, Failure> {
    let mut keys = Vec::new();
    for name in names {
        keys.push(loaded.set.rule(name).ok_or_else(|| list::unknown(name))?);
    }
    if let Some(rule) = keys.iter().find(|rule| on && loaded.policy.is_off(rule)) {
        let problem = format!("policy.toml switches {} off ([rules] off)", rule.key);
        return Err(Failure::new(FAILED, problem, "remove it there and reload"));
    }
    let path = loaded.folders.switched_off_file();
    let fail = |error: std::io::Error| Failure::new(FAILED, format!("cannot write {}: {error}", path.display()), "run it as root");
    let mut off = loaded.folders.switched_off().map_err(fail)?;
    off.retain(|name| !keys.iter().any(|rule| rule.is_called(name)));
    if !on {
        off.extend(keys.iter().map(|rule| rule.key.clone()));
    }
    fs::create_dir_all(&loaded.folders.imported).map_err(fail)?;
    let text: String = off.iter().map(|name| format!("{name}\n")).collect();
    replace(&path, text.as_bytes(), 0o600, Outlives::Power).map_err(fail)?;
    let named: Vec<&str> = keys.iter().map(|rule| rule.key.as_str()).collect();
    let what = if on { "on" } else { "off" };
    print::done(&format!("switched {what}: {}; `bartizan reload` puts it into force", named.join(", ")), json)?;
    Ok(Outcome::Done)
}
