//! Many changes of one act as one line: a tree that came or went, many files of one directory changed in one way.

use std::collections::BTreeMap;

use super::attributes::{CAPABILITY, find};
use super::change::{Change, What};
use super::entry::{Entry, Kind};
use bartizan_model::HostText;

/// So many alike in one directory are one line.
const MANY: usize = 8;
/// Files that say who gets in, or what every program loads (sshd(8), passwd(5), sudoers(5), ld.so(8)).
const LET_IN: [&str; 8] = ["/authorized_keys", "/passwd", "/shadow", "/group", "/gshadow", "/sudoers", "/sshd_config", "/ld.so.preload"];

/// One line for a person, with all the changes that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// What it says.
    pub text: String,
    /// Which changes, at least one, by path.
    pub changes: Vec<&'a Change>,
}

/// Folds changes that are sorted by path.
pub fn fold(changes: &[Change]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    // A directory that came or went takes along all that came or went below it.
    let mut tree: Option<(&Change, Vec<u8>)> = None;
    let mut alone: Vec<&Change> = Vec::new();
    for change in changes {
        if stands_out(change) {
            alone.push(change);
            continue;
        }
        if let Some((top, below)) = &tree
            && change.path.starts_with(below)
            && change.what == top.what
        {
            if let Some(line) = lines.last_mut() {
                line.changes.push(change);
            }
            continue;
        }
        if change.kind() == Kind::Directory && matches!(change.what, What::Added | What::Removed) {
            tree = Some((change, [change.path.as_bytes(), b"/"].concat()));
            lines.push(Line { text: String::new(), changes: vec![change] });
        } else {
            alone.push(change);
        }
    }
    for line in &mut lines {
        line.text = tree_line(&line.changes);
    }
    lines.extend(alike(&alone));
    lines.sort_by(|one, two| first(one).cmp(&first(two)));
    lines
}

fn first<'a>(line: &Line<'a>) -> Option<&'a HostText> {
    line.changes.first().map(|change| &change.path)
}

fn tree_line(changes: &[&Change]) -> String {
    let Some((top, below)) = changes.split_first() else { return String::new() };
    let files = below.iter().filter(|change| change.kind() != Kind::Directory).count();
    match files {
        0 => top.to_string(),
        1 => format!("{top}, with 1 file"),
        files => format!("{top}, with {files} files"),
    }
}

/// Whether it must be read: seven files beside it would otherwise hide it. Whoever runs it gets rights, or it says who gets in.
pub fn stands_out(change: &Change) -> bool {
    let gives_rights =
        |entry: &Entry| entry.kind == Kind::File && (entry.mode & 0o6000 != 0 || find(&entry.attributes, CAPABILITY).is_some());
    let lets_in = LET_IN.iter().any(|name| change.path.as_bytes().ends_with(name.as_bytes()));
    lets_in || change.after.as_ref().is_some_and(gives_rights)
}

fn alike<'a>(changes: &[&'a Change]) -> Vec<Line<'a>> {
    let mut groups: BTreeMap<(Vec<u8>, &'static str, String), Vec<&'a Change>> = BTreeMap::new();
    let (out, rest): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| stands_out(change));
    for change in rest {
        let parent = change.path.as_bytes().rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default().to_vec();
        groups.entry((parent, change.what.name(), manner(change))).or_default().push(change);
    }
    let mut lines: Vec<Line<'_>> = out.into_iter().map(|change| Line { text: change.to_string(), changes: vec![change] }).collect();
    for ((parent, _, manner), changes) in groups {
        if changes.len() < MANY {
            lines.extend(changes.into_iter().map(|change| Line { text: change.to_string(), changes: vec![change] }));
            continue;
        }
        let example = changes.first().map(|change| change.path.last_part()).unwrap_or_default();
        let parent = if parent.is_empty() { HostText::from("/") } else { HostText::from(parent) };
        lines.push(Line { text: format!("{parent}: {} files {manner} ({example}, ...)", changes.len()), changes });
    }
    lines
}

/// How a change is like others: the fields, and for rights and owners their values too.
fn manner(change: &Change) -> String {
    use super::compare::Difference;
    if change.what != What::Changed {
        return change.what.name().to_owned();
    }
    let words = change.differences.iter().map(|difference| match difference {
        Difference::Content { .. } => "changed in content".to_owned(),
        Difference::Appended { .. } => "changed in content, added to at the end".to_owned(),
        other => other.to_string(),
    });
    words.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::file;

    fn change(path: String, before: Option<Entry>, after: Option<Entry>) -> Change {
        Change::between(path.as_str().into(), before, after).unwrap()
    }

    #[test]
    fn five_hundred_changes_of_one_act_are_one_line() {
        let directory = Entry { kind: Kind::Directory, mode: 0o755, ..file("new", b"") };
        let mut changes = vec![change("/w/new".into(), None, Some(directory))];
        changes.extend((100..600).map(|n| change(format!("/w/new/{n}"), None, Some(file("x", b"x")))));
        changes
            .extend((100..600).map(|n| change(format!("/w/old/{n}"), Some(file("x", b"x")), Some(Entry { uid: 33, ..file("x", b"x") }))));
        changes.push(change("/w/old/600".into(), Some(file("x", b"x")), Some(Entry { mode: 0o4755, ..file("x", b"x") })));
        let lines = fold(&changes);
        let told: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            told,
            [
                "/w/new: directory added (mode 755, owner 0), with 500 files",
                "/w/old: 500 files owner 0 to 33 (100, ...)",
                "/w/old/600: mode 644 to 4755: set-uid appeared",
            ]
        );
        assert_eq!(lines.iter().map(|line| line.changes.len()).sum::<usize>(), changes.len());
    }

    #[test]
    fn what_gives_rights_or_lets_somebody_in_is_never_one_of_many() {
        let added = |name: &str, entry: Entry| change(name.to_owned(), None, Some(entry));
        let directory = Entry { kind: Kind::Directory, mode: 0o755, ..file("kit", b"") };
        let mut changes: Vec<Change> = (0..9).map(|n| added(&format!("/bin/a{n}"), file("a", b"x"))).collect();
        changes.push(added("/bin/zsh2", Entry { mode: 0o4755, ..file("zsh2", b"x") }));
        changes.push(added("/etc/kit", directory));
        changes.push(added("/etc/kit/su", Entry { mode: 0o6755, ..file("su", b"x") }));
        changes.extend((0..9).map(|n| change(format!("/etc/c{n}"), Some(file("c", b"x")), Some(file("c", b"y")))));
        changes.push(change("/etc/passwd".into(), Some(file("passwd", b"x")), Some(file("passwd", b"y"))));
        changes.sort_by(|one, two| one.path.cmp(&two.path));
        let lines = fold(&changes);
        for alone in ["/bin/zsh2", "/etc/kit/su", "/etc/passwd"] {
            let own = lines.iter().filter(|line| line.changes.len() == 1 && line.text.starts_with(alone)).count();
            assert_eq!(own, 1, "{alone}: {lines:#?}");
        }
        assert_eq!(lines.iter().map(|line| line.changes.len()).sum::<usize>(), changes.len());
    }
}
