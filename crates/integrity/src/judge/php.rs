//! PHP: whether what a request sends, or what is decoded, is executed. The code is brought into a plain form first (comments out, pieces of
//! text joined, escapes and `chr()` read, lower case), so that `"sys"."tem"` and `\x65val` read as what they are.

mod plain;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Finding, WEB_SHELL, extension, holds};
use plain::{Plain, arguments};

/// Endings that web servers give to PHP (debian: mods-available/php*.conf).
const ENDINGS: [&[u8]; 10] = [b"php", b"phtml", b"php3", b"php4", b"php5", b"php7", b"php8", b"phps", b"phar", b"inc"];
/// A file shorter than this that takes uploads does nothing else.
const SHORT: usize = 2_000;
/// Calls that are looked at, at most.
const MAX_CALLS: usize = 20_000;

/// What executes its argument as code or as a command.
const EXECUTES: &str =
    "eval|assert|system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|create_function|include|include_once|require|require_once";
/// What a request sends.
const SENT: &str =
    r#"\$_(?:get|post|request|cookie|files)\b|\$_server\s*\[\s*['"]http_|php://input|getallheaders\s*\(|apache_request_headers\s*\("#;
/// What makes text of something that cannot be read.
const DECODES: &str = r"\b(?:base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|hex2bin|convert_uudecode|openssl_decrypt|strrev)\s*\(";

fn compile(pattern: &str) -> Option<Regex> {
    // None of ours is wrong, as the tests show; a wrong one finds nothing and stops nobody.
    Regex::new(&format!("(?-u){pattern}")).ok()
}

static CALL: LazyLock<Option<Regex>> = LazyLock::new(|| compile(&format!(r"(?:^|[^a-z0-9_$>:\\])({EXECUTES})\s*(\()")));
static SENDS: LazyLock<Option<Regex>> = LazyLock::new(|| compile(SENT));
static DECODE: LazyLock<Option<Regex>> = LazyLock::new(|| compile(DECODES));
static SENT_CALL: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r#"\$_(?:get|post|request|cookie)\s*(?:\[[^\]\n]{0,60}\]|\{[^}\n]{0,60}\})\s*\("#));
static NAMED_CALL: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r#"\(?["'](eval|assert|system|exec|shell_exec|passthru|popen|proc_open|create_function)["']\)?\s*(\()"#));
static ASSIGNED: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r"(\$[a-z_\x80-\xff][a-z0-9_\x80-\xff]*)\s*\.?=\s*([^=;][^;]{0,4000});"));
static VARIABLE_CALL: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r"(?:^|[^a-z0-9_>:$])(\$[a-z_\x80-\xff][a-z0-9_\x80-\xff]*)\s*(\()"));
static CALLBACK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(
        r#"(?:^|[^a-z0-9_$>:\\])(call_user_func(?:_array)?|array_map|array_filter|array_walk|usort|uasort|register_shutdown_function|preg_replace_callback)\s*(\()"#,
    )
});
static TICKS: LazyLock<Option<Regex>> = LazyLock::new(|| compile(r"`[^`]{0,200}`"));
static OLD_REPLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // The modifier e, after the same mark that begins the pattern.
    let marks = ["/", "#", "~", "@", "!", r"\|"].map(|mark| format!("{mark}[^'\n]{{0,200}}{mark}"));
    compile(&format!("preg_replace\\s*\\(\\s*'(?:{})[a-df-z]*e[a-z]*'\\s*,", marks.join("|")))
});

static STREAM: LazyLock<Option<Regex>> = LazyLock::new(|| compile(r"(?:^|[^a-z0-9_$>:\\])(?:include|require)(?:_once)?\s*\(?'php://input"));
static REPLACE: LazyLock<Option<Regex>> = LazyLock::new(|| compile(r"(preg_replace)\s*(\()"));

/// Whether a server would run this as PHP.
pub(super) fn is_php(path: &[u8], content: &[u8]) -> bool {
    ENDINGS.contains(&extension(path).as_slice()) || content.trim_ascii_start().starts_with(b"<?php")
}

pub(super) fn judge(content: &[u8]) -> Vec<Finding> {
    if !holds(content, b"<?") && !holds(&content.to_ascii_lowercase(), b"language=\"php\"") {
        return Vec::new();
    }
    let plain = Plain::of(content);
    let mut found: Vec<Finding> = Vec::new();
    let scopes = plain.scopes();
    for finding in scopes.iter().flat_map(|scope| Scope { scope, holds: Tainted::of(scope) }.findings()) {
        if !found.iter().any(|known| known.rule == finding.rule) {
            found.push(finding);
        }
    }
    if content.len() < SHORT && takes_uploads(&plain.text) {
        found.push(shell("upload-and-nothing-else", "it stores what a request uploads, and does nothing else"));
    }
    found
}

fn shell(rule: &'static str, sentence: impl Into<String>) -> Finding {
    Finding::new(rule, WEB_SHELL, sentence)
}

fn is(pattern: &LazyLock<Option<Regex>>, part: &[u8]) -> bool {
    pattern.as_ref().is_some_and(|regex| regex.is_match(part))
}

/// One function, or what is outside of them.
struct Scope<'a> {
    scope: &'a Plain,
    holds: Tainted,
}

impl Scope<'_> {
    fn findings(&self) -> Vec<Finding> {
        let named = self.calls(&NAMED_CALL, true).filter_map(|(name, given)| self.executes(&String::from_utf8_lossy(name), given));
        let variable = self.calls(&VARIABLE_CALL, false).filter(|(name, _)| self.holds.names.contains(*name));
        let variable = variable.filter_map(|(_, given)| self.executes("a command named in a text", given));
        let callback = self.calls(&CALLBACK, false).filter_map(|(name, given)| self.callback(name, given));
        let plain = self.calls(&CALL, false).filter_map(|(name, given)| self.call(name, given));
        let mut found: Vec<Finding> = plain.chain(named).chain(variable).chain(callback).collect();
        if self.matches(&SENT_CALL).next().is_some() {
            found.push(shell("calls-what-a-request-names", "it calls the function that a request names"));
        }
        if self.matches(&STREAM).next().is_some() {
            found.push(shell("runs-what-a-request-sends", "it includes what a request sends"));
        }
        found.extend(self.matches(&TICKS).filter(|ticks| !is_cleaned(ticks)).filter_map(|ticks| self.executes("a shell", ticks)));
        found.extend(self.matches(&OLD_REPLACE).filter_map(|_| {
            let given = self.calls(&REPLACE, false).map(|(_, given)| given).find(|given| self.executes("", given).is_some())?;
            self.executes("preg_replace with /e", given)
        }));
        found
    }

    /// Calls by name with their arguments; those that stand in a text are none, unless the name itself is one.
    fn calls<'a>(&'a self, pattern: &'a LazyLock<Option<Regex>>, in_text: bool) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let text = self.scope.text.as_slice();
        let all = pattern.iter().flat_map(move |regex| regex.captures_iter(text)).take(MAX_CALLS);
        all.filter_map(move |call| {
            let (name, open) = (call.get(1)?, call.get(2)?);
            let declared = text.get(..name.start()).is_some_and(|before| before.trim_ascii_end().ends_with(b"function"));
            let code = in_text || !self.scope.is_text(name.start());
            (code && !declared).then(|| (name.as_bytes(), arguments(text, open.start())))
        })
    }

    fn matches<'a>(&'a self, pattern: &'a LazyLock<Option<Regex>>) -> impl Iterator<Item = &'a [u8]> {
        let all = pattern.iter().flat_map(|regex| regex.find_iter(&self.scope.text)).take(MAX_CALLS);
        all.filter(|found| !self.scope.is_text(found.start())).map(|found| found.as_bytes())
    }

    /// Something executes these arguments.
    fn executes(&self, what: &str, given: &[u8]) -> Option<Finding> {
        let uses = |variables: &BTreeSet<Vec<u8>>| plain::variables(given).any(|name| variables.contains(name));
        if is(&SENDS, given) || uses(&self.holds.sent) {
            Some(shell("runs-what-a-request-sends", format!("{what} gets what a request sends")))
        } else if is(&DECODE, given) || uses(&self.holds.decoded) {
            Some(shell("runs-what-it-decodes", format!("{what} gets what the file decodes")))
        } else {
            None
        }
    }

    fn call(&self, name: &[u8], given: &[u8]) -> Option<Finding> {
        // A path from a request is a mistake of many programs; one that is decoded, or a whole stream, is not.
        if name.starts_with(b"include") || name.starts_with(b"require") {
            let stream = holds(given, b"php://input");
            return (stream || is(&DECODE, given)).then(|| self.executes(&String::from_utf8_lossy(name), given)).flatten();
        }
        if is_cleaned(given) { None } else { self.executes(&String::from_utf8_lossy(name), given) }
    }

    fn callback(&self, name: &[u8], given: &[u8]) -> Option<Finding> {
        let mut parts = given.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let first = parts.clone().next().unwrap_or_default();
        let calls_first = name.starts_with(b"call_user_func") || name == b"register_shutdown_function";
        if calls_first && is(&SENDS, first) {
            return Some(shell("calls-what-a-request-names", "it calls the function that a request names"));
        }
        let executes = |part: &[u8]| [&b"'eval'"[..], b"'assert'", b"'system'", b"'exec'", b"'shell_exec'", b"'passthru'"].contains(&part);
        parts.any(executes).then(|| self.executes("a callback", given)).flatten()
    }
}

/// Quoted for the shell, or made a number: what a careful program does.
fn is_cleaned(given: &[u8]) -> bool {
    [&b"escapeshellarg"[..], b"escapeshellcmd", b"intval(", b"(int)"].iter().any(|word| holds(given, word))
}

fn takes_uploads(text: &[u8]) -> bool {
    let stores = [&b"move_uploaded_file("[..], b"copy($_files", b"file_put_contents($_"].iter().any(|call| holds(text, call));
    // A program that checks what it is given is no single purpose.
    stores && ![&b"is_uploaded_file"[..], b"session_start", b"pathinfo(", b"in_array(", b"class "].iter().any(|word| holds(text, word))
}

/// Variables by what they hold.
struct Tainted {
    /// What a request sent.
    sent: BTreeSet<Vec<u8>>,
    /// What was decoded.
    decoded: BTreeSet<Vec<u8>>,
    /// The name of something that executes.
    names: BTreeSet<Vec<u8>>,
}

impl Tainted {
    fn of(scope: &Plain) -> Self {
        let mut all = Self { sent: BTreeSet::new(), decoded: BTreeSet::new(), names: BTreeSet::new() };
        let named = |part: &[u8]| {
            let part = part.trim_ascii();
            let inner = part.strip_prefix(b"'").and_then(|part| part.strip_suffix(b"'"));
            inner.is_some_and(|word| {
                EXECUTES
                    .as_bytes()
                    .split(|byte| *byte == b'|')
                    .any(|name| name == word && !name.starts_with(b"inc") && !name.starts_with(b"req"))
            })
        };
        // Two rounds: a variable that gets another.
        for _ in 0..2 {
            for set in ASSIGNED.iter().flat_map(|regex| regex.captures_iter(&scope.text)).take(MAX_CALLS) {
                let (Some(name), Some(value)) = (set.get(1), set.get(2)) else { continue };
                let (name, value) = (name.as_bytes().to_vec(), value.as_bytes());
                if named(value) {
                    all.names.insert(name);
                    continue;
                }
                if is_cleaned(value) {
                    continue;
                }
                // What goes through a function of the program's own may come back as anything; what is decoded or joined stays what it is.
                if plain::calls(value).any(|call| !PASSES.contains(&call)) {
                    continue;
                }
                let uses = |set: &BTreeSet<Vec<u8>>| plain::variables(value).any(|other| set.contains(other));
                if is(&SENDS, value) || uses(&all.sent) {
                    all.sent.insert(name);
                } else if is(&DECODE, value) || uses(&all.decoded) {
                    all.decoded.insert(name);
                }
            }
        }
        all
    }
}

/// Functions through which text passes as text.
const PASSES: [&[u8]; 26] = [
    b"base64_decode", b"gzinflate", b"gzuncompress", b"gzdecode", b"str_rot13", b"hex2bin", b"convert_uudecode", b"strrev", b"trim",
    b"isset", b"stripslashes", b"urldecode", b"rawurldecode", b"implode", b"join", b"str_replace", b"substr", b"file_get_contents",
    b"empty", b"strtolower", b"chr", b"pack", b"array", b"explode", b"openssl_decrypt", b"getallheaders",
];
