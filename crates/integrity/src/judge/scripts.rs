//! Scripts of other languages that a web server runs: JSP, ASP, and CGI in Perl, Python and shell.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::{Finding, WEB_SHELL, extension, holds};

/// A language by how its files end or begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Jsp,
    Asp,
    Perl,
    Python,
}

/// What it is written in, if we judge that.
pub(super) fn language(path: &[u8], content: &[u8]) -> Option<Language> {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = |name: &[u8]| first.starts_with(b"#!") && holds(first, name);
    match extension(path).as_slice() {
        b"jsp" | b"jspx" | b"jspf" => Some(Language::Jsp),
        b"asp" | b"aspx" | b"ashx" | b"asmx" | b"asa" | b"cer" => Some(Language::Asp),
        b"pl" | b"pm" => Some(Language::Perl),
        b"py" => Some(Language::Python),
        _ if interpreter(b"perl") => Some(Language::Perl),
        _ if interpreter(b"python") => Some(Language::Python),
        _ => None,
    }
}

/// One sign: all its patterns must be in the file.
struct Sign {
    language: Language,
    rule: &'static str,
    sentence: &'static str,
    patterns: &'static [&'static str],
}

const SIGNS: [Sign; 8] = [
    Sign {
        language: Language::Jsp,
        rule: "runs-what-a-request-sends",
        sentence: "it starts a program that a request names",
        patterns: &[
            r"getRuntime\s*\(\s*\)\s*\.\s*exec\s*\(|new\s+ProcessBuilder\s*\(",
            r"request\s*\.\s*get(?:Parameter|Header|InputStream|Reader)\s*\(",
        ],
    },
    Sign {
        language: Language::Jsp,
        rule: "runs-what-it-decodes",
        sentence: "it loads a class from bytes that a request sends or that it decodes",
        patterns: &[
            r"\bdefineClass\b",
            r"BASE64Decoder|Base64\b|request\s*\.\s*get(?:Parameter|Reader|InputStream)",
            r"Cipher\b|newInstance\s*\(",
        ],
    },
    Sign {
        language: Language::Asp,
        rule: "runs-what-a-request-sends",
        sentence: "it executes what a request sends",
        patterns: &[
            r#"\b(?:eval|execute|executeglobal)\s*[( ]\s*(?:request\b|unescape\s*\(\s*request\b)|Language\s*=\s*"?jscript"?[\s\S]{0,200}eval\s*\(\s*Request\b"#,
        ],
    },
    Sign {
        language: Language::Asp,
        rule: "starts-what-a-request-names",
        sentence: "it starts a program that a request names",
        patterns: &[
            r#"Process\.Start\s*\(|ProcessStartInfo\b|createobject\s*\(\s*"?wscript\.shell"#,
            r"\bRequest\s*[.(\[]",
            r#"cmd\.exe|/bin/sh|powershell|\.exec\s*\(|Arguments\s*="#,
        ],
    },
    Sign {
        language: Language::Perl,
        rule: "runs-what-a-request-sends",
        sentence: "it executes what a request sends",
        patterns: &[
            r#"\b(?:system|exec|eval)\s*\(?\s*\$?\w*(?:cgi|q|query)?(?:->)?param\b|\b(?:system|exec|eval)\s*\(?\s*\$ENV\{\s*['"]?(?:QUERY_STRING|HTTP_)"#,
        ],
    },
    Sign {
        language: Language::Perl,
        rule: "runs-what-it-decodes",
        sentence: "it executes what it decodes",
        patterns: &[r"\beval\s*[({]?\s*(?:MIME::Base64::)?decode_base64\b|\beval\s+unpack\s*\(?\s*u"],
    },
    Sign {
        language: Language::Python,
        rule: "runs-what-it-decodes",
        sentence: "it executes what it decodes",
        patterns: &[
            r"\b(?:exec|eval)\s*\(\s*(?:compile\s*\(\s*)?(?:__import__\s*\([^)]{1,30}\)|\w+)\s*\.\s*(?:b64decode|b32decode|decompress|loads)\s*\(",
        ],
    },
    Sign {
        language: Language::Python,
        rule: "reverse-shell",
        sentence: "it connects out and gives a shell to the other end",
        patterns: &[
            r"\.connect\s*\(\s*\(",
            r"os\s*\.\s*dup2\s*\(\s*\w+\s*\.\s*fileno\s*\(\s*\)\s*,\s*[012]",
            r#"["'](?:/bin/)?(?:ba|da|z)?sh["']|pty\s*\.\s*spawn"#,
        ],
    },
];

static COMPILED: LazyLock<Vec<Vec<Regex>>> = LazyLock::new(|| {
    let compile = |pattern: &&str| RegexBuilder::new(pattern).case_insensitive(true).unicode(false).build().ok();
    SIGNS.iter().map(|sign| sign.patterns.iter().filter_map(compile).collect()).collect()
});

pub(super) fn judge(language: Language, content: &[u8]) -> Vec<Finding> {
    let fits = |sign: &Sign, patterns: &Vec<Regex>| {
        sign.language == language && patterns.len() == sign.patterns.len() && patterns.iter().all(|pattern| pattern.is_match(content))
    };
    let signs = SIGNS.iter().zip(COMPILED.iter()).filter(|(sign, patterns)| fits(sign, patterns));
    signs.map(|(sign, _)| Finding::new(sign.rule, WEB_SHELL, sign.sentence)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pattern_is_one() {
        for (sign, patterns) in super::SIGNS.iter().zip(super::COMPILED.iter()) {
            assert_eq!(sign.patterns.len(), patterns.len(), "{}", sign.sentence);
        }
    }
}
