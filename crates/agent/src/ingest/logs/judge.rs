//! Where a record of a log meets its detectors: one arm for each kind of record.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::attackers;
use super::signals::{self, Told};
use bartizan_config::Policy;
use bartizan_detect::detectors::jails::{JailHit, JailRule, Jails};
use bartizan_detect::detectors::logins::{Campaign, Finding, LoginDetectors, LoginMemory, happened};
use bartizan_detect::detectors::web::WebDetectors;
use bartizan_logs::{Origin, Record, What};
use bartizan_model::{Attacker, Event, HostText, LogLine, Signal, Timestamp};
use bartizan_worker::{At, JailMatch, LogRecord};

/// Findings that become signals within a second at most, and how many more of them at once: a flood of sources that each pass a threshold
/// is still counted, and each is named again when it goes on.
const EACH_SECOND: f64 = 50.0;
const AT_ONCE: f64 = 200.0;
/// Attacks of which lines are kept, lines of each, and sources that a sentence names.
const MAX_CAMPAIGNS: usize = 8;
const MAX_SAMPLES: usize = 3;
const MAX_WORST: usize = 8;

/// What outlives the agent.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    logins: LoginMemory,
    samples: VecDeque<(u64, Vec<LogLine>)>,
}

/// What the detectors of logs remember. The pipeline's thread alone has it.
#[derive(Debug)]
pub(crate) struct LogJudge {
    logins: LoginDetectors,
    web: WebDetectors,
    jails: Jails,
    /// Findings that may still become signals.
    allowance: f64,
    refilled: Option<Timestamp>,
    /// Findings that became none: only counted.
    spared: u64,
    /// Lines of the last attacks, by their numbers: what a person believes.
    samples: VecDeque<(u64, Vec<LogLine>)>,
    /// Something is remembered that the store does not have.
    unsaved: bool,
}

impl LogJudge {
    /// Goes on with what an earlier run remembered. `administrators` are no news at sudo.
    pub(crate) fn new(policy: &Policy, seed: u64, memory: Option<&str>, administrators: Vec<HostText>) -> Self {
        let memory: Option<Memory> = memory.and_then(|text| serde_json::from_str(text).ok());
        let (logins, samples) = match memory {
            Some(Memory { logins, samples }) => (LoginDetectors::recalling(policy, logins, administrators), samples),
            None => (LoginDetectors::new(policy, seed, administrators), VecDeque::new()),
        };
        let web = WebDetectors::new(policy, seed);
        Self { logins, web, jails: Jails::new(seed), allowance: AT_ONCE, refilled: None, spared: 0, samples, unsaved: false }
    }

    /// Takes changed thresholds over.
    pub(in super::super) fn set_policy(&mut self, policy: &Policy) {
        self.logins.set_policy(policy);
        self.web.set_policy(policy);
    }

    /// These jails of fail2ban count from now on.
    pub(in super::super) fn set_jails(&mut self, rules: Vec<JailRule>) {
        self.jails.set_rules(rules);
    }

    /// What a record says that is worth telling; it is `now`. More than one only where several jails match a line.
    pub(super) fn judge(&mut self, source: &HostText, at: &At<LogRecord>, now: Timestamp) -> Vec<Told> {
        let line = LogLine { source: source.clone(), offset: at.offset, text: at.line.clone() };
        let told: Vec<Told> = match &at.record {
            LogRecord::Auth(record) => self.login(record, line, now).into_iter().collect(),
            LogRecord::Request(request) => {
                let finding = self.web.observe(&request.access(), &request.attacks, now);
                self.on_the_web(&at.record, (finding, request.at), line, now).into_iter().collect()
            }
            LogRecord::Trouble(trouble) => {
                let finding = self.web.observe_error(&trouble.error(), now);
                self.on_the_web(&at.record, (finding, trouble.at), line, now).into_iter().collect()
            }
            LogRecord::Jails(matches) => matches.iter().filter_map(|one| self.jail(one, &line, now)).collect(),
        };
        if is_of_a_container(source) { told.into_iter().map(Told::without_consequence).collect() } else { told }
    }

    /// A line that the filter of a jail takes for a failure.
    fn jail(&mut self, one: &JailMatch, line: &LogLine, now: Timestamp) -> Option<Told> {
        let rule = self.jails.rule(&one.jail)?;
        let (web, terms) = (rule.web, (rule.name.clone(), rule.bantime));
        let JailMatch { jail, address, user, at, trusted, counted } = one;
        let hit = JailHit { jail, address: *address, user: user.as_ref(), at: *at, trusted: *trusted, counted: *counted };
        let finding = match web {
            true => self.web.observe_jail(&mut self.jails, &hit, now),
            false => self.logins.observe_jail(&mut self.jails, &hit, now),
        };
        let finding = finding.filter(|finding| !signals::is_one_of_many(finding) || self.may_tell(now))?;
        if let Some(number) = finding.campaign() {
            self.sample(number, line);
        }
        Some(signals::told_jail(one, web, terms, finding, line.clone(), happened(*at, now)))
    }

    /// What a process that executed something has to do with a request; `signals` is what detectors said of it.
    pub(in super::super) fn tree_changed(&mut self, event: &Event, signals: &[Signal]) -> Option<Signal> {
        let counting: Vec<Signal> = signals.iter().filter(|signal| signal.excepted.is_none()).cloned().collect();
        let mut signal = self.web.tree_changed(event, &counting)?.signal(event.id, event.at);
        signal.id.ordinal = u16::try_from(signals.len()).unwrap_or(u16::MAX);
        Some(signal)
    }

    fn on_the_web(
        &mut self,
        record: &LogRecord,
        (finding, stamped): (Option<Finding>, Option<Timestamp>),
        line: LogLine,
        now: Timestamp,
    ) -> Option<Told> {
        let finding = finding.filter(|finding| !signals::is_one_of_many(finding) || self.may_tell(now))?;
        if let Some(number) = finding.campaign() {
            self.sample(number, &line);
        }
        signals::told_web(record, finding, line, happened(stamped, now))
    }

    fn login(&mut self, record: &Record<HostText>, line: LogLine, now: Timestamp) -> Option<Told> {
        let finding = self.logins.observe(&record.raw(), now);
        let finding = finding.filter(|finding| !signals::is_one_of_many(finding) || self.may_tell(now));
        self.unsaved = true;
        let is_login = record.what == What::LoginAccepted && record.origin != Origin::Forged;
        if let Some(number) = finding.as_ref().and_then(Finding::campaign) {
            self.sample(number, &line);
        }
        // Of those who were refused, only whom a detector speaks of is told: the rest is a number.
        (finding.is_some() || is_login).then(|| signals::told(record, finding, line, happened(record.at, now)))
    }

    /// Keeps the newest lines of an attack.
    fn sample(&mut self, number: u64, line: &LogLine) {
        let place = self.samples.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
            if self.samples.len() >= MAX_CAMPAIGNS {
                self.samples.pop_front();
            }
            self.samples.push_back((number, Vec::new()));
            self.samples.len() - 1
        });
        if let Some((_, lines)) = self.samples.get_mut(place) {
            if lines.len() >= MAX_SAMPLES {
                lines.remove(0);
            }
            lines.push(line.clone());
        }
    }

    /// Everything a person wants to know of an attack of many sources.
    pub(super) fn described(&self, number: u64) -> Vec<String> {
        let Some(campaign) = self.campaign_of(number) else { return Vec::new() };
        let clock = |at: Option<Timestamp>| at.map_or_else(|| "unknown".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let mut out = vec![campaign.sentence(), format!("first {}, last {}", clock(campaign.first), clock(campaign.last))];
        let worst: Vec<String> = campaign.worst.iter().take(MAX_WORST).map(|(address, count)| format!("{address} ({count})")).collect();
        out.push(format!("worst sources: {}; `bartizan logs attackers` lists them all", worst.join(", ")));
        let lines = self.samples.iter().find(|(known, _)| *known == number).map(|(_, lines)| lines.as_slice()).unwrap_or_default();
        out.extend(lines.iter().map(|line| format!("line: {line}")));
        out
    }

    /// Whether one more finding may become a signal.
    fn may_tell(&mut self, now: Timestamp) -> bool {
        let passed = self.refilled.map_or(0.0, |then| now.signed_duration_since(then).as_seconds_f64().max(0.0));
        self.refilled = Some(now);
        self.allowance = (self.allowance + passed * EACH_SECOND).min(AT_ONCE);
        let may = self.allowance >= 1.0;
        if may {
            self.allowance -= 1.0
        } else {
            self.spared += 1
        }
        may
    }

    /// The attacks that are open: one of logins, one of the web.
    pub(super) fn open_campaigns(&self) -> impl Iterator<Item = Campaign> {
        self.logins.open_campaign().into_iter().chain(self.web.open_campaign())
    }

    /// The attack of this number, open or one of the last.
    pub(super) fn campaign_of(&self, number: u64) -> Option<Campaign> {
        self.logins.campaigns().into_iter().chain(self.web.campaigns()).find(|campaign| campaign.number == number)
    }

    /// The worst sources, of logins, on the web and by jails, each once.
    pub(super) fn attackers(&self, most: usize) -> Vec<Attacker> {
        attackers::merged(self.logins.attackers(most), self.web.clients(most), &self.jails, most)
    }

    /// Findings that came too fast to be told each, since the start.
    pub(super) fn spared(&self) -> u64 {
        self.spared
    }

    /// What the next run goes on with, if that has changed.
    pub(super) fn unsaved(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.unsaved) {
            return None;
        }
        serde_json::to_string(&Memory { logins: self.logins.remember(), samples: self.samples.clone() }).ok()
    }
}

/// Whether a container's runtime wrote the log: every process in the container may write any line into it, with any address.
fn is_of_a_container(source: &HostText) -> bool {
    ["docker:", "podman:", "/var/lib/docker/containers/", "/var/lib/containers/"].iter().any(|begin| source.starts_with(begin))
}
