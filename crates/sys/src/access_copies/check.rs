//! Asks sshd and visudo whether they would take a file before it is put in its place.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses what the program that reads this file would refuse. Where the program is missing, or would refuse even an
/// empty file (sshd without host keys), nothing is asked.
pub(super) fn check(target: &Path, new: &Path) -> io::Result<()> {
    let (program, arguments): (&str, &[&str]) = match target.to_str().unwrap_or_default() {
        path if path.ends_with("/ssh/sshd_config") || path.contains("/ssh/sshd_config.d/") => ("/usr/sbin/sshd", &["-t", "-f"]),
        path if path.ends_with("/sudoers") || path.contains("/sudoers.d/") => ("/usr/sbin/visudo", &["-c", "-f"]),
        _ => return Ok(()),
    };
    if !Path::new(program).exists() || !takes(program, arguments, Path::new("/dev/null")) || takes(program, arguments, new) {
        return Ok(());
    }
    Err(io::Error::other(format!("{program} does not take this copy: the file stays as it is")))
}

fn takes(program: &str, arguments: &[&str], file: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg(file).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return true };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}
