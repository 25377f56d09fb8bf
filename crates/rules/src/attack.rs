//! ATT&CK in a rule's tags: techniques, the stage that its tactic stands for, and ids that were replaced.

use bartizan_model::{Stage, Technique};

/// Ids that ATT&CK replaced when it split Defense Evasion (v19), old and new, as SigmaHQ's rules carry them today: a search for
/// either finds both.
const RENAMED: &[(&str, &str)] = &[
    ("T1562", "T1685"),
    ("T1562.001", "T1685"),
    ("T1562.003", "T1690"),
    ("T1562.004", "T1686"),
    ("T1562.012", "T1685.004"),
    ("T1070.002", "T1685.006"),
];

/// The ids under which this technique may be known: itself, and what it was or is called.
pub fn same_techniques(id: &str) -> Vec<&str> {
    let id = id.trim();
    let known = RENAMED.iter().filter_map(|(old, new)| match () {
        () if old.eq_ignore_ascii_case(id) => Some(*new),
        () if new.eq_ignore_ascii_case(id) => Some(*old),
        () => None,
    });
    std::iter::once(id).chain(known).collect()
}

/// The techniques that a rule's tags name: `attack.t1059.004` is T1059.004. At most 16.
pub(crate) fn techniques(tags: &[String]) -> Vec<Technique> {
    let ids = tags.iter().filter_map(|tag| tag.strip_prefix("attack.t"));
    let ids = ids.filter(|id| (4..=8).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    ids.take(16).map(|id| Technique(format!("T{id}").into())).collect()
}

/// Where in an attack the rule stands, by the first tactic that it names; execution where it names none.
pub(crate) fn stage(tags: &[String]) -> Stage {
    let named = tags.iter().filter_map(|tag| tag.strip_prefix("attack."));
    let mut stages = named.filter_map(|tactic| match tactic.replace('_', "-").as_str() {
        "reconnaissance" | "discovery" | "resource-development" => Some(Stage::Recon),
        "initial-access" | "lateral-movement" => Some(Stage::InitialAccess),
        "execution" | "impact" | "defense-evasion" | "stealth" | "defense-impairment" => Some(Stage::Execution),
        "persistence" => Some(Stage::Persistence),
        "privilege-escalation" | "credential-access" => Some(Stage::Privilege),
        "command-and-control" | "exfiltration" | "collection" => Some(Stage::CommandAndControl),
        _ => None,
    });
    stages.next().unwrap_or(Stage::Execution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_ids_of_a_technique_find_each_other() {
        assert!(same_techniques("T1562.001").contains(&"T1685"));
        assert!(same_techniques("t1685").contains(&"T1562.001"));
        assert_eq!(same_techniques("T1059"), ["T1059"]);
    }

    #[test]
    fn tags_name_techniques_and_a_stage() {
        let tags: Vec<String> =
            ["attack.credential-access", "attack.t1003.008", "attack.tx", "cve.2021-1", "attack.s0123"].map(String::from).into();
        assert_eq!(techniques(&tags), [Technique::new("T1003.008")]);
        assert_eq!(stage(&tags), Stage::Privilege);
        assert_eq!(stage(&[]), Stage::Execution);
    }
}
