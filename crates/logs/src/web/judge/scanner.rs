//! Programs that look for weak points and say who they are.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::rule::Strength;
use super::{Family, Findings, Place};

/// Programs made to attack or to search for holes; nobody reads a site with them.
const ATTACKERS: &[&str] = &[
    "sqlmap", "nikto", "nmap scripting engine", "masscan", "zgrab", "nuclei", "wpscan", "gobuster", "dirbuster", "feroxbuster", "ffuf/",
    "fuzz faster u fool", "wfuzz", "acunetix", "netsparker", "invicti", "nessus", "openvas", "arachni", "w3af", "skipfish", "whatweb",
    "jorgee", "havij", "morfeus", "zmeu", "muieblackcat", "commix", "joomscan", "cmsmap", "xsser", "hydra", "l9explore", "l9tcpid",
    "dirsearch", "dirb/", "burp", "qualys", "webinspect", "appscan", "vega/", "grendel-scan", "paros/", "websecurify", "n-stealth",
    "sqlninja", "bsqlbf", "pangolin", "fimap", "uniscan", "whisker", "hello, world", "mozi.m", "gafgyt", "tsunami security", "jaeles",
    "rustscan", "httpx - open", "project discovery", "projectdiscovery", "interactsh", "detectify", "sf-scanner", "blackwidow", "brutus",
    "medusa", "python-nmap", "log4j-scan", "cgiscan", "wapiti", "zap/", "owasp", "gobuster", "kxss", "dalfox", "tplmap", "nosqlmap",
    "ysoserial", "metasploit", "cobalt strike", "shellshock-scan",
];

static WORDS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(ATTACKERS).ok());

/// Looks at what a client says it is.
pub(super) fn look(agent: &[u8], findings: &mut Findings) {
    let agent = agent.get(..agent.len().min(2048)).unwrap_or_default();
    if let Some(hit) = WORDS.as_ref().and_then(|words| words.find(agent)) {
        let proof = agent.get(hit.range()).unwrap_or_default();
        findings.add(Family::Scanner, Strength::Strong, "a scanner by its own name", (Place::Agent, hit.range()), proof);
    }
}
