//! Builds the kernel programs when clang is there, else takes the committed object, else goes without.
//!
//! `BPF_ORIGIN` tells which: `built`, `prebuilt`, `none`. The compiler runs inside the source folder and strips
//! debug paths, so the same compiler gives the same bytes wherever the repository lies.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const SOURCES: [&str; 7] = ["sensor.bpf.c", "core_types.h", "helpers.h", "events.h", "traffic.h", "settings.h", "libbpf/bpf_core_read.h"];
const COMPILERS: [&str; 9] = ["clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"];
const STRIPPERS: [&str; 9] = [
    "llvm-strip", "llvm-strip-21", "llvm-strip-20", "llvm-strip-19", "llvm-strip-18", "llvm-strip-17", "llvm-strip-16", "llvm-strip-15",
    "llvm-strip-14",
];

fn main() -> io::Result<()> {
    let folder = Path::new("src/bpf");
    let prebuilt = folder.join("prebuilt/sensor.bpf.o");
    for file in SOURCES {
        println!("cargo:rerun-if-changed={}", folder.join(file).display());
    }
    println!("cargo:rerun-if-changed={}", prebuilt.display());
    println!("cargo:rerun-if-env-changed=CLANG");
    let object = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo gave no OUT_DIR"))?).join("sensor.bpf.o");

    let origin = if compile(folder, &object) {
        "built"
    } else if fs::copy(&prebuilt, &object).is_ok() {
        "prebuilt"
    } else {
        fs::write(&object, b"")?;
        println!("cargo:warning=neither clang nor a prebuilt object: the eBPF sensor is left out; install clang and build again");
        "none"
    };
    println!("cargo:rustc-env=BPF_ORIGIN={origin}");
    Ok(())
}

/// Tries each compiler; one that cannot make BPF code counts as absent. `CLANG=none` forces the prebuilt object.
fn compile(folder: &Path, object: &Path) -> bool {
    let wanted = env::var("CLANG").ok();
    if wanted.as_deref() == Some("none") {
        return false;
    }
    let Ok(here) = folder.canonicalize() else { return false };
    let flags = ["-O2", "-g", "-Wall", "-Wno-unused-function", "-target", "bpf", "-mcpu=v2", "-fdebug-compilation-dir=."];
    let built = wanted.iter().map(String::as_str).chain(COMPILERS).any(|clang| {
        Command::new(clang)
            .current_dir(&here)
            .args(flags)
            .arg(format!("-ffile-prefix-map={}=.", here.display()))
            .args(["-c", "sensor.bpf.c", "-o"])
            .arg(object)
            .output()
            .is_ok_and(|out| out.status.success())
    });
    // Only a matter of size: 50 KB instead of 200.
    let _stripped = built && STRIPPERS.iter().any(|strip| Command::new(strip).arg("-g").arg(object).status().is_ok_and(|s| s.success()));
    built
}
