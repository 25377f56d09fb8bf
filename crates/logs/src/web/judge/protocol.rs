//! Line ends that begin a header, a mail command or another request of their own.

use super::Family;
use super::rule::{Form, Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(
        &["set-cookie", "location:", "content-", "http/1", "x-forwarded"],
        r"[\r\n]\s*(?:set-cookie\s*:|location\s*:\s*(?:https?:|/|java)|content-(?:type|length)\s*:|http/1\.[01]\s|x-forwarded-\w+\s*:)",
        "a header behind a line end",
    ),
    fair(
        &["mail from", "rcpt to", "ehlo", "helo", "vrfy", "starttls"],
        r"[\r\n]\s*(?:mail from\s*:|rcpt to\s*:|(?:ehlo|helo|vrfy)\s+\S+\s*(?:[\r\n]|$)|starttls\b)",
        "a mail command behind a line end",
    ),
    fair(
        &["\n", "\r"],
        r"[\r\n]\s*[a-z]{0,4}\d{1,6}\s+(?:examine|select|login|logout|fetch|capability|authenticate|create|delete|rename|subscribe|list|lsub|status|append|store|copy|search|noop|starttls)\b|[\r\n]\s*(?:stat|retr\s+\d+|dele\s+\d+|uidl|apop\s+\w+\s+\w+|top\s+\d+)\s*(?:[\r\n]|$)",
        "a command of a mail server behind a line end",
    ),
    fair(
        &["\n", "\r"],
        r"[\r\n]\s*[\w.]{1,8} +(?:CAPABILITY|LOGIN|LOGOUT|NOOP|SELECT|EXAMINE|CREATE|DELETE|RENAME|SUBSCRIBE|UNSUBSCRIBE|LIST|LSUB|STATUS|APPEND|CHECK|CLOSE|EXPUNGE|SEARCH|FETCH|STORE|COPY|UID|AUTHENTICATE|STARTTLS|SETACL|GETACL|IDLE|GETQUOTA\w*)\b|[\r\n]\s*(?:USER|PASS|STAT|LIST|RETR|DELE|NOOP|RSET|TOP|UIDL|QUIT|APOP|CAPA|AUTH|EHLO|HELO|DATA|VRFY|EXPN|HELP|TURN|BDAT|SAML FROM|SEND FROM|SOML FROM)\b",
        "a command of a mail server behind a line end",
    )
    .on(Form::Cased),
    fair(
        &["auth", "data", "rset", "quit", "noop", "expn", "help"],
        r"[\r\n]\s*(?:auth\s+(?:login|plain|cram)|(?:data|rset|quit|noop|help)\s*(?:[\r\n]|$)|expn\s+\w)",
        "a mail command behind a line end",
    ),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::ProtocolInjection, lists: &[], rules: RULES };
