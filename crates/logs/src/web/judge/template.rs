//! Server-side template injection: expressions for the engine that makes the page.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(
        &["{{", "${", "#{", "<%", "*{", "@("],
        r"\{\{\s*-?\d+\s*[*]\s*'?\d+'?\s*\}\}|\$\{\s*\d+\s*\*\s*\d+\s*\}|#\{\s*\d+\s*\*\s*\d+\s*\}|<%=?\s*\d+\s*\*\s*\d+\s*%>|\*\{\s*\d+\s*\*|@\(\s*\d+\s*\*\s*\d+\s*\)",
        "a sum that shows whether a template is evaluated",
    ),
    strong(
        &["{{", "{%"],
        r"\{[{%].{0,300}?(?:__class__|__mro__|__globals__|__subclasses__|__builtins__|__import__|__base__|constructor\s*\.\s*constructor|popen\s*\(|os\s*\.\s*system|_self\.env|registerundefinedfiltercallback)",
        "a template that reaches for the interpreter",
    ),
    fair(&["<%"], r"<%[=@!-]?.{0,300}?%>", "code between the marks of a template"),
    fair(
        &["{%"],
        r"\{%-?\s*(?:if|for|set|include|import|extends|block|debug|load|raw|with|macro|call|filter|php)\b.{0,200}?%\}",
        "a statement of a template",
    ),
    fair(&["#{"], r"#\{[^}]{1,200}\}", "an expression of a template"),
    fair(&["{{"], r#"\{\{[^}]{0,200}(?:[*|'"()\[\]]|config|request\.|self\.)[^}]{0,200}\}\}"#, "an expression of a template"),
    fair(
        &["#set", "<#assign", "freemarker", "#include", "#exec"],
        r"#set\s*\(\s*\$|<#assign\s|freemarker\.template|<!--#\s*(?:exec|include)",
        "a statement of a template",
    ),
    fair(&["${", "*{"], r"[$*]\{\s*[\w.]+\s*\([^)]{0,200}\)[^}]{0,100}\}", "a call inside a template"),
    fair(
        &["runtime", "java.lang", "processbuilder", ".getclass", "scriptengine"],
        r"java\.lang\.|getruntime\s*\(|runtime\s*\.\s*(?:exec|getruntime)|processbuilder\s*\(|\.getclass\s*\(|t\(\s*java\.|scriptenginemanager",
        "Java's runtime",
    ),
    fair(
        &["__class", "__mro", "__globals", "__subclasses", "__builtins", "__import__", "os.popen", "os.system"],
        r"__(?:class|mro|globals|subclasses|builtins|bases?)__|__import__\s*\(|\bos\s*\.\s*(?:system|popen)\s*\(",
        "Python's internals",
    ),
    fair(&["{{"], r"\{\{[^}]{0,100}[-+*/|%][^}]{0,100}\}\}", "an expression of a template"),
    fair(&["{"], r"[$#*@~%]\{[^{}]{0,200}[*+/|.(][^{}]{0,200}\}", "an expression of a template"),
    fair(
        &["{php}", "[[", "${{", "<#", "~{"],
        r"\{/?php\}|\[\[\s*[$*#]\{|\$\{\{|<#(?:if|list|include|import|macro)\b|~\{\s*\w",
        "a statement of a template",
    ),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::TemplateInjection, lists: &[], rules: RULES };
