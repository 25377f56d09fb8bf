//! Letting a frozen tree run again: each process back in exactly its cgroup, else in the nearest one that takes it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::group::{self, Group};
use super::stopping::continue_stopped;
use super::{FreezeError, Freezer, Frozen, Member, Method, Place, file};
use bartizan_model::{HostText, ProcessKey};
use bartizan_sys::pidfd::{has_stop_pending, key_of};
use bartizan_sys::process_stat::Stat;

/// Who runs again, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thawed {
    /// In exactly the cgroup they came from.
    pub back: Vec<ProcessKey>,
    /// Where their own cgroup is gone or takes nobody: in this one.
    pub elsewhere: Vec<(ProcessKey, HostText)>,
    /// No cgroup takes them, or nobody knows where they came from: they run where they were held.
    pub stayed: Vec<ProcessKey>,
}

impl Thawed {
    /// How many run again.
    pub fn count(&self) -> usize {
        self.back.len() + self.elsewhere.len() + self.stayed.len()
    }

    /// Whether nobody was held.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// For people: "2 processes run again where they were; 1 process runs again in /system.slice, its own group is gone".
    pub fn words(&self) -> String {
        let run = |count: usize| if count == 1 { "1 process runs again".to_owned() } else { format!("{count} processes run again") };
        let mut parts = Vec::new();
        if !self.back.is_empty() || self.is_empty() {
            parts.push(format!("{} where {}", run(self.back.len()), if self.back.len() == 1 { "it was" } else { "they were" }));
        }
        let mut places: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (_, place) in &self.elsewhere {
            *places.entry(place.as_bytes()).or_default() += 1;
        }
        let own = |count: usize| if count == 1 { "its own group is gone" } else { "their own group is gone" };
        parts.extend(places.into_iter().map(|(place, count)| format!("{} in {}: {}", run(count), HostText::from(place), own(count))));
        if !self.stayed.is_empty() {
            parts.push(format!("{} in the group that held it", run(self.stayed.len())));
        }
        parts.join("; ")
    }
}

impl Freezer {
    /// Puts every living process back into exactly its cgroup, running again unless it was stopped before, and
    /// removes the group and the note. Members that the note knows beyond `frozen` are included; others found in
    /// the group (children born in it) follow the first member. Doing it twice does nothing the second time.
    ///
    /// # Errors
    /// When the kernel does not let the group go, or the note cannot be removed.
    pub fn thaw(&self, frozen: &Frozen) -> Result<Thawed, FreezeError> {
        let members = self.with_note(frozen);
        let thawed = match frozen.method {
            Method::Stop => Thawed { back: continue_stopped(&members)?, ..Thawed::default() },
            _ => {
                let thawed = self.give_all_back(frozen, &members)?;
                // Stopped by us and not held yet when we were interrupted.
                let is_stopped = |stat: Stat| stat.state == b'T' || has_stop_pending(stat.pid);
                let still = |member: &&Member| Stat::read(member.key.pid).is_some_and(is_stopped);
                continue_stopped(&members.iter().filter(still).cloned().collect::<Vec<_>>())?;
                thawed
            }
        };
        match fs::remove_file(self.note(&frozen.name)) {
            Ok(()) => Ok(thawed),
            // They run again. A note that a read-only disk keeps thaws nothing more, and the next start takes it away.
            Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::ReadOnlyFilesystem) => Ok(thawed),
            Err(why) => Err(FreezeError::File { what: "remove the note of the freeze", why }),
        }
    }

    fn give_all_back(&self, frozen: &Frozen, members: &[Member]) -> Result<Thawed, FreezeError> {
        let group = Group::named(&Place::named(frozen.method, &frozen.root), &frozen.name);
        let mut thawed = Thawed::default();
        if !group.exists() {
            return Ok(thawed);
        }
        let mut origins: BTreeMap<u32, &HostText> = members.iter().map(|member| (member.key.pid, &member.origin)).collect();
        origins.retain(|pid, _| members.iter().any(|member| member.key.pid == *pid && key_of(*pid) == Some(member.key)));
        let Some(stray) = members.first().map(|member| &member.origin) else {
            // Another agent's, or of a note that was lost: nobody is moved by guess, out of a container's limits perhaps.
            return self.let_go_unknown(&group);
        };
        // A look may be repeated: a thread that is being born while its process moves is seen at the next one.
        for _ in 0..100 {
            let inside = group.pids().map_err(file("list the frozen cgroup"))?;
            let before = thawed.count();
            for pid in &inside {
                if thawed.stayed.iter().any(|key| key.pid == *pid) {
                    continue;
                }
                let origin = origins.get(pid).copied().unwrap_or(stray);
                match (group.give_back(*pid, origin), key_of(*pid)) {
                    (Ok(Some(place)), Some(key)) if group::is(origin, &place) => thawed.back.push(key),
                    (Ok(Some(place)), Some(key)) => thawed.elsewhere.push((key, shown(&place))),
                    (Err(_), Some(key)) => thawed.stayed.push(key),
                    (_, None) | (Ok(None), _) => {}
                }
            }
            if inside.is_empty() || thawed.count() == before && !thawed.stayed.is_empty() {
                break;
            }
        }
        if !thawed.stayed.is_empty() {
            // Nothing may stay frozen, even what no other group takes.
            group.thaw_in_place().map_err(file("thaw the cgroup"))?;
            return Ok(thawed);
        }
        group.remove().map_err(file("remove the empty cgroup"))?;
        Ok(thawed)
    }

    /// Lets a group run that nothing is known of, where it is.
    fn let_go_unknown(&self, group: &Group) -> Result<Thawed, FreezeError> {
        let inside = group.pids().map_err(file("list the frozen cgroup"))?;
        let stayed: Vec<ProcessKey> = inside.iter().copied().filter_map(key_of).collect();
        match inside.is_empty() {
            true => group.remove().map_err(file("remove the empty cgroup"))?,
            false => group.thaw_in_place().map_err(file("thaw the cgroup"))?,
        }
        Ok(Thawed { stayed, ..Thawed::default() })
    }
}

/// As the kernel writes it.
fn shown(place: &Path) -> HostText {
    use std::os::unix::ffi::OsStrExt;
    HostText::from([b"/", place.as_os_str().as_bytes()].concat().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_they_were_is_said_only_of_those_who_are_there() {
        let key = |pid| ProcessKey { pid, ..key_of(std::process::id()).unwrap() };
        let gone = (key(3), HostText::from("/system.slice"));
        let mut thawed = Thawed { back: vec![key(1), key(2)], ..Thawed::default() };
        assert_eq!(thawed.words(), "2 processes run again where they were");
        thawed.elsewhere.push(gone.clone());
        assert_eq!(thawed.words(), "2 processes run again where they were; 1 process runs again in /system.slice: its own group is gone");
        thawed.back.clear();
        thawed.elsewhere.push(gone);
        assert_eq!(thawed.words(), "2 processes run again in /system.slice: their own group is gone");
        thawed.stayed.push(key(4));
        assert!(thawed.words().ends_with("; 1 process runs again in the group that held it"), "{}", thawed.words());
        assert_eq!(Thawed::default().words(), "0 processes run again where they were");
    }
}
