//! A login that follows failures: the guess may have been right.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_logs::Method;

use super::super::Info;
use super::super::tally::{Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_after_failures",
    title: "Login after failed ones",
    technique: &["T1110", "T1078"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.7,
    meaning: "An address was let in after many failed logins, its own or those of many addresses at the same account. If the password was guessed, the account is theirs.",
    false_positives: "A person who forgot the password and found it; the owner of an account that a botnet tries.",
    quiet: "Acknowledge it when it was you; raise `failures_before_login` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (limits, record) = (scene.limits, scene.record);
    let (address, user, is_key) = (record.address?, shown(record.user), record.method == Method::PublicKey);
    let source = scene.source.as_deref().filter(|source| scene.at.saturating_sub(source.presence.last) <= limits.slow_within);
    let failed = source.map_or(0, |source| u32::from(source.streak));
    if failed >= limits.policy.failures_before_login {
        let said = Said::new(format!("{address} logged in as {user} after {failed} failed attempts"));
        // A key is not guessed. What let them in is a question for the owner, and cutting off a login is not for us alone.
        return Some(if is_key { said.rated(Severity::Medium) } else { said });
    }
    // Many guessed a few times each, and one of them was right. Who never failed may be the owner whose account is under attack.
    let target = scene.targets.tried(record.user?, scene.at, limits.accounts_within).filter(|_| !is_key)?;
    let shared = target.attempts() > failed && target.attempts() >= limits.policy.failures_before_login;
    let suspect = if failed > 0 { shared } else { target.was_reported() };
    if !suspect || !target.is_first_login() {
        return None;
    }
    let (attempts, addresses) = (target.attempts(), target.addresses());
    let said =
        Said::new(format!("{address} logged in as {user} after about {addresses} addresses had tried this account {attempts} times"));
    Some(if failed > 0 { said } else { said.rated(Severity::Medium) })
}
