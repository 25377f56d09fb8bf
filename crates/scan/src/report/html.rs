//! The report as one HTML page: no script, nothing from elsewhere, readable on a phone.

use std::fmt::Write as _;

use super::words;
use bartizan_model::{Finding, SecurityReport, sentence};

/// Nothing is loaded and nothing runs, whatever a name of a file may try.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
<title>Security report</title>\n<style>\n\
:root { color-scheme: light dark; }\n\
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }\n\
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }\n\
article { border-left: .4rem solid gray; padding: .1rem 0 .1rem .8rem; margin: 1rem 0; }\n\
article.critical { border-color: #b00020; } article.high { border-color: #d9480f; } article.medium { border-color: #b58900; }\n\
article.gone, article.accepted { opacity: .6; }\n\
h2, h3 { margin: .3rem 0; overflow-wrap: anywhere; } h3 { font-size: 1rem; } p { margin: .3rem 0; }\n\
.verdict { font-weight: bold; font-size: 1.1rem; }\n\
</style>\n</head>\n<body>\n";

/// The report as one page.
pub fn html(report: &SecurityReport) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "<h1>Security report</h1>\n<p class=\"verdict\">{}</p>", text(&words::verdict(report)));
    let _ = writeln!(out, "<p>Made {}.</p>\n<h2>Scanners</h2>\n<ul>", report.at.format("%Y-%m-%d %H:%M UTC"));
    for (name, run) in &report.scanners {
        let _ = writeln!(out, "<li><b>{}</b> of <code>{}</code>: {}", text(name), text(&run.target.escaped()), text(&words::run(run)));
        if !run.not_scanned.is_empty() {
            let _ = writeln!(out, "<details><summary>Not scanned</summary><ul>");
            for left_out in &run.not_scanned {
                let (what, why) = (text(&left_out.what.escaped()), text(&left_out.why));
                let _ = writeln!(out, "<li><code>{what}</code>: {why} ({})</li>", left_out.count);
            }
            let _ = writeln!(out, "</ul></details>");
        }
        let _ = writeln!(out, "</li>");
    }
    let _ = writeln!(out, "</ul>\n<h2>Findings</h2>");
    if report.findings.is_empty() {
        let _ = writeln!(out, "<p>None.</p>");
    }
    report.findings.iter().for_each(|finding| one(&mut out, finding));
    out.push_str("</body>\n</html>\n");
    out
}

fn one(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "<article class=\"{} {}\">", finding.severity, finding.state.word());
    let _ = writeln!(out, "<h3>{}: {}</h3>", text(&finding.severity.to_string().to_uppercase()), text(&finding.title));
    let _ = writeln!(out, "<p><code>{}</code></p>", text(&words::place(finding)));
    let rows = [("Seen", finding.evidence.escaped(), true), ("Also", finding.aliases.join(", "), true)];
    let rows = rows.into_iter().chain([("Why", finding.why.clone(), false), ("Fix", finding.fix.clone(), false)]);
    for (what, value, is_code) in rows.filter(|(_, value, _)| !value.is_empty()) {
        let value = if is_code { format!("<code>{}</code>", text(&value)) } else { text(&value) };
        let _ = writeln!(out, "<p><b>{what}</b> {value}</p>");
    }
    let (first, last) = (finding.first_seen.format("%Y-%m-%d"), finding.last_seen.format("%Y-%m-%d"));
    let _ = writeln!(
        out,
        "<p><small>{} {} {}, first seen {first}, last seen {last}</small></p>\n</article>",
        text(&finding.id),
        text(&finding.rule),
        text(&words::state(finding))
    );
}

/// Words in which nothing is HTML, in text and between quotes.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in sentence(words).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
