//! Cross-site scripting: markup and script for another visitor's browser.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const LISTS: &[(&str, &str)] = &[
    (
        "sink",
        r"(?:(?:alert|prompt|confirm|eval|settimeout)\s*(?:\(|`|&lpar;)|document\s*\.\s*(?:cookie|write|domain)|string\s*\.\s*fromcharcode|\.cookie\b)",
    ),
    (
        "event",
        r"on(?:abort|activate|after\w+|animation\w+|auxclick|before\w+|begin|blur|bounce|cancel|can\w*play\w*|change|click|close|context\w+|copy|cue\w+|cut|dblclick|drag\w*|drop|duration\w+|emptied|end|ended|error|filter\w*|finish|focus\w*|formdata|fullscreen\w*|gotpointer\w+|hash\w+|input|invalid|key(?:down|press|up)|load\w*|lostpointer\w+|message\w*|mouse\w+|move\w*|offline|online|page(?:hide|show|reveal)|paste|pause|play\w*|pointer\w+|popstate|progress|rate\w+|readystate\w+|repeat|reset|resize\w*|scroll\w*|search|security\w+|seek\w+|select\w*|show|slotchange|stalled|start|storage|submit|suspend|timeupdate|toggle|touch\w+|transition\w+|unhandled\w+|unload|volume\w+|waiting|webkit\w+|wheel|zoom)",
    ),
];

const RULES: &[Rule] = &[
    strong(&["script"], r"<\s*script[^>]{0,200}>.{0,200}?%sink%", "a script that does something in the visitor's browser"),
    fair(&["script"], r"<\s*/?\s*script\b|<\s*script", "a script element"),
    strong(
        &["on"],
        r#"(?:<[a-z!/][^>]{0,400}?|["'])[\s/]*\b%event%\s*=\s*["'`]?[^"'>]{0,200}?%sink%"#,
        "an event handler that runs script in the visitor's browser",
    ),
    fair(&["on"], r#"<[a-z!?/][^>]{0,400}?[\s/"']on[a-z]{3,60}\s*="#, "an element with an event handler"),
    fair(&["on"], r#"(?:^\s+|["'`/]\s*)%event%\s*=\s*[^\s=]?"#, "an event handler behind a quote"),
    strong(
        &["script"],
        r#"(?:=|\()\s*["']?\s*(?:j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e)\s*s\s*c\s*r\s*i\s*p\s*t\s*:.{0,80}?%sink%"#,
        "a javascript: address that runs script",
    ),
    fair(
        &["script", "s\tc", "s\nc"],
        r#"(?:^|["'=(<,;])\s*(?:j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e)\s*s\s*c\s*r\s*i\s*p\s*t\s*:"#,
        "a javascript: address",
    ),
    fair(
        &["<"],
        r"<\s*/?\s*(?:iframe|object|embed|applet|meta|link|svg|math|base|form|style|img|image|video|audio|body|isindex|marquee|details|xml|bgsound|i?layer|frame|frameset|input|template|noscript|textarea|keygen|animate|set|x:\w+)\b[\s/>]",
        "markup in a value",
    ),
    fair(&["<?import", "<import", "<!--", "<![", "<!entity"], r"<\?import\b|<import\b|<!--|<!\[(?:cdata|if)|<!entity", "markup in a value"),
    fair(
        &["binding", "expression", "behavior", "@import"],
        r"-moz-binding\s*:|:\s*expression\s*\(|behavior\s*:\s*url|@import\s+(?:url|['\x22])",
        "a style that runs script",
    ),
    fair(
        &["document", "window", "innerhtml", "outerhtml", "fromcharcode", "localstorage"],
        r"\bdocument\s*[.\[]\s*['\x22]?(?:cookie|write|domain|location|body|forms)|\bwindow\s*[.\[]\s*['\x22]?(?:location|name|open|onerror)|\.\s*(?:inner|outer)html\b|fromcharcode\s*\(|localstorage\s*[.\[]",
        "script that works on the page",
    ),
    fair(
        &["alert", "prompt", "confirm"],
        r#"\b(?:alert|prompt|confirm)\s*[(`]\s*(?:['"\d/`)]|document|window|origin|\))"#,
        "script that opens a dialog",
    ),
    fair(
        &["`"],
        r"(?:\.\s*(?:call|apply|sort|map|find\w*|filter|constructor|bind|replace)|\])\s*`|\$\{\s*(?:alert|prompt|confirm|eval|navigat|document|window|name\b)",
        "a function called by a template string",
    ),
    fair(&["constructor"], r"constructor\s*[.\[]\s*['\x22]?constructor", "a function made from a string"),
    fair(&["data:text"], r#"(?:src|href|data|action)\s*=\s*['"]?\s*data:text/html"#, "a page inside an address"),
    fair(&["<"], r#"<[a-z][\w:-]{0,30}(?:\s+[\w:-]+\s*=|\s*/?>)"#, "markup in a value"),
    fair(
        &["xlink", "xmlns", "formaction", "srcdoc", "http-equiv", "style", "src", "href", "action", "poster"],
        r#"\b(?:xlink:href|xmlns(?::\w+)?|formaction|srcdoc|http-equiv|dynsrc|lowsrc|poster|src|href|action)\s*=\s*['"]?\s*(?:javascript|data|vbscript|https?)\s*:|\bstyle\s*=\s*['"][^'"]{0,200}(?:expression|url\s*\(|behaviou?r|@import)"#,
        "an attribute of markup",
    ),
    fair(&["script"], r"\xbc\s*/?script", "markup in seven bits"),
    fair(&["adw-", "add-", "ad4-"], r"(?:^|[\s+])ad[w4]-", "markup in UTF-7"),
    fair(&["[]", "!!", "!["], r"(?:!?\+?\[\]|!\+|\(!|\+!){3,}", "script made of brackets"),
    fair(
        &["self", "this", "document", "window", "top", "parent", "frames", "globalthis"],
        r"\b(?:self|this|document|window|top|parent|frames|globalthis)\s*(?:/\*.{0,60}?\*/\s*)?(?:\[|\?\.\[)",
        "script that works on the page",
    ),
    fair(
        &[
            "eval", "settimeout", "setinterval", "alert", "atob", "btoa", "prompt", "confirm", "fetch", "xmlhttprequest", "queryselector",
            "parentnode", "getelement", "addeventlistener",
        ],
        r"\b(?:eval|set(?:timeout|interval)|alert|atob|btoa|prompt|confirm|fetch)\s*(?:\(|`|\{)|\bnew\s+xmlhttprequest|\.\s*(?:queryselector|parentnode|getelement\w+|addeventlistener)\b",
        "script that works on the page",
    ),
    fair(&["![]", "[][", "+[]", "[!"], r"!\[\]|\[\]\[|\+\[\]|\[!\[", "script made of brackets"),
    fair(&["-->"], r"-->", "the end of a comment of HTML"),
    fair(&["<noscript", "<script", "<style", "<textarea", "<title"], r"<(?:noscript|script|style|textarea|title)\b", "markup in a value"),
    fair(&["script"], r"<\s*/?\s*\w{1,20}:script\b", "a script element"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::Xss, lists: LISTS, rules: RULES };
