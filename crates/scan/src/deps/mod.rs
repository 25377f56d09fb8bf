//! Packages with known vulnerabilities: what is installed or locked, against advisories that are handed in.

mod advisory;
mod cvss;
mod debian_tracker;
mod dpkg;
mod lock;
mod matcher;
mod version;
mod zip;

pub use dpkg::packages as dpkg_packages;
pub use lock::{is_lock_file, packages as locked_packages};
pub use matcher::{Matcher, Matches, Release};
pub use zip::{Archive, ReadAt, ZipError};

use bartizan_model::HostText;

/// The scanner's name in reports.
pub const SOURCE: &str = "deps";
/// Packages that are compared.
pub const MAX_PACKAGES: usize = 100_000;
/// Bytes of one advisory.
pub const MAX_ADVISORY: usize = 4 << 20;
/// Characters of a name or version that are believed.
const MAX_NAME: usize = 256;

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// dpkg.
    Debian,
    /// crates.io.
    Cargo,
    /// npm, pnpm, yarn.
    Npm,
    /// PyPI.
    PyPi,
    /// Go modules.
    Go,
    /// Composer.
    Composer,
    /// RubyGems.
    RubyGems,
}

impl Ecosystem {
    const ALL: [Self; 7] = [Self::Debian, Self::Cargo, Self::Npm, Self::PyPi, Self::Go, Self::Composer, Self::RubyGems];

    /// As the OSV schema names it (ossf.github.io/osv-schema).
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Cargo => "crates.io",
            Self::Npm => "npm",
            Self::PyPi => "PyPI",
            Self::Go => "Go",
            Self::Composer => "Packagist",
            Self::RubyGems => "RubyGems",
        }
    }

    /// The ecosystem and what stands behind the colon: `Debian:12`.
    fn parse(text: &str) -> Option<(Self, Option<&str>)> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        Self::ALL.into_iter().find(|one| one.name() == name).map(|one| (one, rest))
    }

    /// How names are compared: PyPI knows no difference between signs and cases (PEP 503).
    fn normal(self, name: &str) -> String {
        match self {
            Self::PyPi => name.to_ascii_lowercase().split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-"),
            Self::Composer => name.to_ascii_lowercase(),
            _ => name.to_owned(),
        }
    }
}

/// One package in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name; of a Debian package, that of its source.
    pub name: String,
    /// Its version; of a Debian package, that of its source.
    pub version: String,
    /// Installed under this name, when that is another.
    pub installed_as: Option<String>,
    /// The file that says so.
    pub location: HostText,
}

impl Package {
    /// `None` for names and versions that no ecosystem has.
    fn new(ecosystem: Ecosystem, name: &str, version: &str, location: &HostText) -> Option<Self> {
        let believable = |text: &str| !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_one = believable(name) && believable(version) && version.bytes().any(|byte| byte.is_ascii_digit());
        is_one.then(|| Self {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            installed_as: None,
            location: location.clone(),
        })
    }
}
