//! A host to be guarded, on a machine that stays as it is: a network of its own and an `/etc`, `/home`, `/run` and
//! `/var/log` of its own, and its own host name, name server and package mirror. Processes and cgroups are the machine's.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::agent::told;
use super::ends::Program;
use super::network::Network;

/// Mounts what the guarded host changes over what the machine has; `$1` is a directory for it. A tmpfs below, because an
/// overlay takes no overlay as its upper layer (the machine's own root may be one).
const FURNISH: &str = r#"set -e
mount -t tmpfs -o mode=0755 guarded "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o lowerdir=/etc,upperdir="$1/upper",workdir="$1/work" guarded-etc /etc
# Docker and others bind these files: what lies over them is the guarded host's own again.
for file in resolv.conf hosts hostname; do
    if [ -f "/etc/$file" ]; then cat "/etc/$file" >"$1/$file"; mount --bind "$1/$file" "/etc/$file"; fi
done
mount -t tmpfs -o mode=0755 guarded /home
mount -t tmpfs -o mode=0755 guarded /var/log
mount -t tmpfs -o mode=0755 guarded /run
mkdir -p /run/sshd /run/lock
# Its own name, name server and package mirror: what the machine has of them is nobody's business.
rm -f /etc/resolv.conf /etc/hosts 2>/dev/null || true
echo 'nameserver 192.0.2.53' >/etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n192.0.2.80 packages.example.org\n' >/etc/hosts
rm -rf /etc/apt/sources.list.d /etc/yum.repos.d /etc/zypp /etc/pacman.d /etc/apk
mkdir -p /etc/apt
echo 'deb http://packages.example.org/debian stable main' >/etc/apt/sources.list
echo guarded >/proc/sys/kernel/hostname 2>/dev/null || true
echo ready
exec sleep infinity
"#;

/// A host to be guarded.
pub struct Guarded {
    pub network: Network,
    holder: Program,
    /// Where its own files are mounted; private to it.
    _directory: tempfile::TempDir,
}

impl Guarded {
    pub fn new(network: Network) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-guarded-").tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--propagation", "private", "sh", "-c", FURNISH, "guarded"]).arg(directory.path());
        let mut holder = Program::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "the guarded host could not be furnished");
        Self { network, holder, _directory: directory }
    }

    /// For `nsenter --mount=`.
    pub fn mounts(&self) -> String {
        format!("/proc/{}/ns/mnt", self.holder.id())
    }

    /// For `nsenter --uts=`.
    pub fn name(&self) -> String {
        format!("/proc/{}/ns/uts", self.holder.id())
    }

    /// One of its files as seen from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(path.trim_start_matches('/'))
    }

    /// A program on it.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args([format!("--net={}", self.network.file()), format!("--mount={}", self.mounts()), format!("--uts={}", self.name())]);
        command.arg(program).args(arguments).stdin(Stdio::null());
        command
    }

    /// A line of shell on it.
    pub fn try_shell(&self, line: &str) -> Output {
        self.command("sh", &["-c", line]).output().unwrap()
    }

    /// A line of shell on it that must succeed; what it printed.
    pub fn shell(&self, line: &str) -> String {
        let output = self.try_shell(line);
        assert!(output.status.success(), "{line}: {}", told(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
