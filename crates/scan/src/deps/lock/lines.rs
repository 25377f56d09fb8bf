//! Lock files that are read line by line: yarn, pnpm, pip, Go, Bundler.

use crate::deps::{Ecosystem, Package};
use bartizan_model::HostText;

/// `"@scope/name@^1.0.0", ...:` and below it `version "1.2.3"`; since yarn 2 `version: 1.2.3`.
pub(super) fn yarn(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let mut found = Vec::new();
    let mut name = None;
    for line in text.lines() {
        if !line.starts_with([' ', '#']) && line.ends_with(':') {
            let first = line.trim_end_matches(':').split(',').next().unwrap_or_default().trim_matches('"');
            name = first.rfind('@').filter(|at| *at > 0).and_then(|_| {
                let end = first.get(1..)?.find('@')? + 1;
                first.get(..end)
            });
        } else if let (Some(version), Some(own)) = (line.strip_prefix("  version"), name) {
            found.extend(Package::new(Ecosystem::Npm, own, version.trim_matches([' ', ':', '"']), location));
            name = None;
        }
    }
    Some(found)
}

/// `  '@scope/name@1.2.3(peer@1)':` below `packages:`; before version 6 `  /name/1.2.3:`.
pub(super) fn pnpm(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let mut found = Vec::new();
    for line in text.lines().skip_while(|line| *line != "packages:").skip(1).take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let Some(key) = line.strip_prefix("  ").filter(|key| !key.starts_with(' ')) else { continue };
        let Some(key) = key.split_once(":").map(|(key, _)| key.trim_matches('\'')) else { continue };
        let key = key.trim_start_matches('/').split('(').next().unwrap_or_default();
        let parts =
            key.rfind('@').filter(|at| *at > 0).or_else(|| key.rfind('/')).and_then(|at| Some((key.get(..at)?, key.get(at + 1..)?)));
        found.extend(
            parts.and_then(|(name, version)| Package::new(Ecosystem::Npm, name, version.split('_').next().unwrap_or_default(), location)),
        );
    }
    Some(found)
}

/// `name[extra]==1.2.3 ; marker`: only what names one version is known.
pub(super) fn requirements(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let one = |line: &str| {
        let line = line.split([';', '#']).next()?.trim();
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next()?.trim();
        let version = version.trim_start_matches('=').split_ascii_whitespace().next()?;
        (!version.contains(['*', ','])).then(|| Package::new(Ecosystem::PyPi, name, version, location))?
    };
    Some(text.lines().filter(|line| !line.trim_start().starts_with('-')).filter_map(one).collect())
}

/// `module v1.2.3 h1:...`; the lines of `/go.mod` alone say nothing of what is built.
pub(super) fn go(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let one = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (!version.ends_with("/go.mod")).then(|| Package::new(Ecosystem::Go, name, version.trim_end_matches("+incompatible"), location))?
    };
    Some(text.lines().filter_map(one).collect())
}

/// `    name (1.2.3)` below `specs:`; a platform may follow the version.
pub(super) fn gem(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let one = |line: &str| {
        let line = line.strip_prefix("    ").filter(|line| !line.starts_with(' '))?;
        let (name, version) = line.split_once(" (")?;
        let version = version.strip_suffix(')')?;
        Package::new(Ecosystem::RubyGems, name, version.split('-').next().unwrap_or(version), location)
    };
    Some(text.lines().filter_map(one).collect())
}
