//! What dpkg has installed, by its status file (dpkg(1), deb822(5)); advisories are about source packages.

use super::{Ecosystem, MAX_PACKAGES, Package};
use bartizan_model::HostText;

/// Every installed package, by its source.
pub fn packages(status: &str, location: &HostText) -> Vec<Package> {
    status.split("\n\n").take(MAX_PACKAGES).filter_map(|paragraph| one(paragraph, location)).collect()
}

fn one(paragraph: &str, location: &HostText) -> Option<Package> {
    let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
    if !field("Status")?.ends_with(" installed") {
        return None;
    }
    let (name, version) = (field("Package")?, field("Version")?);
    // `Source: glibc (2.36-9)`: the version stands there only when it differs.
    let source = field("Source").unwrap_or(name);
    let (source, its_version) = source.split_once(" (").map_or((source, version), |(source, rest)| (source, rest.trim_end_matches(')')));
    let package = Package::new(Ecosystem::Debian, source, its_version, location)?;
    Some(Package { installed_as: (source != name).then(|| name.to_owned()), ..package })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_known_by_their_source() {
        let status = "Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-8)\nVersion: 2.36-9\nDescription: x\n Version: 9\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b7\n";
        let found = packages(status, &"/var/lib/dpkg/status".into());
        let short: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.installed_as.as_deref())).collect();
        assert_eq!(short, [("glibc", "2.36-8", Some("libc6")), ("bash", "5.2.15-2+b7", None)]);
    }
}
