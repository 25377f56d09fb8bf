//! Log4shell and its kin: expressions that the server's own libraries evaluate wherever they meet them (CVE-2021-44228, CVE-2022-22965,
//! CVE-2017-5638, CVE-2014-6271).

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(&["jndi"], r"\$\{\s*jndi\s*:|jndi:(?:ldaps?|rmi|dns|iiop|nis|nds|corba|https?):", "a lookup of Log4j that loads code"),
    strong(
        &["${"],
        r"\$\{(?:lower|upper|base64|ctx|main|bundle|marker|spring|kubernetes|docker|web):|\$\{[^{}]{0,60}:-[^{}]{0,20}\}|\$\{[^{}]{0,60}\$\{[^{}]{0,60}:",
        "a lookup of Log4j, broken up",
    ),
    fair(
        &["${env", "${sys", "${java", "${date", "${hostname"],
        r"\$\{(?:env|sys|java|date):[^}]{1,80}\}|\$\{hostname",
        "a lookup of Log4j",
    ),
    strong(&["classloader"], r"class\W{0,4}module\W{0,4}classloader|class\.classloader", "Spring's class loader (Spring4Shell)"),
    strong(
        &["%{", "${", "#{", "(#"],
        r"[%$#]\{.{0,300}?(?:#_memberaccess|#context\b|@java\.lang|@ognl|multipart/form-data|@org\.apache)|\(#[a-z_]\w*\s*=.{0,200}?[@#(]",
        "an OGNL expression (Struts)",
    ),
    strong(&["()"], r"\(\)\s*\{[^}]{0,60};?\s*\}\s*;", "a function of Bash in a header (Shellshock)"),
    fair(
        &["java.", "javax.", "org.", "com.sun.", "ysoserial", "freemarker."],
        r"\b(?:java\.(?:io|lang|util|net|nio|beans|rmi|security)\.\w|javax\.(?:script|naming|management)\.\w|org\.(?:apache\.(?:commons|xalan|struts|tomcat)|omg\.corba|springframework|codehaus\.groovy)|com\.sun\.org|ysoserial)",
        "a class of Java",
    ),
    fair(
        &["ro0ab", "kztaau", "cs7qaf", "aced0005"],
        r"(?:^|[^a-z0-9])(?:ro0ab[q-y]?|kztaau|cs7qaf|aced0005)",
        "a serialised object of Java",
    ),
    fair(
        &[
            "clonetransformer", "forclosure", "instantiatefactory", "invokertransformer", "prototypeclonefactory", "whileclosure",
            "getproperty", "filewriter", "xmldecoder",
        ],
        r"clonetransformer|forclosure|instantiate(?:factory|transformer)|invokertransformer|prototype(?:clone|serialization)factory|whileclosure|\bgetproperty\s*\(|\bfilewriter\s*\(|\bxmldecoder\b",
        "a class that deserialising in Java runs code through",
    ),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::Lookup, lists: &[], rules: RULES };
