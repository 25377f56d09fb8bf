//! The programs that make load: small ones of our own, compiled when the bench begins.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One run of a program: wall and CPU seconds, as it measured them itself.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub wall: f64,
    pub cpu: f64,
}

/// The compiled programs.
pub struct Programs {
    directory: tempfile::TempDir,
}

impl Programs {
    pub fn compile() -> Self {
        let programs = Self { directory: tempfile::tempdir().unwrap() };
        programs.cc("storm", include_str!("programs/storm.c"), &["-O2"]);
        programs.cc("tiny", include_str!("programs/tiny.c"), &["-static", "-nostdlib"]);
        programs.cc("busy", include_str!("programs/busy.c"), &["-O2"]);
        programs.cc("connects", include_str!("programs/connects.c"), &["-O2"]);
        programs.cc("files", include_str!("programs/files.c"), &["-O2"]);
        programs.cc("nginx", include_str!("programs/server.c"), &["-O2"]);
        programs.storm(20_000, "warm");
        programs
    }

    fn cc(&self, name: &str, source: &str, flags: &[&str]) {
        let file = self.path(name).with_extension("c");
        std::fs::write(&file, source).unwrap();
        assert!(Command::new("cc").args(flags).arg("-o").arg(self.path(name)).arg(file).status().unwrap().success(), "cc {name}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a program; its output is kept for [`finish`].
    pub fn start(&self, name: &str, arguments: &[&str]) -> Child {
        Command::new(self.path(name)).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// So many short-lived processes on both cores, each with an argument of its own, `TOKEN-n`.
    pub fn storm(&self, execs: usize, token: &str) -> Run {
        finish(self.start_storm(execs, token))
    }

    pub fn start_storm(&self, execs: usize, token: &str) -> Child {
        self.start("storm", &[&execs.to_string(), token, self.path("tiny").to_str().unwrap()])
    }
}

/// Waits for a program and reads what it measured.
pub fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a load program failed: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Run { wall: numbers[0], cpu: numbers[1] }
}

/// Where a program of the host lies.
pub fn installed(names: &[&str]) -> Option<PathBuf> {
    let directories = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"];
    names.iter().flat_map(|name| directories.map(|directory| Path::new(directory).join(name))).find(|path| path.exists())
}
