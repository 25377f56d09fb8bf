//! What is done to the guard's own processes, as the alarm that says so.

use std::sync::Arc;

use bartizan_model::{Alarm, AlarmKind, EventKind, Process, ServiceRole};

/// The alarm, when `target` is the agent or a process that it made (a watchdog) and `actor` is somebody else: the first
/// process, by which the service manager speaks, and the agent's own are nobody else.
pub(super) fn alarm(actor: Option<&Arc<Process>>, actor_pid: u32, target: &Process, did: &str) -> Option<EventKind> {
    let agent = target.lineage.root(ServiceRole::Agent)?;
    if actor_pid == 1 || actor.is_some_and(|actor| is_own(actor)) {
        return None;
    }
    let whom = if agent.key == target.key { "the agent" } else { "a watchdog of the agent" };
    let detail = format!("{did} {whom} (pid {})", target.pid).into();
    Some(EventKind::Alarm { alarm: Alarm { what: AlarmKind::AgentAttacked, detail, action: None, path: None } })
}

/// Whether the process is the agent, or one that it made.
pub(super) fn is_own(process: &Process) -> bool {
    process.lineage.root(ServiceRole::Agent).is_some()
}
