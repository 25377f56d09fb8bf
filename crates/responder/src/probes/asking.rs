//! Asks the signs, all at once: the kernel for what it knows by itself, services only for what is wanted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Responder;
use bartizan_config::signs::{DeclaredProbe, Listener};
use bartizan_guard::probes;
use bartizan_model::{Probe, ProbeKind, ProbeState};
use bartizan_outbound::probe;

/// Questions under way at once: those that hang (a name that does not resolve) end by themselves.
const MAX_ASKING: usize = 128;
/// Sessions that are asked for a sign of life at once.
const MAX_SESSIONS: usize = 32;
/// What the kernel tells without anybody being asked.
const OF_THE_KERNEL: [ProbeKind; 3] = [ProbeKind::OperatorConnection, ProbeKind::Listener, ProbeKind::SshServer];

static ASKING: AtomicUsize = AtomicUsize::new(0);

/// Which signs are asked beside what the kernel knows by itself.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// All, each in full.
    Everything,
    /// Those that this picks.
    Only(Picks<'a>),
    /// Those that this picks, and all others that can be asked without leaving a trace.
    Quietly(Picks<'a>),
}

/// Whether one sign, as it was known last, is to be asked.
pub(super) type Picks<'a> = &'a dyn Fn(&Probe) -> bool;

impl Asked<'_> {
    /// Asking an SSH server fills its log.
    fn service(self, last: &[Probe], kind: ProbeKind, name: &str) -> bool {
        let known = |picks: Picks<'_>| last.iter().any(|sign| (sign.kind, sign.name.as_str()) == (kind, name) && picks(sign));
        match self {
            Self::Everything => true,
            Self::Only(picks) => known(picks),
            Self::Quietly(picks) => kind != ProbeKind::SshServer || known(picks),
        }
    }

    /// In a quiet round only those of whom nobody could say later whether they had been alive.
    fn session(self, session: &probes::Session) -> bool {
        match self {
            Self::Everything => true,
            Self::Quietly(_) if session.is_hidden() => true,
            Self::Only(picks) | Self::Quietly(picks) => picks(&session.standing()),
        }
    }
}

pub(super) type Question = Box<dyn FnOnce() -> Probe + Send>;

impl Responder {
    /// Every sign, each asked in full.
    pub(crate) fn measure_all(&self) -> Vec<Probe> {
        self.measure(Asked::Everything)
    }

    /// The signs that are wanted, and all that the kernel knows by itself, each within its time. What is learned is kept.
    pub(super) fn measure(&self, asked: Asked<'_>) -> Vec<Probe> {
        let last = self.signs.before();
        let policy = self.context.policy();
        let within = policy.vitals.within.min(probes::LONGEST);
        let mut questions: Vec<(Probe, Question)> = Vec::new();
        let mut ask = |kind, name: String, question: Question| {
            if asked.service(&last, kind, &name) {
                questions.push((Probe::new(kind, name, ProbeState::Unknown, "no answer in time"), question));
            }
        };
        let servers = probes::ssh_servers();
        let mut longest = within;
        for server in servers.clone() {
            let name = server.standing().name;
            let patience = self.signs.patience(&name, within, probes::LONGEST);
            if asked.service(&last, ProbeKind::SshServer, &name) {
                longest = longest.max(patience);
            }
            ask(ProbeKind::SshServer, name, Box::new(move || probes::greets(&server, patience)));
        }
        for unit in &policy.vitals.units {
            let unit = unit.clone();
            ask(ProbeKind::Unit, unit.clone(), Box::new(move || probes::is_active(&unit, within)));
        }
        let name = policy.vitals.resolve.clone();
        for server in probes::resolvers().into_iter().filter(|_| !name.is_empty()) {
            let name = name.clone();
            ask(ProbeKind::Resolver, server.to_string(), Box::new(move || probes::ask_resolver(server, &name, within)));
        }
        for declared in policy.vitals.probes.iter().filter_map(|word| word.parse::<DeclaredProbe>().ok()) {
            ask(ProbeKind::Probe, declared.to_string(), Box::new(move || probed(&declared, within)));
        }
        let ports: Vec<u16> = servers.iter().map(|server| server.at().port()).chain([probes::SSH]).collect();
        let sessions = probes::sessions(&ports);
        for session in sessions.iter().take(MAX_SESSIONS).filter(|session| asked.session(session)) {
            longest = longest.max(probes::SESSION_PATIENCE);
            let (standing, session) = (session.standing(), session.clone());
            questions.push((standing, Box::new(move || session.answers())));
        }
        let asks_sessions = questions.iter().any(|(sign, _)| sign.kind == ProbeKind::OperatorConnection);
        let answers = all_at_once(questions, longest + within / 4);
        let declared: Vec<Listener> = policy.vitals.listeners.iter().filter_map(|word| word.parse().ok()).collect();
        let mut signs = probes::listeners(&declared);
        let unheard = |sign: &Probe| !answers.iter().any(|answer| answer.is_same(sign));
        // Who was there when it began may be gone by now.
        let there = if asks_sessions { probes::sessions(&ports) } else { sessions };
        signs.extend(there.iter().map(probes::Session::standing).filter(unheard));
        signs.extend(servers.iter().map(probes::SshServer::standing).filter(unheard));
        signs.extend(answers.into_iter().filter(|sign| sign.kind != ProbeKind::OperatorConnection || is_there(sign, &there)));
        self.signs.book().take(&signs, &OF_THE_KERNEL);
        signs
    }
}

fn is_there(sign: &Probe, sessions: &[probes::Session]) -> bool {
    sessions.iter().any(|session| session.name() == sign.name)
}

fn probed(declared: &DeclaredProbe, within: Duration) -> Probe {
    let (state, detail) = match probe::ask(declared, within) {
        Ok(detail) => (ProbeState::Well, detail),
        Err(why) => (ProbeState::Ill, why.escape_debug().to_string()),
    };
    let places = probe::addresses(declared);
    let here = places.iter().filter(|place| place.ip().is_loopback()).flat_map(|place| probes::holders_of_port(place.port()));
    Probe::new(ProbeKind::Probe, declared, state, detail).over(places.iter().map(|place| place.ip())).made_of(here)
}

/// Asks all questions at once; who does not answer in time is put down as not answering.
pub(super) fn all_at_once(questions: Vec<(Probe, Question)>, within: Duration) -> Vec<Probe> {
    let deadline = Instant::now() + within;
    let (sender, answers) = mpsc::channel();
    let mut signs = Vec::with_capacity(questions.len());
    for (at, (silence, question)) in questions.into_iter().enumerate() {
        signs.push(silence);
        if ASKING.fetch_add(1, Ordering::Relaxed) >= MAX_ASKING {
            ASKING.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let sender = sender.clone();
        let asked = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            // Nobody may be there to hear it any more.
            let _ = sender.send((at, question()));
            ASKING.fetch_sub(1, Ordering::Relaxed);
        });
        if asked.is_err() {
            ASKING.fetch_sub(1, Ordering::Relaxed);
        }
    }
    drop(sender);
    while let Ok((at, answer)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(sign) = signs.get_mut(at) {
            *sign = answer;
        }
    }
    signs
}
