//! Lock files of npm, read as a stream: no tree of values is made of them, however large they are.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::deps::{Ecosystem, MAX_PACKAGES, Package};
use bartizan_model::HostText;

/// `packages` since npm 7, `dependencies` before: packages in packages, of which serde_json reads 128 levels at the most.
pub(super) fn npm(text: &str, location: &HostText) -> Option<Vec<Package>> {
    let mut found = Found { location, packages: Vec::new(), dependencies: Vec::new(), has_any: false };
    let mut reader = serde_json::Deserializer::from_str(text);
    Part { found: &mut found, at: Place::Top }.deserialize(&mut reader).and_then(|_| reader.end()).ok()?;
    if !found.has_any {
        return None;
    }
    // A file of both forms says the same thing twice.
    Some(if found.packages.is_empty() { found.dependencies } else { found.packages })
}

struct Found<'a> {
    location: &'a HostText,
    packages: Vec<Package>,
    dependencies: Vec<Package>,
    has_any: bool,
}

/// Where in the file a map stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole file.
    Top,
    /// `packages`: paths.
    Packages,
    /// `dependencies`: names.
    Dependencies,
    /// One of `packages`.
    Path,
    /// One of `dependencies`.
    Dependency,
}

struct Part<'a, 'b> {
    found: &'a mut Found<'b>,
    at: Place,
}

/// Name and version of one package, as far as it says them.
#[derive(Default)]
struct Said {
    name: Option<String>,
    version: Option<String>,
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_> {
    type Value = Said;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part<'_, '_> {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a lock file of npm")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let mut said = Said::default();
        while let Some(key) = map.next_key::<String>()? {
            match (self.at, key.as_str()) {
                (Place::Top, "packages") => {
                    self.found.has_any = true;
                    map.next_value_seed(Part { found: self.found, at: Place::Packages })?;
                }
                (Place::Top | Place::Dependency, "dependencies") => {
                    self.found.has_any = true;
                    map.next_value_seed(Part { found: self.found, at: Place::Dependencies })?;
                }
                (Place::Packages, path) => {
                    let one = map.next_value_seed(Part { found: self.found, at: Place::Path })?;
                    let name = one.name.as_deref().or_else(|| path.rsplit("node_modules/").next()).unwrap_or_default();
                    if !path.is_empty() && self.found.packages.len() < MAX_PACKAGES {
                        let version = one.version.as_deref().unwrap_or_default();
                        self.found.packages.extend(Package::new(Ecosystem::Npm, name, version, self.found.location));
                    }
                }
                (Place::Dependencies, name) => {
                    let one = map.next_value_seed(Part { found: self.found, at: Place::Dependency })?;
                    if self.found.dependencies.len() < MAX_PACKAGES {
                        let version = one.version.as_deref().unwrap_or_default();
                        self.found.dependencies.extend(Package::new(Ecosystem::Npm, name, version, self.found.location));
                    }
                }
                (Place::Path, "name") => said.name = map.next_value()?,
                (Place::Path | Place::Dependency, "version") => said.version = map.next_value()?,
                (Place::Top | Place::Path | Place::Dependency, _) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(said)
    }
}
