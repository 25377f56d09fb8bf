//! Findings that a person accepted (`bartizan findings accept`) hold for the hook too: what it would block has the name that a scan gives it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;

use crate::cli::args::Global;
use crate::cli::ask::settings;
use crate::cli::scan::secrets::weakness;
use bartizan_agent::scan_history::Stored;
use bartizan_model::Timestamp;
use bartizan_scan::findings::name;
use bartizan_scan::history::History;
use bartizan_scan::secrets::{Hit, SOURCE};
use bartizan_sys::git_program::Repository;

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a path that Git tells.
const MAX_PATH: u64 = 8192;

/// What was accepted, and where scans say that the files of this repository lie.
pub(super) struct Accepted {
    /// `None`: what was accepted cannot be read by this user.
    history: Option<History>,
    places: Vec<PathBuf>,
}

impl Accepted {
    pub(super) fn of(global: &Global, repository: &Repository) -> Self {
        let history = settings(global).ok().and_then(|settings| Stored::peek(&settings.data));
        Self { history, places: places(repository) }
    }

    /// Whether this user can know what was accepted.
    pub(super) fn is_known(&self) -> bool {
        self.history.is_some()
    }

    /// Until when a person accepted this secret in this file, if so; and by which name.
    pub(super) fn until(&self, path: &[u8], hit: &Hit) -> Option<(String, Timestamp)> {
        let history = self.history.as_ref()?;
        self.places.iter().find_map(|place| {
            let location = [place.as_os_str().as_bytes(), b"/", path].concat();
            let (_, weakness) = weakness(&location, "", hit.clone());
            let id = name(SOURCE, &weakness);
            let until = history.accepted_until(&id, Utc::now())?;
            Some((id, until))
        })
    }
}

/// The names under which a person scans this repository: its work tree, or its Git directory.
fn places(repository: &Repository) -> Vec<PathBuf> {
    let told = |question: &str| {
        let said = repository.ask(&["rev-parse", question], MAX_PATH, PATIENCE).ok()?;
        let path = PathBuf::from(OsString::from_vec(said.trim_ascii_end().to_vec()));
        let path = if path.is_absolute() { path } else { repository.path().join(path) };
        path.canonicalize().ok()
    };
    let common = told("--git-common-dir");
    let beside = common.as_deref().filter(|path| path.ends_with(".git")).and_then(Path::parent).map(Path::to_owned);
    let mut places: Vec<PathBuf> =
        [told("--show-toplevel"), beside, common, repository.path().canonicalize().ok()].into_iter().flatten().collect();
    places.dedup();
    places
}
