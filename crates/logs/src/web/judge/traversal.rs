//! Path traversal: steps out of the directory that a path was meant to stay in.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(
        &["../", "..\\"],
        r"(?:\.\.[/\\]+){2,}(?:[\w.-]+[/\\])*(?:etc|proc|windows|winnt|boot\.ini|var/log|root|home|usr|wp-config|\.env|\.ssh|web\.config|web-inf)",
        "steps up to a file of the host",
    ),
    strong(&["..;"], r"(?:^|/)\.\.;/", "a step up that a proxy does not see (`..;`)"),
    fair(&["../", "..\\"], r"(?:\.\.[/\\]+){2,}", "steps up, out of the directory"),
    fair(&["..\\"], r"(?:^|[/\\=])\.\.\\+\w", "a step up with a backslash"),
    fair(&["..."], r"(?:^|[/\\])\.{3,}[/\\]+\.{2,}|\.{3,4}[/\\]+\w", "steps up, written so that a filter makes them"),
    fair(&["..;", ".;"], r"(?:^|[/\\])\.\.?;", "a step up with a parameter"),
    fair(
        &["../", "..\\"],
        r"\.\.[/\\]+(?:etc|proc|windows|winnt|boot\.ini|var|root|home|wp-config|\.env|\.ssh|\.git|web\.config|web-inf|config\.\w+|conf)\b",
        "a step up to a file that nobody should read",
    ),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::Traversal, lists: &[], rules: RULES };
