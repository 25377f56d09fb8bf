//! Judges what a client asked for: which attack is in it, how sure that is, and the words that prove it.
//!
//! A request is cut into its parts, each part decoded ([`decode`](super::decode)), and a part whose words wake a rule is tried against that
//! rule. How much must be proved depends on what the part is for: people write SQL, markup and shell commands into a search box, no program
//! sends them as the number of a page. What an ordinary request consists of, letters, digits and a few marks, wakes nothing.

mod command;
mod context;
mod inclusion;
mod known_agents;
mod lookup;
mod part;
mod php;
mod probe;
mod protocol;
mod request_forgery;
mod rule;
mod scanner;
mod script;
mod sql;
mod template;
#[cfg(test)]
mod tests;
mod traversal;
mod xss;

use std::borrow::Cow;
use std::ops::Range;

use bartizan_model::HostText;
use serde::{Deserialize, Serialize};

use super::access::Access;
use known_agents::KnownAgents;

pub use probe::is_script;
pub use rule::Strength;

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// SQL, and the query operators of document databases.
    SqlInjection,
    /// Steps out of a directory.
    Traversal,
    /// Files of the host or of others, by path, address or wrapper.
    FileInclusion,
    /// Commands of a shell.
    CommandInjection,
    /// Script for another visitor's browser.
    Xss,
    /// Expressions for a template engine.
    TemplateInjection,
    /// Log4shell, Spring4Shell, Struts' OGNL, Shellshock.
    Lookup,
    /// Code for PHP.
    PhpInjection,
    /// Code for JavaScript on the server.
    ScriptInjection,
    /// Addresses that only the server can reach.
    RequestForgery,
    /// Line ends that begin a header or a mail command.
    ProtocolInjection,
    /// A script that others left on hosts that they broke into.
    Webshell,
    /// The login of an administration that is not here.
    PanelProbe,
    /// Keys, passwords, repositories and backups that were left where the server serves them.
    SecretsProbe,
    /// A program that looks for weak points, by its own name.
    Scanner,
}

impl Family {
    /// Whether it looks for what may be there, rather than making a program do what it is not for.
    pub fn is_probe(self) -> bool {
        match self {
            Self::Webshell | Self::PanelProbe | Self::SecretsProbe => true,
            Self::SqlInjection
            | Self::Traversal
            | Self::FileInclusion
            | Self::CommandInjection
            | Self::Xss
            | Self::TemplateInjection
            | Self::Lookup
            | Self::PhpInjection
            | Self::ScriptInjection
            | Self::RequestForgery
            | Self::ProtocolInjection
            | Self::Scanner => false,
        }
    }

    /// Its name in JSON and configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::SqlInjection => "sql-injection",
            Self::Traversal => "traversal",
            Self::FileInclusion => "file-inclusion",
            Self::CommandInjection => "command-injection",
            Self::Xss => "xss",
            Self::TemplateInjection => "template-injection",
            Self::Lookup => "lookup",
            Self::PhpInjection => "php-injection",
            Self::ScriptInjection => "script-injection",
            Self::RequestForgery => "request-forgery",
            Self::ProtocolInjection => "protocol-injection",
            Self::Webshell => "webshell",
            Self::PanelProbe => "panel-probe",
            Self::SecretsProbe => "secrets-probe",
            Self::Scanner => "scanner",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::SqlInjection => "SQL injection",
            Self::Traversal => "Path traversal",
            Self::FileInclusion => "File inclusion",
            Self::CommandInjection => "Command injection",
            Self::Xss => "Cross-site scripting",
            Self::TemplateInjection => "Template injection",
            Self::Lookup => "Log4shell and its kin",
            Self::PhpInjection => "PHP injection",
            Self::ScriptInjection => "Script injection",
            Self::RequestForgery => "Server-side request forgery",
            Self::ProtocolInjection => "Header or mail injection",
            Self::Webshell => "Web shell",
            Self::PanelProbe => "Search for administration pages",
            Self::SecretsProbe => "Search for secrets",
            Self::Scanner => "Scanner",
        }
    }

    /// The family of a rule of the OWASP Core Rule Set by the first three digits of its number, as ModSecurity logs it.
    pub fn of_crs(rule: u32) -> Option<Self> {
        Some(match rule / 1000 {
            913 => Self::Scanner,
            921 => Self::ProtocolInjection,
            930 => Self::Traversal,
            931 => Self::FileInclusion,
            932 => Self::CommandInjection,
            933 => Self::PhpInjection,
            934 => Self::ScriptInjection,
            941 => Self::Xss,
            942 => Self::SqlInjection,
            944 => Self::Lookup,
            _ => return None,
        })
    }
}

/// Which part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The path that was asked for.
    Path,
    /// A parameter of the query.
    Query,
    /// `Referer`.
    Referer,
    /// `User-Agent`.
    Agent,
    /// `X-Forwarded-For`, `Host` or the name for HTTP authentication.
    Header,
}

/// One attack in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub family: Family,
    /// How much it proves.
    pub strength: Strength,
    /// What was seen, for people.
    pub why: Cow<'static, str>,
    /// Where it was seen.
    pub place: Place,
    /// Where in the path, query or header, in bytes as the client sent them: the parameter that holds it.
    pub span: Range<usize>,
    /// The decoded words that prove it, at most [`MAX_EXCERPT`] bytes; any bytes.
    pub excerpt: HostText,
}

/// Bytes of the proof that are kept.
pub const MAX_EXCERPT: usize = 120;
/// Bytes of a reason: each is a sentence of ours.
const MAX_WHY: usize = 80;
/// Bytes of each part of a request that are judged. Servers take 8 KiB of request line unless told otherwise.
const MAX_JUDGED: usize = 8 * 1024;
/// Findings of one request that are kept, each family and reason once.
pub const MAX_FINDINGS: usize = 12;

impl Finding {
    /// Whether it is of the size that [`judge`] gives: what another process says of a request is believed only then.
    pub fn holds(&self) -> bool {
        self.why.len() <= MAX_WHY && self.excerpt.as_bytes().len() <= MAX_EXCERPT
    }

    /// How sure this finding is by itself, 0 to 1.
    pub fn confidence(&self) -> f64 {
        match self.strength {
            Strength::Fair => 0.6,
            Strength::Strong => 0.9,
        }
    }
}

/// How sure it is that these findings of one request are an attack: each is a piece, 0 to 1.
pub fn confidence(findings: &[Finding]) -> f64 {
    1.0 - findings.iter().map(|finding| 1.0 - finding.confidence()).product::<f64>()
}

/// What was found in one request.
#[derive(Debug, Default)]
struct Findings {
    found: Vec<Finding>,
    /// Bytes that rules were tried on.
    work: usize,
}

/// Bytes that the rules are tried on in one request, each byte once for each rule: an ordinary one takes a few hundred. It bounds what a
/// request can cost that is made to wake every rule.
const MAX_WORK: usize = 96 * 1024;

impl Findings {
    /// How many bytes may still be tried.
    fn work_left(&self) -> usize {
        MAX_WORK.saturating_sub(self.work)
    }

    /// Notes how many are left; whether there are any.
    fn worked(&mut self, left: usize) -> bool {
        self.work = MAX_WORK.saturating_sub(left);
        left > 0
    }

    fn add(&mut self, family: Family, strength: Strength, why: &'static str, place: (Place, Range<usize>), proof: &[u8]) {
        let known = self.found.iter().any(|own| own.family == family && own.why == why);
        if !known && self.found.len() < MAX_FINDINGS {
            let excerpt = HostText::from(proof.get(..proof.len().min(MAX_EXCERPT)).unwrap_or_default());
            self.found.push(Finding { family, strength, why: Cow::Borrowed(why), place: place.0, span: place.1, excerpt });
        }
    }
}

/// Judges the requests of one source: what clients call themselves is looked at once, however often they come.
#[derive(Debug, Default)]
pub struct Judge {
    known: KnownAgents,
}

impl Judge {
    /// As [`judge`].
    pub fn judge(&mut self, access: &Access<'_>) -> Vec<Finding> {
        if self.known.knows(&access.agent) {
            return look(access, true);
        }
        let found = look(access, false);
        if !found.iter().any(|finding| finding.place == Place::Agent) && found.len() < MAX_FINDINGS {
            self.known.learn(&access.agent);
        }
        found
    }
}

/// The attacks in one request. Empty, and nothing allocated, for an ordinary one.
pub fn judge(access: &Access<'_>) -> Vec<Finding> {
    look(access, false)
}

fn look(access: &Access<'_>, is_known_agent: bool) -> Vec<Finding> {
    let mut findings = Findings::default();
    let judged = |text: &'_ [u8]| text.len().min(MAX_JUDGED);
    let (path, query) = access.path_and_query();
    let path = path.get(..judged(path)).unwrap_or_default();
    let query = query.get(..judged(query)).unwrap_or_default();
    part::path(path, &mut findings);
    part::query(query, &mut findings);
    probe::look(path, query, access.status, &mut findings);
    if !is_known_agent {
        scanner::look(&access.agent, &mut findings);
        part::agent(&access.agent, &mut findings);
    }
    part::header(&access.referer, Place::Referer, &mut findings);
    for header in [&access.forwarded, &access.host, &access.user] {
        part::header(header, Place::Header, &mut findings);
    }
    findings.found
}

/// The rules of every family that reads texts; probes and scanners have lists of their own.
fn families() -> [rule::RuleSet; 11] {
    [
        sql::SET,
        traversal::SET,
        inclusion::SET,
        command::SET,
        xss::SET,
        template::SET,
        lookup::SET,
        php::SET,
        script::SET,
        request_forgery::SET,
        protocol::SET,
    ]
}
