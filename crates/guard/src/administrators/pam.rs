//! What the files of PAM (pam.conf(5)) say for one service, in order, with what they include.

/// Files that include each other, deep.
const DEEPEST: usize = 6;
/// Modules that decide by rules of their own who may come in.
const GATES: [&str; 7] =
    ["pam_access.so", "pam_listfile.so", "pam_time.so", "pam_exec.so", "pam_script.so", "pam_succeed_if.so", "pam_group_check.so"];

/// One module of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// account, auth, password or session.
    pub(super) phase: String,
    /// required, sufficient, `[success=1 ...]`.
    pub(super) control: String,
    /// The module's file name.
    pub(super) module: String,
    pub(super) arguments: Vec<String>,
}

impl Line {
    /// Whether a "no" of this module is a "no" of the whole.
    pub(super) fn decides(&self) -> bool {
        !matches!(self.control.as_str(), "optional" | "sufficient")
    }
}

/// The stack of a service; `None` where it has no file of its own.
pub(super) fn stack(service: &str) -> Option<Vec<Line>> {
    let places = ["/etc/pam.d", "/usr/lib/pam.d"];
    let file = places.iter().map(|place| format!("{place}/{service}")).find(|file| std::path::Path::new(file).is_file())?;
    let mut lines = Vec::new();
    follow(&String::from_utf8_lossy(&super::read(&file)), None, DEEPEST, &mut lines);
    Some(lines)
}

fn follow(text: &str, only: Option<&str>, deep: usize, lines: &mut Vec<Line>) {
    for line in text.replace("\\\n", " ").lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let include = |name: &str, only, lines: &mut Vec<Line>| {
            let name = name.rsplit('/').next().unwrap_or_default();
            if deep > 0 {
                follow(&String::from_utf8_lossy(&super::read(&format!("/etc/pam.d/{name}"))), only, deep - 1, lines);
            }
        };
        if first == "@include" {
            include(words.next().unwrap_or_default(), only, lines);
            continue;
        }
        let phase = first.trim_start_matches('-').to_ascii_lowercase();
        if only.is_some_and(|only| only != phase) {
            continue;
        }
        let mut control = words.next().unwrap_or_default().to_ascii_lowercase();
        while control.starts_with('[') && !control.ends_with(']') {
            let Some(more) = words.next() else { break };
            control = format!("{control} {more}");
        }
        let module = words.next().unwrap_or_default();
        if matches!(control.as_str(), "include" | "substack") {
            include(module, Some(&phase), lines);
            continue;
        }
        let module = module.rsplit('/').next().unwrap_or_default().to_owned();
        lines.push(Line { phase, control, module, arguments: words.map(str::to_owned).collect() });
    }
}

/// A module of this service that decides by rules of its own, if one does.
pub(super) fn gate(service: &str) -> Option<String> {
    let lines = stack(service)?;
    let asks = |line: &&Line| matches!(line.phase.as_str(), "account" | "auth") && line.decides() && GATES.contains(&line.module.as_str());
    let has_rules = |line: &&Line| line.module != "pam_access.so" || access_rules();
    lines.iter().filter(asks).find(has_rules).map(|line| format!("{} in /etc/pam.d/{service} decides by rules of its own", line.module))
}

fn access_rules() -> bool {
    let text = String::from_utf8_lossy(&super::read("/etc/security/access.conf")).into_owned();
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}
