//! Doctor's probes: each tries one thing on this host for real, leaves nothing behind and says what came of it.

mod rights;
mod sensors;
mod surroundings;

use std::path::Path;

use bartizan_model::{Check, CheckState};

/// What the probes cannot find out by themselves.
pub struct Grounds<'a> {
    /// Data directory of the agent; it need not exist yet.
    pub data: &'a Path,
    /// How the eBPF object was made: `built`, `prebuilt`, `none`.
    pub bpf_object: &'a str,
    /// Loads our eBPF programs and lets them go again: how many, or why not.
    pub load_bpf: &'a dyn Fn() -> Result<String, String>,
    /// Tries what changes the host.
    pub enforcers: &'a dyn Fn() -> Vec<Check>,
}

/// Tries everything that concerns the agent, in the order in which a person reads it.
pub fn all(grounds: &Grounds<'_>) -> Vec<Check> {
    let mut checks = vec![
        rights::capabilities(),
        sensors::btf(),
        sensors::bpf_syscall(),
        sensors::bpf_programs(grounds),
        sensors::process_connector(),
        sensors::sockets(),
        sensors::fanotify(),
    ];
    checks.extend((grounds.enforcers)());
    checks.extend([surroundings::data_directory(grounds.data), surroundings::clock(), surroundings::ssh_server()]);
    checks
}

pub use surroundings::terminal;

/// A check of something that works.
pub fn works(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: CheckState::Works, detail: detail.into(), mend: String::new() }
}

/// A check of something that works in part, and what mends it.
pub fn degraded(name: &str, detail: impl Into<String>, mend: &str) -> Check {
    Check { name: name.to_owned(), state: CheckState::Degraded, detail: detail.into(), mend: mend.to_owned() }
}

/// A check of something that does not work, and what mends it.
pub fn missing(name: &str, detail: impl Into<String>, mend: &str) -> Check {
    Check { name: name.to_owned(), state: CheckState::Missing, detail: detail.into(), mend: mend.to_owned() }
}

/// Our own programs are looked for where root's PATH may not lead.
pub fn find_program(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').filter(|place| place.starts_with('/')).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"]);
    places.map(|place| format!("{place}/{name}")).find(|file| Path::new(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_called_working() {
        let grounds = Grounds {
            data: Path::new("/proc/nowhere"),
            bpf_object: "none",
            load_bpf: &|| Err("no object".to_owned()),
            enforcers: &Vec::new,
        };
        let checks = all(&grounds);
        let state = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.state);
        assert_eq!(state("eBPF programs"), Some(CheckState::Missing));
        assert_eq!(state("data directory"), Some(CheckState::Missing));
        for check in &checks {
            println!("{:<28} {:?}: {}  [{}]", check.name, check.state, check.detail, check.mend);
        }
        assert!(checks.iter().all(|check| !check.detail.is_empty()));
        assert!(checks.iter().all(|check| (check.state == CheckState::Works) == check.mend.is_empty()), "a mend for each that needs one");
    }

    #[test]
    fn the_probes_leave_nothing() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let grounds =
            Grounds { data: Path::new("/tmp"), bpf_object: "built", load_bpf: &|| Ok("6 programs".to_owned()), enforcers: &Vec::new };
        all(&grounds);
        let before = open();
        for _ in 0..20 {
            all(&grounds);
        }
        // Other tests of this process open and close files at the same time.
        assert!(open() < before + 20, "descriptors leak: {before} before, {} after", open());
    }
}
