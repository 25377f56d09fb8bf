//! Directories in which programs are looked for, and those that everybody shares.

use crate::host::ownership::only_root_writes;
use crate::host::{Check, HostView, Looked, Notes};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "directories",
    title: "program directories and shared directories",
    why: "Whoever can put a program where root looks for one, or replace the files of others in a shared directory, acts as them.",
    look,
};

const PROGRAMS: [&str; 10] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/lib", "/usr/local/lib", "/etc", "/boot", "/root", "/opt"];
const SHARED: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// Debian's group `staff` (gid 50) may write below /usr/local by policy (Debian Policy 9.1.2); nobody is in it unless root says so.
const STAFF: u32 = 50;

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    if view.facts(b"/etc").is_none() {
        return Looked::NotPossible("/etc cannot be looked at".to_owned());
    }
    for directory in PROGRAMS {
        let by_staff = view.facts(directory.as_bytes()).is_some_and(|f| f.gid == STAFF && f.uid == 0 && f.mode & OTHERS_WRITE == 0);
        if !by_staff {
            only_root_writes(view, notes, directory.as_bytes(), "programs that root runs are looked for there");
        }
    }
    for directory in SHARED {
        let Some(facts) = view.facts(directory.as_bytes()) else { continue };
        if facts.mode & OTHERS_WRITE != 0 && facts.mode & STICKY == 0 {
            let title = format!("{directory} lacks its sticky bit: every user can replace the files of others in it");
            let evidence = format!("mode {:04o}", facts.mode);
            notes.found(Severity::High, directory, "sticky", title, evidence.as_bytes(), format!("chmod 1777 {directory}"));
        }
    }
    Looked::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn a_shared_directory_needs_its_sticky_bit() {
        let good = Fake::default().directory("/etc", 0o755, 0).directory("/tmp", 0o1777, 0).directory("/usr/local/bin", 0o755, 0);
        assert_eq!(good.finds(&CHECK), []);
        let bad = good.directory("/tmp", 0o777, 0).directory("/usr/local/bin", 0o777, 0);
        assert_eq!(bad.finds(&CHECK).len(), 2);
    }
}
