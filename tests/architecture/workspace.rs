//! What cargo says of the workspace: its crates, where they lie, and what each of them names in its Cargo.toml.

use std::path::Path;
use std::process::Command;

/// One crate of ours.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Its name without `bartizan-`; the root package keeps its whole name.
    pub name: String,
    /// Its folder, from the repository's root; empty for the root package.
    pub folder: String,
    /// Its Cargo.toml.
    pub manifest: String,
    /// What it uses.
    pub uses: Vec<Use>,
}

/// One line below `[dependencies]` or `[dev-dependencies]`.
#[derive(Debug, Clone)]
pub struct Use {
    /// The package's own name, whatever it is called here; ours without `bartizan-`.
    pub package: String,
    /// It is a crate of ours.
    pub ours: bool,
    /// For tests alone.
    pub in_tests: bool,
    /// What of it is asked for besides its defaults.
    pub features: Vec<String>,
}

/// A package's name, and whether it is ours.
fn own(name: &str) -> (String, bool) {
    let ours = name == "bartizan" || name.starts_with("bartizan-");
    (name.trim_start_matches("bartizan-").to_owned(), ours)
}

/// The crates of this repository.
pub fn read(root: &Path) -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["packages"].as_array().unwrap().iter().map(|package| read_one(package, root)).collect()
}

fn read_one(package: &serde_json::Value, root: &Path) -> Crate {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let manifest_path = text(&package["manifest_path"]);
    let folder = Path::new(&manifest_path).parent().unwrap().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let uses = package["dependencies"].as_array().unwrap().iter().map(|line| {
        let (package, ours) = own(&text(&line["name"]));
        let features = line["features"].as_array().unwrap().iter().map(&text).collect();
        Use { package, ours, in_tests: line["kind"] == "dev", features }
    });
    let manifest = std::fs::read_to_string(&manifest_path).unwrap();
    Crate { name: own(&text(&package["name"])).0, folder, manifest, uses: uses.collect() }
}
