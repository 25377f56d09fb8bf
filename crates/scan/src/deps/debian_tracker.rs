//! Debian's security tracker as JSON (security-tracker.debian.org/tracker/data/json): source package, CVE, release. Some 70 MB, of which
//! only installed packages are kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// One CVE of one package.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) releases: BTreeMap<String, InRelease>,
}

/// How it stands in one release.
#[derive(Debug, Deserialize)]
pub(super) struct InRelease {
    pub(super) status: String,
    #[serde(default)]
    pub(super) fixed_version: Option<String>,
    #[serde(default)]
    pub(super) urgency: String,
}

/// Hands each CVE of each package that `wants` picks to `take`.
///
/// # Errors
/// Why it is not such a file.
pub(super) fn read(bytes: &[u8], wants: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str, &str, Entry)) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    All { wants, take }.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|why| why.to_string())
}

struct All<'a> {
    wants: &'a dyn Fn(&str) -> bool,
    take: &'a mut dyn FnMut(&str, &str, Entry),
}

impl<'de> DeserializeSeed<'de> for All<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for All<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("packages of the security tracker")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut packages: A) -> Result<(), A::Error> {
        while let Some(package) = packages.next_key::<String>()? {
            if (self.wants)(&package) {
                for (cve, entry) in packages.next_value::<BTreeMap<String, Entry>>()? {
                    (self.take)(&package, &cve, entry);
                }
            } else {
                packages.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
