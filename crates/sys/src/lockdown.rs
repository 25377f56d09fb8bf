//! Whether the kernel is locked down against root itself (kernel_lockdown(7)), and what that keeps us from.

use std::fs;

const FILE: &str = "/sys/kernel/security/lockdown";

/// How far it is locked down; `None` when it is not, or does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockdown {
    /// Nobody may change the running kernel: this takes nothing from us.
    Integrity,
    /// ... nor read its memory, which our eBPF programs must.
    Confidentiality,
}

impl Lockdown {
    /// As this kernel says now.
    pub fn now() -> Option<Self> {
        parse(&fs::read_to_string(FILE).ok()?)
    }
}

/// `none [integrity] confidentiality`: the one in brackets holds.
fn parse(text: &str) -> Option<Lockdown> {
    match text.split_once('[')?.1.split_once(']')?.0 {
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

/// What would mend a refusal of eBPF: leaving the lockdown where that is what refuses, else what would otherwise.
pub fn mend_of_bpf(lockdown: Option<Lockdown>, otherwise: &str) -> String {
    match lockdown {
        Some(Lockdown::Confidentiality) => format!(
            "the kernel is locked down ({FILE}: confidentiality) and lets nobody, root included, read its memory by eBPF: boot with lockdown=integrity or without it, or leave it"
        ),
        Some(Lockdown::Integrity) | None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_lockdown_is_not_mended_by_root() {
        assert_eq!(parse("none integrity [confidentiality]\n"), Some(Lockdown::Confidentiality));
        assert_eq!(parse("none [integrity] confidentiality\n"), Some(Lockdown::Integrity));
        assert_eq!((parse("[none] integrity confidentiality\n"), parse("confidentiality"), parse("")), (None, None, None));
        let told = mend_of_bpf(Some(Lockdown::Confidentiality), "run as root");
        assert!(told.contains("locked down") && told.contains("lockdown=integrity") && !told.contains("run as root"), "{told}");
        // It allows eBPF to read: what refuses is something else.
        assert_eq!(mend_of_bpf(Some(Lockdown::Integrity), "run as root"), "run as root");
        assert_eq!(mend_of_bpf(None, "run as root"), "run as root");
    }
}
