//! Which of two versions is newer, by the rules of each ecosystem.

mod debian;
mod python;
mod semantic;

use std::cmp::Ordering;

use super::Ecosystem;

/// Bytes of a version that are compared; a longer one is compared as far.
const LONGEST: usize = 256;

/// Compares two versions as their ecosystem does.
pub(super) fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Ordering {
    let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
    let (a, b) = (cut(a.trim()), cut(b.trim()));
    match ecosystem {
        Ecosystem::Debian => debian::compare(&a, &b),
        Ecosystem::PyPi => python::compare(&a, &b),
        Ecosystem::Cargo | Ecosystem::Npm | Ecosystem::Go | Ecosystem::Composer | Ecosystem::RubyGems => semantic::compare(&a, &b),
    }
}
