//! What was forgotten and still lies on disk: only what was handed over to be kept has to go from there.

/// Numbers of each kind that are remembered; what is forgotten beyond that comes back with a restart, and is forgotten again.
const MAX_GONE: usize = 1 << 20;

/// Numbers of profiles and habits that were forgotten since they were kept last.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    profiles: Vec<u64>,
    habits: Vec<u64>,
    /// The first numbers of a profile and a habit that were never handed over.
    fresh: (u64, u64),
}

impl Gone {
    /// Everything below these numbers lies on disk, or may.
    pub(crate) fn handed_over(&mut self, fresh: (u64, u64)) {
        self.fresh = fresh;
    }

    pub(crate) fn profile(&mut self, id: u64) {
        note(&mut self.profiles, id, self.fresh.0);
    }

    pub(crate) fn habits(&mut self, ids: impl IntoIterator<Item = u64>) {
        ids.into_iter().for_each(|id| note(&mut self.habits, id, self.fresh.1));
    }

    /// Hands over what has to go: profiles, and habits of others.
    pub(crate) fn take(&mut self) -> (Vec<u64>, Vec<u64>) {
        (std::mem::take(&mut self.profiles), std::mem::take(&mut self.habits))
    }
}

fn note(ids: &mut Vec<u64>, id: u64, fresh: u64) {
    if id < fresh && ids.len() < MAX_GONE {
        ids.push(id);
    }
}
