//! Lock files in TOML and in JSON that is a list: Cargo, Poetry, uv, Composer.

use serde::Deserialize;

use crate::deps::{Ecosystem, MAX_PACKAGES, Package};
use bartizan_model::HostText;

/// Bytes of one table: a package with the digests of its files.
const MAX_TABLE: usize = 1 << 20;

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    package: Vec<Named>,
}

/// Table by table, so that a large file takes no more memory than its text.
fn listed(ecosystem: Ecosystem, text: &str, location: &HostText) -> Option<Vec<Package>> {
    let mut found = Vec::new();
    let mut has_tables = false;
    for table in tables(text) {
        let is_package = table.starts_with("[[package]]");
        if table.len() > MAX_TABLE {
            return None;
        }
        has_tables |= is_package || table.starts_with("version");
        let lock: Listed = toml::from_str(table).ok()?;
        found.extend(lock.package.iter().filter_map(|one| Package::new(ecosystem, &one.name, &one.version, location)));
        if found.len() >= MAX_PACKAGES {
            break;
        }
    }
    has_tables.then_some(found)
}

/// The text before the first table, and each `[[package]]` with what belongs to it; other tables are left out.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("[[package]]") || line.starts_with('[') && !line.starts_with("[package") && !line.starts_with("[[package") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    let parts = starts.into_iter().zip(ends).filter_map(|(start, end)| text.get(start..end));
    parts.filter(|part| !part.starts_with('[') || part.starts_with("[[package]]"))
}

pub(super) fn cargo(text: &str, location: &HostText) -> Option<Vec<Package>> {
    listed(Ecosystem::Cargo, text, location)
}

pub(super) fn poetry(text: &str, location: &HostText) -> Option<Vec<Package>> {
    listed(Ecosystem::PyPi, text, location)
}

#[derive(Deserialize)]
struct Composer {
    packages: Vec<Named>,
    #[serde(default, rename = "packages-dev")]
    for_development: Vec<Named>,
}

pub(super) fn composer(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let lock: Composer = serde_json::from_str(text).ok()?;
    let all = lock.packages.iter().chain(&lock.for_development);
    Some(all.filter_map(|one| Package::new(Ecosystem::Composer, &one.name, &one.version, location)).collect())
}
