//! The report as Markdown (CommonMark).

use std::fmt::Write as _;

use super::words;
use bartizan_model::{SecurityReport, sentence};

/// The report as one page of Markdown.
pub fn markdown(report: &SecurityReport) -> String {
    let mut out =
        format!("# Security report\n\n**{}**\n\nMade {}.\n", text(&words::verdict(report)), report.at.format("%Y-%m-%d %H:%M UTC"));
    let _ = writeln!(out, "\n## Scanners\n");
    for (name, run) in &report.scanners {
        let _ = writeln!(out, "- **{}** of {}: {}", text(name), code(&run.target.escaped()), text(&words::run(run)));
        for left_out in &run.not_scanned {
            let times = if left_out.count == 1 { String::new() } else { format!(" ({} times)", left_out.count) };
            let _ = writeln!(out, "  - not scanned: {}: {}{times}", code(&left_out.what.escaped()), text(&left_out.why));
        }
    }
    let _ = writeln!(out, "\n## Findings");
    if report.findings.is_empty() {
        let _ = writeln!(out, "\nNone.");
    }
    for finding in &report.findings {
        let _ = writeln!(out, "\n### {} {}\n", finding.severity.to_string().to_uppercase(), text(&finding.title));
        let _ = writeln!(out, "- {}, rule {}, {}", code(&finding.id), code(&finding.rule), text(&words::state(finding)));
        let _ = writeln!(out, "- where: {}", code(&words::place(finding)));
        let seen = format!("first seen {}, last seen {}", finding.first_seen.format("%Y-%m-%d"), finding.last_seen.format("%Y-%m-%d"));
        let _ = writeln!(out, "- {seen}");
        for (what, value) in [("seen", finding.evidence.escaped()), ("also", finding.aliases.join(", "))] {
            let _ = if value.is_empty() { Ok(()) } else { writeln!(out, "- {what}: {}", code(&value)) };
        }
        for (what, value) in [("why", &finding.why), ("fix", &finding.fix)] {
            let _ = if value.is_empty() { Ok(()) } else { writeln!(out, "- {what}: {}", text(value)) };
        }
    }
    out
}

/// Words in which nothing commands Markdown or HTML.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in sentence(words).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // Inside a word an underscore means nothing; everything else that does is escaped (CommonMark 2.4).
            '\\' | '`' | '*' | '[' | ']' | '>' | '#' | '|' | '~' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Bytes of the host as code: fenced by more backticks than stand in it.
fn code(words: &str) -> String {
    let words = sentence(words);
    let longest = words.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A blank keeps the words from the fence; a reader takes it away again.
    let blank = if longest == 0 { "" } else { " " };
    format!("{fence}{blank}{words}{blank}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markdown() {
        assert_eq!(text("a [x](http://e) <b> *c*\n# d"), r"a \[x\](http://e) &lt;b\> \*c\*\\n\# d");
        assert_eq!(code("/etc/x"), "`/etc/x`");
        assert_eq!(code("a``b"), "``` a``b ```");
    }
}
