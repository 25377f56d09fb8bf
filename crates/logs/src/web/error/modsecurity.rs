//! ModSecurity's messages in an error log: which rule matched.

use super::between;

/// The rule that matched, as ModSecurity names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'l> {
    /// Its number; those of the Core Rule Set tell the kind of attack by their first three digits.
    pub id: u32,
    /// What its author says of it.
    pub message: &'l [u8],
    /// Whether the request was stopped.
    pub denied: bool,
}

/// The value of `[name "value"]`. Quotes inside values are escaped by ModSecurity.
fn value<'l>(text: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let at = memchr::memmem::find(text, name)?;
    between(text.get(at + name.len()..)?, b"", b"\"]").map(|(value, _)| value)
}

/// The rule in a message that begins with `ModSecurity: `. Data of the request that the message quotes stands in front of `[file `
/// and behind the rule's number.
pub(super) fn rule(message: &[u8]) -> Option<Rule<'_>> {
    let text = message.strip_prefix(b"ModSecurity: ")?;
    let fields = memchr::memmem::find(text, b"[file \"").and_then(|at| text.get(at..)).unwrap_or(text);
    let id = std::str::from_utf8(value(fields, b"[id \"")?).ok()?.parse().ok()?;
    Some(Rule { id, message: value(fields, b"[msg \"").unwrap_or_default(), denied: text.starts_with(b"Access denied") })
}
