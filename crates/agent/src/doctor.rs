//! The self-test: what was tried on this host and what came of it, and how the running agent is.

use chrono::TimeDelta;

use crate::parts::Parts;
use crate::{health, indicator_lists, policy_words, switches};
use bartizan_config::Settings;
use bartizan_enforce::probes;
use bartizan_model::{BlindSpot, Check, CheckState, Health, HopDrops, Rung, SinkRow, SinkState, Timestamp};
use bartizan_sys::bpf;
use bartizan_sys::probe::{self, Grounds};

/// Gaps named in one line.
const GAPS_NAMED: usize = 4;
const LOSS_MEND: &str = "incidents over that time are marked incomplete; raise the lane sizes in agent.toml";

/// Tries every sensor, enforcer and dependency; changes nothing.
pub fn probe(settings: &Settings) -> Vec<Check> {
    let load_bpf = || bpf::Sensor::load().map(|_| "loaded and unloaded".to_owned()).map_err(|error| error.to_string());
    let mut checks = vec![policy_words::check(&settings.policy), indicator_lists::check(settings, chrono::Utc::now())];
    checks.extend(probe::all(&Grounds { data: &settings.data, bpf_object: bpf::ORIGIN, load_bpf: &load_bpf, enforcers: &probes::all }));
    checks
}

/// The same from inside the agent, and how its own parts are.
pub(super) fn examine(parts: &Parts) -> Vec<Check> {
    let health = health::measure(parts);
    let mut checks = vec![agent(&health), sensors(parts, &health), coverage(&health), losses(parts), logs(&health), alerts(parts)];
    checks.extend(health.blind_spots.iter().map(blind_spot));
    // The policy's words, the indicator lists and what is switched off have checks of their own below.
    for (name, trouble) in parts
        .troubles
        .all()
        .into_iter()
        .filter(|(name, _)| name != policy_words::POLICY_WORDS && name != indicator_lists::INDICATORS && name != switches::SWITCHED_OFF)
    {
        checks.push(Check { name, state: CheckState::Degraded, detail: trouble, mend: "it is tried again by itself".to_owned() });
    }
    checks.push(switches::check(parts.troubles.all().remove(switches::SWITCHED_OFF)));
    checks.push(settings(&parts.settings));
    checks.extend(probe(&parts.settings));
    checks
}

fn agent(health: &Health) -> Check {
    Check {
        name: "agent".to_owned(),
        state: CheckState::Works,
        detail: format!("pid {}, {} events seen", health.pid, health.events_total),
        mend: String::new(),
    }
}

/// Which rung, and why no better one.
fn sensors(parts: &Parts, health: &Health) -> Check {
    let object = if health.rung == Rung::Ebpf { format!(" ({} object)", health.bpf_object) } else { String::new() };
    let refused: Vec<String> = parts.ladder.refused().into_iter().map(|(rung, why)| format!("{}: {why}", rung.noun())).collect();
    let (state, why, mend) = match (health.rung, parts.ladder.is_forced()) {
        (Rung::Ebpf, _) => (CheckState::Works, String::new(), ""),
        (_, true) => (CheckState::Degraded, "; better ones are not tried, this one was asked for".to_owned(), "set rung = \"auto\""),
        (_, false) => {
            (CheckState::Degraded, format!("; better ones are refused: {}", refused.join("; ")), "they are tried again by themselves")
        }
    };
    Check { name: "sensors".to_owned(), state, detail: format!("{}{object}{why}", health.rung.noun()), mend: mend.to_owned() }
}

/// Since when, and what is missing before.
fn coverage(health: &Health) -> Check {
    let clock = |at: Timestamp| at.format("%Y-%m-%d %H:%M:%S").to_string();
    let newest = health.gaps.iter().rev().take(GAPS_NAMED).map(|gap| {
        let from = if gap.is_from_ever() { "ever".to_owned() } else { clock(gap.from) };
        let lost = if gap.count > 0 { format!("{} events ", gap.count) } else { String::new() };
        format!("{from} to {} {lost}{}", clock(gap.to), gap.why)
    });
    let newest: Vec<String> = newest.collect();
    let more = health.gaps.len().saturating_sub(newest.len());
    let more = if more > 0 { format!(", and {more} before (`bartizan status` has them)") } else { String::new() };
    let lossy = health.gaps.iter().any(|gap| gap.count > 0 && health.at - gap.to < TimeDelta::hours(1));
    Check {
        name: "coverage".to_owned(),
        state: if lossy { CheckState::Degraded } else { CheckState::Works },
        detail: format!("watching without a gap since {} UTC; gaps: {}{more}", clock(health.watching_since), newest.join(", ")),
        mend: if lossy { LOSS_MEND.to_owned() } else { String::new() },
    }
}

/// Which logs are read, and which are not though they should be.
fn logs(health: &Health) -> Check {
    let dead: Vec<_> = health.logs.iter().filter(|log| log.state.is_dead()).collect();
    let named = dead.iter().take(GAPS_NAMED).map(|log| {
        let why = log.trouble.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{} is {}{why}", log.name, log.state)
    });
    let named: Vec<String> = named.collect();
    let read = health.logs.iter().filter(|log| log.state.is_read()).count();
    let troubled = if named.is_empty() { String::new() } else { format!("; {}", named.join("; ")) };
    let (state, mend) = match (dead.is_empty(), read) {
        (true, 1..) => (CheckState::Works, ""),
        (true, 0) => (CheckState::Degraded, "no log was found: name one in agent.toml with [[logs]]"),
        (false, _) => (CheckState::Degraded, "`bartizan logs` says what is wrong; off = true in [[logs]] leaves a log alone"),
    };
    Check { name: "logs".to_owned(), state, detail: format!("{read} followed{troubled}"), mend: mend.to_owned() }
}

/// How those are who are told elsewhere.
fn alerts(parts: &Parts) -> Check {
    let rows = parts.alerts.rows();
    let is_ill = rows.iter().any(|row| matches!(row.state, SinkState::Failing | SinkState::Lost));
    let told = |row: &SinkRow| {
        let why = row.error.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{} {}{why}, {} waiting, {} given up", row.name, row.state.name(), row.waiting, row.given_up)
    };
    let detail = rows.iter().map(told).collect::<Vec<_>>().join("; ");
    Check {
        name: "alerts".to_owned(),
        state: if is_ill { CheckState::Degraded } else { CheckState::Works },
        detail: if rows.is_empty() { "no sink is configured: only the console shows alerts".to_owned() } else { detail },
        mend: if is_ill { "`bartizan alerts test` shows what each answers".to_owned() } else { String::new() },
    }
}

fn blind_spot(spot: &BlindSpot) -> Check {
    let (name, state) = ("blind spot".to_owned(), CheckState::Degraded);
    Check { name, state, detail: format!("{}: {}", spot.what, spot.why), mend: spot.mend.clone() }
}

fn losses(parts: &Parts) -> Check {
    let hops = health::hops(parts);
    let lost: u64 = hops.iter().map(HopDrops::lost).sum();
    let where_lost: Vec<String> = hops.iter().filter(|hop| hop.lost() > 0).map(|hop| format!("{} at {}", hop.lost(), hop.hop)).collect();
    Check {
        name: "losses".to_owned(),
        state: if lost == 0 { CheckState::Works } else { CheckState::Degraded },
        detail: if lost == 0 { format!("none at {} hops", hops.len()) } else { where_lost.join(", ") },
        mend: if lost == 0 { String::new() } else { LOSS_MEND.to_owned() },
    }
}

/// Which settings are not the built-in ones, and where they came from.
fn settings(settings: &Settings) -> Check {
    let own: Vec<String> = settings.describe().into_iter().filter(|line| !line.ends_with("(default)")).collect();
    let detail = if own.is_empty() { "all built-in".to_owned() } else { own.join("; ") };
    Check { name: "settings".to_owned(), state: CheckState::Works, detail, mend: String::new() }
}
