//! Secrets in text: rules as data, keywords first, patterns compiled when first needed, nothing shown that was found.

mod allowlist;
mod built_in;
mod entropy;
mod place;
mod re2;
mod redact;
mod rule;
mod rule_file;
mod scanner;

pub use built_in::built_in;
pub use rule::Rule;
pub use rule_file::{RuleFileError, parse};
pub use scanner::{FileScan, Hit, Scanner};

/// The scanner's name in reports.
pub const SOURCE: &str = "secrets";
/// Bytes of a file by which it is judged to be text or not.
pub const BEGINNING: usize = 8 << 10;

/// Whether a file that begins like this is no text: it has a zero byte, as grep(1) judges it.
pub fn is_binary(beginning: &[u8]) -> bool {
    memchr::memchr(0, beginning.get(..BEGINNING).unwrap_or(beginning)).is_some()
}
