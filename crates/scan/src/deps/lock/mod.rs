//! Lock files: the versions that a project was resolved to.

mod lines;
mod npm;
mod structured;

use super::{MAX_PACKAGES, Package};
use bartizan_model::HostText;

/// A name of a lock file and how it is read.
type Reader = fn(&str, &HostText) -> Option<Vec<Package>>;

const READERS: &[(&str, Reader)] = &[
    ("Cargo.lock", structured::cargo),
    ("poetry.lock", structured::poetry),
    ("uv.lock", structured::poetry),
    ("package-lock.json", npm::npm),
    ("npm-shrinkwrap.json", npm::npm),
    ("composer.lock", structured::composer),
    ("yarn.lock", lines::yarn),
    ("pnpm-lock.yaml", lines::pnpm),
    ("requirements.txt", lines::requirements),
    ("go.sum", lines::go),
    ("Gemfile.lock", lines::gem),
];

/// Whether a file of this name is read.
pub fn is_lock_file(name: &[u8]) -> bool {
    READERS.iter().any(|(known, _)| known.as_bytes() == name)
}

/// The packages of a lock file.
///
/// # Errors
/// When the text is not what its name says.
pub fn packages(name: &[u8], text: &str, location: &HostText) -> Result<Vec<Package>, String> {
    let reader = READERS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, reader)| reader);
    let mut found = reader
        .and_then(|reader| reader(text, location))
        .ok_or_else(|| "it is not such a file, or of a form that is not known".to_owned())?;
    found.truncate(MAX_PACKAGES);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Vec<String> {
        let found = packages(name.as_bytes(), text, &"/x".into()).unwrap();
        found.into_iter().map(|package| format!("{} {}", package.name, package.version)).collect()
    }

    #[test]
    fn every_kind_of_lock_file_is_read() {
        assert_eq!(read("Cargo.lock", "version = 4\n[[package]]\nname = \"time\"\nversion = \"0.1.43\"\n"), ["time 0.1.43"]);
        assert_eq!(read("uv.lock", "[[package]]\nname = \"Jinja2\"\nversion = \"2.4.1\"\n"), ["Jinja2 2.4.1"]);
        let npm = r#"{"lockfileVersion": 3, "packages": {"": {"version": "1.0.0"}, "node_modules/a/node_modules/@s/b": {"version": "2.0.0"}, "node_modules/l": {"link": true}}}"#;
        assert_eq!(read("package-lock.json", npm), ["@s/b 2.0.0"]);
        assert_eq!(
            read("package-lock.json", r#"{"dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}}}"#),
            ["b 2.0.0", "a 1.0.0"]
        );
        assert_eq!(
            read(
                "composer.lock",
                r#"{"packages": [{"name": "a/b", "version": "v1.2.3"}], "packages-dev": [{"name": "c/d", "version": "2.0"}]}"#
            ),
            ["a/b v1.2.3", "c/d 2.0"]
        );
        let poetry = "[[package]]\nname = \"a\"\nversion = \"1.0\"\n\n[package.dependencies]\nb = \"*\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0\"\n\n[metadata]\nfiles = {}\n";
        assert_eq!(read("poetry.lock", poetry), ["a 1.0", "b 2.0"]);
        let yarn = "# yarn lockfile v1\n\n\"@s/b@^1.0.0\", \"@s/b@~1\":\n  version \"1.2.3\"\n  resolved \"x\"\n\nlodash@4:\n  version \"4.17.4\"\n";
        assert_eq!(read("yarn.lock", yarn), ["@s/b 1.2.3", "lodash 4.17.4"]);
        assert_eq!(read("yarn.lock", "__metadata:\n  version: 6\n\n\"lodash@npm:^4\":\n  version: 4.17.21\n"), ["lodash 4.17.21"]);
        let pnpm = "lockfileVersion: '9.0'\npackages:\n\n  '@s/b@1.2.3':\n    resolution: {integrity: x}\n  lodash@4.17.4(peer@1.0.0):\n  /old/1.0.0:\n\nsnapshots:\n  x@9.9.9:\n";
        assert_eq!(read("pnpm-lock.yaml", pnpm), ["@s/b 1.2.3", "lodash 4.17.4", "old 1.0.0"]);
        let pip = "# c\nDjango==3.2.1 ; python_version > '3' \nrequests[socks] == 2.0 --hash=sha256:x\nflask>=1\n-r other.txt\n";
        assert_eq!(read("requirements.txt", pip), ["Django 3.2.1", "requests 2.0"]);
        assert_eq!(read("go.sum", "golang.org/x/text v0.3.0 h1:x=\ngolang.org/x/text v0.3.0/go.mod h1:y=\n"), ["golang.org/x/text v0.3.0"]);
        let gem = "GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (2.0.1)\n      dep (>= 1)\n    nokogiri (1.10.0-x86_64-linux)\n\nPLATFORMS\n  ruby\n";
        assert_eq!(read("Gemfile.lock", gem), ["rack 2.0.1", "nokogiri 1.10.0"]);
    }

    #[test]
    fn what_is_no_lock_file_is_said_so() {
        for (name, text) in [("Cargo.lock", "{"), ("package-lock.json", "[]"), ("composer.lock", "x"), ("x", "")] {
            assert!(packages(name.as_bytes(), text, &"/x".into()).is_err(), "{name}");
        }
        let deep = "{\"dependencies\":{\"a\":".repeat(100_000);
        assert!(packages(b"package-lock.json", &deep, &"/x".into()).is_err(), "nested too deep");
    }

    #[test]
    fn a_large_lock_file_takes_no_tree_of_values() {
        let one = r#"{"version": "1.0.0", "requires": {"x": "1"}, "extra": [[[[1, 2, 3]]]]}"#;
        let many: Vec<String> = (0..20_000).map(|number| format!("\"p{number}\": {one}")).collect();
        assert_eq!(read("package-lock.json", &format!("{{\"dependencies\": {{{}}}}}", many.join(","))).len(), 20_000);
    }
}
