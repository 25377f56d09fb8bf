//! The YARA rules of this host: our own, and those in the folder of rules beside the configuration.

use bartizan_config::{RuleFolders, yara_files};
use bartizan_integrity::{RefusedRules, YaraRules};

/// Reads and compiles all; what cannot be used is named, and the rest goes on.
pub fn yara_rules(folders: &RuleFolders) -> (YaraRules, Vec<RefusedRules>) {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for file in yara_files(&folders.host) {
        let name = file.path.strip_prefix(&folders.host).unwrap_or(&file.path).display().to_string();
        match file.text {
            Ok(text) => files.push((name, text)),
            Err(problem) => unread.push(RefusedRules { file: name, problem }),
        }
    }
    let (rules, refused) = YaraRules::load(&files);
    unread.extend(refused);
    (rules, unread)
}
