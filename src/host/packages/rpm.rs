//! rpm(8): its database is asked through the program itself, with fixed arguments and little patience.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::model::HostText;

/// Where the database lies, of each age and distribution.
const DATABASES: [&str; 5] = [
    "usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
];
/// Longest answer; another look-up may hold the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name of a package that is believed, in bytes.
const LONGEST: u64 = 256;

/// The package that owns this path; `None` too when there is no rpm database or it does not answer.
pub(super) fn owner(root: &Path, path: &HostText) -> Option<HostText> {
    let database = DATABASES.iter().find(|database| root.join(database).is_file())?;
    // Said aloud: distributions other than rpm's own have other defaults.
    let database = Path::new("/").join(Path::new(database).parent()?);
    if !path.starts_with(b"/") {
        return None;
    }
    let mut rpm = Command::new("rpm");
    rpm.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").current_dir("/");
    rpm.arg("--root")
        .arg(root)
        .arg("--dbpath")
        .arg(database)
        .args(["-qf", "--qf", "%{NAME}\\n", "--"])
        .arg(std::ffi::OsStr::from_bytes(path.as_bytes()));
    rpm.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = rpm.spawn().ok()?;
    let answered = wait(&mut child);
    let mut answer = Vec::new();
    if answered {
        child.stdout.take()?.take(LONGEST).read_to_end(&mut answer).ok()?;
    }
    // Several packages may own one path; the first is told.
    let name = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let believable = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    believable.then(|| HostText::from(name))
}

/// Whether it ended by itself and well; it is ended when it takes too long. Its answer fits into the pipe.
fn wait(child: &mut Child) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                // Our own unreaped child: its pid cannot be another's.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
