//! Code for JavaScript on the server, and names that change every object of it.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(
        &["child_process"],
        r#"require\s*\(\s*['"`]child_process['"`]\s*\)\s*[.\[]\s*['"]?(?:exec|spawn|fork)"#,
        "a command started by Node.js",
    ),
    fair(&["require"], r#"\brequire\s*\(\s*['"`]\w+(?:[:/]\w+)?['"`]\s*\)"#, "a module loaded by Node.js"),
    fair(
        &["process", "global"],
        r"\bprocess\s*\.\s*(?:mainmodule|binding|exit|env|kill|stdout|argv)|\bglobal(?:this)?\s*\.\s*process",
        "Node's process",
    ),
    strong(&["_$$nd_func$$_"], r"_\$\$nd_func\$\$_", "a function in serialised data (node-serialize)"),
    fair(&["__proto__", "prototype"], r"__proto__|constructor\s*[.\[]\s*['\x22]?prototype", "the prototype of every object"),
    fair(
        &["while"],
        r#"\bwhile\s*\(\s*(?:!|[-+]?\d|true\b|false\b|-|string\b|function\b|infinity\b|nan\b|''|""|``|[\[{])[^)]{0,60}\)"#,
        "a loop without an end",
    ),
    fair(&["function"], r"\bnew\s+function\s*\(|\bfunction\s*\w*\s*\([\w\s,]{0,80}\)\s*\{", "a function"),
    fair(
        &["execsync", "spawnsync", "execfile", "exec("],
        r"\bexec(?:file)?sync\s*\(|\bspawnsync\s*\(|\.\s*exec\s*\(\s*['\x22`]",
        "a command started by Node.js",
    ),
    fair(&["constructor"], r"\bthis\s*\.\s*constructor|\]\s*\[\s*['\x22]?constructor", "a function made from a string"),
    fair(
        &["console", "module", "buffer", "fromcharcode", "__js_function", "settimeout", "setinterval", "json.", "import", "eval"],
        r"\bconsole\s*\.\s*(?:log|error|debug|info)|\bmodule\s*\.\s*exports|\bbuffer\s*\.\s*from|fromcharcode|__js_function|\bset(?:timeout|interval)\s*\(|\bjson\s*\.\s*(?:parse|stringify)|\bimport\s*\(|\beval\s*\(",
        "code of JavaScript",
    ),
    fair(&["=>"], r"\)\s*=>\s*[{(\w]|\b\w+\s*=>\s*\{", "a function of JavaScript"),
    fair(
        &["["],
        r#"\b(?:this|self|global|process|window|document|top|module)\s*\[\s*['"`]?\w|\[\s*['"][a-z]{3,30}['"]\s*\]\s*[\[(]"#,
        "a member chosen by a string",
    ),
    fair(
        &["while"],
        r#"\bwhile\s*\(\s*(?:[!+~-]|['"`/\d\[{]|true|false|string|number|object|array|math|date|symbol|json|this|window|global|infinity|nan|new\b|function|typeof|void|null|undefined)"#,
        "a loop without an end",
    ),
    fair(&["for"], r"\bfor\s*\(\s*;", "a loop without an end"),
    fair(&["@{"], r"@\{\s*\[?\s*\\?[\w(]", "an expression inside a string of Perl"),
    fair(
        &["spawn", "open3", "kernel", "%x", "io.", "pty."],
        r"\bprocess\s*\.\s*spawn|\bspawn\s*[(\s]\s*['\x22]|\bopen3\b|\bkernel\s*\.\s*\w|%x[{(\[]|\bio\s*\.\s*popen|\bpty\s*\.\s*spawn",
        "a command started by Ruby",
    ),
    fair(
        &["__"],
        r"^\w*(?:password|passwd|secret|token|api_?key|hash|is_staff|is_superuser|metadata|private)\w*__\w+|__\w*(?:password|passwd|secret|token|is_staff|is_superuser|metadata)\w*__\w+",
        "a query of Django that asks for secrets",
    ),
    fair(&["while"], r"\bwhile\s*\([^()]{0,60}(?:\([^()]{0,60}\)[^()]{0,60}){0,3}\)\s*(?:;|\{|$)", "a loop"),
    fair(&["while"], r"\bwhile\s*\(\s*\(+\s*(?:!|true|false|\d|['\x22`\[{])", "a loop without an end"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::ScriptInjection, lists: &[], rules: RULES };
