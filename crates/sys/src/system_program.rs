//! Which program of the system a process runs: by the file that it executes, as a name alone can be chosen by anybody.

use std::fs;

/// Where the system keeps programs (file-hierarchy(7)); only root may put one there.
const DIRECTORIES: [&str; 8] = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/lib/", "/usr/libexec/", "/usr/local/sbin/", "/lib/"];
/// Programs that are SSH servers, or parts of one (OpenSSH 9.8 split it).
const SSH_SERVERS: [&str; 5] = ["sshd", "sshd-session", "sshd-auth", "dropbear", "tinysshd"];

/// The name of the program in a directory of the system that a process runs, also when a newer one has replaced its file;
/// `None` when it runs another, or has ended.
pub fn name(pid: u32) -> Option<String> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = exe.to_string_lossy();
    let path = text.strip_suffix(" (deleted)").unwrap_or(&text);
    DIRECTORIES.iter().any(|directory| path.starts_with(directory)).then(|| path.rsplit('/').next().unwrap_or_default().to_owned())
}

/// The name of the system's SSH server, or of the part of it, that a process runs.
pub fn ssh_server(pid: u32) -> Option<String> {
    name(pid).filter(|name| names_ssh_server(name))
}

/// Whether a process runs the system's SSH server.
pub fn is_ssh_server(pid: u32) -> bool {
    name(pid).is_some_and(|name| names_ssh_server(&name))
}

/// Whether a program of this name, in a directory of the system, is an SSH server.
pub fn names_ssh_server(name: &str) -> bool {
    SSH_SERVERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_name_is_no_program_of_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let borrowed = dir.path().join("sshd");
        fs::copy("/bin/sleep", &borrowed).unwrap();
        let mut child = std::process::Command::new(&borrowed).arg("30").spawn().unwrap();
        let mut own = std::process::Command::new("/bin/sleep").arg("30").spawn().unwrap();
        let seen = (name(child.id()), is_ssh_server(child.id()), name(own.id()));
        for one in [&mut child, &mut own] {
            one.kill().unwrap();
            one.wait().unwrap();
        }
        assert_eq!(seen, (None, false, Some("sleep".to_owned())));
    }
}
