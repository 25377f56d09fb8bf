//! Our own YARA rules and the structural judgement over what is installed on this host: ordinary programs, settings and scripts match nothing.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panic

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use bartizan_integrity::{LONGEST_JUDGED, YaraRules};

/// Bytes that are looked at in each place, so that the test ends on a full host, too.
const ENOUGH: u64 = 200 << 20;

fn walk(path: &Path, rules: &YaraRules, looked: &mut (u64, u64), hits: &mut Vec<String>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let (path, Ok(found)) = (entry.path(), entry.path().symlink_metadata()) else { continue };
        if found.is_dir() {
            walk(&path, rules, looked, hits);
        } else if found.is_file() && found.len() <= LONGEST_JUDGED as u64 && looked.1 < ENOUGH {
            let Ok(content) = std::fs::read(&path) else { continue };
            *looked = (looked.0 + 1, looked.1 + found.len());
            let found = rules.judge(path.as_os_str().as_bytes(), None, &content);
            assert!(!found.gave_up, "{}", path.display());
            hits.extend(found.findings.iter().map(|finding| format!("{}: {}", path.display(), finding.rule)));
        }
    }
}

#[test]
fn what_is_installed_here_matches_no_rule() {
    let (rules, refused) = YaraRules::load(&[]);
    assert_eq!(refused, []);
    let mut hits = Vec::new();
    for place in [
        "/usr/bin", "/usr/sbin", "/etc", "/usr/lib/python3", "/usr/share/perl", "/usr/share/perl5", "/usr/share/php",
        "/usr/lib/x86_64-linux-gnu",
    ] {
        let (began, mut looked) = (Instant::now(), (0, 0));
        walk(Path::new(place), &rules, &mut looked, &mut hits);
        let (seconds, mib) = (began.elapsed().as_secs_f64(), looked.1 as f64 / 1_048_576.0);
        eprintln!("{place}: {} files, {mib:.0} MiB in {seconds:.1} s", looked.0);
    }
    assert_eq!(hits, Vec::<String>::new());
}

/// Compiles a shared library and says what it matches.
fn library(dir: &Path, name: &str, code: &str) -> Option<Vec<String>> {
    let (source, library) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    std::fs::write(&source, code).unwrap();
    let cc = std::process::Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(&source).status();
    if !cc.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no C compiler");
        return None;
    }
    let content = std::fs::read(&library).unwrap();
    let found = YaraRules::load(&[]).0.judge(library.as_os_str().as_bytes(), None, &content).findings;
    Some(found.into_iter().map(|finding| finding.rule.into_owned()).collect())
}

#[test]
fn a_library_that_stands_in_for_the_c_library_is_told_from_one_that_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let head = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\nconst char *file = \"/etc/ld.so.preload\";\n";
    let hides = "void *readdir64(void *dir) { void *(*real)(void *) = dlsym(RTLD_NEXT, \"readdir64\"); return real(dir); }\n\
                 void *fopen64(const char *a, const char *b) { void *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, \"fopen64\"); return real(a, b); }\n";
    let uses = "#include <dirent.h>\nvoid *list(DIR *dir) { fopen64(file, \"r\"); dlsym(RTLD_NEXT, \"x\"); return readdir64(dir); }\n";
    let Some(found) = library(dir.path(), "hides", &format!("{head}{hides}")) else { return };
    assert_eq!(found, ["rootkit_preloaded_library"]);
    assert_eq!(library(dir.path(), "uses", &format!("{head}{uses}")).unwrap(), Vec::<String>::new());
}
