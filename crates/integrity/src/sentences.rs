//! Differences in plain sentences, as a person reads them at 3 a.m.

use std::fmt;

use super::compare::Difference;

/// Bits of the mode that let a program run with somebody else's rights, by name.
pub(crate) const SPECIAL: [(u16, &str); 3] = [(0o4000, "set-uid"), (0o2000, "set-gid"), (0o1000, "sticky")];

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { before, after } => write!(f, "was a {before}, is a {after}"),
            Self::Content { size_before, size_after, .. } if size_before == size_after => {
                write!(f, "content changed (still {})", bytes(*size_after))
            }
            Self::Content { size_before, size_after, .. } => {
                write!(f, "content changed ({} to {})", bytes(*size_before), bytes(*size_after))
            }
            Self::Appended { bytes: more } => write!(f, "content changed: {} added at the end, what was there is the same", bytes(*more)),
            Self::Target { before, after } => write!(f, "link leads to {after}, not {before}"),
            Self::Mode { before, after } => mode(f, *before, *after),
            Self::Owner { before, after } => write!(f, "owner {before} to {after}"),
            Self::Group { before, after } => write!(f, "group {before} to {after}"),
            Self::Capabilities { gained, lost } => {
                let say = |names: &[String], verb| (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")));
                let parts: Vec<String> = [say(gained, "gained"), say(lost, "lost")].into_iter().flatten().collect();
                if parts.is_empty() { f.write_str("capabilities changed") } else { write!(f, "capability {}", parts.join("; ")) }
            }
            Self::AccessList { default, before, after } => {
                let of = if *default { "default access control list" } else { "access control list" };
                write!(f, "{of} {before} to {after}")
            }
            Self::Label { before, after } => write!(f, "SELinux label {before} to {after}"),
            Self::Attribute { name, change } => write!(f, "attribute {name} {change}"),
            Self::Replaced => f.write_str("replaced by another file of the same content"),
            Self::Links { before, after } => write!(f, "hard links {before} to {after}"),
            Self::Modified { .. } => f.write_str("modification time was set, content is the same"),
            Self::Readable { before, after } => write!(f, "was {before}, is {after}"),
            Self::Touched => f.write_str("touched: all is as it was, but its change time is later (put back, or linked)"),
        }
    }
}

fn mode(f: &mut fmt::Formatter<'_>, before: u16, after: u16) -> fmt::Result {
    write!(f, "mode {before:o} to {after:o}")?;
    let mut said: Vec<String> = Vec::new();
    for (bit, name) in SPECIAL {
        match (before & bit, after & bit) {
            (0, now) if now != 0 => said.push(format!("{name} appeared")),
            (had, 0) if had != 0 => said.push(format!("{name} disappeared")),
            _ => {}
        }
    }
    if before & 0o002 == 0 && after & 0o002 != 0 {
        said.push("everybody may write to it".to_owned());
    }
    if said.is_empty() { Ok(()) } else { write!(f, ": {}", said.join(", ")) }
}

/// A size for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", count as f64 / 1_073_741_824.0),
    }
}
