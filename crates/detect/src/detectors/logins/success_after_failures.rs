//! A login that follows failures: the guess may have been right.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_logs::Method;

use super::super::Info;
use super::finding::{Said, shown};
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
    meaning: "An address that had failed to log in many times was let in. If the password was guessed, the account is theirs.",
    false_positives: "A person who forgot the password and found it.",
    quiet: "Acknowledge it when it was you; raise `failures_before_login` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: false, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let source = scene.source.as_deref_mut()?;
    let failed = u32::from(source.streak);
    // A whole hour of quiet: another visit.
    if failed < scene.limits.policy.failures_before_login || scene.at.saturating_sub(source.last) > 3600 {
        return None;
    }
    let (address, user) = (source.address(), shown(scene.record.user));
    let said = Said::new(format!("{address} logged in as {user} after {failed} failed attempts"));
    // A key is not guessed. What let them in is a question for the owner, and cutting off a login is not for us alone.
    Some(if scene.record.method == Method::PublicKey { said.rated(Severity::Medium) } else { said })
}
