//! rpm(8): its database is asked through the program itself, with fixed arguments and little patience.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::child;
use bartizan_model::HostText;

/// Where the database lies, of each age and distribution.
const DATABASES: [&str; 5] = [
    "usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
];
/// Longest answer; another look-up may hold the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name of a package that is believed, in bytes.
const LONGEST: usize = 256;

/// The package that owns this path; `None` too when there is no rpm database or it does not answer.
pub(super) fn owner(root: &Path, path: &HostText) -> Option<HostText> {
    let database = DATABASES.iter().find(|database| root.join(database).is_file())?;
    // Said aloud: distributions other than rpm's own have other defaults.
    let database = Path::new("/").join(Path::new(database).parent()?);
    if !path.starts_with(b"/") {
        return None;
    }
    let mut arguments: Vec<&OsStr> = vec!["--root".as_ref(), root.as_os_str(), "--dbpath".as_ref(), database.as_os_str()];
    arguments.extend(["-qf", "--qf", "%{NAME}\\n", "--"].map(OsStr::new));
    arguments.push(OsStr::from_bytes(path.as_bytes()));
    let said = child::ask("rpm".as_ref(), &arguments, PATIENCE).ok().filter(|said| said.success);
    let answer = said.map(|said| said.out).unwrap_or_default();
    // Several packages may own one path; the first is told.
    let name = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let believable = !name.is_empty() && name.len() <= LONGEST && name.iter().all(|byte| byte.is_ascii_graphic());
    believable.then(|| HostText::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::{Command, Stdio};

    const SPEC: &str = "Name: some-tool\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n\
        %description\nx\n%install\nmkdir -p %{buildroot}/opt\necho x > %{buildroot}/opt/tool\n%files\n/opt/tool\n";

    fn run(program: &str, arguments: &[&str]) -> bool {
        let out = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let done = out.as_ref().is_ok_and(|out| out.status.success());
        if !done {
            eprintln!("{program} {arguments:?}: {:?}", out.map(|out| String::from_utf8_lossy(&out.stderr).into_owned()));
        }
        done
    }

    #[test]
    fn a_real_database_is_asked() {
        if !run("rpmbuild", &["--version"]) {
            return eprintln!("skipped: rpm is not installed");
        }
        let dir = tempfile::tempdir().unwrap();
        let (top, root) = (dir.path().join("top"), dir.path().join("root"));
        let spec = dir.path().join("tool.spec");
        fs::write(&spec, SPEC).unwrap();
        fs::create_dir(&root).unwrap();
        let text = |path: &Path| path.display().to_string();
        assert_eq!(owner(&root, &"/opt/tool".into()), None, "no database: not asked");
        assert!(run("rpmbuild", &["-bb", "--define", &format!("_topdir {}", text(&top)), &text(&spec)]));
        let package = text(&top.join("RPMS/noarch/some-tool-1-1.noarch.rpm"));
        assert!(run("rpm", &["--root", &text(&root), "--dbpath", "/var/lib/rpm", "--initdb"]));
        assert!(run("rpm", &["--root", &text(&root), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", &package]));
        assert_eq!(owner(&root, &"/opt/tool".into()), Some("some-tool".into()));
        assert_eq!(owner(&root, &"/opt".into()), None);
        assert_eq!(owner(&root, &"--eval=%{lua:x}".into()), None, "no option can be smuggled in");
        assert_eq!(owner(&root, &"/opt/--eval".into()), None);
    }
}
