//! A host made of words, for the tests of checks.

use std::collections::BTreeMap;

use super::{Check, Facts, HostView, Listener, Looked, Notes, Reading, SetIdFile, SetIds};
use bartizan_model::{HostText, Severity, Timestamp};

/// Files and answers.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) files: BTreeMap<Vec<u8>, (Vec<u8>, Facts)>,
    pub(super) links: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) ssh: Option<Vec<(String, String)>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) rules: Option<String>,
    pub(super) set_ids: Vec<SetIdFile>,
    pub(super) packaged: Vec<&'static str>,
    pub(super) refuses: bool,
}

impl Fake {
    /// With a file of root's, 0644.
    pub(super) fn file(self, path: &str, text: &str) -> Self {
        self.with(path, text, 0o644, 0)
    }

    /// With a file of this mode and owner.
    pub(super) fn with(mut self, path: &str, text: impl AsRef<[u8]>, mode: u32, uid: u32) -> Self {
        let facts = Facts { mode, uid, gid: uid, is_directory: false, is_device: false };
        self.files.insert(path.into(), (text.as_ref().to_vec(), facts));
        self
    }

    /// With a device that everybody may write to.
    pub(super) fn device(mut self, path: &str) -> Self {
        let facts = Facts { mode: 0o666, uid: 0, gid: 0, is_directory: false, is_device: true };
        self.files.insert(path.into(), (Vec::new(), facts));
        self
    }

    /// With a directory.
    pub(super) fn directory(mut self, path: &str, mode: u32, uid: u32) -> Self {
        self.files.insert(path.into(), (Vec::new(), Facts { mode, uid, gid: uid, is_directory: true, is_device: false }));
        self
    }

    /// What a check finds: severity and title of each; how it ended.
    pub(super) fn look(&self, check: &Check) -> (Vec<(Severity, String)>, Looked) {
        let mut notes = Notes::default();
        let looked = (check.look)(self, &mut notes);
        assert!(notes.found.iter().all(|(_, weak)| !weak.fix.is_empty()), "a finding without a fix");
        (notes.found.into_iter().map(|(severity, weak)| (severity, weak.title)).collect(), looked)
    }

    /// What a check that must have been made finds.
    pub(super) fn finds(&self, check: &Check) -> Vec<(Severity, String)> {
        let (found, looked) = self.look(check);
        assert_eq!(looked, Looked::Done);
        found
    }
}

impl HostView for Fake {
    fn read(&self, path: &[u8]) -> Reading {
        match self.files.get(path) {
            _ if self.refuses => Reading::Refused("permission denied".into()),
            Some((bytes, facts)) if !facts.is_directory => Reading::Bytes(bytes.clone()),
            _ => Reading::Missing,
        }
    }

    fn list(&self, directory: &[u8]) -> Vec<Vec<u8>> {
        let prefix = [directory, b"/"].concat();
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix[..]));
        let mut names: Vec<Vec<u8>> = below.map(|rest| rest.split(|byte| *byte == b'/').next().unwrap().to_vec()).collect();
        names.dedup();
        names
    }

    fn facts(&self, path: &[u8]) -> Option<Facts> {
        self.files.get(path).map(|(_, facts)| *facts)
    }

    fn link(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.links.get(path).cloned()
    }

    fn ssh_settings(&self) -> Result<Option<Vec<(String, String)>>, String> {
        if self.refuses { Err("no answer".into()) } else { Ok(self.ssh.clone()) }
    }

    fn listeners(&self) -> Result<Vec<Listener>, String> {
        if self.refuses { Err("no answer".into()) } else { Ok(self.listeners.clone()) }
    }

    fn packet_filter(&self) -> Result<Option<String>, String> {
        if self.refuses { Err("no answer".into()) } else { Ok(self.rules.clone()) }
    }

    fn set_ids(&self) -> SetIds {
        SetIds { files: self.set_ids.clone(), ..SetIds::default() }
    }

    fn package_of(&self, path: &HostText) -> Result<Option<HostText>, String> {
        if self.packaged.is_empty() {
            return Err("no package database".into());
        }
        Ok(self.packaged.iter().find(|known| **known == path.lossy()).map(|_| "a-package".into()))
    }

    fn now(&self) -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }
}
