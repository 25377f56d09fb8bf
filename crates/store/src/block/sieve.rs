//! What a filter asks of each field of a packed event, as bits: one for each condition that a value meets.

use super::SOURCES;
use super::field::ROLES;
use super::texts::Texts;
use bartizan_model::{EventKind, ExeFile, Sha256};
use bartizan_protocol::{Condition, Field, Filter, Value, kind_values};

/// A filter made ready to be held against blocks.
#[derive(Debug)]
pub(crate) struct Sieve<'f> {
    pub(super) filter: &'f Filter,
    pub(super) texts: Texts,
    /// The fields that the filter names, a bit each.
    fields: u128,
    of_kind: bool,
    /// What the names of fields alone hold, of every event and of every process.
    pub(super) names: u64,
    pub(super) process_names: u64,
    pub(super) sources: Vec<u64>,
    pub(super) roles: Vec<u64>,
    pub(super) nothing: u64,
    flags: [u64; 2],
}

impl<'f> Sieve<'f> {
    pub(crate) fn new(filter: &'f Filter) -> Self {
        let texts = Texts::new(filter);
        let named = filter.conditions().iter().filter_map(|condition| match condition {
            Condition::Field(field, _) => Some(*field),
            Condition::Text(_) => None,
        });
        let names = |names: &[&str]| names.iter().fold(0, |found, name| found | texts.in_json(name.as_bytes()));
        let mut sieve = Self {
            fields: named.clone().fold(0, |fields, field| fields | 1 << field as u32),
            of_kind: named.clone().any(Field::is_of_kind),
            names: names(&["id", "at", "kind", "process", "source", "complete"]),
            process_names: names(&PROCESS_NAMES),
            nothing: texts.in_json(b"null"),
            flags: [texts.in_json(b"false"), texts.in_json(b"true")],
            sources: Vec::new(),
            roles: Vec::new(),
            filter,
            texts,
        };
        let word = |field, word: String| sieve.value(field, Value::Text(word.as_bytes()));
        let sources = SOURCES.iter().map(|source| word(Field::Source, bartizan_protocol::word(source))).collect();
        let roles = ROLES.iter().map(|role| word(Field::LineageRole, bartizan_protocol::word(role))).collect();
        (sieve.sources, sieve.roles) = (sources, roles);
        sieve
    }

    /// What a value holds: the conditions on its field that it meets, and the texts that stand in it.
    pub(super) fn value<'a>(&self, field: Field, value: impl Into<Value<'a>>) -> u64 {
        let value = value.into();
        let texts = match value {
            Value::Text(text) => self.texts.in_text(text),
            Value::Number(number) => self.texts.in_number(number),
            Value::Flag(flag) => self.flag(flag),
            Value::Key(key) => self.texts.in_key(key),
            Value::Digest(digest) => self.texts.in_digest(digest),
            Value::Id(id) => self.texts.in_id(id.0),
            Value::Address(_) => 0,
        };
        texts | if self.fields >> (field as u32) & 1 == 1 { self.filter.met_by(field, value) } else { 0 }
    }

    pub(super) fn maybe<'a>(&self, field: Field, value: Option<impl Into<Value<'a>>>) -> u64 {
        value.map_or(self.nothing, |value| self.value(field, value))
    }

    pub(super) fn flag(&self, flag: bool) -> u64 {
        self.flags.get(usize::from(flag)).copied().unwrap_or_default()
    }

    pub(super) fn word(&self, word: &str) -> u64 {
        self.texts.in_json(word.as_bytes())
    }

    /// A field that is left out when it has no value.
    pub(super) fn optional(&self, name: &str, field: Field, text: Option<&[u8]>) -> u64 {
        text.map_or(0, |text| self.word(name) | self.value(field, Value::Text(text)))
    }

    pub(super) fn file(&self, file: &ExeFile, sha256: Option<Sha256>) -> u64 {
        let changed = if file.changed == 0 { 0 } else { self.word("changed") | self.texts.in_signed(file.changed) };
        self.texts.in_number(file.device.into())
            | self.value(Field::ExeInode, file.inode)
            | self.value(Field::ExeMemfd, file.memfd)
            | self.value(Field::ExeDeleted, file.deleted)
            | changed
            | sha256.map_or(0, |sha256| self.word("sha256") | self.value(Field::ExeSha256, sha256))
    }

    /// What the JSON of a kind holds; it stands in the block as it stands in that of its event.
    pub(super) fn kind(&self, json: &[u8]) -> Option<u64> {
        let mut met = self.texts.in_json(json);
        if self.of_kind {
            let kind: EventKind = serde_json::from_slice(json).ok()?;
            kind_values(&kind, &mut |field, value| met |= self.filter.met_by(field, value));
        }
        Some(met)
    }

    pub(super) fn exit(&self, code: Option<u8>, signal: Option<u8>) -> u64 {
        let names = self.word("exit") | self.word("code") | self.word("signal");
        names | self.maybe(Field::ExitCode, code) | self.maybe(Field::ExitSignal, signal)
    }
}

/// Names that stand in the JSON of every process.
const PROCESS_NAMES: [&str; 28] = [
    "key", "pid", "ppid", "parent", "exe", "exe_file", "device", "inode", "memfd", "deleted", "argv", "argv_truncated", "cwd", "uid",
    "euid", "user", "loginuid", "session", "capabilities", "cgroup", "container", "unit", "netns", "namespaces", "mnt", "stdio_sockets",
    "since", "lineage",
];
