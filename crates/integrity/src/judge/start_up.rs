//! What runs by itself: units, cron tables, profiles. Whether it fetches, decodes or listens, or lies where anybody may write.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Finding, extension};

/// Where files lie that run by themselves, and how they end or are called.
const PLACES: [&[u8]; 14] = [
    b"/etc/cron", b"/var/spool/cron", b"/etc/profile", b"/etc/bash.bashrc", b"/etc/rc.local", b"/etc/init.d/", b"/etc/update-motd.d/",
    b"/etc/xdg/autostart/", b"/etc/systemd/", b"/usr/lib/systemd/", b"/etc/udev/rules.d/", b"/etc/apt/apt.conf.d/",
    b"/etc/NetworkManager/dispatcher.d/", b"/etc/anacrontab",
];
const NAMES: [&[u8]; 8] =
    [b".bashrc", b".bash_profile", b".profile", b".zshrc", b".bash_login", b".bash_logout", b".zprofile", b".xprofile"];
const UNITS: [&[u8]; 4] = [b"service", b"timer", b"path", b"socket"];

pub(super) fn is_candidate(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    PLACES.iter().any(|place| path.starts_with(place)) || NAMES.contains(&name) || UNITS.contains(&extension(path).as_slice())
}

const SIGNS: [(&str, &str, &str, &str); 6] = [
    (
        "fetches-and-runs",
        "T1105",
        "it runs what it fetches from the network",
        r"\b(?:curl|wget|fetch)\b[^\n]{0,300}(?:\|\s*(?:sudo\s+)?(?:/\S*/)?(?:ba|da|z|k)?sh\b|\|\s*(?:python|perl|php|ruby)|&&\s*(?:chmod\s+\S+|(?:ba|da)?sh)\s)|(?:sh|bash)\s+(?:-c\s+)?[\x22']?\$\(\s*(?:curl|wget)\b|<\(\s*(?:curl|wget)\b",
    ),
    (
        "decodes-and-runs",
        "T1140",
        "it runs what it decodes",
        r"\b(?:base64\s+(?:-d|-D|--decode)|xxd\s+-r|openssl\s+(?:enc\s+)?-?(?:base64|aes)[^\n|]{0,80}-d)\b[^\n]{0,200}\|\s*(?:\w+\s+)?(?:ba|da|z)?sh\b|eval\s+[\x22']?\$\([^)\n]{0,2000}(?:base64\s+(?:-d|--decode)|xxd\s+-r)|base64\.b64decode\s*\([^\n]{0,3000}exec\b|exec\s*\([^\n]{0,200}b64decode",
    ),
    (
        "shell-over-the-network",
        "T1059.004",
        "it gives a shell to the other end of a connection",
        r"/dev/(?:tcp|udp)/[^\s/]+/\d|\b(?:nc|ncat|netcat)\b[^\n]{0,100}\s(?:-\w*e\w*|--exec|-c)\s|\bsocat\b[^\n]{0,200}\bexec:|mkfifo\b[^\n]{0,200}\b(?:nc|ncat|telnet|openssl)\b",
    ),
    (
        "runs-from-a-place-of-anybody",
        "T1036.005",
        "it runs a file from a directory where anybody may write",
        r"(?m)^(?:Exec(?:Start|StartPre|StartPost|Reload|Stop)=[-@:+!]*|[^#\n]*\s)(?:(?:ba|da)?sh\s+|nohup\s+|exec\s+)?/(?:tmp|var/tmp|dev/shm|run/user/\d+)/\S",
    ),
    (
        "loads-a-library-into-programs",
        "T1574.006",
        "it puts a library into other programs",
        r"(?m)^[^#\n]*\bLD_PRELOAD=[\x22']?/(?:tmp|var/tmp|dev/shm|home|root)/",
    ),
    (
        "runs-a-hidden-file",
        "T1564.001",
        "it runs a hidden file",
        r"(?m)^(?:Exec(?:Start|StartPre)=[-@:+!]*|(?:[\d*/,-]+\s+){5}(?:\w+\s+)?|@reboot\s+(?:\w+\s+)?)(?:(?:ba|da)?sh\s+)?/(?:\S*/)?\.\w",
    ),
];

static COMPILED: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| SIGNS.iter().map(|(_, _, _, pattern)| Regex::new(&format!("(?-u){pattern}")).ok()).collect());

pub(super) fn judge(content: &[u8]) -> Vec<Finding> {
    // A comment is no command.
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    let text: Vec<u8> = lines.collect::<Vec<_>>().join(&b'\n');
    let fits = |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text));
    let signs = SIGNS.iter().zip(COMPILED.iter()).filter(|(_, pattern)| fits(pattern));
    signs.map(|((rule, technique, sentence, _), _)| Finding::new(rule, technique, *sentence)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pattern_is_one() {
        for ((rule, ..), pattern) in super::SIGNS.iter().zip(super::COMPILED.iter()) {
            assert!(pattern.is_some(), "{rule}");
        }
    }
}
