//! The jails that were taken over from fail2ban: read from their file whenever that changes, for the follower and for the detectors.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::Ingest;
use bartizan_detect::detectors::jails::JailRule;
use bartizan_fail2ban::{JailKind, TakenJail, TakenOver};
use bartizan_model::Unpoisoned as _;

/// Bytes of the file that are read: a hundred jails of Debian's have less than one million.
const MAX_BYTES: u64 = 8 << 20;
/// Under which name people see what is wrong with it.
const PART: &str = "imported jails";

/// The file, and what was read of it last.
#[derive(Debug)]
pub(super) struct JailFile {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    text: Option<String>,
    jails: Vec<TakenJail>,
}

impl JailFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::default() }
    }

    /// The jails as they are now. The detectors hear of every change; a file that cannot be used changes nothing.
    pub(super) fn read(&self, ingest: &Arc<Ingest>) -> Vec<TakenJail> {
        let mut last = self.last.lock().unpoisoned();
        match self.text() {
            Ok(text) if text == last.text => {}
            Ok(text) => match TakenOver::parse(text.as_deref().unwrap_or_default()) {
                Ok(taken) => {
                    let rules = taken.jails.iter().map(rule).collect();
                    // Thrown away where the pipeline is far behind: the next look tries again.
                    if ingest.pipeline.tell(move |pipeline| pipeline.logs.set_jails(rules)) {
                        *last = Last { text, jails: taken.jails };
                    }
                    ingest.troubles.report(PART, None);
                }
                Err(why) => ingest.troubles.report(PART, Some(format!("{}: {why}", self.path.display()))),
            },
            Err(why) => ingest.troubles.report(PART, Some(format!("{} cannot be read: {why}", self.path.display()))),
        }
        last.jails.clone()
    }

    /// What stands in it; `None` where there is none.
    fn text(&self) -> std::io::Result<Option<String>> {
        let file = match bartizan_sys::digest::open_plain(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }
}

fn rule(jail: &TakenJail) -> JailRule {
    JailRule {
        name: jail.name.clone(),
        web: jail.kind == JailKind::Web,
        maxretry: jail.maxretry,
        findtime: u32::try_from(jail.findtime_seconds).unwrap_or(u32::MAX),
        bantime: Duration::from_secs(jail.bantime_seconds),
        ignored: jail.ignored(),
    }
}
