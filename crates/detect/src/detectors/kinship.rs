//! What a process's family tree says: who stands behind it, what excuses it, where to stop it.

use bartizan_model::{Ancestor, Entity, HostText, Process, ProcessKey, Root, ServiceRole};

use super::context::{DetectorContext, in_system_dir};

/// Ancestors named as entities at most.
const MAX_KIN: usize = 16;
/// A shell joins what it started within ten minutes of its own start, in clock ticks (100 a second).
const KIN_TICKS: u64 = 10 * 60 * 100;

/// Highest user id of accounts of the system, not of persons (login.defs(5), SYS_UID_MAX); nobody has 65534.
const LAST_SYSTEM_ACCOUNT: u32 = 999;

/// What starts others on its own account, each thing for itself.
const STARTERS: [ServiceRole; 4] =
    [ServiceRole::Scheduler, ServiceRole::SshServer, ServiceRole::LoginSession, ServiceRole::ContainerRuntime];

/// Services in the tree that count, nearest first. init listens for others (socket units) and stands above
/// everything, so it says nothing.
fn services(process: &Process) -> impl DoubleEndedIterator<Item = &Root> {
    process.lineage.roots.iter().filter(|root| root.key.pid > 1)
}

/// Whether the root is the process as it is now (and not what it was before it executed something else).
fn is_itself(process: &Process, root: &Root) -> bool {
    root.key == process.key && root.exe == process.exe
}

/// The nearest service that strangers can talk to, the process itself included.
pub(super) fn network_facing(process: &Process) -> Option<&Root> {
    services(process).find(|root| root.role.is_network_facing())
}

/// The service that strangers can talk to from which this process grew; a web server before others, because it
/// is the most telling.
pub(super) fn grown_from(process: &Process) -> Option<&Root> {
    let above = || services(process).filter(|root| root.role.is_network_facing() && !is_itself(process, root));
    above().find(|root| root.role == ServiceRole::WebServer).or_else(|| above().next())
}

/// Whether one of these roles stands above with no service that strangers can talk to between it and the process,
/// **nor above it**: a fake `containerd-shim` or a real `sshd -i` that an intruder starts below a web server excuses
/// nothing. What the process is itself does not count.
fn is_excused(process: &Process, roles: &[ServiceRole]) -> bool {
    let mut above = services(process).filter(|root| !(is_itself(process, root) && root.role.is_network_facing()));
    above.find(|root| root.role.is_network_facing() || roles.contains(&root.role)).is_some_and(|root| roles.contains(&root.role))
        && grown_from(process).is_none()
}

/// A package manager at work, and one that lies where only root can put it: a false name in /tmp excuses nothing.
pub(super) fn by_package_manager(process: &Process) -> bool {
    is_excused(process, &[ServiceRole::PackageManager]) && is_real_package_manager(process)
}

/// A package manager that itself grew from a service: explains a shell in part, for its scripts are shells, and
/// not wholly, for it can be told to run anything (GTFOBins: `apt`, `dpkg`).
pub(super) fn package_manager_between(process: &Process) -> bool {
    services(process)
        .find(|root| root.role.is_network_facing() || root.role == ServiceRole::PackageManager)
        .is_some_and(|root| root.role == ServiceRole::PackageManager)
        && is_real_package_manager(process)
}

/// A manager in the hands of a person without rights (`apt-get` can be told to run anything) excuses nothing. One that
/// root runs drops to accounts of the system, as which it fetches and maintainer scripts start daemons.
fn is_real_package_manager(process: &Process) -> bool {
    let system = process.euid <= LAST_SYSTEM_ACCOUNT;
    system && process.container.is_none() && process.lineage.root(ServiceRole::PackageManager).is_some_and(|root| in_system_dir(&root.exe))
}

/// A person's own session, with no service between the person and the process.
pub(super) fn by_person(process: &Process) -> bool {
    is_excused(process, &[ServiceRole::LoginSession, ServiceRole::SshServer])
}

/// A container being started or entered, with no service between.
pub(super) fn by_container_runtime(process: &Process) -> bool {
    is_excused(process, &[ServiceRole::ContainerRuntime])
}

/// Bartizan's own work, with no service between.
pub(super) fn by_agent(process: &Process) -> bool {
    is_excused(process, &[ServiceRole::Agent])
}

fn login(process: &Process) -> Option<&Root> {
    process.lineage.root(ServiceRole::LoginSession).or_else(|| process.lineage.root(ServiceRole::SshServer))
}

/// Whether a session that somebody opened stands above; what the process is itself does not count.
pub(super) fn below_session(process: &Process) -> bool {
    let opens = |root: &&Root| matches!(root.role, ServiceRole::LoginSession | ServiceRole::SshServer);
    process.lineage.roots.iter().filter(opens).any(|root| !is_itself(process, root) && root.exe != process.exe)
}

/// Whether a person's session stands anywhere above.
pub(super) fn started_by_person(process: &Process) -> bool {
    login(process).is_some()
}

/// Where to stop it: the highest process that grew from the outermost service strangers can talk to, never the
/// service itself. Without such a service, the process.
pub(super) fn subject(process: &Process) -> ProcessKey {
    let Some(service) = services(process).rfind(|root| root.role.is_network_facing() && !is_itself(process, root)) else {
        return process.key;
    };
    let mut below = process.key;
    for ancestor in process.lineage.ancestors.iter() {
        if ancestor.key == service.key && ancestor.exe == service.exe {
            return below;
        }
        below = ancestor.key;
    }
    // The service stands above what is still known by name; the farthest known one is below it for certain.
    below
}

/// The highest process below what started it: below the outermost service that strangers can talk to, else below its
/// scheduler, session or container, else below init. All that one start brought about has the same.
///
/// # Errors
/// So much lies between that it is no longer known by name: the service itself.
pub(super) fn started_as(process: &Process) -> Result<ProcessKey, ProcessKey> {
    let other = |root: &&Root| !is_itself(process, root);
    let starter = services(process)
        .filter(other)
        .rfind(|root| root.role.is_network_facing())
        .or_else(|| services(process).filter(other).find(|root| STARTERS.contains(&root.role)));
    let mut below = process.key;
    for ancestor in process.lineage.ancestors.iter() {
        if ancestor.key.pid <= 1 || starter.is_some_and(|root| ancestor.key == root.key && ancestor.exe == root.exe) {
            return Ok(below);
        }
        below = ancestor.key;
    }
    if process.lineage.elided == 0 { Ok(below) } else { Err(starter.map_or(below, |root| root.key)) }
}

/// Whether the process is itself, as it is now, a service that strangers can talk to.
pub(super) fn is_service(process: &Process) -> bool {
    services(process).any(|root| root.role.is_network_facing() && is_itself(process, root))
}

/// The service that strangers can talk to from which it grew, by name: whose habit it may be.
pub(super) fn in_service_of(process: &Process) -> Option<ProcessKey> {
    services(process).filter(|root| !is_itself(process, root)).rfind(|root| root.role.is_network_facing()).map(|root| root.key)
}

/// What a signal about this process is about.
pub(super) fn entities(process: &Process, context: &DetectorContext<'_>) -> Vec<Entity> {
    let mut out = vec![Entity::Process(process.key)];
    let network_facing = services(process).filter(|root| root.role.is_network_facing());
    out.extend(network_facing.map(|root| Entity::Lineage(root.key)));
    if !started_by_person(process) || out.len() > 1 {
        // A shell that started a shell: one story. A person's own shell starts everything, so it joins nothing.
        let limit = login(process).map(|root| root.key);
        let kin = process.lineage.ancestors.iter().take(MAX_KIN).take_while(|ancestor| Some(ancestor.key) != limit);
        // A shell that has run for long has started many things that have nothing to do with each other.
        let recent = |ancestor: &Ancestor| process.key.start.saturating_sub(ancestor.key.start) <= KIN_TICKS;
        // init stands above everything and says nothing, also where it is a shell: busybox's, a container's entry point.
        let kin = kin.filter(|ancestor| ancestor.key != process.key && ancestor.key.pid > 1 && recent(ancestor));
        let kin = kin.filter(|ancestor| context.could_be_anything(&ancestor.exe));
        out.extend(kin.map(|ancestor| Entity::Process(ancestor.key)));
    }
    out.extend(process.container.clone().map(Entity::Container));
    out.extend(process.user.clone().filter(|_| process.uid != 0).map(Entity::User));
    out
}

/// `sh (pid 900)`. Safe to show.
pub(super) fn named(process: &Process) -> String {
    format!("{} (pid {})", clip(&process.name(), 60), process.pid)
}

/// `nginx (pid 812)`. Safe to show.
pub(super) fn named_root(root: &Root) -> String {
    format!("{} (pid {})", clip(&root.exe.last_part().escaped(), 60), root.key.pid)
}

/// The command line in quotes, cut to 120 characters. Safe to show.
pub(super) fn command(process: &Process) -> String {
    format!("\"{}\"", clip(&process.command(), 120))
}

/// A path, cut to 200 characters. Safe to show.
pub(super) fn path(path: &HostText) -> String {
    clip(&path.escaped(), 200)
}

/// At most `most` characters.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;

    #[test]
    fn a_package_manager_in_the_hands_of_a_person_without_rights_excuses_nothing() {
        let mut scene = Scene::new();
        let apt = scene.daemon("/usr/bin/apt-get install x");
        let script = scene.child(&apt, "/usr/bin/dash /var/lib/dpkg/info/x.postinst");
        let of = |uid: u32| by_package_manager(&Process { uid, euid: uid, ..script.clone() });
        assert_eq!([0, 42, 999, 1000, 65_534].map(of), [true, true, true, false, false]);
    }
}
