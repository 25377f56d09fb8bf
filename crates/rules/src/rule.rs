//! One rule: what it says of itself, and the compiled form that is evaluated.

use bartizan_model::{Severity, Stage, Technique, Tier, sentence};
use rsigma_eval::CompiledRule;
use rsigma_parser::{CorrelationRule, Level, SigmaRule, Status};

use super::correlation::Correlation;
use super::{Route, attack, bounds, literals, reach, repair};

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pack {
    /// It is part of the program.
    BuiltIn,
    /// `/etc/bartizan/rules/`: the owner wrote it there.
    Host,
    /// Imported from elsewhere.
    Imported,
}

impl Pack {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Host => "host",
            Self::Imported => "imported",
        }
    }
}

/// A rule file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct BadRule {
    /// Which file.
    pub file: String,
    /// What is wrong with it, on one line. Safe to show.
    pub problem: String,
}

/// One rule. All texts are safe to show.
#[derive(Debug)]
pub struct Rule {
    /// Its short stable name: `name`, else `id`, else the file's name.
    pub key: String,
    /// Its UUID, where it has one.
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// What it detects, in the author's words.
    pub description: String,
    /// Who wrote it.
    pub author: String,
    /// The file that holds it.
    pub file: String,
    /// Where it comes from.
    pub pack: Pack,
    /// How bad its match is, by its `level`.
    pub severity: Severity,
    /// How sure a match is by itself, 0 to 1.
    pub confidence: f64,
    /// How far it is trusted.
    pub tier: Tier,
    /// ATT&CK techniques by its tags.
    pub techniques: Vec<Technique>,
    /// Where in an attack it stands, by its tags.
    pub stage: Stage,
    /// Who else does this without harm, by the author.
    pub false_positives: Vec<String>,
    /// What it is about; `None`: nothing that is sensed here.
    pub route: Option<Route>,
    /// Why it is not evaluated; `None`: it is.
    pub reason: Option<String>,
    /// What it asks for that no event has: the parts that need it never match.
    pub missing: Vec<String>,
    /// Of these literals one stands in every event that it matches; `None`: it meets every event of its route.
    pub(crate) literals: Option<Vec<String>>,
    pub(crate) compiled: Option<CompiledRule>,
    /// Of a rule about several events, what it asks for.
    pub(crate) correlation: Option<Correlation>,
    /// A correlation of the same file reports in its place.
    pub silent: bool,
}

impl Rule {
    /// Whether it is ready to be evaluated.
    pub fn compiled(&self) -> bool {
        self.compiled.is_some() || (self.correlation.is_some() && self.reason.is_none())
    }

    /// Whether it is about several events.
    pub fn is_correlation(&self) -> bool {
        self.correlation.is_some()
    }

    /// Whether `name` means this rule: its key or id.
    pub fn is_called(&self, name: &str) -> bool {
        self.key.eq_ignore_ascii_case(name) || self.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(name))
    }
}

/// The rules of one file.
///
/// # Errors
/// [`BadRule`] when anything in it cannot be parsed, is out of bounds or does not compile: a file is taken whole or not at all.
pub fn parse(file: &str, text: &str, pack: Pack) -> Result<Vec<Rule>, BadRule> {
    let file = shown(file, 200);
    let fail = |problem: &str| BadRule { file: file.clone(), problem: shown(problem, 300) };
    bounds::text(text).map_err(|problem| fail(&problem))?;
    let parsed = rsigma_parser::parse_sigma_yaml(text).map_err(|error| fail(&error.to_string()))?;
    if let Some(problem) = parsed.errors.first() {
        return Err(fail(problem));
    }
    let mut rules = Vec::new();
    for rule in parsed.rules {
        bounds::rule(&rule).map_err(|problem| fail(&problem))?;
        rules.push(loaded(rule, &file, pack).map_err(|problem| fail(&problem))?);
    }
    for correlation in parsed.correlations {
        rules.push(correlated(&correlation, &file, pack).map_err(|problem| fail(&problem))?);
    }
    if rules.is_empty() {
        return Err(fail("no rule in it"));
    }
    Ok(rules)
}

fn loaded(mut rule: SigmaRule, file: &str, pack: Pack) -> Result<Rule, String> {
    let key = key_of(rule.name.as_deref().or(rule.id.as_deref()).unwrap_or(stem(file)))?;
    repair::anchors(&mut rule);
    let compiled = rsigma_eval::compile_rule(&rule).map_err(|error| error.to_string())?;
    let (route, mut reason) = match Route::of(&rule.logsource) {
        Ok(route) => (Some(route), None),
        Err(reason) => (None, Some(reason)),
    };
    let reach = route.map(|route| reach::of(&rule.detection, route)).unwrap_or_default();
    let missing: Vec<String> = reach.missing.iter().map(|what| shown(what, 80)).collect();
    if route.is_some() && !reach.possible {
        reason = Some(format!("needs {}, which no sensor here provides", missing.join(" and ")));
    }
    let severity = severity(rule.level);
    let own = rule.custom_attributes.get("confidence").and_then(|value| value.as_f64()).map(|value| value.clamp(0.0, 1.0));
    let (tier, confidence) = trust(pack, rule.status, own, severity);
    Ok(Rule {
        key,
        id: rule.id.as_deref().map(|id| shown(id, 64)),
        title: shown(&rule.title, 120),
        description: shown(rule.description.as_deref().unwrap_or_default(), 1000),
        author: shown(rule.author.as_deref().unwrap_or_default(), 200),
        file: file.to_owned(),
        pack,
        severity,
        confidence,
        tier,
        techniques: attack::techniques(&rule.tags),
        stage: attack::stage(&rule.tags),
        false_positives: rule.falsepositives.iter().take(16).map(|one| shown(one, 200)).collect(),
        literals: route.and_then(|route| literals::of(&rule.detection, route)),
        compiled: reason.is_none().then_some(compiled),
        correlation: None,
        silent: false,
        route,
        reason,
        missing,
    })
}

fn stem(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yml").trim_end_matches(".yaml")
}

/// A rule about several events. Which rules it correlates is seen where all rules are known ([`super::RuleSet`]).
fn correlated(rule: &CorrelationRule, file: &str, pack: Pack) -> Result<Rule, String> {
    let key = key_of(rule.name.as_deref().or(rule.id.as_deref()).unwrap_or(stem(file)))?;
    let severity = severity(rule.level);
    let (correlation, reason) = match Correlation::of(rule) {
        Ok(correlation) => (Some(correlation), None),
        Err(reason) => (None, Some(reason)),
    };
    let own = rule.custom_attributes.get("confidence").and_then(|value| value.as_f64()).map(|value| value.clamp(0.0, 1.0));
    let (tier, confidence) = trust(pack, rule.status, own, severity);
    Ok(Rule {
        key,
        id: rule.id.as_deref().map(|id| shown(id, 64)),
        title: shown(&rule.title, 120),
        description: shown(rule.description.as_deref().unwrap_or_default(), 1000),
        author: shown(rule.author.as_deref().unwrap_or_default(), 200),
        file: file.to_owned(),
        pack,
        severity,
        confidence,
        tier,
        techniques: attack::techniques(&rule.tags),
        stage: attack::stage(&rule.tags),
        false_positives: rule.falsepositives.iter().take(16).map(|one| shown(one, 200)).collect(),
        route: None,
        reason,
        missing: Vec::new(),
        literals: None,
        compiled: None,
        correlation,
        silent: false,
    })
}

/// How far a rule is trusted, and how sure its match is: only our own say so themselves.
fn trust(pack: Pack, status: Option<Status>, own: Option<f64>, severity: Severity) -> (Tier, f64) {
    match pack {
        Pack::BuiltIn => (tier(status), own.unwrap_or(sure(severity))),
        Pack::Host | Pack::Imported => (Tier::Experimental, sure(severity)),
    }
}

fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Info,
        None | Some(Level::Low) => Severity::Low,
        Some(Level::Medium) => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}

/// How sure a match is where the rule does not say: Sigma's levels grade both harm and certainty.
fn sure(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 0.05,
        Severity::Low => 0.2,
        Severity::Medium => 0.4,
        Severity::High => 0.6,
        Severity::Critical => 0.8,
    }
}

fn tier(status: Option<Status>) -> Tier {
    match status {
        Some(Status::Stable) => Tier::Stable,
        Some(Status::Test) => Tier::Incubating,
        Some(Status::Experimental | Status::Deprecated | Status::Unsupported) | None => Tier::Experimental,
    }
}

fn key_of(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let key: String = name.chars().map(|c| if c == ' ' { '-' } else { c }).collect();
    let fits = !key.is_empty() && key.len() <= 80 && key.chars().all(plain);
    if fits {
        Ok(key)
    } else {
        Err(format!("its name {name:?} is not made of letters, digits, dots, hyphens and underscores (at most 80)"))
    }
}

/// On one line, bounded, safe to show.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(most).collect();
    sentence(&cut)
}
