//! What was found becomes events: a dangerous content at once and alone, changes of one act as few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::act::{Act, Actor};
use crate::fim::report::LongFound;
use bartizan_integrity::{Change, Content, Difference, Entry, Finding, What, fold, stands_out};
use bartizan_model::{
    Event, EventId, EventKind, FileAttributes, FileChange, FileChangeKind, FileFinding, FileIntegrity, HostText, Process, Source, Timestamp,
};
use bartizan_sys::packages::Packages;

/// Lines of one act; more become one.
const MAX_LINES: usize = 8;
/// Changes of one act that stand out by themselves, at most.
const MAX_ALONE: usize = 64;
/// Paths of one act of which the package is looked up.
const LOOKED_UP: usize = 200;
/// Packages that are named.
const NAMED: usize = 8;

/// One line to be reported.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) file: FileChange,
    pub(super) by: Option<Arc<Process>>,
    pub(super) certain: bool,
}

impl Line {
    /// As an event of now.
    pub(super) fn event(self, at: Timestamp) -> Event {
        let kind = EventKind::FileChange { file: self.file };
        Event { id: EventId(0), at, kind, process: self.by, source: Source::Fanotify, complete: self.certain }
    }
}

/// One change by itself, with what is dangerous about it.
pub(super) fn alone(change: &Change, findings: &[Finding], version: u64) -> FileChange {
    let other = if let What::Moved { from } = &change.what { Some(from.clone()) } else { None };
    let hash = |entry: &Option<Entry>| match entry.as_ref().map(|entry| &entry.content) {
        Some(Content::Hash(hash) | Content::Sparse(hash)) => Some(blake3::Hash::from_bytes(*hash).to_hex().to_string()),
        _ => None,
    };
    FileChange {
        other,
        before: hash(&change.before),
        after: hash(&change.after),
        attributes_before: change.before.as_ref().map(attributes),
        attributes: change.after.as_ref().map(attributes),
        integrity: Some(Box::new(FileIntegrity { findings: found(findings), ..said(change.sentence(), 1, version) })),
        ..FileChange::new(change.path.clone(), kind(change))
    }
}

/// What the ends of a long file showed, before all of it is compared.
pub(super) fn by_its_ends(long: &LongFound, findings: &[Finding], version: u64) -> FileChange {
    let kind = if long.before.is_some() { FileChangeKind::Modified } else { FileChangeKind::Created };
    let mib = long.now.size as f64 / f64::from(1 << 20);
    let sentence = format!("long file ({mib:.0} MiB) changed: its first and last 512 KiB are judged now, all of it is compared later");
    FileChange {
        attributes_before: long.before.as_ref().map(attributes),
        attributes: Some(attributes(&long.now)),
        integrity: Some(Box::new(FileIntegrity { findings: found(findings), ..said(sentence, 1, version) })),
        ..FileChange::new(long.path.clone(), kind)
    }
}

fn found(findings: &[Finding]) -> Vec<FileFinding> {
    let finding = |finding: &Finding| FileFinding {
        rule: finding.rule.to_string(),
        technique: finding.technique.to_string(),
        sentence: finding.sentence.clone(),
    };
    findings.iter().map(finding).collect()
}

/// A sentence about one path that is no change any more.
pub(super) fn remark(path: HostText, sentence: &str, version: u64) -> FileChange {
    let integrity = Some(Box::new(said(sentence.to_owned(), 1, version)));
    FileChange { integrity, ..FileChange::new(path, FileChangeKind::Modified) }
}

fn said(sentence: String, changes: u64, version: u64) -> FileIntegrity {
    FileIntegrity { sentence, changes, version, findings: Vec::new(), packages: Vec::new(), late: false }
}

fn attributes(entry: &Entry) -> FileAttributes {
    let modified = Timestamp::from_timestamp_nanos(entry.modified);
    FileAttributes { mode: u32::from(entry.mode), uid: entry.uid, gid: entry.gid, modified, capabilities: None, immutable: false }
}

fn kind(change: &Change) -> FileChangeKind {
    let content = |one: &Difference| {
        matches!(one, Difference::Content { .. } | Difference::Appended { .. } | Difference::Target { .. } | Difference::Kind { .. })
    };
    match &change.what {
        What::Added => FileChangeKind::Created,
        What::Removed => FileChangeKind::Deleted,
        What::Moved { .. } => FileChangeKind::Renamed,
        What::Changed if change.differences.iter().any(content) => FileChangeKind::Modified,
        What::Changed => FileChangeKind::Attributes,
    }
}

/// An act in lines.
pub(super) fn lines(act: Act, version: u64, packages: &mut Packages) -> Vec<Line> {
    let Act { actor, by, certain, changes, .. } = act;
    // The last state of each path, by path.
    let last: BTreeMap<HostText, Change> = changes.into_iter().map(|change| (change.path.clone(), change)).collect();
    let changes: Vec<Change> = last.into_values().collect();
    let line = |mut file: FileChange| {
        file.integrity.iter_mut().for_each(|integrity| integrity.late = actor == Actor::Late);
        Line { file, by: by.clone(), certain }
    };
    let folded = fold(&changes);
    let many = folded.len() > MAX_LINES;
    match (&actor, folded.as_slice()) {
        (_, []) => Vec::new(),
        (Actor::Packages(_), _) => vec![line(of_packages(&changes, by.as_deref(), version, packages))],
        (_, _) if many => {
            // What gives rights is read by itself, however much else was done with it.
            let (out, rest): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| stands_out(change));
            let (shown, more) = out.split_at(out.len().min(MAX_ALONE));
            let rest: Vec<Change> = rest.iter().chain(more).map(|change| (*change).clone()).collect();
            let mut all: Vec<Line> = shown.iter().map(|one| line(alone(one, &[], version))).collect();
            all.extend((!rest.is_empty()).then(|| line(together(&rest, version))));
            all
        }
        (_, few) => few.iter().map(|one| line(of_line(one, version))).collect(),
    }
}

fn of_line(line: &bartizan_integrity::Line<'_>, version: u64) -> FileChange {
    let [first, _, ..] = line.changes.as_slice() else {
        return line.changes.first().map_or_else(|| remark("/".into(), &line.text, version), |one| alone(one, &[], version));
    };
    let parent = HostText::from(parent(&first.path));
    let of = |path: &HostText| line.text.strip_prefix(&format!("{path}: ")).map(|rest| (path.clone(), rest.to_owned()));
    let (path, sentence) = of(&first.path).or_else(|| of(&parent)).unwrap_or_else(|| (parent.clone(), line.text.clone()));
    FileChange { integrity: Some(Box::new(said(sentence, line.changes.len() as u64, version))), ..FileChange::new(path, kind(first)) }
}

fn together(changes: &[Change], version: u64) -> FileChange {
    let (kind, sentence) = counted(changes);
    let integrity = Some(Box::new(said(sentence, changes.len() as u64, version)));
    FileChange { integrity, ..FileChange::new(common(changes), kind) }
}

/// "14 files: 12 added, 2 changed", and what they have in common.
fn counted(changes: &[Change]) -> (FileChangeKind, String) {
    let count = |name: &str| changes.iter().filter(|change| change.what.name() == name).count();
    let parts = ["added", "changed", "removed", "moved"].map(|name| (name, count(name)));
    let parts: Vec<(&str, usize)> = parts.into_iter().filter(|(_, count)| *count > 0).collect();
    let files = if let [_] = changes { "1 file" } else { "files" };
    let total = if changes.len() == 1 { files.to_owned() } else { format!("{} {files}", changes.len()) };
    match parts.as_slice() {
        [(name, _)] => (changes.first().map_or(FileChangeKind::Modified, kind), format!("{total} {name}")),
        many => {
            let words: Vec<String> = many.iter().map(|(name, count)| format!("{count} {name}")).collect();
            (FileChangeKind::Modified, format!("{total}: {}", words.join(", ")))
        }
    }
}

fn of_packages(changes: &[Change], by: Option<&Process>, version: u64, packages: &mut Packages) -> FileChange {
    let (kind, sentence) = counted(changes);
    let owners: BTreeSet<HostText> = changes.iter().take(LOOKED_UP).filter_map(|change| packages.owner(&change.path)).collect();
    let named: Vec<HostText> = owners.into_iter().take(NAMED).collect();
    let of = named.iter().map(HostText::escaped).collect::<Vec<_>>().join(", ");
    let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
    let program = by.map_or_else(|| "a package manager".to_owned(), Process::name);
    let integrity = FileIntegrity { packages: named, ..said(format!("{program} at work: {sentence}{of}"), changes.len() as u64, version) };
    FileChange { integrity: Some(Box::new(integrity)), ..FileChange::new(common(changes), kind) }
}

fn parent(path: &HostText) -> &[u8] {
    Path::new(OsStr::from_bytes(path.as_bytes())).parent().map_or(b"/", |parent| parent.as_os_str().as_bytes())
}

/// The directory in which all of them lie.
fn common(changes: &[Change]) -> HostText {
    let mut paths = changes.iter().map(|change| Path::new(OsStr::from_bytes(parent(&change.path))));
    let first = paths.next().unwrap_or(Path::new("/"));
    let common = paths.fold(first, |common, path| common.ancestors().find(|above| path.starts_with(above)).unwrap_or(Path::new("/")));
    HostText::from(common.as_os_str().as_bytes())
}
