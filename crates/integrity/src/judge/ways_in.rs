//! Ways in for later: SSH keys, sudo rules, preloaded libraries, accounts with the rights of root. What is told is what was added.

use super::Finding;
use bartizan_model::HostText;

/// Longest line that is told, in bytes.
const LONGEST: usize = 160;

/// The kind of file, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keys,
    Sudo,
    Preload,
    Accounts,
}

fn way(path: &[u8]) -> Option<Way> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match path {
        _ if name == b"authorized_keys" || name == b"authorized_keys2" => Some(Way::Keys),
        b"/etc/sudoers" => Some(Way::Sudo),
        _ if path.starts_with(b"/etc/sudoers.d/") => Some(Way::Sudo),
        b"/etc/ld.so.preload" => Some(Way::Preload),
        b"/etc/passwd" => Some(Way::Accounts),
        _ => None,
    }
}

pub(super) fn is_candidate(path: &[u8]) -> bool {
    way(path).is_some()
}

/// What was added.
pub(super) fn added(path: &[u8], before: &[u8], after: &[u8]) -> Vec<Finding> {
    let Some(way) = way(path) else { return Vec::new() };
    let lines = |content: &[u8]| -> Vec<Vec<u8>> {
        let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(<[u8]>::to_vec).collect()
    };
    let known = lines(before);
    lines(after).iter().filter(|line| !known.contains(line)).filter_map(|line| finding_of(way, line)).collect()
}

fn finding_of(way: Way, line: &[u8]) -> Option<Finding> {
    let text = HostText::from(line.get(..LONGEST).unwrap_or(line)).escaped();
    match way {
        Way::Keys => {
            let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).collect();
            let kind = words.iter().position(|word| [&b"ssh-"[..], b"ecdsa-", b"sk-"].iter().any(|kind| word.starts_with(kind)))?;
            let of = words.get(kind + 2..).map(|words| HostText::from(words.join(&b' ')).escaped()).filter(|of| !of.is_empty());
            let kind = HostText::from(*words.get(kind)?).escaped();
            Some(Finding::new(
                "ssh-key-added",
                "T1098.004",
                format!("SSH key added: {kind} {}", of.unwrap_or_else(|| "without a comment".to_owned())),
            ))
        }
        Way::Sudo if line.starts_with(b"Defaults") => None,
        Way::Sudo => Some(Finding::new("sudo-rule-added", "T1548.003", format!("sudo rule added: {text}"))),
        Way::Preload => Some(Finding::new("library-preloaded", "T1574.006", format!("library put into every program: {text}"))),
        Way::Accounts => {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            let root = fields.get(2) == Some(&&b"0"[..]) && fields.first() != Some(&&b"root"[..]);
            let name = HostText::from(fields.first().copied().unwrap_or_default()).escaped();
            root.then(|| Finding::new("second-root-added", "T1136.001", format!("account with the rights of root: {name}")))
        }
    }
}
