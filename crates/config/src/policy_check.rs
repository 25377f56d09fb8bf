//! Whether the values of a policy make sense: ranges, and thresholds in order.

use std::time::Duration;

use super::baseline_policy;
use super::hold_policy;
use super::indicator_files;
use super::login_policy;
use super::policy::Policy;
use super::rule_policy;
use super::signs;
use super::switches;
use super::web_policy;

/// What is wrong with a policy: section, key, and what to write.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) problem: String,
}

/// The first of these counts (key, value, least, most) that is out of its bounds.
pub(super) fn within_counts(section: &'static str, counts: &[(&'static str, u32, u32, u32)]) -> Result<(), Objection> {
    match counts.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((key, value, least, most)) => Err(Objection { section, key, problem: format!("{value} is not between {least} and {most}") }),
        None => Ok(()),
    }
}

/// The first of these times (key, value, least, most) that is out of its bounds.
pub(super) fn within_times(section: &'static str, times: &[(&'static str, Duration, Duration, Duration)]) -> Result<(), Objection> {
    let shown = humantime::format_duration;
    match times.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((key, value, least, most)) => {
            let problem = format!("{} is not between {} and {}", shown(*value), shown(*least), shown(*most));
            Err(Objection { section, key, problem })
        }
        None => Ok(()),
    }
}

/// The first value that makes no sense.
pub(super) fn check(policy: &Policy) -> Result<(), Objection> {
    shares(policy)?;
    order(policy)?;
    durations(policy)?;
    counts(policy)?;
    login_policy::check(&policy.logins)?;
    hold_policy::check(&policy.holds)?;
    web_policy::check(&policy.web)?;
    switches::check(&policy.detectors)?;
    rule_policy::check(&policy.rules)?;
    indicator_files::check(&policy.indicators)?;
    baseline_policy::check(&policy.baseline)?;
    vitals(policy)
}

fn shares(policy: &Policy) -> Result<(), Objection> {
    let (mode, weights, posture) = (&policy.mode, &policy.weights, &policy.posture);
    let all = [
        ("mode", "balanced_at", mode.balanced_at),
        ("mode", "aggressive_at", mode.aggressive_at),
        ("weights", "lineage", weights.lineage),
        ("weights", "outbound", weights.outbound),
        ("weights", "files", weights.files),
        ("weights", "auth", weights.auth),
        ("weights", "web", weights.web),
        ("weights", "rule", weights.rule),
        ("weights", "anomaly", weights.anomaly),
        ("weights", "tools", weights.tools),
        ("posture", "contain", posture.contain),
        ("posture", "aggressive_contain", posture.aggressive_contain),
        ("posture", "lockdown", posture.lockdown),
    ];
    // NaN is in no range, so it is refused here too.
    match all.into_iter().find(|(_, _, value)| !(0.0..=1.0).contains(value)) {
        Some((section, key, value)) => Err(Objection { section, key, problem: format!("{value} is not between 0 and 1") }),
        None => Ok(()),
    }
}

fn order(policy: &Policy) -> Result<(), Objection> {
    let (mode, posture) = (&policy.mode, &policy.posture);
    if mode.aggressive_at > mode.balanced_at {
        let problem = format!(
            "{} is above mode.balanced_at ({}): AGGRESSIVE must act at least as early as BALANCED",
            mode.aggressive_at, mode.balanced_at
        );
        return Err(Objection { section: "mode", key: "aggressive_at", problem });
    }
    if posture.aggressive_contain < posture.contain {
        let problem = format!(
            "{} is below posture.contain ({}): each step must need at least the confidence of the one before",
            posture.aggressive_contain, posture.contain
        );
        return Err(Objection { section: "posture", key: "aggressive_contain", problem });
    }
    if posture.lockdown < posture.aggressive_contain {
        let problem = format!(
            "{} is below posture.aggressive_contain ({}): each step must need at least the confidence of the one before",
            posture.lockdown, posture.aggressive_contain
        );
        return Err(Objection { section: "posture", key: "lockdown", problem });
    }
    Ok(())
}

fn durations(policy: &Policy) -> Result<(), Objection> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (actions, score, second) = (&policy.actions, &policy.score, Duration::from_secs(1));
    // Actions live at most a day (no permanent rules); a warrant at most five minutes.
    let all = [
        ("actions", "freeze_for", actions.freeze_for, DAY),
        ("actions", "block_for", actions.block_for, DAY),
        ("actions", "question_lapses", actions.question_lapses, 7 * DAY),
        ("actions", "warrant_lapses", actions.warrant_lapses, Duration::from_secs(300)),
        ("actions", "limit_for", actions.limit_for, DAY),
        ("actions", "contain_for", actions.contain_for, DAY),
        ("actions", "isolate_for", actions.isolate_for, DAY),
        ("actions", "disable_for", actions.disable_for, DAY),
        ("actions", "confirm_within", actions.confirm_within, Duration::from_secs(3600)),
        ("containment", "release_step", policy.containment.release_step, Duration::from_secs(600)),
        ("sentinel", "pause", policy.sentinel.pause, DAY),
        ("score", "half_life", score.half_life, 7 * DAY),
        ("score", "window", score.window, 7 * DAY),
    ];
    match all.into_iter().find(|(_, _, value, most)| *value < second || value > most) {
        Some((section, key, value, most)) => {
            let (value, most) = (humantime::format_duration(value), humantime::format_duration(most));
            Err(Objection { section, key, problem: format!("{value} is not between 1s and {most}") })
        }
        None => Ok(()),
    }
}

/// Every word of `[vitals]` must be understood when it is written, not when an action depends on it.
fn vitals(policy: &Policy) -> Result<(), Objection> {
    let vitals = &policy.vitals;
    let object = |key| move |problem| Objection { section: "vitals", key, problem };
    for (key, many) in [("units", vitals.units.len()), ("listeners", vitals.listeners.len()), ("probes", vitals.probes.len())] {
        if many > signs::MOST {
            return Err(object(key)(format!("{many} of them: at most {} are looked at", signs::MOST)));
        }
    }
    vitals.units.iter().try_for_each(|unit| signs::unit(unit)).map_err(object("units"))?;
    vitals.listeners.iter().try_for_each(|word| word.parse::<signs::Listener>().map(drop)).map_err(object("listeners"))?;
    vitals.probes.iter().try_for_each(|word| word.parse::<signs::DeclaredProbe>().map(drop)).map_err(object("probes"))?;
    signs::name(&vitals.resolve).map_err(object("resolve"))
}

fn counts(policy: &Policy) -> Result<(), Objection> {
    let actions = &policy.actions;
    for (key, value, most) in [("most_per_minute", actions.most_per_minute, 1000), ("most_active", actions.most_active, 16_384)] {
        if value > most {
            return Err(Objection { section: "actions", key, problem: format!("{value} is not between 0 and {most}") });
        }
    }
    let containment = &policy.containment;
    let rates = [
        ("actions", "limit_packets", actions.limit_packets, 1_000_000),
        ("containment", "connections_per_second", containment.connections_per_second, 10_000),
        ("containment", "datagrams_per_second", containment.datagrams_per_second, 100_000),
        ("sentinel", "most_undone", policy.sentinel.most_undone, 1000),
        ("sentinel", "most_repeated", policy.sentinel.most_repeated, 1000),
    ];
    if let Some((section, key, value, most)) = rates.into_iter().find(|(_, _, value, most)| !(1..=*most).contains(value)) {
        return Err(Objection { section, key, problem: format!("{value} is not between 1 and {most}") });
    }
    if actions.confirm_within < Duration::from_secs(10) {
        let problem = format!("{} is not between 10s and 1h", humantime::format_duration(actions.confirm_within));
        return Err(Objection { section: "actions", key: "confirm_within", problem });
    }
    let within = policy.vitals.within;
    if !(Duration::from_millis(100)..=Duration::from_secs(10)).contains(&within) {
        let problem = format!("{} is not between 100ms and 10s", humantime::format_duration(within));
        return Err(Objection { section: "vitals", key: "within", problem });
    }
    if let Some(path) = policy.credentials.files.iter().find(|path| !path.starts_with('/')) {
        let problem = format!("\"{}\" is not an absolute path: begin it with /", path.escape_debug());
        return Err(Objection { section: "credentials", key: "files", problem });
    }
    Ok(())
}
