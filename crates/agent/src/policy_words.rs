//! Words of the owner's policy that match nothing on this host: a mistyped one protects nobody, and nothing else would tell.

use std::path::Path;

use bartizan_config::Policy;
use bartizan_enforce::accounts;
use bartizan_model::{Check, CheckState, nearest, sentence};
use bartizan_sys::unit_files;

/// What this is called in the self-test and among degraded parts.
pub(crate) const POLICY_WORDS: &str = "policy words";
/// Words told at most.
const MOST: usize = 16;

/// One sentence for each word that matches nothing. The built-in words name many hosts' programs and are not looked at.
pub(crate) fn unmatched(policy: &Policy) -> Vec<String> {
    let Ok(built_in) = Policy::built_in() else { return Vec::new() };
    let mut found = Vec::new();
    let own = |list: &[String], known: &[String]| -> Vec<String> { list.iter().filter(|word| !known.contains(word)).cloned().collect() };
    found.extend(own(&policy.protected.users, &built_in.protected.users).iter().filter_map(|name| user(name)));
    found.extend(own(&policy.protected.exes, &built_in.protected.exes).iter().filter_map(|path| file("[protected] exes", path)));
    let listeners = own(&policy.listeners.expected, &built_in.listeners.expected);
    found.extend(listeners.iter().filter(|word| word.parse::<u16>().is_err()).filter_map(|path| file("[listeners] expected", path)));
    found.extend(own(&policy.credentials.files, &built_in.credentials.files).iter().filter_map(|path| file("[credentials] files", path)));
    found.extend(own(&policy.vitals.units, &built_in.vitals.units).iter().filter_map(|name| unit(name)));
    let (roles, known) = (&policy.roles, &built_in.roles);
    for (key, list, known) in [
        ("web", &roles.web, &known.web),
        ("database", &roles.database, &known.database),
        ("mail", &roles.mail, &known.mail),
        ("scheduler", &roles.scheduler, &known.scheduler),
        ("package_manager", &roles.package_manager, &known.package_manager),
        ("container_runtime", &roles.container_runtime, &known.container_runtime),
        ("security", &roles.security, &known.security),
        ("shells", &roles.shells, &known.shells),
        ("interpreters", &roles.interpreters, &known.interpreters),
    ] {
        found.extend(own(list, known).iter().filter_map(|word| name(&format!("[roles] {key}"), word)));
    }
    found.extend(
        own(&policy.credentials.readers, &built_in.credentials.readers).iter().filter_map(|word| name("[credentials] readers", word)),
    );
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    found.extend((more > 0).then(|| format!("and {more} more")));
    found.iter().map(|line| sentence(line)).collect()
}

/// The same in one line, for the list of what is not as it should be.
pub(crate) fn told(policy: &Policy) -> Option<String> {
    let unmatched = unmatched(policy);
    (!unmatched.is_empty()).then(|| unmatched.join("; "))
}

/// The same as one line of the self-test.
pub(crate) fn check(policy: &Policy) -> Check {
    let (state, detail, mend) = match told(policy) {
        None => (CheckState::Works, "every name and path that you added is one of this host".to_owned(), ""),
        Some(told) => (CheckState::Degraded, told, "correct or remove the word in policy.toml, then run `bartizan reload`"),
    };
    Check { name: POLICY_WORDS.to_owned(), state, detail, mend: mend.to_owned() }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default()
}

fn user(name: &str) -> Option<String> {
    let known: Vec<String> = accounts::all().ok()?.iter().map(|account| account.name.lossy().into_owned()).collect();
    if known.iter().any(|known| known == name) {
        return None;
    }
    let near = meant(nearest(name, known.iter().map(String::as_str)));
    Some(format!("[protected] users: \"{name}\" is no account in /etc/passwd{near}"))
}

/// The kernel tells of programs by their whole path without symbolic links.
fn file(key: &str, path: &str) -> Option<String> {
    let (place, name) = path.rsplit_once('/').unwrap_or(("", path));
    if !path.starts_with('/') {
        return Some(format!("{key}: \"{path}\" matches nothing: write the whole path, beginning with /"));
    }
    let Ok(real) = Path::new(path).canonicalize() else {
        let entries = std::fs::read_dir(format!("{place}/")).into_iter().flatten().flatten().take(8192);
        let known: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let near = nearest(name, known.iter().map(String::as_str)).map(|near| format!("{place}/{near}"));
        return Some(format!("{key}: there is no file \"{path}\"{}", meant(near.as_deref())));
    };
    let real = real.to_string_lossy();
    (real != path).then(|| format!("{key}: \"{path}\" is a link, and programs are known by where it leads: write \"{real}\""))
}

fn unit(name: &str) -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Some(format!("[vitals] units: \"{name}\" cannot be watched: systemd does not run here"));
    }
    if unit_files::exists(Path::new("/"), name) {
        return None;
    }
    let known = unit_files::all_names(Path::new("/"));
    let near = meant(nearest(name, known.iter().map(String::as_str)));
    Some(format!("[vitals] units: there is no unit \"{name}\"{near}"))
}

/// Roles and readers are known by the name of their program alone.
fn name(key: &str, word: &str) -> Option<String> {
    let last = word.rsplit('/').next().unwrap_or_default();
    word.contains('/').then(|| format!("{key}: \"{word}\" matches nothing: write the program's name, \"{last}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_matches_nothing_is_told_with_the_nearest_one() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::write(dir.join("server"), "").unwrap();
        std::os::unix::fs::symlink("server", dir.join("link")).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let text = format!(
            "[protected]\nusers = [\"root\", \"roto\", \"x\\u001by\"]\nexes = [\"bin/x\", \"{}\", \"{}\", \"{}\"]\n[listeners]\nexpected = [\"8080\", \"app\"]\n[roles]\nweb = [\"/opt/bin/web\", \"myweb\"]\n",
            at("server"),
            at("sever"),
            at("link")
        );
        let found = unmatched(&Policy::parse(&text, "p").unwrap());
        let expected = [
            "[protected] users: \"roto\" is no account in /etc/passwd (did you mean \"root\"?)".to_owned(),
            "[protected] users: \"x\\x1by\" is no account in /etc/passwd".to_owned(),
            "[protected] exes: \"bin/x\" matches nothing: write the whole path, beginning with /".to_owned(),
            format!("[protected] exes: there is no file \"{}\" (did you mean \"{}\"?)", at("sever"), at("server")),
            format!("[protected] exes: \"{}\" is a link, and programs are known by where it leads: write \"{}\"", at("link"), at("server")),
            "[listeners] expected: \"app\" matches nothing: write the whole path, beginning with /".to_owned(),
            "[roles] web: \"/opt/bin/web\" matches nothing: write the program's name, \"web\"".to_owned(),
        ];
        assert_eq!(found, expected);
        assert_eq!(check(&Policy::built_in().unwrap()).state, CheckState::Works);
    }
}
