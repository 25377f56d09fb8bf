//! What the attributes of files were when they were last seen, so that a change can be told from a file that always was so.

use std::collections::HashMap;
use std::path::Path;

use super::file_class::FileClasses;
use bartizan_model::FileAttributes;
use bartizan_sys::file_attributes::{self, Seen};

/// Most files remembered; of more, the oldest half is forgotten. A third of a megabyte for each 4,096.
const MOST: usize = 32_768;
/// Levels of directories read at the start.
const DEEP: u32 = 3;

/// By device and inode. Two halves: when the younger is full, the older one goes.
#[derive(Debug, Default)]
pub(super) struct AttributeMemory {
    young: HashMap<(u32, u64), FileAttributes>,
    old: HashMap<(u32, u64), FileAttributes>,
}

impl AttributeMemory {
    /// Of what already lies where a change would be told.
    pub(super) fn of(classes: &FileClasses) -> Self {
        let mut memory = Self::default();
        walk(classes, &mut |_, seen, now| {
            memory.young.insert(seen.file, now);
        });
        memory
    }

    pub(super) fn get(&self, file: (u32, u64)) -> Option<FileAttributes> {
        self.young.get(&file).or_else(|| self.old.get(&file)).copied()
    }

    pub(super) fn put(&mut self, file: (u32, u64), now: FileAttributes) {
        if self.young.len() >= MOST / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(file, now);
    }

    /// What it was before again, as if the change had not been seen.
    pub(super) fn put_back(&mut self, file: (u32, u64), before: Option<FileAttributes>) {
        match before {
            Some(before) => self.put(file, before),
            None => {
                self.young.remove(&file);
                self.old.remove(&file);
            }
        }
    }
}

/// Each file where a change would be told, with its attributes as they are now, capabilities included; as many as are remembered.
pub(super) fn walk(classes: &FileClasses, each: &mut dyn FnMut(&Path, Seen, FileAttributes)) {
    let mut room = MOST / 2;
    classes.directories().iter().for_each(|directory| files(directory, DEEP, &mut room, each));
}

fn files(directory: &Path, deep: u32, room: &mut usize, each: &mut dyn FnMut(&Path, Seen, FileAttributes)) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if *room == 0 {
            return;
        }
        let (Ok(kind), path) = (entry.file_type(), entry.path()) else { continue };
        if kind.is_file()
            && let Ok(seen) = file_attributes::at(&path)
        {
            let mut now = seen.attributes;
            now.capabilities = (now.mode & 0o111 != 0).then(|| file_attributes::capabilities(&path)).flatten();
            *room -= 1;
            each(&path, seen, now);
        } else if kind.is_dir() && deep > 0 {
            files(&path, deep - 1, room, each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_beyond_its_bound_and_forgets_the_oldest() {
        let attributes = file_attributes::at(Path::new("/")).unwrap().attributes;
        let mut memory = AttributeMemory::default();
        (0..100_000).for_each(|inode| memory.put((1, inode), attributes));
        assert!(memory.young.len() + memory.old.len() <= MOST);
        assert_eq!((memory.get((1, 99_999)).is_some(), memory.get((1, 0)).is_some()), (true, false));
    }
}
