//! Lists the rules of `config/rules/` and the examples beside them, so that the program carries them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../config/rules").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    walk(&root, &mut files)?;
    files.sort();
    let list = |ending: &str| -> String {
        let mut out = String::new();
        for file in files.iter().filter(|file| file.to_string_lossy().ends_with(ending)) {
            let name = file.strip_prefix(&root).unwrap_or(file).display().to_string();
            let _ = write!(out, "({name:?}, include_str!({:?})), ", file.display().to_string());
        }
        out
    };
    let text = format!(
        "/// Our own rules: file below `config/rules/`, and text.\npub const PACK: &[(&str, &str)] = &[{}];\n\
         /// Recorded examples beside them.\npub const EXAMPLES: &[(&str, &str)] = &[{}];\n",
        list(".yml"),
        list(".examples.jsonl")
    );
    fs::write(PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?).join("pack.rs"), text)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", directory.display());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
