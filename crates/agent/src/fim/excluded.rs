//! Paths that are left out: `*` stands for any bytes, and a directory that is left out takes along what is below.

use bartizan_model::HostText;

/// Patterns of paths that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(Vec<HostText>);

impl Excluded {
    /// These patterns.
    pub fn new(patterns: Vec<HostText>) -> Self {
        Self(patterns)
    }

    /// The patterns.
    pub fn patterns(&self) -> &[HostText] {
        &self.0
    }

    /// Whether a path is left out.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), path))
    }
}

/// In linear time a star: after a mismatch the last star takes one byte more.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if path.get(t) == Some(byte) => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_bytes() {
        let excluded = Excluded::new(vec!["/var/www/*/cache".into(), "*.log".into(), "/etc/mtab".into()]);
        for (path, left_out) in [
            ("/var/www/a/b/cache", true),
            ("/var/www/cache", false),
            ("/var/log/a.log", true),
            ("/var/log/a.log.1", false),
            ("/etc/mtab", true),
            ("/etc/mtab2", false),
        ] {
            assert_eq!(excluded.has(path.as_bytes()), left_out, "{path}");
        }
    }
}
