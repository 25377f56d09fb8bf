//! Our table in the packet filter as it was read: once for a round, asked by key, with the door and what is known of the kernel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::actions::{ActError, ActionContext};
use super::ruleset::{SLACK, Timed};
use bartizan_enforce::nft::{Element, Kept, Key, Member, Nft, Pieces, Place, Set, Table, TableState};
use bartizan_model::Unpoisoned as _;

/// What is kept between two looks at our table.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Shelved>);

#[derive(Debug, Default)]
struct Shelved {
    /// The last reading; none when something was changed since.
    ruleset: Option<Arc<Ruleset>>,
    /// Open as long as it answers: closing one after a change waits until the kernel has freed what went (10 to 20 ms).
    door: Option<Arc<Nft>>,
    /// Pieces that this kernel took when they were tried.
    able: Pieces,
    /// Whether all were tried beforehand.
    tried: bool,
}

/// Our table at one moment. A set is read when it is first asked for.
#[derive(Debug)]
pub(super) struct Ruleset {
    pub(super) nft: Arc<Nft>,
    pub(super) state: TableState,
    sets: Mutex<HashMap<Set, Listing>>,
}

/// One set's elements as they were read.
#[derive(Debug, Clone)]
struct Read {
    elements: HashMap<Key, Kept>,
    /// When they had been read.
    at: Instant,
    /// How long the reading took: by so much the remaining times may be older.
    took: Duration,
}

type Listing = Arc<Read>;

impl Ruleset {
    fn read(nft: Arc<Nft>) -> Result<Self, ActError> {
        let state = nft.table_state()?;
        Ok(Self { nft, state, sets: Mutex::default() })
    }

    /// Whether the shape is as we made it.
    pub(super) fn state(&self) -> &TableState {
        &self.state
    }

    fn set(&self, set: Set) -> Result<Listing, ActError> {
        let mut sets = self.sets.lock().unpoisoned();
        if let Some(listing) = sets.get(&set) {
            return Ok(Arc::clone(listing));
        }
        let may_hold = match &self.state {
            TableState::Absent => false,
            TableState::Intact(pieces) => pieces.hold(set),
            TableState::Altered(_) => true,
        };
        let begun = Instant::now();
        let elements = if may_hold { self.nft.list(set)? } else { HashMap::new() };
        let listing = Arc::new(Read { elements, at: Instant::now(), took: begun.elapsed() });
        sets.insert(set, Arc::clone(&listing));
        Ok(listing)
    }

    /// The kernel's entry for a member, its remaining time as of now.
    pub(super) fn find(&self, member: Member) -> Result<Option<Kept>, ActError> {
        let place = member.place();
        let listing = self.set(place.set)?;
        let aged = |kept: &Kept| Kept { remaining: kept.remaining.map(|left| left.saturating_sub(listing.at.elapsed())), ..*kept };
        Ok(listing.elements.get(&place.key).map(aged))
    }

    /// How far the remaining time of a member may be from what it should be.
    pub(super) fn slack(&self, member: Member) -> Result<Duration, ActError> {
        Ok(SLACK + self.set(member.place().set)?.took)
    }

    /// Where those of the members stand that are there.
    pub(super) fn there(&self, members: &[Timed]) -> Result<Vec<Place>, ActError> {
        let mut there = Vec::new();
        for (member, _) in members {
            if self.find(*member)?.is_some() {
                there.push(member.place());
            }
        }
        Ok(there)
    }

    /// Those of the places that no other denial of the same address needs: `going` go with them.
    pub(super) fn unshared(&self, going: Vec<Place>) -> Result<Vec<Place>, ActError> {
        let mut alone = Vec::with_capacity(going.len());
        for place in &going {
            let needed = match place.set {
                Set::DenyTo4 => self.denies(place, [Set::DenyUid4, Set::DenyCgroup4], &going)?,
                Set::DenyTo6 => self.denies(place, [Set::DenyUid6, Set::DenyCgroup6], &going)?,
                _ => false,
            };
            if !needed {
                alone.push(*place);
            }
        }
        Ok(alone)
    }

    /// Whether one of these sets keeps somebody from the place's address, apart from those that go.
    fn denies(&self, to: &Place, sets: [Set; 2], going: &[Place]) -> Result<bool, ActError> {
        for set in sets {
            let listing = self.set(set)?;
            let mut others = listing.elements.keys().map(|key| Place { set, key: *key }).filter(|other| !going.contains(other));
            if others.any(|other| other.remote() == to.remote()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The pieces that the elements which are there need.
    pub(super) fn needed(&self) -> Result<Pieces, ActError> {
        let mut needed = Pieces::default();
        for set in Set::of_actions() {
            if !self.set(set)?.elements.is_empty() {
                needed = needed.and(Pieces::of_set(set));
            }
        }
        Ok(needed)
    }

    /// The shape that holds what is there and these, too.
    pub(super) fn shape_for(&self, come: &[Element]) -> Table {
        let needed = Pieces::of(come);
        match self.state {
            TableState::Intact(there) if there.has_all(needed) => Table::Keep,
            TableState::Intact(from) => Table::Reshape { from, to: from.and(needed) },
            TableState::Absent => Table::Make(needed),
            TableState::Altered(_) => Table::Replace(needed),
        }
    }

    /// Leaves out of the reading what was just removed, so that ten thousand can go one by one.
    pub(super) fn strike(&self, gone: &[Place]) {
        let mut sets = self.sets.lock().unpoisoned();
        for place in gone {
            if let Some(listing) = sets.get_mut(&place.set) {
                Arc::make_mut(listing).elements.remove(&place.key);
            }
        }
    }

    /// Every element that an action may have put there.
    pub(super) fn places(&self) -> Result<Vec<Place>, ActError> {
        let mut all = Vec::new();
        for set in Set::of_actions() {
            all.extend(self.set(set)?.elements.keys().map(|key| Place { set, key: *key }));
        }
        Ok(all)
    }

    /// Whether no action has anything there.
    pub(super) fn is_bare(&self) -> Result<bool, ActError> {
        for set in Set::of_actions() {
            if !self.set(set)?.elements.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl ActionContext {
    /// The table as the kernel shows it, read once for a round; [`ActionContext::forget_ruleset`] makes the next one read anew.
    pub(super) fn ruleset(&self) -> Result<Arc<Ruleset>, ActError> {
        let mut shelf = self.shelf.0.lock().unpoisoned();
        if let Some(ruleset) = &shelf.ruleset {
            return Ok(Arc::clone(ruleset));
        }
        let door = match shelf.door.take().filter(|door| door.is_quiet()) {
            Some(door) => door,
            None => Arc::new(Nft::open()?),
        };
        // Kept only when it answered as it should.
        let ruleset = Arc::new(Ruleset::read(Arc::clone(&door))?);
        (shelf.ruleset, shelf.door) = (Some(Arc::clone(&ruleset)), Some(door));
        Ok(ruleset)
    }

    /// What was read counts no longer.
    pub(super) fn forget_ruleset(&self) {
        self.shelf.0.lock().unpoisoned().ruleset = None;
    }

    /// Refuses what this kernel cannot do, before anything is begun. What it took once it takes again.
    pub(super) fn able(&self, members: &[Member]) -> Result<(), ActError> {
        let lasts = SLACK;
        self.try_pieces(Pieces::of(&members.iter().map(|member| Element { member: *member, lasts }).collect::<Vec<_>>()))
    }

    /// Tries all pieces beforehand, once: a trial waits until the kernel has freed what was tried (10 to 20 ms), which no action
    /// needs to. What is refused now is tried again when an action needs it.
    pub(super) fn try_all_pieces(&self) {
        let tried = std::mem::replace(&mut self.shelf.0.lock().unpoisoned().tried, true);
        if !tried {
            // Why not is told when an action needs it; `doctor` tells it too.
            let _ = self.try_pieces(Pieces::all());
        }
    }

    fn try_pieces(&self, needed: Pieces) -> Result<(), ActError> {
        if self.shelf.0.lock().unpoisoned().able.has_all(needed) {
            return Ok(());
        }
        let ruleset = self.ruleset()?;
        if !matches!(ruleset.state(), TableState::Intact(there) if there.has_all(needed)) {
            ruleset.nft.able(needed)?;
        }
        let mut shelf = self.shelf.0.lock().unpoisoned();
        shelf.able = shelf.able.and(needed);
        Ok(())
    }
}
