//! What counts, how much, and what may be done about it: `policy.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::baseline_policy::BaselinePolicy;
use super::hold_policy::HoldPolicy;
use super::indicator_files::IndicatorPolicy;
use super::layers::one_line;
use super::login_policy::LoginPolicy;
use super::policy_check;
use super::rule_policy::RulePolicy;
use super::switches::DetectorPolicy;
use super::web_policy::WebPolicy;
use bartizan_model::Mode;

/// The commented default policy, also installed as an example.
pub const DEFAULT: &str = include_str!("../../../config/policy.toml");

/// The whole policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How much it may do alone.
    pub mode: ModePolicy,
    /// What one family of evidence can prove by itself.
    pub weights: Weights,
    /// How signals join and fade.
    pub score: Score,
    /// How far a response may go.
    pub posture: PostureThresholds,
    /// Life and number of actions.
    pub actions: ActionLimits,
    /// What containment mode lets through.
    pub containment: Containment,
    /// What must work as well after an action as before it.
    pub vitals: Vitals,
    /// When the agent stops to act alone.
    pub sentinel: Sentinel,
    /// What is never touched without a person.
    pub protected: Protected,
    /// Which programs are which kind of service.
    pub roles: Roles,
    /// Listeners that are no surprise.
    pub listeners: Listeners,
    /// Secrets and their rightful readers.
    pub credentials: Credentials,
    /// From when failed logins are an attack.
    pub logins: LoginPolicy,
    /// How addresses that fail to log in beyond that are held.
    pub holds: HoldPolicy,
    /// From when requests to a web server are an attack.
    pub web: WebPolicy,
    /// Which detectors are off.
    pub detectors: DetectorPolicy,
    /// Which rules are off, and how often one may speak.
    pub rules: RulePolicy,
    /// How long indicator lists are matched.
    pub indicators: IndicatorPolicy,
    /// Whether it is learned what is normal here, and for how long.
    pub baseline: BaselinePolicy,
}

/// `[mode]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModePolicy {
    /// Mode at first start; later ones are remembered.
    pub initial: Mode,
    /// Confidence at which BALANCED acts alone.
    pub balanced_at: f64,
    /// Confidence at which AGGRESSIVE acts alone.
    pub aggressive_at: f64,
}

/// `[weights]`, each 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // one field a family; `model::Family` says what each is
pub struct Weights {
    pub lineage: f64,
    pub outbound: f64,
    pub files: f64,
    pub auth: f64,
    pub web: f64,
    pub rule: f64,
    pub anomaly: f64,
    pub tools: f64,
}

/// `[score]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// A signal counts half as much after this time.
    #[serde(with = "duration")]
    pub half_life: Duration,
    /// Signals further apart do not join.
    #[serde(with = "duration")]
    pub window: Duration,
}

/// `[posture]`, confidence from which the response may go further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostureThresholds {
    /// Reversible, narrow action.
    pub contain: f64,
    /// Reversible action on everything the incident names.
    pub aggressive_contain: f64,
    /// The whole host.
    pub lockdown: f64,
}

/// `[actions]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionLimits {
    /// Kinds that are switched off: neither done nor proposed, nor allowed to a person. What is alive of them ends as it would.
    pub off: Vec<bartizan_model::ActionKind>,
    /// Life of a freeze.
    #[serde(with = "duration")]
    pub freeze_for: Duration,
    /// Life of a block.
    #[serde(with = "duration")]
    pub block_for: Duration,
    /// A question that nobody answers lapses after this.
    #[serde(with = "duration")]
    pub question_lapses: Duration,
    /// A warrant that nobody uses lapses after this.
    #[serde(with = "duration")]
    pub warrant_lapses: Duration,
    /// Actions a minute that the agent begins alone.
    pub most_per_minute: u32,
    /// Actions alive at once.
    pub most_active: u32,
    /// Life of a rate limit.
    #[serde(with = "duration")]
    pub limit_for: Duration,
    /// Packets a second that a limited source may still send.
    pub limit_packets: u32,
    /// Life of containment mode.
    #[serde(with = "duration")]
    pub contain_for: Duration,
    /// Life of a container's isolation.
    #[serde(with = "duration")]
    pub isolate_for: Duration,
    /// Life of an account's lock.
    #[serde(with = "duration")]
    pub disable_for: Duration,
    /// A disruptive action is undone after this unless a person confirms it.
    #[serde(with = "duration")]
    pub confirm_within: Duration,
    /// What happens when somebody lets a frozen process go before its time.
    pub drifted_freeze: DriftPolicy,
}

/// What to do about an action that somebody undid by other means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// Do it again for the time that it still has, and raise the alarm.
    Reapply,
    /// Raise the alarm only.
    Alarm,
}

/// `[containment]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Containment {
    /// Addresses that may still be called.
    pub allow: Vec<std::net::IpAddr>,
    /// Whether package mirrors may.
    pub package_mirrors: bool,
    /// New inbound TCP connections a second, all together.
    pub connections_per_second: u32,
    /// Inbound UDP packets a second, all together.
    pub datagrams_per_second: u32,
    /// Between two steps of the release.
    #[serde(with = "duration")]
    pub release_step: Duration,
}

/// `[vitals]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vitals {
    /// Units that must be active.
    pub units: Vec<String>,
    /// Listeners that must be open: `tcp 443`.
    pub listeners: Vec<String>,
    /// What must be answered: `http://HOST/PATH`, `tcp HOST:PORT`.
    pub probes: Vec<String>,
    /// The name asked of every name server; empty: none is asked.
    pub resolve: String,
    /// How long one sign may take.
    #[serde(with = "duration")]
    pub within: Duration,
}

/// `[sentinel]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// Actions undone by their own health checks within ten minutes.
    pub most_undone: u32,
    /// Times that the same target is acted on within ten minutes.
    pub most_repeated: u32,
    /// How long automatic actions are paused.
    #[serde(with = "duration")]
    pub pause: Duration,
}

/// `[protected]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// Kinds of service.
    pub roles: Vec<bartizan_model::ServiceRole>,
    /// Paths of executables.
    pub exes: Vec<String>,
    /// User names.
    pub users: Vec<String>,
    /// Single addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// `[roles]`: names of executables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Web servers and the programs that run web applications.
    pub web: Vec<String>,
    /// A program that listens here is a web server, whatever its name.
    pub web_ports: Vec<u16>,
    /// Databases.
    pub database: Vec<String>,
    /// Mail servers.
    pub mail: Vec<String>,
    /// cron and its kin.
    pub scheduler: Vec<String>,
    /// dpkg, rpm and their kin.
    pub package_manager: Vec<String>,
    /// Docker, Podman and their kin.
    pub container_runtime: Vec<String>,
    /// Programs that keep watch or keep logs: who ends or stops one is told of.
    pub security: Vec<String>,
    /// Command interpreters for people.
    pub shells: Vec<String>,
    /// Programs that can be told to do anything.
    pub interpreters: Vec<String>,
}

/// `[listeners]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// Ports or executables that may begin to listen at any time.
    pub expected: Vec<String>,
}

/// `[credentials]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Secrets.
    pub files: Vec<String>,
    /// Names of programs in system directories that may open them.
    pub readers: Vec<String>,
}

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct PolicyError {
    /// Which file.
    pub file: String,
    /// Line, key, what is wrong, what to write.
    pub problem: String,
}

impl Policy {
    /// The built-in policy with the keys of `text` in place of its own; `file` is named in errors.
    ///
    /// # Errors
    /// [`PolicyError`] for unknown keys, wrong types and values out of range. Nothing is half taken over.
    pub fn parse(text: &str, file: &str) -> Result<Self, PolicyError> {
        let fail = |problem: String| PolicyError { file: file.to_owned(), problem };
        let mut merged: toml::Table = toml::from_str(DEFAULT).map_err(|e| fail(one_line(DEFAULT, &e)))?;
        let own: toml::Table = toml::from_str(text).map_err(|e| fail(one_line(text, &e)))?;
        for (section, value) in own {
            match (merged.get_mut(&section), value) {
                (Some(toml::Value::Table(base)), toml::Value::Table(own)) => base.extend(own),
                (_, value) => drop(merged.insert(section, value)),
            }
        }
        let policy = Self::deserialize(merged).map_err(|e| fail(located(text, &e)))?;
        policy_check::check(&policy).map_err(|objection| {
            let line = line_of_key(text, objection.section, objection.key).map_or_else(String::new, |line| format!("line {line}: "));
            fail(format!("{line}{}.{}: {}", objection.section, objection.key, objection.problem))
        })?;
        Ok(policy)
    }

    /// The built-in policy.
    ///
    /// # Errors
    /// Never in a released program; a test parses it.
    pub fn built_in() -> Result<Self, PolicyError> {
        Self::parse("", "built-in policy")
    }
}

/// An error of the merged table as one line, with the line of the user's text that it is about when that can be told.
fn located(text: &str, error: &toml::de::Error) -> String {
    let shown = error.to_string();
    let message = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    // The message ends with "in `section.key`" for a bad value, and holds "`key`" first for an unknown one.
    let place = message.rsplit_once("in `").and_then(|(_, place)| place.strip_suffix('`'));
    let unknown = message.split('`').nth(1).unwrap_or_default();
    let line = match place.map(|place| place.split_once('.')) {
        Some(Some((section, key))) => line_of_key(text, section, key).or_else(|| line_of_key(text, section, unknown)),
        Some(None) => place.and_then(|section| line_of_key(text, section, unknown)),
        None => None,
    };
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

/// The line of `key` in `[section]`, from 1.
fn line_of_key(text: &str, section: &str, key: &str) -> Option<usize> {
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            inside = header.split(']').next().map(str::trim) == Some(section);
        } else if inside && line.split('=').next().map(str::trim) == Some(key) {
            return Some(number + 1);
        }
    }
    None
}

/// Durations as people write them: `10m`, `1h 30m`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|e| serde::de::Error::custom(format!("\"{text}\" is not a duration ({e}): write 10m or 1h 30m")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_is_valid() {
        assert_eq!(Policy::built_in().unwrap().mode.initial, Mode::Paranoid);
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let policy = Policy::parse("[mode]\ninitial = \"balanced\"\n", "p.toml").unwrap();
        assert_eq!((policy.mode.initial, policy.mode.balanced_at), (Mode::Balanced, 0.85));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let problem = Policy::parse("[mode]\ninital = \"balanced\"\n", "p.toml").unwrap_err().to_string();
        assert!(problem.starts_with("p.toml: ") && problem.contains("inital"), "{problem}");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_one_line_with_its_place() {
        let cases = [
            ("[mode]\ninital = \"balanced\"\n", "p.toml: line 2: unknown field `inital`"),
            ("[weights]\n\nlineage = 1.5\n", "p.toml: line 3: weights.lineage: 1.5 is not between 0 and 1"),
            ("[weights]\nlineage = nan\n", "p.toml: line 2: weights.lineage: NaN is not between 0 and 1"),
            ("[weights]\nlineage = \"much\"\n", "p.toml: line 2: "),
            ("[posture]\ncontain = 0.9\n", "p.toml: posture.aggressive_contain: 0.85 is below posture.contain (0.9)"),
            ("[mode]\nbalanced_at = 0.7\n", "p.toml: mode.aggressive_at: 0.75 is above mode.balanced_at (0.7)"),
            ("[actions]\nblock_for = \"2days\"\n", "p.toml: line 2: actions.block_for: 2days is not between 1s and 1day"),
            ("[actions]\nblock_for = \"soon\"\n", "p.toml: line 2: \"soon\" is not a duration"),
            ("[credentials]\nfiles = [\"shadow\"]\n", "p.toml: line 2: credentials.files: \"shadow\" is not an absolute path"),
            ("[wieghts]\nlineage = 0.1\n", "p.toml: unknown field `wieghts`"),
            ("[weights\n", "p.toml: line 1: "),
        ];
        for (text, expected) in cases {
            let problem = Policy::parse(text, "p.toml").unwrap_err().to_string();
            assert!(problem.starts_with(expected) && !problem.contains('\n'), "{text:?}: {problem}");
        }
    }
}
