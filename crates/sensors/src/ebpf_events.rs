//! Records of the kernel programs into events, with the cache in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sockets::chosen_endpoint;
use super::{ProcessCache, false_names, guarding, kernel_settings};
use bartizan_model::{
    Event, EventId, EventKind, Flow, Namespaces, Privilege, PrivilegeKind, Process, Protocol, ServiceRole, Source, Timestamp,
};
use bartizan_sys::bpf::{Marks, RawEvent, Talk};
use bartizan_sys::sighting::{Image, Who};
use bartizan_sys::{clock, proc_files};

/// Listeners whose port must be looked up, each second: a program that only listens must not make us late for others.
const LOOKUPS: u32 = 32;

/// Tells events of what one ring reports.
pub(super) struct Emitter<'a> {
    cache: &'a ProcessCache,
    marks: &'a Marks,
    /// The namespaces of the host's first process.
    home: (Namespaces, u32),
    lookups: (Instant, u32),
}

impl<'a> Emitter<'a> {
    pub(super) fn new(cache: &'a ProcessCache, marks: &'a Marks) -> Self {
        // Some hosts let nobody look at their first process: then ours stand for the host's.
        let first = proc_files::who(1).filter(|first| first.namespaces.mnt != 0).or_else(|| proc_files::who(std::process::id()));
        let home = first.map(|first| (first.namespaces, first.netns)).unwrap_or_default();
        Self { cache, marks, home, lookups: (Instant::now(), LOOKUPS) }
    }

    /// Adds the events that one record tells of: its own first, then what follows from it.
    pub(super) fn tell(&mut self, raw: RawEvent, events: &mut Vec<Event>) {
        match raw {
            RawEvent::Exec(who, image) => self.exec(&who, image, events),
            RawEvent::Fork(who) => self.fork(&who, events),
            RawEvent::Exit { pid, start, at, exit } => {
                let process = self.cache.exit(pid, start, at);
                let complete = process.is_some();
                events.push(about(EventKind::Exit { exit }, clock::wall(at), process, complete));
            }
            RawEvent::Connect(_, net) if asks_for_a_route(&net) => {}
            RawEvent::Connect(who, net) => {
                let net = self.cache.enrichment().named(net);
                events.push(about(EventKind::Connect { net }, clock::wall(who.at), Some(self.cache.seen(&who)), true))
            }
            RawEvent::Listen(who, net) => self.listen(&who, net, events),
            RawEvent::Kill { who, target: (pid, start), signal } => {
                let target = self.cache.get(self.cache.key(pid, start));
                let privilege = Privilege {
                    target: Some(self.cache.key(pid, start)),
                    target_exe: target.as_ref().map(|target| target.exe.clone()),
                    target_uid: target.as_ref().map(|target| target.uid),
                    signal: Some(signal),
                    ..Privilege::new(PrivilegeKind::Kill)
                };
                let actor = self.cache.seen(&who);
                let sent = format!("sent signal {signal} to");
                let alarm = target.as_deref().and_then(|target| guarding::alarm(Some(&actor), who.pid, target, &sent));
                events.extend(alarm.map(|alarm| about(alarm, clock::wall(who.at), Some(actor), true)));
                self.privilege(&who, privilege, events);
            }
            RawEvent::Module(who, name) => {
                self.privilege(&who, Privilege { detail: Some(name), ..Privilege::new(PrivilegeKind::ModuleLoad) }, events);
            }
            RawEvent::IoUring(who) => self.privilege(&who, Privilege::new(PrivilegeKind::IoUring), events),
            RawEvent::Accept(talk) => {
                let (process, complete) = self.listener(&talk);
                let at = clock::wall(talk.at);
                events.push(about(EventKind::Accept { net: talk.net }, at, process, complete));
            }
            RawEvent::Close(talk) => self.close(talk, events),
            RawEvent::Setting(who, name, before, after) => {
                let told = kernel_settings::event_of(&name, &before, &after);
                events.extend(told.map(|kind| about(kind, clock::wall(who.at), Some(self.cache.seen(&who)), true)));
            }
            RawEvent::FalseName(who, name) => {
                events.extend(false_names::taken(name).map(|kind| about(kind, clock::wall(who.at), Some(self.cache.seen(&who)), true)));
            }
        }
    }

    fn exec(&mut self, who: &Who, image: Image, events: &mut Vec<Event>) {
        let complete = image.complete;
        let before = self.cache.get(self.cache.key(who.pid, who.start));
        let process = self.cache.exec(who, image);
        if !who.urgent {
            mark(&process, self.marks);
        }
        let at = process.since;
        events.push(about(EventKind::Exec, at, Some(Arc::clone(&process)), complete));
        events.extend(false_names::lie(&process).map(|lie| about(lie, at, Some(Arc::clone(&process)), true)));
        let Some(before) = before else { return };
        let gained = gained(&before, &process);
        if gained != 0 {
            let new_uid = (process.euid != process.uid).then_some(process.euid);
            let privilege = Privilege { gained: Some(gained), new_uid, ..Privilege::new(PrivilegeKind::CapabilityGain) };
            events.push(about(EventKind::PrivilegeUse { privilege }, at, Some(Arc::clone(&process)), true));
        }
        moved((&before, &process), self.home, at, events);
    }

    fn close(&self, talk: Talk, events: &mut Vec<Event>) {
        let (process, complete) = match talk.who {
            Some((pid, start)) => {
                let process = self.cache.get(self.cache.key(pid, start));
                let complete = process.is_some();
                (process, complete)
            }
            None if talk.traffic.inbound => self.listener(&talk),
            None => (None, false),
        };
        let net = if talk.traffic.inbound { talk.net } else { self.cache.enrichment().named(talk.net) };
        events.push(about(EventKind::Close { net, traffic: talk.traffic }, clock::wall(talk.at), process, complete));
    }

    /// Who accepted a connection, and whether that is certain.
    fn listener(&self, talk: &Talk) -> (Option<Arc<Process>>, bool) {
        match self.cache.listener_at(talk.netns, &talk.net) {
            Some((process, certain)) => (Some(process), certain),
            None => (None, false),
        }
    }

    fn fork(&mut self, who: &Who, events: &mut Vec<Event>) {
        let process = self.cache.fork(who);
        if !who.urgent {
            mark(&process, self.marks);
        }
        let complete = process.parent.is_some();
        let at = clock::wall(who.at);
        let creator = process.parent.and_then(|key| self.cache.get(key));
        events.push(about(EventKind::Fork, at, Some(Arc::clone(&process)), complete));
        if let Some(creator) = creator {
            moved((&creator, &process), self.home, at, events);
        }
    }

    fn listen(&mut self, who: &Who, net: Flow, events: &mut Vec<Event>) {
        let process = self.cache.seen(who);
        let net = self.endpoint(who.pid, net);
        self.cache.mark_listener(process.key, net.src, net.sport);
        self.cache.newly_facing().into_iter().for_each(|pid| self.marks.urgent(pid));
        let process = self.cache.get(process.key).unwrap_or(process);
        let complete = net.sport != 0;
        let unit = self.cache.enrichment().listening_unit(&process, &net);
        events.push(about(EventKind::Listen { net, unit }, clock::wall(who.at), Some(process), complete));
    }

    /// Listening without a bound port lets the kernel choose one just after its report.
    fn endpoint(&mut self, pid: u32, net: Flow) -> Flow {
        if self.lookups.0.elapsed() >= Duration::from_secs(1) {
            self.lookups = (Instant::now(), LOOKUPS);
        }
        if net.sport != 0 || self.lookups.1 == 0 {
            return net;
        }
        self.lookups.1 -= 1;
        chosen_endpoint(self.cache, pid).unwrap_or(net)
    }

    fn privilege(&self, who: &Who, privilege: Privilege, events: &mut Vec<Event>) {
        events.push(about(EventKind::PrivilegeUse { privilege }, clock::wall(who.at), Some(self.cache.seen(who)), true));
    }
}

/// getaddrinfo(3) connects a datagram socket that it never sends on, to learn which address it would use: `[::]:22` is nobody.
fn asks_for_a_route(net: &Flow) -> bool {
    net.proto == Protocol::Udp && net.dst.is_some_and(|dst| dst.to_canonical().is_unspecified())
}

/// Whoever is, or grows below, a service that strangers can talk to is urgent from now on; who keeps watch is guarded.
pub(super) fn mark(process: &Process, marks: &Marks) {
    if process.lineage.roots.is_empty() {
        return;
    }
    if process.lineage.network_facing().is_some() {
        marks.urgent(process.pid);
    }
    let keeps_watch = process.lineage.roots.iter().any(|root| root.key == process.key && root.role == ServiceRole::SecurityService);
    // The agent, and what it makes: the watchdogs that undo when it cannot.
    if keeps_watch || guarding::is_own(process) {
        marks.guard(process.pid);
    }
}

/// Capabilities that an exec gave. No tracepoint tells of setresuid(2), so a process that was last seen as root may have
/// laid everything down since: when it comes back by a set-user-id program, all that it has now is gained.
fn gained(before: &Process, after: &Process) -> u64 {
    let laid_down = before.uid != after.uid && after.euid != after.uid;
    after.capabilities & !if laid_down { 0 } else { before.capabilities }
}

/// A process that now stands in other namespaces than before made or entered them. There is no tracepoint for
/// unshare(2) and setns(2) that would not tax every system call; the next fork or exec gives them away.
fn moved((before, after): (&Process, &Arc<Process>), home: (Namespaces, u32), at: Timestamp, events: &mut Vec<Event>) {
    let names = changed_namespaces(before, after, home);
    if names.is_empty() {
        return;
    }
    let privilege = Privilege { detail: Some(names.join(", ").into()), ..Privilege::new(PrivilegeKind::Namespace) };
    events.push(about(EventKind::PrivilegeUse { privilege }, at, Some(Arc::clone(after)), true));
}

fn changed_namespaces(before: &Process, after: &Process, (home, home_net): (Namespaces, u32)) -> Vec<String> {
    let (then, now) = (before.namespaces, after.namespaces);
    let all = [
        ("mnt", then.mnt, now.mnt, home.mnt),
        ("pid", then.pid, now.pid, home.pid),
        ("user", then.user, now.user, home.user),
        ("net", before.netns, after.netns, home_net),
    ];
    let changed = all.into_iter().filter(|(_, then, now, _)| *then != 0 && *now != 0 && then != now);
    changed.map(|(name, _, now, home)| if now == home { format!("{name} (the host's)") } else { name.to_owned() }).collect()
}

fn about(kind: EventKind, at: Timestamp, process: Option<Arc<Process>>, complete: bool) -> Event {
    Event { id: EventId(0), at, kind, process, source: Source::Ebpf, complete }
}
