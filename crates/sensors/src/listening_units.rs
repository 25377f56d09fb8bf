//! For which unit of systemd somebody begins to listen, and whether that is what the unit is there for.
//!
//! Boot and package work start many listeners that nobody needs to hear of: their units came with a package or are enabled, and
//! they run the program that the unit names. What was changed within the last day must belong to a package as well, so that a
//! program dropped over a service's own is told of.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::process_origin;
use bartizan_model::{Flow, HostText, ListeningUnit, Process, Protocol};
use bartizan_sys::packages::Packages;
use bartizan_sys::{socket_units, unit_files};

/// Look-ups in each second: each reads some files, and a program that only listens must not make us late for others.
const LOOKUPS: u32 = 32;
/// A program that was changed so lately is asked for in the databases of packages.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks units up.
#[derive(Debug)]
pub(super) struct ListeningUnits {
    root: PathBuf,
    /// The container in which we run ourselves: its units are those that we see.
    container: Option<String>,
    /// Since when, and how many are left of this second.
    lookups: (Instant, u32),
    packages: Packages,
}

impl Default for ListeningUnits {
    fn default() -> Self {
        let own = fs::read("/proc/self/cgroup").unwrap_or_default();
        let own = own.split(|byte| *byte == b'\n').find_map(|line| process_origin::container(&HostText::from(line)));
        Self::under("/".into(), own)
    }
}

impl ListeningUnits {
    fn under(root: PathBuf, container: Option<String>) -> Self {
        Self { packages: Packages::under(&root), root, container, lookups: (Instant::now(), LOOKUPS) }
    }

    /// The unit for which this process listens there; `None` where systemd did not start it, or too many are asked for.
    pub(super) fn look(&mut self, process: &Process, net: &Flow) -> Option<ListeningUnit> {
        if process.container != self.container {
            return None;
        }
        if is_systemd(process) {
            return if self.may_look() { self.socket(net) } else { None };
        }
        let name = process.unit.clone().filter(|unit| unit.ends_with(".service"))?;
        let of_system = process.cgroup.lossy().contains("/system.slice/");
        if !of_system || !self.may_look() {
            return None;
        }
        let installed = unit_files::is_installed(&self.root, &name) && self.is_meant(&name, process);
        Some(ListeningUnit { name, installed })
    }

    fn may_look(&mut self) -> bool {
        if self.lookups.0.elapsed() >= Duration::from_secs(1) {
            self.lookups = (Instant::now(), LOOKUPS);
        }
        let left = self.lookups.1 > 0;
        self.lookups.1 = self.lookups.1.saturating_sub(1);
        left
    }

    /// The socket unit that says this address and port.
    fn socket(&self, net: &Flow) -> Option<ListeningUnit> {
        let own = net.src.to_canonical();
        let says = |unit: &socket_units::SocketUnit| {
            unit.listens.iter().any(|(at, port)| *port == net.sport && at.is_none_or(|at| at.to_canonical() == own))
        };
        let unit = socket_units::all(&self.root).into_iter().filter(|_| net.proto == Protocol::Tcp).find(says)?;
        let installed = unit_files::is_installed(&self.root, &unit.name);
        Some(ListeningUnit { name: unit.name, installed })
    }

    /// Whether the process runs what the unit starts: the program that it names, or one of a package's where it names a
    /// script (`apachectl`, `pg_ctlcluster`).
    fn is_meant(&mut self, unit: &str, process: &Process) -> bool {
        let files: Vec<PathBuf> = unit_files::programs(&self.root, unit).iter().map(|path| self.file(path)).collect();
        let runs = self.file(&process.exe.lossy());
        let names_it = files.contains(&runs);
        let by_script = || files.iter().any(|file| is_script(file));
        let fresh = process.exe_file.changed == 0 || age(process.exe_file.changed) < FRESH;
        match names_it {
            true => !fresh || self.packages.owner(&process.exe).is_some(),
            false => by_script() && self.packages.owner(&process.exe).is_some(),
        }
    }

    /// Without symbolic links: the kernel tells `/usr/sbin/x` where a unit says `/sbin/x`.
    fn file(&self, path: &str) -> PathBuf {
        let path = self.root.join(path.trim_start_matches('/'));
        path.canonicalize().unwrap_or(path)
    }
}

/// The first process, or a child of it that still runs systemd itself: it opens sockets within the unit's cgroup
/// (`socket_address_listen_in_cgroup` in systemd's socket.c).
fn is_systemd(process: &Process) -> bool {
    process.pid == 1 || process.ppid == 1 && matches!(process.exe.as_bytes(), b"/usr/lib/systemd/systemd" | b"/lib/systemd/systemd")
}

fn is_script(file: &Path) -> bool {
    let mut first = [0; 2];
    File::open(file).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!"
}

/// How long ago; nothing for what lies ahead.
fn age(changed: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(u64::try_from(changed).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{BootId, ExeFile, ProcessKey};

    /// 1 second after 1970: long ago.
    const OLD: i64 = 1_000_000_000;

    fn process(exe: &str, unit: &str, changed: i64) -> Process {
        let key = ProcessKey { boot: BootId(1), pid: 70, start: 7 };
        Process {
            exe: exe.into(),
            exe_file: ExeFile { changed, ..ExeFile::default() },
            unit: Some(unit.to_owned()),
            cgroup: format!("/system.slice/{unit}").as_str().into(),
            pid: 70,
            ppid: 1,
            ..Process::unknown(key, chrono::Utc::now())
        }
    }

    fn at(port: u16) -> Flow {
        Flow { proto: Protocol::Tcp, src: [0, 0, 0, 0].into(), sport: port, dst: None, dport: None, name: None }
    }

    fn host() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/sbin/sshd -D\n"),
            ("usr/lib/systemd/system/apache2.service", "[Service]\nExecStart=/usr/sbin/apachectl start\n"),
            ("usr/lib/systemd/system/cron.service", "[Service]\nExecStart=/usr/sbin/cron -f\n"),
            ("usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=2222\n"),
            ("run/systemd/transient/run-r9.socket", "[Socket]\nListenStream=4444\n"),
            ("etc/systemd/system/quiet.service", "[Service]\nExecStart=/usr/sbin/sshd\n"),
            ("usr/sbin/sshd", "\u{7f}ELF"),
            ("usr/sbin/cron", "\u{7f}ELF"),
            ("usr/sbin/dropped", "\u{7f}ELF"),
            ("usr/sbin/apache2", "\u{7f}ELF"),
            ("usr/sbin/apachectl", "#!/bin/sh\n"),
            ("var/lib/dpkg/info/openssh-server.list", "/usr/sbin/sshd\n/usr/sbin/cron\n/usr/sbin/apache2\n"),
        ];
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("usr/sbin", dir.path().join("sbin")).unwrap();
        dir
    }

    #[test]
    fn a_unit_is_meant_to_listen_by_the_program_that_it_starts() {
        let host = host();
        let mut units = ListeningUnits::under(host.path().to_owned(), None);
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let mut installed = |exe: &str, unit: &str, changed| units.look(&process(exe, unit, changed), &at(22)).map(|unit| unit.installed);
        assert_eq!(installed("/usr/sbin/sshd", "ssh.service", OLD), Some(true));
        assert_eq!(installed("/usr/sbin/sshd", "ssh.service", now), Some(true), "new, and of a package");
        assert_eq!(installed("/usr/sbin/apache2", "apache2.service", OLD), Some(true), "by its script");
        assert_eq!(installed("/usr/sbin/dropped", "apache2.service", OLD), Some(false), "of no package");
        assert_eq!(installed("/usr/sbin/dropped", "ssh.service", OLD), Some(false));
        assert_eq!(installed("/tmp/sshd", "ssh.service", OLD), Some(false), "a borrowed name");
        assert_eq!(installed("/usr/sbin/sshd", "cron.service", OLD), Some(false), "what cron started");
        assert_eq!(installed("/usr/sbin/sshd", "quiet.service", OLD), Some(false), "neither of a package nor enabled");
        assert_eq!(installed("/usr/sbin/sshd", "session-2.scope", OLD), None);
        assert_eq!(installed("/usr/sbin/sshd", "none.service", OLD), Some(false));
        fs::write(host.path().join("usr/sbin/cron"), "another").unwrap();
        fs::write(host.path().join("var/lib/dpkg/info/openssh-server.list"), "/usr/sbin/sshd\n").unwrap();
        let mut units = ListeningUnits::under(host.path().to_owned(), None);
        assert!(!units.look(&process("/usr/sbin/cron", "cron.service", now), &at(22)).unwrap().installed, "new, and of no package");
    }

    #[test]
    fn a_socket_unit_is_named_and_others_containers_are_not_ours() {
        let host = host();
        let mut units = ListeningUnits::under(host.path().to_owned(), None);
        let systemd = Process { unit: None, ..process("/usr/lib/systemd/systemd", "init.scope", OLD) };
        let unit = |name: &str, installed| Some(ListeningUnit { name: name.to_owned(), installed });
        assert_eq!(units.look(&systemd, &at(2222)), unit("ssh.socket", true));
        assert_eq!(units.look(&systemd, &at(4444)), unit("run-r9.socket", false));
        assert_eq!(units.look(&systemd, &at(5555)), None);
        let elsewhere = Process { container: Some("0123456789ab".to_owned()), ..systemd };
        assert_eq!(units.look(&elsewhere, &at(2222)), None);
        (0..LOOKUPS * 2).for_each(|_| drop(units.look(&process("/usr/sbin/sshd", "ssh.service", OLD), &at(22))));
        assert_eq!(units.look(&process("/usr/sbin/sshd", "ssh.service", OLD), &at(22)), None, "bounded");
    }
}
