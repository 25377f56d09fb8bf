//! One configuration of several files: order, includes, what the last one says, and what it says once references are filled in.

mod ini;
mod interpolate;
pub(crate) mod tags;

use std::collections::BTreeMap;

use super::installed::{Installed, beside};
use super::problem::Problem;

pub(crate) use interpolate::Why;

/// Files that one configuration may consist of, includes counted.
const MAX_INCLUDED: usize = 64;

/// Settings of one section, as they stand there.
pub(crate) type Section = BTreeMap<String, String>;

/// All that the files of one name say (`jail`, `filter.d/sshd`).
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// `[DEFAULT]`: holds in every section that does not say otherwise.
    defaults: Section,
    sections: BTreeMap<String, Section>,
    /// Names of the sections in the order in which they came.
    pub(crate) order: Vec<String>,
    /// The file that was read last.
    pub(crate) file: String,
    /// Lines and includes that are not understood.
    pub(crate) problems: Vec<Problem>,
}

impl Config {
    /// Reads `stem.conf`, `stem.d/*.conf`, `stem.local`, `stem.d/*.local` with what they include, later ones over earlier ones; `None`
    /// when there is no such file.
    pub(crate) fn read(installed: &Installed, stem: &str) -> Option<Self> {
        let folder = format!("{stem}.d");
        let mut files = Vec::new();
        for ending in [".conf", ".local"] {
            let own = format!("{stem}{ending}");
            files.extend(installed.has(&own).then_some(own));
            files.extend(installed.inside(&folder, ending).map(str::to_owned));
        }
        let mut config = Self { file: files.first()?.clone(), ..Self::default() };
        // What fail2ban itself sets.
        for (name, value) in [("fail2ban_confpath", "/etc/fail2ban"), ("fail2ban_version", "")] {
            config.defaults.insert(name.to_owned(), value.to_owned());
        }
        let mut order = Vec::new();
        for file in &files {
            config.with_includes(installed, file, &mut order);
        }
        for file in order {
            config.merge(&file, ini::parse(installed.text(&file).unwrap_or_default()));
        }
        Some(config)
    }

    /// Puts this file into the order: behind what it includes before itself, in front of what it includes after.
    fn with_includes(&mut self, installed: &Installed, file: &str, order: &mut Vec<String>) {
        if order.len() >= MAX_INCLUDED {
            self.problems.push(Problem::new(file, "INCLUDES", "", format!("not read: more than {MAX_INCLUDED} files in one")));
            return;
        }
        let parsed = ini::parse(installed.text(file).unwrap_or_default());
        let mut named = |key: &str| -> Vec<String> {
            let includes = parsed.sections.iter().filter(|(name, _)| name == "INCLUDES").flat_map(|(_, section)| section);
            let names = includes.filter(|(name, _)| name == key).flat_map(|(_, value)| value.split_whitespace());
            let mut found = Vec::new();
            for name in names {
                match beside(file, name) {
                    Some(path) if installed.has(&path) => found.push(path),
                    // `after = common.local` is there only when somebody wrote one.
                    Some(path) if path.ends_with(".local") => {}
                    Some(_) => self.problems.push(Problem::new(file, "INCLUDES", name, "there is no such file")),
                    None => self.problems.push(Problem::new(file, "INCLUDES", name, "only files in fail2ban's own folder are read")),
                }
            }
            found
        };
        let (before, after) = (named("before"), named("after"));
        // A file that includes itself, over however many others, is read where it was met first.
        let place = order.len();
        order.push(file.to_owned());
        let mut whole = Vec::new();
        for path in before {
            self.include(installed, &path, order, &mut whole);
        }
        order.splice(place..place, whole);
        for path in after {
            let mut whole = Vec::new();
            self.include(installed, &path, order, &mut whole);
            order.extend(whole);
        }
    }

    fn include(&mut self, installed: &Installed, path: &str, order: &[String], whole: &mut Vec<String>) {
        if order.iter().chain(whole.iter()).any(|known| known == path) || order.len() + whole.len() >= MAX_INCLUDED {
            return;
        }
        // What is on the way already is known to the inner one, so that a circle ends.
        let mut inner: Vec<String> = order.iter().chain(whole.iter()).cloned().collect();
        self.with_includes(installed, path, &mut inner);
        let new: Vec<String> = inner.into_iter().filter(|one| !order.contains(one) && !whole.contains(one)).collect();
        whole.extend(new);
    }

    /// Takes over what a file says; what was said before is then known as `known/name`.
    fn merge(&mut self, file: &str, parsed: ini::Parsed) {
        self.file = file.to_owned();
        self.problems.extend(parsed.problems.into_iter().map(|(line, text)| {
            Problem::new(file, format!("line {line}"), &text, "no setting, section or comment: fail2ban itself would not read this file")
        }));
        for (name, settings) in parsed.sections {
            if name == "DEFAULT" {
                self.defaults.extend(settings);
                continue;
            }
            if !self.sections.contains_key(&name) {
                self.order.push(name.clone());
            }
            let section = self.sections.entry(name).or_default();
            let known: Vec<(String, String)> = section
                .iter()
                .filter(|(name, _)| !name.starts_with("known/"))
                .map(|(name, value)| (format!("known/{name}"), value.clone()))
                .collect();
            section.extend(known);
            section.extend(settings);
        }
    }

    pub(crate) fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// The names that a section sets itself.
    pub(crate) fn names(&self, section: &str) -> impl Iterator<Item = &str> {
        self.sections.get(section).into_iter().flat_map(|section| section.keys().map(String::as_str))
    }

    /// What stands there, or in `[DEFAULT]`.
    fn raw(&self, section: &str, name: &str) -> Option<&str> {
        let own = self.sections.get(section).and_then(|section| section.get(name));
        own.or_else(|| self.defaults.get(name)).map(String::as_str)
    }
}
