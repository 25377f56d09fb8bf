//! What an agent outside, with the best sensors, records of the host; and what each mode would do about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_config::Policy;
use bartizan_court::{Case, Court, NothingKnown, Ruling};
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::*;

use crate::support::agent::{Agent, Home};
use crate::world::ProcessCache;

/// Events read back at most.
const MOST: &str = "20000";

/// A recording that goes on: an agent in PARANOID, which does nothing alone.
pub struct Recording {
    home: &'static Home,
    agent: Agent<'static>,
    network: u64,
    init: u32,
}

/// What came of judging it.
#[derive(Default)]
pub struct Verdict {
    pub signals: Vec<String>,
    pub asked: HashSet<String>,
    pub acted: HashSet<String>,
}

impl Recording {
    pub fn begin(world: &ProcessCache) -> Self {
        let home: &'static Home = Box::leak(Box::new(Home::new(Some(&world.host.network))));
        let network = std::fs::read_link(format!("/proc/{}/ns/net", world.init)).unwrap();
        let network = network.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        Self { home, agent: home.start(), network, init: world.init }
    }

    /// Everything that happened on the host, oldest first, as if the host were all there is.
    pub fn end(self) -> Vec<Event> {
        // The store writes in bundles.
        std::thread::sleep(std::time::Duration::from_secs(2));
        let events = self.home.json(&["events", "--limit", MOST]);
        self.agent.stop();
        std::fs::remove_dir_all(self.home.directory.path()).unwrap();
        let ours = |event: &Event| event.process.as_ref().is_some_and(|process| u64::from(process.netns) == self.network);
        let mut events: Vec<Event> = events.into_iter().map(|event| serde_json::from_value(event).unwrap()).filter(ours).collect();
        events.sort_by_key(|event| event.id);
        for event in &mut events {
            event.process = event.process.take().map(|process| Arc::new(below_init(&process, self.init)));
        }
        events
    }
}

/// The process as its own host knows it: nothing stands above its pid 1.
fn below_init(process: &Process, init: u32) -> Process {
    let mut process = process.clone();
    let above = process.lineage.ancestors.iter().position(|ancestor| ancestor.key.pid == init);
    let known = above.map_or(process.lineage.ancestors.len(), |at| at + 1);
    let mut ancestors: Vec<Ancestor> = process.lineage.ancestors.iter().take(known).cloned().collect();
    // Roots above pid 1 are the machine's; of those below, each is an ancestor or the process itself.
    let inside: HashSet<ProcessKey> = ancestors.iter().map(|ancestor| ancestor.key).chain([process.key]).collect();
    let roots: Vec<Root> =
        process.lineage.roots.iter().filter(|root| inside.contains(&root.key) && root.key.pid != init).cloned().collect();
    if let Some(first) = ancestors.last_mut().filter(|last| last.key.pid == init) {
        first.key.pid = 1;
    }
    if above.is_some() {
        process.lineage.elided = 0;
    }
    (process.lineage.ancestors, process.lineage.roots) = (ancestors.into(), roots.into());
    process
}

/// Through panel, correlator and court, as the engine does.
pub fn judge(events: &[Event], mode: Mode) -> Verdict {
    let policy = Policy::built_in().unwrap();
    let (mut panel, mut correlator) = (DetectorSet::new(&policy, &[]), Correlator::new(&policy, IncidentId(1)));
    let mut court = Court::new(&policy, WarrantId(1));
    let (mut verdict, mut living) = (Verdict::default(), HashMap::<ProcessKey, Arc<Process>>::new());
    for event in events {
        let Some(process) = &event.process else { continue };
        match event.kind {
            EventKind::Exit { .. } => drop(living.remove(&process.key)),
            _ => drop(living.insert(process.key, Arc::clone(process))),
        }
        for signal in panel.observe(event) {
            verdict.signals.push(format!("{} {} {}", signal.detector, signal.confidence, signal.sentence));
            let incident = correlator.join(signal).incident;
            let below = |process: &&Arc<Process>| {
                let above = process.lineage.ancestors.iter().map(|ancestor| ancestor.key);
                incident.subject.is_some_and(|subject| process.key == subject || above.into_iter().any(|key| key == subject))
            };
            let tree: Vec<Arc<Process>> = living.values().filter(below).cloned().collect();
            let (proof, lifeline, now) = (correlator.proof(incident.id), Lifeline::default(), event.at);
            let (tree, active, connections, sources) = (tree.as_slice(), &[][..], &[][..], &NothingKnown);
            let case = Case { incident: &incident, proof: &proof, mode, lifeline: &lifeline, tree, active, connections, sources, now };
            for ruling in court.propose(&case) {
                match ruling {
                    Ruling::Act(warrant) => drop(verdict.acted.insert(format!("{}: {}", warrant.plan(), incident.sentence))),
                    Ruling::Ask { plan, .. } => drop(verdict.asked.insert(plan.to_string())),
                    Ruling::Refuse { .. } => {}
                }
            }
        }
    }
    verdict
}
