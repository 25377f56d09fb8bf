//! Socket units of systemd (systemd.socket(5)) as their files say: on what they listen, and for which service.

use std::net::IpAddr;
use std::path::Path;

use super::system_program;
use super::unit_files::{self, all_names, settings};

/// Socket units that are read.
const MOST: usize = 512;

/// One socket unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketUnit {
    /// `ssh.socket`.
    pub name: String,
    /// Addresses and ports of ListenStream= (TCP); no address: every one.
    pub listens: Vec<(Option<IpAddr>, u16)>,
    /// The service that is started by it.
    pub service: String,
    /// The programs that the service runs, by name.
    programs: Vec<String>,
}

impl SocketUnit {
    /// Whether a connection to it ends at an SSH server.
    pub fn serves_ssh(&self) -> bool {
        self.programs.iter().any(|program| system_program::names_ssh_server(program))
    }
}

/// Every socket unit that listens on TCP, as the files below `root` say.
pub fn all(root: &Path) -> Vec<SocketUnit> {
    let names = all_names(root).into_iter().filter(|name| name.ends_with(".socket") && !name.contains('@')).take(MOST);
    names.filter_map(|name| unit(root, &name)).filter(|unit| !unit.listens.is_empty()).collect()
}

fn unit(root: &Path, name: &str) -> Option<SocketUnit> {
    let (mut listens, mut service, mut accepts) = (Vec::new(), None, false);
    for (key, value) in settings(root, name, "Socket")? {
        match key.as_str() {
            // An empty one takes back what was said before.
            "ListenStream" if value.is_empty() => listens.clear(),
            "ListenStream" => listens.extend(address(&value)),
            "Service" => service = Some(value),
            "Accept" => accepts = matches!(value.as_str(), "yes" | "true" | "on" | "1"),
            _ => {}
        }
    }
    let own = name.strip_suffix(".socket")?;
    let service = service.unwrap_or_else(|| format!("{own}{}.service", if accepts { "@" } else { "" }));
    let programs = unit_files::programs(root, &service).iter().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect();
    Some(SocketUnit { name: name.to_owned(), listens, service, programs })
}

/// `22`, `0.0.0.0:22`, `[::]:22`; nothing for what is no TCP.
fn address(value: &str) -> Option<(Option<IpAddr>, u16)> {
    if let Ok(port) = value.parse() {
        return Some((None, port));
    }
    let at: std::net::SocketAddr = value.parse().ok()?;
    Some(((!at.ip().is_unspecified()).then_some(at.ip()), at.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const SSH: &str = "[Unit]\nDescription=x\n[Socket]\nListenStream=22\nAccept=no\n";
    const SERVICE: &str = "[Service]\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";

    #[test]
    fn a_socket_unit_listens_where_its_files_and_drop_ins_say() {
        let host = host(&[
            ("lib/systemd/system/ssh.socket", SSH),
            ("lib/systemd/system/ssh.service", SERVICE),
            (
                "run/systemd/generator/ssh.socket.d/addresses.conf",
                "[Socket]\nListenStream=\nListenStream=0.0.0.0:2222\nListenStream=[::1]:2223\n",
            ),
            ("etc/systemd/system/admin.socket", "[Socket]\nListenStream=2022\nListenStream=/run/x\nAccept=yes\n"),
            ("etc/systemd/system/admin@.service", "[Service]\nExecStart=-/usr/sbin/sshd -i\n"),
            ("usr/lib/systemd/system/cups.socket", "[Socket]\nListenStream=/run/cups.sock\nListenStream=631\nService=print.service\n"),
            ("etc/systemd/system/print.service", "[Service]\nExecStart=/usr/sbin/cupsd -l\n"),
        ]);
        let found = all(host.path());
        let shown: Vec<_> = found.iter().map(|unit| (unit.name.as_str(), unit.service.as_str(), unit.serves_ssh())).collect();
        assert_eq!(
            shown,
            [("admin.socket", "admin@.service", true), ("cups.socket", "print.service", false), ("ssh.socket", "ssh.service", true)]
        );
        assert_eq!(found[2].listens, [(None, 2222), (Some("::1".parse().unwrap()), 2223)]);
        assert_eq!((&found[0].listens[..], &found[1].listens[..]), (&[(None, 2022)][..], &[(None, 631)][..]));
    }

    #[test]
    fn a_masked_unit_and_nonsense_are_none() {
        let host =
            host(&[("etc/systemd/system/bad.socket", "ListenStream=1\n[Socket\n=\n[Socket]\nListenStream=70000\nListenStream=x:y\n")]);
        fs::create_dir_all(host.path().join("lib/systemd/system")).unwrap();
        fs::write(host.path().join("lib/systemd/system/ssh.socket"), SSH).unwrap();
        std::os::unix::fs::symlink("/dev/null", host.path().join("etc/systemd/system/ssh.socket")).unwrap();
        assert_eq!(all(host.path()), []);
    }
}
