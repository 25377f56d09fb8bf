//! How the guard itself is: what it can see, what it lost, what it costs.

use chrono::TimeDelta;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FilesWatched, LogSource, Messages, Mode, Posture, Timestamp};

/// A step of the sensor ladder, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// eBPF programs: complete.
    Ebpf,
    /// Netlink process connector, sock_diag and /proc: short-lived processes may lack their arguments.
    ProcessConnector,
    /// Reading /proc twice a second: short-lived processes are missed.
    Procfs,
}

impl Rung {
    /// As people read it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Ebpf => "eBPF",
            Self::ProcessConnector => "process connector",
            Self::Procfs => "/proc polling",
        }
    }
}

/// Something the present sensors cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlindSpot {
    /// What is not seen.
    pub what: String,
    /// Why.
    pub why: String,
    /// What would mend it.
    pub mend: String,
}

/// What one hop lost since the agent started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopDrops {
    /// Where: `kernel-ring`, `lane-security`, `lane-normal`, `lane-bulk`, `store` ...
    pub hop: String,
    /// How many came in.
    pub received: u64,
    /// How many were lost.
    pub dropped: u64,
}

impl HopDrops {
    /// Events, incidents, questions and alerts lost here. A name or digest that was left out of an event, and an event that
    /// was judged but not archived to save, are told with the hop and are no loss; nor is a line that the next run reads
    /// again, or a finding that is in the counts of its attack.
    pub fn lost(&self) -> u64 {
        const NO_LOSS: [&str; 6] = ["executables", "resolver-answers", "containers", "archive-budget", "log-records", "log-findings"];
        if NO_LOSS.contains(&self.hop.as_str()) { 0 } else { self.dropped }
    }
}

/// A stretch of time in which events were missed, or nobody watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Nothing was missing up to here.
    pub from: Timestamp,
    /// Nothing is missing from here.
    pub to: Timestamp,
    /// Events known to be missing; 0 when nobody can tell how many.
    pub count: u64,
    /// Where they were lost, or why nobody watched.
    pub why: String,
}

impl Gap {
    /// Whether it has no beginning: nobody ever watched before its end.
    pub fn is_from_ever(&self) -> bool {
        self.from <= Timestamp::UNIX_EPOCH
    }
}

/// How well a stretch of time was watched, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Nothing is known to be missing.
    Wholly,
    /// Events were lost in it.
    Lossy,
    /// For a part of it at least nobody watched.
    Not,
    /// It lies before the first run or before everything that is still known.
    Unknown,
}

impl Watched {
    /// As one letter of text.
    pub fn letter(self) -> char {
        match self {
            Self::Wholly => '=',
            Self::Lossy => '!',
            Self::Not => 'x',
            Self::Unknown => '.',
        }
    }
}

/// What the agent may cost, and what it gives up to stay within.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Budget {
    /// Percent of one core, averaged over ten seconds.
    pub max_cpu_percent: f64,
    /// Resident bytes.
    pub max_rss_bytes: u64,
    /// How many steps are given up now; 0 is everything in service.
    pub level: u8,
    /// What is given up now, in words.
    pub given_up: Vec<String>,
}

/// How long urgent events took from the kernel to the detectors, since the agent started. Figures are at most an eighth
/// too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them took no longer, in microseconds.
    pub median_us: u64,
    /// 99 of 100 took no longer, in microseconds.
    pub p99_us: u64,
    /// How many there were.
    pub count: u64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("no detection yet");
        }
        let milliseconds = |us: u64| us as f64 / 1000.0;
        let (median, most) = (milliseconds(self.median_us), milliseconds(self.p99_us));
        write!(f, "{median:.2} ms from the kernel to the detector, 99 of 100 within {most:.1} ms, of {} told", self.count)
    }
}

/// How much there is of what a person looks for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Living processes.
    pub processes: u64,
    /// Incidents that nobody has dealt with.
    pub open_incidents: u64,
    /// Alerts that nobody has seen.
    pub new_alerts: u64,
    /// Questions that wait.
    pub pending_approvals: u64,
    /// Actions that may still have an effect.
    pub active_actions: u64,
    /// Those of them that are meant to be gone and could not be undone yet.
    #[serde(default)]
    pub undo_pending: u64,
}

/// What the agent tells of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Agent version.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// Since when it watches without a gap.
    pub watching_since: Timestamp,
    /// When this was measured.
    pub at: Timestamp,
    /// How much it may do alone.
    pub mode: Mode,
    /// How far the response has gone.
    pub posture: Posture,
    /// Which sensors are in use.
    pub rung: Rung,
    /// How the eBPF object was made: `built`, `prebuilt`, `none`.
    pub bpf_object: String,
    /// What cannot be seen.
    pub blind_spots: Vec<BlindSpot>,
    /// Loss at every hop.
    pub hops: Vec<HopDrops>,
    /// Events a second, over the last ten seconds.
    pub events_per_second: f64,
    /// Events since start.
    pub events_total: u64,
    /// Own CPU, percent of one core, over the last ten seconds.
    pub cpu_percent: f64,
    /// Own resident memory in bytes.
    pub rss_bytes: u64,
    /// Database size in bytes.
    pub store_bytes: u64,
    /// Whether the baseline is still being learnt, 0 to 1; absent until learning exists.
    pub learning: Option<f64>,
    /// How much there is.
    #[serde(default)]
    pub counts: Counts,
    /// The latest gaps in what was watched, oldest first.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// The logs that are followed, without lines of them.
    #[serde(default)]
    pub logs: Vec<LogSource>,
    /// What the agent may cost and what it gives up for it.
    #[serde(default)]
    pub budget: Budget,
    /// How long events of which a detector spoke took from the kernel to it.
    #[serde(default)]
    pub urgent_latency: Latency,
    /// How the files of the baseline are watched.
    #[serde(default)]
    pub files: FilesWatched,
    /// What became of messages to people who are not at the console.
    #[serde(default)]
    pub messages: Messages,
    /// Parts that do not work and what to do, one line each.
    pub degraded: Vec<String>,
}

impl Health {
    /// What was lost at all hops, the one number that every view shows.
    pub fn lost(&self) -> u64 {
        self.hops.iter().map(HopDrops::lost).sum()
    }

    /// How well the time from `from` to before `to` was watched.
    pub fn watched(&self, from: Timestamp, to: Timestamp) -> Watched {
        // Before the first run nobody had promised to watch: that is no gap to be alarmed about.
        let first_run = self.gaps.iter().filter(|gap| gap.is_from_ever()).map(|gap| gap.to).max();
        let known = first_run.or_else(|| self.gaps.iter().map(|gap| gap.from).min()).unwrap_or(self.watching_since);
        if to <= known {
            return Watched::Unknown;
        }
        let touching = self.gaps.iter().filter(|gap| !gap.is_from_ever() && gap.from < to && gap.to >= from);
        let worst = touching.map(|gap| if gap.count > 0 { Watched::Lossy } else { Watched::Not }).max();
        worst.unwrap_or(Watched::Wholly)
    }

    /// The hour before `at` in so many equal parts, oldest first.
    pub fn last_hour(&self, at: Timestamp, parts: u16) -> Vec<Watched> {
        let edge = |part: u16| at - TimeDelta::seconds(3_600 * i64::from(parts - part) / i64::from(parts.max(1)));
        (0..parts).map(|part| self.watched(edge(part), edge(part + 1))).collect()
    }
}

/// Outcome of one self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// It was tried and worked.
    Works,
    /// It was tried and works in part.
    Degraded,
    /// It was tried and does not work.
    Missing,
}

/// One self-test of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was tried.
    pub name: String,
    /// What came of it.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty when it works.
    pub mend: String,
}

/// What happened while no console was attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// When the last console left; absent when none ever was there.
    pub away_since: Option<Timestamp>,
    /// Events since then.
    pub events: u64,
    /// Incidents opened since then.
    pub incidents: u64,
    /// Alerts raised since then.
    pub alerts: u64,
    /// Actions taken since then.
    pub actions: u64,
    /// Questions that lapsed unanswered since then.
    pub lapsed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64, count: u64) -> Gap {
        Gap { from: at(from), to: at(to), count, why: String::new() }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn hour(gaps: Vec<Gap>, since: i64) -> String {
        let mut health: Health = serde_json::from_value(serde_json::json!({
            "version": "", "pid": 1, "host": "", "kernel": "", "watching_since": at(since), "at": at(60), "mode": "paranoid",
            "posture": "observe", "rung": "ebpf", "bpf_object": "", "blind_spots": [], "hops": [], "events_per_second": 0.0,
            "events_total": 0, "cpu_percent": 0.0, "rss_bytes": 0, "store_bytes": 0, "learning": null, "degraded": [],
        }))
        .unwrap();
        health.gaps = gaps;
        health.last_hour(health.at, 12).into_iter().map(Watched::letter).collect()
    }

    #[test]
    fn an_hour_shows_what_was_watched_and_what_was_not() {
        assert_eq!(hour(vec![], 30), "......======", "an agent that knows no gaps vouches only for itself");
        let ever = Gap { from: Timestamp::UNIX_EPOCH, ..gap(0, 20, 0) };
        assert!(ever.is_from_ever());
        assert_eq!(hour(vec![ever.clone()], 20), "....========", "before the first run there was nothing to miss");
        assert_eq!(hour(vec![ever.clone(), gap(26, 27, 17), gap(41, 46, 0)], 46), "....=!==xx==");
        assert_eq!(hour(vec![ever, gap(26, 27, 17), gap(26, 27, 0)], 27), "....=x======", "the worse one shows");
        assert_eq!(hour(vec![gap(31, 32, 5)], 32), "......!=====", "what is before the oldest known gap is forgotten");
    }
}
