//! Lock files in TOML and JSON: Cargo, Poetry, uv, npm, Composer.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::deps::{Ecosystem, Package};
use bartizan_model::HostText;

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Listed {
    package: Vec<Named>,
}

fn listed(ecosystem: Ecosystem, text: &str, location: &HostText) -> Option<Vec<Package>> {
    let lock: Listed = toml::from_str(text).ok()?;
    Some(lock.package.iter().filter_map(|one| Package::new(ecosystem, &one.name, &one.version, location)).collect())
}

pub(super) fn cargo(text: &str, location: &HostText) -> Option<Vec<Package>> {
    listed(Ecosystem::Cargo, text, location)
}

pub(super) fn poetry(text: &str, location: &HostText) -> Option<Vec<Package>> {
    listed(Ecosystem::PyPi, text, location)
}

#[derive(Deserialize)]
struct Npm {
    packages: Option<BTreeMap<String, NpmPackage>>,
    dependencies: Option<BTreeMap<String, NpmPackage>>,
}

#[derive(Deserialize)]
struct NpmPackage {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    dependencies: serde_json::Value,
}

pub(super) fn npm(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let lock: Npm = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    if let Some(packages) = lock.packages {
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            let name = package.name.as_deref().or_else(|| path.rsplit("node_modules/").next()).unwrap_or_default();
            found.extend(Package::new(Ecosystem::Npm, name, &package.version, location));
        }
        return Some(found);
    }
    // Before npm 7: packages in packages. serde_json reads 128 levels at the most.
    let mut waiting: Vec<(String, String, serde_json::Value)> =
        lock.dependencies?.into_iter().map(|(name, one)| (name, one.version, one.dependencies)).rev().collect();
    while let Some((name, version, below)) = waiting.pop() {
        found.extend(Package::new(Ecosystem::Npm, &name, &version, location));
        let Ok(below) = serde_json::from_value::<BTreeMap<String, NpmPackage>>(below) else { continue };
        waiting.extend(below.into_iter().map(|(name, one)| (name, one.version, one.dependencies)).rev());
    }
    Some(found)
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
