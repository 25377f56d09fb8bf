//! Places at the control socket: so many at once, a share of them for each role and each user, so that nobody who may
//! only look keeps out whoever must act.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bartizan_model::{Role, Unpoisoned as _};

/// All places. Of N, those who may look have half of them, they and operators three quarters, admins all; one user who
/// may look an eighth, one operator or admin a quarter. Root and the agent's own user are not limited by user.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: HashMap<u32, usize>,
    /// Of those who may look, of operators, of admins.
    by_role: [usize; 3],
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// This user has as many as one user may.
    #[error("{0} connections of this user are open, as many as one user may have")]
    User(usize),
    /// All that this role may take are taken.
    #[error("all {0} connections that are not kept free for root and operators are open")]
    Role(usize),
}

/// One place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    uid: u32,
    role: Role,
}

fn index(role: Role) -> usize {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Admin => 2,
    }
}

impl Places {
    /// So many, at least eight.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(8), taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unpoisoned()
    }

    /// One for a peer of this user and role; `trusted` is root or the agent's own user.
    pub(super) fn take(self: &Arc<Self>, uid: u32, role: Role, trusted: bool) -> Result<Place, Full> {
        let of_role = match role {
            Role::Viewer => self.most / 2,
            Role::Operator => self.most / 4 * 3,
            Role::Admin => self.most,
        };
        let of_user = match role {
            _ if trusted => self.most,
            Role::Viewer => self.most / 8,
            Role::Operator | Role::Admin => self.most / 4,
        };
        let mut taken = self.lock();
        if taken.by_user.get(&uid).copied().unwrap_or(0) >= of_user {
            return Err(Full::User(of_user));
        }
        // Whoever may do more takes nothing from those who may do less: the shares are counted from below.
        let below: usize = taken.by_role.iter().take(index(role) + 1).sum();
        if below >= of_role || taken.by_role.iter().sum::<usize>() >= self.most {
            return Err(Full::Role(of_role));
        }
        *taken.by_user.entry(uid).or_default() += 1;
        if let Some(count) = taken.by_role.get_mut(index(role)) {
            *count += 1;
        }
        Ok(Place { places: Arc::clone(self), uid, role })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.by_user.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_user.remove(&self.uid);
            }
        }
        if let Some(count) = taken.by_role.get_mut(index(self.role)) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_those_who_may_do_more() {
        let places = Places::new(64);
        let mut kept: Vec<Place> = (0..600).filter_map(|_| places.take(1000, Role::Viewer, false).ok()).collect();
        assert_eq!(kept.len(), 8, "one who may look");
        kept.extend((2000..2600).filter_map(|uid| places.take(uid, Role::Viewer, false).ok()));
        assert_eq!(kept.len(), 32, "all who may look");
        kept.extend((0..600).filter_map(|_| places.take(3000, Role::Operator, false).ok()));
        assert_eq!(kept.len(), 48, "an operator");
        assert_eq!(places.take(3001, Role::Operator, false).err(), Some(Full::Role(48)));
        kept.extend((0..600).filter_map(|_| places.take(4000, Role::Admin, false).ok()));
        assert_eq!(kept.len(), 64);
        drop(kept.pop());
        assert!(places.take(0, Role::Admin, true).is_ok(), "what is left is free again");
        drop(kept);
        let all: Vec<Place> = (0..600).filter_map(|_| places.take(0, Role::Admin, true).ok()).collect();
        assert_eq!(all.len(), 64);
    }
}
