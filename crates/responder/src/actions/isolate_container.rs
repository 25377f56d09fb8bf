//! Cut a container off its networks, with exactly what puts it back, or pause it.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Act, ActError, ActionContext, ObservedState, expiry_record};
use crate::group_name;
use bartizan_enforce::containers::{Again, ContainerError, Endpoint, Isolate as _, Standing};
use bartizan_guard::watchdog::{self, Watchdog};
use bartizan_model::{Action, ActionId, ActionPlan, Alarm, AlarmKind, HostText, Isolation, Preview, Target, Timestamp};
use bartizan_sys::container_api::{ApiError, ContainerApi, runtimes};

pub(super) struct IsolateContainer;

/// What undoes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    name: String,
    socket: PathBuf,
    id: String,
    isolation: Isolation,
    /// Its networks before, in the order of its interfaces.
    endpoints: Vec<Endpoint>,
    watchdog: Option<Watchdog>,
}

fn container(target: &Target) -> Result<(&str, Isolation), ActError> {
    match target {
        Target::Container { id, isolation, .. } => Ok((id, *isolation)),
        _ => Err(ActError::Misfit("what is no container")),
    }
}

/// The runtime that knows it and how it stands.
fn find(id: &str) -> Result<(ContainerApi, Standing), ContainerError> {
    let mut trouble = None;
    for runtime in runtimes() {
        match runtime.standing(id) {
            // A name may look like an id: it must be the one that is meant.
            Ok(Some(standing)) if standing.id.starts_with(id) => return Ok((runtime, standing)),
            Ok(_) | Err(ApiError::Absent(..)) => {}
            Err(why) => trouble = Some(why),
        }
    }
    Err(trouble.map_or_else(|| ContainerError::Unknown(id.to_owned()), ContainerError::from))
}

/// The same, and it can be cut off like that.
fn can(id: &str, isolation: Isolation) -> Result<(ContainerApi, Standing), ContainerError> {
    let (api, standing) = find(id)?;
    let no_own =
        standing.endpoints.is_empty() || matches!(standing.mode.as_str(), "host" | "none") || standing.mode.starts_with("container:");
    match isolation {
        _ if !standing.running => Err(ContainerError::Stopped(standing.name)),
        Isolation::Pause if standing.paused => Err(ContainerError::PausedAlready(standing.name)),
        Isolation::Network if no_own => Err(ContainerError::NoOwnNetwork { name: standing.name, mode: standing.mode }),
        Isolation::Network | Isolation::Pause => Ok((api, standing)),
    }
}

/// "blue 10.1.0.7".
fn described(endpoint: &Endpoint) -> String {
    let addresses: Vec<String> = endpoint.address.iter().chain(&endpoint.address6).map(ToString::to_string).collect();
    format!("{} {}", endpoint.network.escape_debug(), addresses.join(" ")).trim_end().to_owned()
}

fn list(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(described).collect::<Vec<_>>().join(", ")
}

impl Snapshot {
    /// The addresses that the container had.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.endpoints.iter().flat_map(|endpoint| endpoint.address.into_iter().chain(endpoint.address6)).collect()
    }

    fn api(&self) -> Result<ContainerApi, ActError> {
        ContainerApi::behind(&self.socket).ok_or(ActError::Misfit("the socket of this snapshot"))
    }

    fn note(&self) -> Vec<u8> {
        let how = if self.isolation == Isolation::Pause { "pause" } else { "network" };
        let mut lines = vec!["container".to_owned(), self.socket.display().to_string(), self.id.clone(), how.to_owned()];
        lines.extend(self.endpoints.iter().map(|endpoint| endpoint.note_line(&self.id)));
        lines.push(String::new());
        lines.join("\n").into_bytes()
    }

    fn cut(&self, standing: &Standing) -> Result<(), ActError> {
        let api = self.api()?;
        match self.isolation {
            Isolation::Pause if standing.running && !standing.paused => api.pause(&self.id).map_err(ContainerError::from)?,
            Isolation::Pause => {}
            Isolation::Network => {
                for endpoint in &standing.endpoints {
                    api.disconnect(&self.id, &endpoint.id).map_err(ContainerError::from)?;
                }
            }
        }
        Ok(())
    }

    /// Its networks again, each as it was.
    fn reconnect(&self, api: &ContainerApi, standing: &Standing) -> Result<Vec<String>, ActError> {
        let mut done = Vec::new();
        for endpoint in self.endpoints.iter().filter(|was| !standing.endpoints.iter().any(|now| now.id == was.id)) {
            let network = endpoint.network.escape_debug();
            match api.connect_again(&self.id, endpoint).map_err(ContainerError::from)? {
                Again::AsItWas => done.push(format!("connected to {network} again")),
                Again::Elsewhere => done.push(format!("connected to {network} again, but with another address: its own is taken by now")),
                Again::Gone => done.push(format!("network {network} was removed meanwhile: not connected")),
            }
        }
        let Some(now) = api.standing(&self.id).map_err(ContainerError::from)? else { return Ok(done) };
        done.extend(self.endpoints.iter().filter_map(|was| moved(was, now.endpoints.iter().find(|now| now.id == was.id)?)));
        Ok(done)
    }
}

/// What came back otherwise: the runtime gives a new address where none was configured.
fn moved(was: &Endpoint, now: &Endpoint) -> Option<String> {
    // Of a stopped container no address is known.
    let same = now.address.is_none() && now.address6.is_none() || (was.address, was.address6) == (now.address, now.address6);
    (!same).then(|| format!("{} now instead of {}", described(now), described(was)))
}

impl Act for IsolateContainer {
    type Snapshot = Snapshot;

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (id, isolation) = container(plan.target())?;
        let (api, standing) = can(id, isolation)?;
        let (runtime, name, short) = (api.runtime(), &standing.name, standing.id.get(..12).unwrap_or_default());
        let mut steps = vec![expiry_record::foretold(context, plan.lasts())];
        let undo = match isolation {
            Isolation::Pause => {
                steps.push(format!("{runtime} pause {short}: each of its processes stops where it stands"));
                vec![format!("{runtime} unpause {short}")]
            }
            Isolation::Network => {
                let each = |endpoint: &Endpoint| format!("{runtime} network disconnect {} {short}", endpoint.network.escape_debug());
                steps.extend(standing.endpoints.iter().map(each));
                let back = |endpoint: &Endpoint| {
                    format!(
                        "{runtime} network connect {} {short}, address, MAC and aliases as now ({})",
                        endpoint.network.escape_debug(),
                        described(endpoint)
                    )
                };
                let numbers = "the runtime may number its interfaces anew (eth2 for eth0) until it is restarted".to_owned();
                standing.endpoints.iter().map(back).chain([numbers]).collect()
            }
        };
        let radius = match isolation {
            Isolation::Pause => format!("container {name} answers nobody while it is paused; its connections stay open and time out"),
            Isolation::Network => {
                format!("container {name} leaves {}; its open connections and published ports die", list(&standing.endpoints))
            }
        };
        Ok(Preview { steps, blast_radius: radius, undo, ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (container, isolation) = container(plan.target())?;
        let (api, standing) = can(container, isolation)?;
        let name = group_name(id, &context.instance);
        let endpoints = if isolation == Isolation::Network { standing.endpoints } else { Vec::new() };
        Ok(Snapshot { name, socket: api.socket().to_owned(), id: standing.id, isolation, endpoints, watchdog: None })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        context.may_touch(&action.target, by_person)?;
        // Again: a network may have come since it was planned, and what is cut must be known.
        let (_, standing) = can(&snapshot.id, snapshot.isolation)?;
        if snapshot.isolation == Isolation::Network {
            snapshot.endpoints.clone_from(&standing.endpoints);
            context.record::<IsolateContainer>(action, &snapshot)?;
        }
        snapshot.watchdog = Some(expiry_record::begin(context, &snapshot.name, action, &snapshot.note())?);
        snapshot.cut(&standing)?;
        Ok(snapshot)
    }

    fn verify(&self, _hand: &ActionContext, action: &Action, snapshot: &Self::Snapshot, now: Timestamp) -> Result<ObservedState, ActError> {
        let Some(standing) = snapshot.api()?.standing(&snapshot.id).map_err(ContainerError::from)? else {
            return Ok(ObservedState::Gone("the container was removed".into()));
        };
        let over = now >= action.ends_at();
        let sight = match snapshot.isolation {
            Isolation::Pause => paused(&standing),
            Isolation::Network => disconnected(&standing),
        };
        Ok(match sight {
            ObservedState::Drifted(_) if over => ObservedState::Gone("the watchdog ended it at its time".into()),
            ObservedState::Live(_) if !over && !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) => {
                ObservedState::Drifted("its watchdog is gone".into())
            }
            other => other,
        })
    }

    fn revert(&self, context: &ActionContext, _action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let api = snapshot.api()?;
        let done = match api.standing(&snapshot.id).map_err(ContainerError::from)? {
            None => vec!["the container was removed meanwhile: nothing to undo".to_owned()],
            Some(standing) => match snapshot.isolation {
                Isolation::Network => snapshot.reconnect(&api, &standing)?,
                // Whether we began at all is told by the watchdog, or by the note that was there before it.
                Isolation::Pause
                    if standing.paused && (snapshot.watchdog.is_some() || expiry_record::read(context, &snapshot.name).is_some()) =>
                {
                    api.unpause(&snapshot.id).map_err(ContainerError::from)?;
                    vec!["it runs on".to_owned()]
                }
                Isolation::Pause => Vec::new(),
            },
        };
        expiry_record::over(context, &snapshot.name, snapshot.watchdog.as_ref());
        Ok(done)
    }

    fn restore(&self, context: &ActionContext, action: &Action, _others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        Some(cut_again(context, action, now))
    }

    fn prolong(
        &self,
        context: &ActionContext,
        action: &Action,
        mut snapshot: Self::Snapshot,
        now: Timestamp,
    ) -> Result<Self::Snapshot, ActError> {
        snapshot.watchdog = Some(expiry_record::renew(context, &snapshot.name, action, snapshot.watchdog.as_ref(), now)?);
        Ok(snapshot)
    }
}

fn paused(standing: &Standing) -> ObservedState {
    if !standing.running {
        return ObservedState::Drifted("it was stopped, and is not paused when it is started again".into());
    }
    if !standing.paused {
        return ObservedState::Drifted("somebody lets it run".into());
    }
    match standing.frozen() {
        Some(false) => ObservedState::Drifted("the runtime calls it paused, but the kernel shows its group running".into()),
        Some(true) => ObservedState::Live(vec!["paused; the kernel shows its group frozen".to_owned()]),
        None => ObservedState::Live(vec!["paused, as the runtime says".to_owned()]),
    }
}

fn disconnected(standing: &Standing) -> ObservedState {
    if let Some(endpoint) = standing.endpoints.first() {
        return ObservedState::Drifted(format!("it is on network {} again", endpoint.network.escape_debug()));
    }
    match standing.interfaces() {
        Some(left) if !left.is_empty() => {
            ObservedState::Drifted(format!("on no network, but the kernel shows interface {} in it", left.join(", ").escape_debug()))
        }
        Some(_) => ObservedState::Live(vec!["on no network; the kernel shows only lo in its network namespace".to_owned()]),
        None => ObservedState::Live(vec!["on no network; it does not run".to_owned()]),
    }
}

/// Whatever drifted: it was let run or connected by somebody, restarted, or its watchdog is gone.
fn cut_again(context: &ActionContext, action: &Action, now: Timestamp) -> Result<(), ActError> {
    context.may_touch(&action.target, action.by.is_person())?;
    let mut snapshot = context.recorded::<IsolateContainer>(action)?;
    let Some(standing) = snapshot.api()?.standing(&snapshot.id).map_err(ContainerError::from)? else { return Ok(()) };
    let loose = match snapshot.isolation {
        Isolation::Pause => standing.running && !standing.paused,
        Isolation::Network => !standing.endpoints.is_empty(),
    };
    if loose {
        (context.alarm)(Alarm {
            what: AlarmKind::ActionUndone,
            detail: HostText::from(format!("container {} was let free while it was cut off", standing.name).as_str()),
            action: Some(action.id),
            path: None,
        });
        // A network that it was not on before is one that it goes back to as well.
        let new = |now: &&Endpoint| snapshot.isolation == Isolation::Network && !snapshot.endpoints.iter().any(|was| was.id == now.id);
        let added: Vec<Endpoint> = standing.endpoints.iter().filter(new).cloned().collect();
        if !added.is_empty() {
            snapshot.endpoints.extend(added);
            context.record::<IsolateContainer>(action, &snapshot)?;
            expiry_record::write(&expiry_record::note(context, &snapshot.name), &snapshot.note())?;
        }
        snapshot.cut(&standing)?;
    }
    if !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) {
        expiry_record::write(&expiry_record::note(context, &snapshot.name), &snapshot.note())?;
        snapshot.watchdog = Some(expiry_record::renew(context, &snapshot.name, action, None, now)?);
    }
    context.record::<IsolateContainer>(action, &snapshot)
}
