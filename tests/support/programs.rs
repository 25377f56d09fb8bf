//! The C programs of `tests/programs`, built into a directory of their own, gone at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the built programs lie, `victim` and `victim-static` among them.
pub struct Programs(tempfile::TempDir);

impl Programs {
    /// Builds these; `tiny` is built without a library, NAME`-static` from NAME`.c`.
    pub fn build(names: &[&str]) -> Self {
        let programs = Self(tempfile::Builder::new().prefix("bartizan-programs-").tempdir().unwrap());
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        for name in names {
            let (source, flags): (&str, &[&str]) = match name.strip_suffix("-static") {
                Some(source) => (source, &["-static"]),
                None if *name == "tiny" => ("tiny", &["-static", "-nostdlib"]),
                None => (name, &[]),
            };
            let mut cc = Command::new("cc");
            cc.args(["-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]).args(flags).arg("-o");
            let built = cc.arg(programs.path(name)).arg(sources.join(format!("{source}.c"))).output().unwrap();
            assert!(built.status.success(), "cc {name}: {}", String::from_utf8_lossy(&built.stderr));
        }
        programs
    }

    /// As the kernel names it: without symbolic links.
    pub fn directory(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// The argument list that every program is started with: PROGRAM DIRECTORY TOKEN PORT MORE.
    pub fn argv(&self, name: &str, token: &str, port: u16, more: &str) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![path(name), self.directory().display().to_string(), token.to_owned(), port.to_string(), more.to_owned()]
    }

    pub fn start(&self, name: &str, token: &str, port: u16, more: &str) -> Child {
        let argv = self.argv(name, token, port, more);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}
