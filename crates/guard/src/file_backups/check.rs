//! Asks sshd and visudo whether they would take a file before it is put in its place.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

use bartizan_sys::child;

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
    let words = arguments.iter().map(OsStr::new).chain([file.as_os_str()]).collect::<Vec<_>>();
    child::begin(program.as_ref(), &words).map_or(true, |child| child::finish(child, PATIENCE) == Some(true))
}
