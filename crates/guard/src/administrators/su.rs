//! su(1): whoever is in and knows root's password, unless pam_wheel(8) asks for a group as well.

use super::able::Able;
use super::{Host, is_set_uid_root, pam};
use bartizan_enforce::accounts::{Account, Password};

pub(super) fn able(host: &Host, account: &Account) -> Able {
    let Some(root) = host.root().filter(|root| !root.expired) else { return Able::No };
    if is_set_uid_root("su").is_none() {
        return Able::No;
    }
    let password = Able::when(root.password == Password::Usable);
    let wheel = pam::stack("su").unwrap_or_default().into_iter().find(|line| line.phase == "auth" && line.module == "pam_wheel.so");
    let Some(line) = wheel else { return password };
    let has = |word: &str| line.arguments.iter().any(|argument| argument == word);
    let named = line.arguments.iter().find_map(|argument| argument.strip_prefix("group="));
    let group = named.unwrap_or("wheel").as_bytes();
    // Without a group of that name it is the one with number 0.
    let exists = host.groups.iter().any(|known| known.name == group);
    let member = host.groups_of(account).any(|known| if exists { known.name == group } else { known.gid == 0 });
    match (member, has("deny"), has("trust")) {
        (true, false, true) => Able::Yes,
        (true, true, _) | (false, false, _) if line.decides() => Able::No,
        _ => password,
    }
}
