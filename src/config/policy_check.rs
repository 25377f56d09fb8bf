//! Whether the values of a policy make sense: ranges, and thresholds in order.

use std::time::Duration;

use super::policy::Policy;

/// What is wrong with a policy: section, key, and what to write.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) problem: String,
}

/// The first value that makes no sense.
pub(super) fn check(policy: &Policy) -> Result<(), Objection> {
    shares(policy)?;
    order(policy)?;
    durations(policy)?;
    counts(policy)
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
    // Actions live at most a day (no permanent rules); a warrant at most five minutes (row G3).
    let all = [
        ("actions", "freeze_for", actions.freeze_for, DAY),
        ("actions", "block_for", actions.block_for, DAY),
        ("actions", "question_lapses", actions.question_lapses, 7 * DAY),
        ("actions", "warrant_lapses", actions.warrant_lapses, Duration::from_secs(300)),
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

fn counts(policy: &Policy) -> Result<(), Objection> {
    let actions = &policy.actions;
    for (key, value, most) in [("most_per_minute", actions.most_per_minute, 1000), ("most_active", actions.most_active, 4096)] {
        if value > most {
            return Err(Objection { section: "actions", key, problem: format!("{value} is not between 0 and {most}") });
        }
    }
    if let Some(path) = policy.credentials.files.iter().find(|path| !path.starts_with('/')) {
        let problem = format!("\"{}\" is not an absolute path: begin it with /", path.escape_debug());
        return Err(Objection { section: "credentials", key: "files", problem });
    }
    Ok(())
}
