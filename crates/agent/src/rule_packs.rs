//! The rules of this host: the program's own, the owner's beside the configuration, and imported ones.

use bartizan_config::{Policy, RuleFolders, rule_files};
use bartizan_rules::{BadRule, Pack, RuleSet, Switches};

/// Reads and compiles all rules; what cannot be used is named, and the rest goes on.
pub fn load(folders: &RuleFolders, policy: &Policy) -> (RuleSet, Vec<BadRule>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (folder, pack) in [(&folders.host, Pack::Host), (&folders.imported, Pack::Imported)] {
        for file in rule_files(folder) {
            let name = file.path.display().to_string();
            match file.text {
                Ok(text) => files.push((name, text, pack)),
                Err(problem) => problems.push(BadRule { file: name, problem }),
            }
        }
    }
    let off = folders.switched_off().unwrap_or_else(|error| {
        problems.push(BadRule { file: folders.switched_off_file().display().to_string(), problem: error.to_string() });
        Vec::new()
    });
    let off = off.into_iter().chain(policy.rules.off.iter().cloned()).collect();
    let (set, bad) = RuleSet::load(&files, &Switches { off });
    problems.extend(bad);
    (set, problems)
}

/// What is in force, in a sentence; each problem is logged by name.
pub(crate) fn summary(set: &RuleSet, problems: &[BadRule]) -> String {
    problems.iter().for_each(|problem| tracing::warn!(%problem, "a rule file is refused"));
    let refused = match problems {
        [] => String::new(),
        [first, rest @ ..] => {
            format!("; refused: {first}{}", if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) })
        }
    };
    format!("{} of {} rules are evaluated{refused}", set.evaluated(), set.rules().len())
}
