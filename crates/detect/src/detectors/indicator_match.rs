//! Something here has to do with an address, a domain or a program that stands in an indicator list.
//!
//! A list is somebody else's word: it raises confidence and never acts alone. What merely knocks is not reported, however it is listed;
//! that a listed address is behind something that another detector reports is told beside it ([`IndicatorMatch::beside`]).

use std::collections::HashMap;
use std::net::IpAddr;

use bartizan_model::{
    Confidence, Entity, Event, EventKind, Family, Flow, Process, ProcessKey, Protocol, ServiceRole, Severity, Signal, SignalId, Stage,
    Technique, Tier, Timestamp, sentence,
};

use super::context::in_system_dir;
use super::detector_set::about;
use super::kinship::{by_person, clip, named, path, subject};
use super::{DetectorContext, Info};
use crate::indicators::{Indicators, Listed};

pub(super) static INFO: Info = Info {
    name: "indicator_match",
    title: "Match in an indicator list",
    technique: &["T1071"],
    family: Family::Tools,
    stage: Stage::CommandAndControl,
    tier: Tier::Incubating,
    severity: Severity::Medium,
    confidence: 0.6,
    meaning: "A program here connected to a listed address or domain, is itself listed by its SHA-256, or somebody logged in from a listed address. It raises the confidence of the incident that it belongs to, and never leads to an action.",
    false_positives: "Lists name shared hosting, content networks, former addresses of others and whatever somebody put there by mistake or on purpose; mail servers and name servers talk to listed hosts all day.",
    quiet: "Remove the line from the list, or except it: `bartizan exceptions add --of indicator_match --address NETWORK`.",
};

/// The same indicator in the same hands within this time is counted, not repeated.
const FOLD_FOR: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// Matches remembered. At the bound the stale ones go, else all: better told twice than never.
const MAX_TOLD: usize = 4096;
/// The ordinals of what is told beside other signals begin here, apart from those of detectors.
const BESIDE: u16 = 0x8000;
/// What a match proves in a person's own session, and where a service talks to listed hosts by its nature.
const ORDINARY: f64 = 0.2;
/// What it proves beside a signal of another detector.
const BESIDE_SURE: f64 = 0.4;
/// Ports of mail and of name servers.
const MAIL_PORTS: [u16; 3] = [25, 465, 587];
const NAME_PORTS: [u16; 2] = [53, 853];

/// The lists, and what was told of them lately.
#[derive(Debug, Default)]
pub(super) struct IndicatorMatch {
    lists: Indicators,
    told: HashMap<(String, String), Timestamp>,
    folded: u64,
}

/// One match, before it is a signal.
struct Match {
    sentence: String,
    indicator: String,
    severity: Severity,
    confidence: f64,
    stage: Stage,
    technique: &'static [&'static str],
    address: Option<IpAddr>,
}

impl IndicatorMatch {
    /// Takes other lists into use; what was told before stays told.
    pub(super) fn set(&mut self, lists: Indicators) {
        self.lists = lists;
    }

    /// Matches folded into earlier ones since start.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    /// The signals of an event, numbered from `first`.
    pub(super) fn observe(&mut self, event: &Event, context: &DetectorContext<'_>, first: usize) -> Vec<Signal> {
        if self.lists.is_empty() {
            return Vec::new();
        }
        let (mut signals, whose) = (Vec::new(), whose(event));
        for found in self.matches(event, context) {
            // What is graver is told although the same was told as ordinary.
            if self.is_repeat(format!("{} {}", found.indicator, found.severity), whose.clone(), event.at) {
                continue;
            }
            if let Some(addr) = found.address {
                // It need not be told again beside what this process is reported for.
                self.is_repeat(format!("{addr}"), whose.clone(), event.at);
            }
            signals.push(signal(event, context, found, first + signals.len()));
        }
        signals
    }

    fn matches(&self, event: &Event, context: &DetectorContext<'_>) -> Vec<Match> {
        let mut out = Vec::new();
        let process = event.process.as_deref();
        if let Some(process) = process.filter(|_| self.lists.has_digests()) {
            out.extend(process.exe_file.sha256.and_then(|digest| Some(program(process, &self.lists.digest(digest, event.at)?))));
        }
        match &event.kind {
            EventKind::Connect { net } => {
                let far = net.dst.filter(|dst| *dst != net.src);
                let listed = far.and_then(|far| self.lists.address(far, event.at));
                let by_name = || far.and(net.name.as_ref()).and_then(|name| self.lists.domain(&name.lossy(), event.at));
                out.extend(listed.or_else(by_name).map(|listed| connection(process, net, &listed, context)));
            }
            EventKind::LoginAccepted { auth } => {
                let listed = auth.from.and_then(|from| Some((from, self.lists.address(from, event.at)?)));
                out.extend(listed.map(|(from, listed)| login(&auth.to_string(), from, &listed)));
            }
            EventKind::Exec
            | EventKind::Fork
            | EventKind::Exit { .. }
            | EventKind::Listen { .. }
            | EventKind::Accept { .. }
            | EventKind::Close { .. }
            | EventKind::FileChange { .. }
            | EventKind::FileOpen { .. }
            | EventKind::PersistenceChange { .. }
            | EventKind::UserChange { .. }
            | EventKind::PrivilegeUse { .. }
            | EventKind::ContainerStart { .. }
            | EventKind::ContainerStop { .. }
            | EventKind::LoginFailed { .. }
            | EventKind::WebAttack { .. }
            | EventKind::Alarm { .. }
            | EventKind::Budget { .. }
            | EventKind::Loss { .. } => {}
        }
        out
    }

    /// What is told beside another detector's signal: an address that it is about is listed.
    pub(super) fn beside(&mut self, other: &Signal) -> Option<Signal> {
        if self.lists.is_empty() || other.family == Family::Tools || other.excepted.is_some() {
            return None;
        }
        let named = other.entities.iter().filter_map(|entity| if let Entity::Address(addr) = entity { Some(*addr) } else { None });
        let (addr, sentence) = other.hostile.into_iter().chain(named).find_map(|addr| {
            let listed = self.lists.address(addr, other.at)?;
            Some((addr, format!("{addr}, which {} reports, {}", other.detector, stands_in(&listed))))
        })?;
        let whose = other.subject.map_or_else(|| other.detector.clone(), of_process);
        if self.is_repeat(format!("{}", addr.to_canonical()), whose, other.at) {
            return None;
        }
        Some(Signal {
            id: SignalId { event: other.id.event, ordinal: BESIDE | other.id.ordinal },
            severity: Severity::Low,
            confidence: Confidence::new(BESIDE_SURE),
            stage: other.stage,
            subject: None,
            sentence,
            ..bare(other.id, other.at, other.entities.clone(), other.complete)
        })
    }

    fn is_repeat(&mut self, indicator: String, whose: String, at: Timestamp) -> bool {
        let fresh = |told: &Timestamp| at.signed_duration_since(*told).abs() < FOLD_FOR;
        let key = (indicator, whose);
        if self.told.get(&key).is_some_and(fresh) {
            self.folded += 1;
            return true;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.retain(|_, told| fresh(told));
            if self.told.len() >= MAX_TOLD {
                self.told.clear();
            }
        }
        self.told.insert(key, at);
        false
    }
}

/// Whose repeats are one: of a tree that grew from a service its highest process, else the program and its user. Nobody mutes a match
/// for another service or user.
fn whose(event: &Event) -> String {
    match event.process.as_deref() {
        None => String::new(),
        Some(process) if subject(process) != process.key => of_process(subject(process)),
        Some(process) => format!("{} {}", process.uid, path(&process.exe)),
    }
}

fn of_process(key: ProcessKey) -> String {
    key.to_string()
}

/// `stands in feodo.csv as 5.6.7.0/24 (source: https://..., of 2026-11-28)`.
fn stands_in(listed: &Listed<'_>) -> String {
    let list = listed.list;
    let source = list.source.as_ref().map(|source| format!("source: {source}, ")).unwrap_or_default();
    let file = clip(&sentence(list.name()), 80);
    format!("stands in {file} as {} ({source}of {})", clip(&sentence(&listed.indicator), 120), list.dated.format("%Y-%m-%d"))
}

fn connection(process: Option<&Process>, net: &Flow, listed: &Listed<'_>, context: &DetectorContext<'_>) -> Match {
    let who = process.map_or_else(|| "an unknown process".to_owned(), named);
    let to = match (net.dst.map(|dst| dst.to_canonical()), net.dport) {
        (Some(dst), Some(port)) => std::net::SocketAddr::from((dst, port)).to_string(),
        (Some(dst), None) => dst.to_string(),
        (None, _) => "an unknown address".to_owned(),
    };
    let name = net.name.as_ref().map(|name| format!(" ({})", clip(&name.escaped(), 120))).unwrap_or_default();
    let is_ordinary = process.is_some_and(|process| by_person(process) || talks_to_all(process, net, context));
    let (severity, confidence) = if is_ordinary { (Severity::Low, ORDINARY) } else { (INFO.severity, INFO.confidence) };
    Match {
        sentence: format!("{who} connected to {to}{name}, which {}", stands_in(listed)),
        indicator: listed.indicator.clone(),
        severity,
        confidence,
        stage: Stage::CommandAndControl,
        technique: INFO.technique,
        address: net.dst.map(|dst| dst.to_canonical()),
    }
}

/// A mail server delivers to, and a name server asks, whoever is named to it by strangers.
fn talks_to_all(process: &Process, net: &Flow, context: &DetectorContext<'_>) -> bool {
    let is = |role| process.lineage.root(role).is_some() && in_system_dir(&process.exe) && !context.could_be_anything(&process.exe);
    let port = net.dport.unwrap_or_default();
    let mail = is(ServiceRole::MailServer) && MAIL_PORTS.contains(&port);
    // The C library connects UDP sockets only to learn a source address, or to ask a name server.
    mail || (NAME_PORTS.contains(&port) && is(ServiceRole::NetworkService)) || (net.proto == Protocol::Udp && port == 0)
}

fn program(process: &Process, listed: &Listed<'_>) -> Match {
    let (severity, confidence, doubt) = match &process.package {
        Some(package) if in_system_dir(&process.exe) => {
            (Severity::Low, ORDINARY, format!("; it came with the package {}, so the list may be wrong", clip(&package.escaped(), 60)))
        }
        _ => (Severity::High, 0.7, String::new()),
    };
    Match {
        sentence: format!("{} runs {}, which {}{doubt}", named(process), path(&process.exe), stands_in(listed)),
        indicator: listed.indicator.clone(),
        severity,
        confidence,
        stage: Stage::Execution,
        technique: &["T1105"],
        address: None,
    }
}

fn login(who: &str, from: IpAddr, listed: &Listed<'_>) -> Match {
    Match {
        sentence: format!("login accepted: {}; {from} {}", clip(who, 160), stands_in(listed)),
        indicator: listed.indicator.clone(),
        severity: Severity::Medium,
        confidence: 0.5,
        stage: Stage::InitialAccess,
        technique: &["T1078"],
        address: Some(from.to_canonical()),
    }
}

/// What all of these signals have in common. They are nobody's act: what a list says of the far end is no part of what was done here.
fn bare(id: SignalId, at: Timestamp, entities: Vec<Entity>, complete: bool) -> Signal {
    Signal {
        id,
        at,
        detector: INFO.name.to_owned(),
        technique: INFO.technique.iter().map(|id| Technique::new(id)).collect(),
        severity: INFO.severity,
        confidence: Confidence::new(INFO.confidence),
        tier: INFO.tier,
        family: INFO.family,
        stage: INFO.stage,
        events: vec![id.event],
        entities,
        subject: None,
        act: None,
        hostile: None,
        sentence: String::new(),
        complete,
        excepted: None,
    }
}

fn signal(event: &Event, context: &DetectorContext<'_>, found: Match, ordinal: usize) -> Signal {
    let id = SignalId { event: event.id, ordinal: u16::try_from(ordinal).unwrap_or(BESIDE - 1) };
    let entities = about(event, found.address.map(Entity::Address).into_iter().collect(), found.severity, context);
    Signal {
        technique: found.technique.iter().map(|id| Technique::new(id)).collect(),
        severity: found.severity,
        confidence: Confidence::new(found.confidence),
        stage: found.stage,
        subject: event.process.as_deref().map(subject),
        sentence: found.sentence,
        ..bare(id, event.at, entities, event.complete)
    }
}

#[cfg(test)]
mod tests;
