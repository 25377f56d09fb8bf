//! What ends an action after a reboot: a unit pair of systemd on disk, or a line for cron. Neither holds a secret.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fallback::systemctl;
use super::script;
use super::{WatchdogError, fail};
use bartizan_sys::child;
use bartizan_sys::replace_file::{self, Outlives};

/// Where systemd looks for units of the host's owner (systemd.unit(5)).
const UNITS: &str = "/etc/systemd/system";
/// Where cron looks for tables of programs (cron(8)).
const CRON: &str = "/etc/cron.d";
/// Where systemd notes when a persistent timer ran last (systemd.timer(5)).
const STAMPS: &str = "/var/lib/systemd/timers";

/// What lies on disk to end an action after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A timer and a service of this name, enabled.
    Unit(String),
    /// A file of this name for cron, run at every start of the host.
    Cron(String),
}

/// Where triggers are put on this host.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) units: Option<PathBuf>,
    pub(super) cron: Option<PathBuf>,
}

impl Places {
    fn here() -> Self {
        let systemd = Path::new("/run/systemd/system").is_dir().then(|| PathBuf::from(UNITS));
        let has_cron = child::PROGRAMS.split(':').any(|place| ["cron", "crond"].iter().any(|name| Path::new(place).join(name).exists()));
        let cron = (has_cron && Path::new(CRON).is_dir()).then(|| PathBuf::from(CRON));
        Self { units: systemd, cron }
    }

    /// Writes the trigger of a note; `None` when this host has nobody who would pull it.
    pub(super) fn write(&self, name: &str, note: &Path, after: Duration) -> Result<Option<Trigger>, WatchdogError> {
        if !script::is_plain(name) {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "the name holds what a unit or a crontab cannot");
            return Err(fail("set a trigger for after a reboot")(why));
        }
        let unit = format!("bartizan-expiry-{name}");
        let run = script::command_for(note, "lasting")?.join(" ");
        if let Some(units) = &self.units {
            write_units(units, &unit, &run, after).map_err(fail("write the timer for after a reboot"))?;
            return Ok(Some(Trigger::Unit(unit)));
        }
        let Some(cron) = &self.cron else { return Ok(None) };
        let line = format!("# Ends an action of Bartizan that outlived a reboot; removed with the action.\n@reboot root {run}\n");
        write(&cron.join(&unit), 0o644, &line).map_err(fail("write the line for cron"))?;
        Ok(Some(Trigger::Cron(unit)))
    }

    /// Removes the trigger's files.
    pub(super) fn remove(&self, name: &str) {
        let unit = format!("bartizan-expiry-{name}");
        let timer = format!("{unit}.timer");
        let of_units = self
            .units
            .iter()
            .flat_map(|units| [units.join("timers.target.wants").join(&timer), units.join(&timer), units.join(format!("{unit}.service"))]);
        of_units.chain(self.cron.iter().map(|cron| cron.join(&unit))).for_each(|file| drop(fs::remove_file(file)));
    }
}

fn write_units(units: &Path, unit: &str, run: &str, after: Duration) -> io::Result<()> {
    let at = chrono::Utc::now() + after + chrono::Duration::seconds(5);
    let service = format!(
        "[Unit]\nDescription=Ends an action of Bartizan at its time\n\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart={run}\n"
    );
    let timer = format!(
        "[Unit]\nDescription=Ends an action of Bartizan at its time\n\n[Timer]\nOnCalendar={}\nPersistent=true\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
        at.format("%Y-%m-%d %H:%M:%S UTC")
    );
    write(&units.join(format!("{unit}.service")), 0o644, &service)?;
    let file = units.join(format!("{unit}.timer"));
    write(&file, 0o644, &timer)?;
    let wants = units.join("timers.target.wants");
    fs::create_dir_all(&wants)?;
    match symlink(&file, wants.join(format!("{unit}.timer"))) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => replace_file::sync_directory(units),
    }
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    replace_file::replace(path, text.as_bytes(), mode, Outlives::Power)
}

/// Sets the trigger of a note. Leaves nothing behind when it fails.
pub(super) fn set(name: &str, note: &Path, after: Duration) -> Result<Option<Trigger>, WatchdogError> {
    prolong(name, note, after).inspect_err(|_| remove(name))
}

/// Moves the trigger of a note; when that fails there still is one.
///
/// What lies on disk ends it after a reboot. A systemd too busy to answer reads it by then, and a timer that it runs with
/// the former time waits for the one beside the note; only one that refuses is a failure.
pub(super) fn prolong(name: &str, note: &Path, after: Duration) -> Result<Option<Trigger>, WatchdogError> {
    let trigger = Places::here().write(name, note, after)?;
    if let Some(Trigger::Unit(unit)) = &trigger {
        systemctl(&["daemon-reload"]);
        if systemctl(&["restart", &format!("{unit}.timer")]) == Some(false) {
            return Err(fail("start the timer for after a reboot")(io::Error::other("systemd refused")));
        }
    }
    Ok(trigger)
}

/// Removes it. Harmless when there is none.
pub(super) fn remove(name: &str) {
    if !script::is_plain(name) {
        return;
    }
    let (places, timer) = (Places { units: Some(UNITS.into()), cron: Some(CRON.into()) }, format!("bartizan-expiry-{name}.timer"));
    let is_known = Path::new("/run/systemd/system").is_dir() && Path::new(UNITS).join(&timer).exists();
    if is_known {
        // First the timer, while its file is there: else it is shown as failed.
        systemctl(&["stop", &timer]);
    }
    places.remove(name);
    let _ = fs::remove_file(Path::new(STAMPS).join(format!("stamp-{timer}")));
    if is_known {
        systemctl(&["daemon-reload"]);
    }
}

/// Removes all that tell of a note in this directory, and deadlines without a note.
pub(super) fn sweep(notes: &Path) -> Vec<String> {
    let mut removed = Vec::new();
    let files =
        |dir: &Path| -> Vec<PathBuf> { fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).take(8192).collect() };
    for file in files(Path::new(UNITS)).into_iter().chain(files(Path::new(CRON))) {
        let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("bartizan-expiry-"));
        let Some(name) = name.filter(|name| !name.ends_with(".timer")) else { continue };
        let (text, name) = (fs::read_to_string(&file).unwrap_or_default(), name.trim_end_matches(".service"));
        if text.contains(&format!("lasting {}/{name}", notes.display())) {
            remove(name);
            removed.push(format!("the trigger for after a reboot of {}", name.escape_debug()));
        }
    }
    for file in files(notes).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "until")) {
        if !file.with_extension("").exists() {
            let _ = fs::remove_file(file);
        }
    }
    removed
}

/// Who pulls it on this host, for previews.
pub(super) fn foretold() -> &'static str {
    match Places::here() {
        Places { units: Some(_), .. } => "after a reboot a timer of systemd ends it, bartizan or not",
        Places { cron: Some(_), .. } => "after a reboot cron ends it, bartizan or not",
        _ => "after a reboot only bartizan itself ends it: this host has neither systemd nor cron",
    }
}
