//! The registry of what is watched besides processes and sockets: one line a collector.

use std::sync::Arc;

use super::accounts::Accounts;
use super::attributes::Attributes;
use super::attribution::Attribution;
use super::containers::Containers;
use super::credentials::Credentials;
use super::executables::Executables;
use super::kernel_programs::KernelPrograms;
use super::mounts::Mounts;
use super::persistence::Persistence;
use super::places::Places;
use super::privilege::Privileges;
use super::resolver_names::ResolverNames;
use super::traces::Traces;
use super::{Collector, ProcessCache};
use bartizan_config::Policy;
use bartizan_model::BlindSpot;
use bartizan_sys::attribute_watch::AttributeWatch;
use bartizan_sys::bpf_loads::BpfLoads;
use bartizan_sys::bpf_programs;
use bartizan_sys::dns_tap::DnsTap;
use bartizan_sys::file_watch::FileWatch;
use bartizan_sys::mount_watch::MountWatch;
use bartizan_sys::proc_files;
use bartizan_sys::process_connector::PrivilegeEvents;

/// The collectors of files, accounts, secrets and privilege, and those that look into what others saw, each for a thread
/// of its own.
pub fn watch_collectors(policy: &Policy, places: &Places, cache: &Arc<ProcessCache>) -> Vec<Box<dyn Collector>> {
    let who = Attribution::from_cache(Arc::clone(cache));
    let mut collectors: Vec<Box<dyn Collector>> = vec![
        Box::new(Persistence::new(places.clone(), who.clone())),
        Box::new(Credentials::new(&policy.credentials.files, places.clone(), who.clone())),
        Box::new(Attributes::new(places.root(), who.clone())),
        Box::new(Traces::new(places.clone(), who.clone())),
        Box::new(Accounts::under(places.root(), who.clone())),
        Box::new(Privileges::new(who.clone())),
        Box::new(Mounts::new(who.clone())),
        Box::new(KernelPrograms::new(who)),
        Box::new(Executables::new(Arc::clone(cache), places.root())),
        Box::new(ResolverNames::new(Arc::clone(cache))),
    ];
    for runtime in Containers::all(places.root(), cache) {
        collectors.push(Box::new(runtime));
    }
    collectors
}

/// What these collectors cannot see on this host, found by trying.
pub fn watch_blind_spots() -> Vec<BlindSpot> {
    let spot = |what: &str, why: String, mend: &str| BlindSpot { what: what.to_owned(), why, mend: mend.to_owned() };
    // What no sensor of ours sees on any host: said all the same.
    let nowhere = "nothing in this version";
    let mut spots = vec![
        spot("mounts inside other mount namespaces", "the kernel reports one mount namespace at a time".to_owned(), nowhere),
        spot(
            "names of destinations resolved over TCP, TLS or HTTPS, or in another network namespace",
            "only plain DNS answers over UDP that reach this host are read".to_owned(),
            nowhere,
        ),
        spot(
            "processes that enter another namespace and then neither fork nor exec; IPC, UTS and cgroup namespaces",
            "unshare and setns have no tracepoint of their own; tracing them would slow down every system call".to_owned(),
            nowhere,
        ),
    ];
    spots.push(spot(
        "files that are created with a set-user-id bit at once, and chattr",
        "fanotify tells of neither; the program is seen when it gains its rights".to_owned(),
        nowhere,
    ));
    if let Some(why) = proc_files::hidden() {
        spots.push(spot(
            "processes of other users",
            why,
            "run as root, or mount /proc without hidepid, or with gid= of a group of the agent",
        ));
    }
    match FileWatch::open() {
        Ok(watch) if watch.tells_who() => {}
        Ok(watch) => {
            let why = format!("fanotify is refused ({}); inotify is used", watch.refused().unwrap_or_default());
            spots.push(spot(
                "which process changes the agent's own records, settings and unit",
                why.clone(),
                "run as root on Linux 5.9 or later",
            ));
            spots.push(spot("which process changes a start-up file or opens a credential file", why, "run as root on Linux 5.9 or later"));
        }
        Err(why) => spots.push(spot(
            "changes of start-up files, accounts and credential files",
            why.to_string(),
            "run as root, or raise fs.inotify.max_user_instances",
        )),
    }
    if let Err(why) = DnsTap::open() {
        let mend = "run as root, on a kernel with CONFIG_PACKET";
        spots.push(spot("names of destinations", format!("packet sockets are refused ({why})"), mend));
    }
    if let Err(why) = PrivilegeEvents::open() {
        let mend = "run as root in the initial namespaces, on a kernel with CONFIG_PROC_EVENTS";
        spots.push(spot("changes of user id and ptrace", format!("the process connector is refused ({why})"), mend));
    }
    match AttributeWatch::open() {
        Ok(watch) if watch.refused().is_empty() => {}
        Ok(watch) => {
            let mend = "nothing: their kind has no file handles that fanotify can report, or they wait for a process or another host";
            spots.push(spot("set-user-id bits, capabilities and owners of files on some file systems", watch.refused().join(", "), mend));
        }
        Err(why) => {
            let mend = "run as root on Linux 5.1 or later";
            spots.push(spot("set-user-id bits, capabilities and owners of files", format!("fanotify is refused ({why})"), mend));
        }
    }
    if let Err(why) = MountWatch::telling_who() {
        let why = format!("fanotify does not report mounts here ({why}); the mount table is compared instead");
        spots.push(spot("which process mounts and unmounts", why, "run as root on Linux 6.15 or later"));
    }
    if let Err(why) = bpf_programs::walk() {
        spots.push(spot("BPF programs that others load", format!("they cannot be listed ({why})"), "run as root (CAP_SYS_ADMIN)"));
    }
    if let Err(why) = BpfLoads::open() {
        let mend = "run as root (CAP_PERFMON), on a kernel with CONFIG_PERF_EVENTS";
        spots.push(spot("who loaded a BPF program that no process holds open", format!("perf events are refused ({why})"), mend));
    }
    spots
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::super::Stop;
    use super::super::test_bench::{Seen, root};
    use super::*;

    /// Every place of this very host can be watched; nothing on it is changed.
    #[test]
    fn the_host_itself_can_be_watched() {
        if !root() {
            return;
        }
        // What is mounted on the host that runs this test is its own affair.
        let spots: Vec<_> = watch_blind_spots().into_iter().filter(|spot| !spot.what.ends_with("on some file systems")).collect();
        assert_eq!(spots.len(), 4, "only what nobody sees: {spots:?}");
        let policy = Policy::built_in().unwrap();
        for mut collector in watch_collectors(&policy, &Places::under(Path::new("/")), &Arc::default()) {
            let (seen, stop, begun) = (Seen::default(), Stop::default(), Instant::now());
            stop.set();
            collector.run(&seen, &stop).unwrap();
            assert_eq!(*seen.lost.lock().unwrap(), 0, "{} could not watch everything", collector.name());
            assert!(begun.elapsed() < Duration::from_secs(10), "{} took {:?} to begin", collector.name(), begun.elapsed());
            eprintln!("{}: ready after {:?}", collector.name(), begun.elapsed());
        }
    }
}
