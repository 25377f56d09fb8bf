//! A login as root by password: the one account that everybody knows, behind the one secret that can be guessed.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_config::RootLogin;
use bartizan_logs::Method;

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_root",
    title: "Login as root",
    technique: &["T1078.003"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Low,
    confidence: 0.4,
    meaning: "Somebody logged in as root, by the methods that `root_login` in `[logins]` names.",
    false_positives: "Hosts whose owner logs in as root.",
    quiet: "Set `root_login = \"never\"` in `[logins]`. `PermitRootLogin prohibit-password` in sshd_config(5) ends the danger.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let record = scene.record;
    let told = match scene.limits.policy.root_login {
        RootLogin::Never => false,
        RootLogin::Password => matches!(record.method, Method::Password | Method::KeyboardInteractive | Method::Pam),
        RootLogin::Any => true,
    };
    if record.user != Some(b"root") || !told {
        return None;
    }
    let how = if record.method == Method::PublicKey { "with a key" } else { "with a password" };
    let from = record.address.map_or_else(|| "the console".to_owned(), |address| address.to_string());
    Some(Said::new(format!("root logged in from {from} {how}")))
}
