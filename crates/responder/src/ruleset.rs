//! Our table in the packet filter as one thing: changed only past the verifier, compared with what it should be, mended.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::actions::{self, ActError, ActionContext, ObservedState};
use super::reading::Ruleset;
use super::verifier::{self, Case};
use bartizan_enforce::nft::{Element, Member, NftError, Place, TABLE, Table, TableState};
use bartizan_model::{Action, ActionState, Alarm, AlarmKind, Desired, HostText, Lifeline, Timestamp, Unpoisoned as _};
use bartizan_store::ledger::Held;
use bartizan_sys::clock::boot_ns;

/// How far the kernel's remaining time may be from ours: clocks tick in 1 to 10 ms, and a busy host is late.
pub(super) const SLACK: Duration = Duration::from_secs(3);

/// How often elements are sent whose time ran while they were sent.
const MAX_TRIES: usize = 3;

/// A member and when it ends.
pub(super) type Timed = (Member, Timestamp);

/// What has passed on the boot clock.
fn since(begun: u64) -> chrono::Duration {
    chrono::Duration::nanoseconds(i64::try_from(boot_ns().saturating_sub(begun)).unwrap_or(i64::MAX))
}

/// Whole milliseconds until then; none when it is over.
pub(super) fn until(end: Timestamp, now: Timestamp) -> Duration {
    (end - now).to_std().unwrap_or_default()
}

/// The moment of a change that was planned a little earlier: looking at the host before it may take seconds, by which its
/// end must not move. A wall clock that was set meanwhile counts for nothing.
pub(super) fn begun(action: &Action) -> Timestamp {
    let passed = (chrono::Utc::now() - action.planned_at).to_std().unwrap_or_default();
    if passed > Duration::from_secs(60) { action.planned_at } else { action.planned_at + passed }
}

/// Elements for those whose time is not over.
pub(super) fn elements(members: &[Timed], now: Timestamp) -> Vec<Element> {
    let timed = members.iter().map(|(member, end)| Element { member: *member, lasts: until(*end, now) });
    timed.filter(|element| !element.lasts.is_zero()).collect()
}

impl ActionContext {
    /// Adds elements, in place of what stands under the same key. A table that is gone or altered is made anew with
    /// what the journal's live actions own.
    pub(super) fn put(&self, action: &Action, members: &[Timed], by_person: bool, now: Timestamp) -> Result<(), ActError> {
        self.put_with(action, members, Vec::new(), by_person, now)
    }

    /// The same, and elements that nobody owns and that end soon.
    pub(super) fn put_with(
        &self,
        action: &Action,
        members: &[Timed],
        more: Vec<Element>,
        by_person: bool,
        now: Timestamp,
    ) -> Result<(), ActError> {
        let asked = boot_ns();
        // Their time is written down in what is sent: who stands still between the two sends it once more.
        for _ in 0..MAX_TRIES {
            let (lifeline, ruleset) = ((self.lifeline)(), self.ruleset()?);
            let written = boot_ns();
            self.put_once(action, (members, more.clone()), (&ruleset, &lifeline), by_person, now + since(asked))?;
            if since(written) <= chrono::Duration::seconds(1) {
                break;
            }
        }
        Ok(())
    }

    fn put_once(
        &self,
        action: &Action,
        (members, more): (&[Timed], Vec<Element>),
        (ruleset, lifeline): (&Ruleset, &Lifeline),
        by_person: bool,
        now: Timestamp,
    ) -> Result<(), ActError> {
        let mut come = elements(members, now);
        let mut go = Vec::new();
        let others = match ruleset.state() {
            TableState::Absent => Vec::new(),
            TableState::Altered(_) => self.owned_by_others(action, now)?,
            TableState::Intact(_) => {
                for element in &mut come {
                    let Some(kept) = ruleset.find(element.member)? else { continue };
                    go.push(element.member.place());
                    if element.member.is_shared() {
                        element.lasts = element.lasts.max(kept.remaining.unwrap_or_default());
                    }
                }
                Vec::new()
            }
        };
        let known: HashSet<Place> = others.iter().map(|element| element.member.place()).collect();
        let come: Vec<Element> = come.into_iter().chain(others).chain(more).collect();
        self.send((ruleset, lifeline), (ruleset.shape_for(&come), &go, &come), &known, by_person, Some(action))
    }

    /// What the other live actions have in the table, for the time they still have; nothing that is on the lifeline by now.
    fn owned_by_others(&self, action: &Action, now: Timestamp) -> Result<Vec<Element>, ActError> {
        let active = self.ledger.active()?;
        self.owned(active.iter().filter(|other| other.id != action.id), now)
    }

    fn owned<'a>(&self, actions: impl Iterator<Item = &'a Action>, now: Timestamp) -> Result<Vec<Element>, ActError> {
        let (lifeline, ruleset) = ((self.lifeline)(), self.ruleset()?);
        let mut all = Vec::new();
        let meant = |other: &&Action| matches!(other.state, ActionState::Live | ActionState::Drifted) && other.desired == Desired::Live;
        for other in actions.filter(meant) {
            let snapshot = self.ledger.snapshot(other.id)?.unwrap_or_default();
            all.extend::<Vec<Element>>(elements(&actions::of(other.kind).members(other, &snapshot).unwrap_or_default(), now));
        }
        for element in &mut all {
            // The kernel's own word for how long it still lasts, where it has one.
            if let Some(left) = ruleset.find(element.member)?.and_then(|kept| kept.remaining) {
                element.lasts = left.max(Duration::from_millis(1));
            }
        }
        all.retain(|element| element.member.place().remote().is_none_or(|addr| lifeline.holds_address(addr).is_none()));
        Ok(all)
    }

    /// The one way from here into the kernel: judged by its own bytes. A refusal is an alarm.
    fn send(
        &self,
        (ruleset, lifeline): (&Ruleset, &Lifeline),
        (table, go, come): (Table, &[Place], &[Element]),
        known: &HashSet<Place>,
        by_person: bool,
        action: Option<&Action>,
    ) -> Result<(), ActError> {
        let before = if let TableState::Intact(pieces) = ruleset.state { Some(pieces) } else { None };
        let kept = |addr| {
            let there = if before.is_some() { ruleset.find(Member::Keep(addr)).ok().flatten() } else { None };
            there.and_then(|kept| kept.remaining)
        };
        let on = before.is_some() && ruleset.find(Member::ContainOut(false))?.is_some();
        let case = Case { lifeline, by_person, known, before, kept: &kept, contained: on };
        let done = ruleset.nft.change(table, go, come, &|changes| verifier::judge(changes, &case));
        self.forget_ruleset();
        if let Err(NftError::Refused(why)) = &done {
            (self.alarm)(Alarm {
                what: AlarmKind::WarrantRefused,
                detail: HostText::from(format!("the verifier refused a change of table inet {TABLE}: {why}").as_str()),
                action: action.map(|action| action.id),
                path: None,
            });
        }
        Ok(done?)
    }

    /// Takes members away, whichever of them are there; with the last element the table goes. Gives what was done.
    pub(super) fn take(&self, members: &[Timed]) -> Result<Vec<String>, ActError> {
        let mut done = Vec::new();
        for _ in 0..3 {
            let ruleset = self.ruleset()?;
            let there = ruleset.unshared(ruleset.there(members)?)?;
            if there.is_empty() {
                break;
            }
            // One may end by itself meanwhile: then none is removed, and we look again.
            if !ruleset.nft.remove(&there)? {
                self.forget_ruleset();
                continue;
            }
            for place in &there {
                if ruleset.nft.holds(*place)? {
                    return Err(ActError::Unverified(format!("something of it is still in set {}", place.set.name())));
                }
            }
            ruleset.strike(&there);
            done.push(removed(&there));
        }
        let ruleset = self.ruleset()?;
        if let Some(place) = ruleset.unshared(ruleset.there(members)?)?.first() {
            return Err(ActError::Unverified(format!("something of it is still in set {}", place.set.name())));
        }
        if *ruleset.state() != TableState::Absent && ruleset.is_bare()? {
            match ruleset.nft.delete_table() {
                Ok(true) => {
                    done.push(format!("removed the empty table inet {TABLE}"));
                    self.forget_ruleset();
                }
                // Nothing of ours is in it.
                Ok(false) | Err(NftError::Owned { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // What stays too large costs packets some time and changes nothing: the next round tries again.
        let _ = self.narrow();
        Ok(done)
    }

    /// Takes the sets, rules and hooks away whose last element is gone. Elements of the other kinds are not touched.
    pub(super) fn narrow(&self) -> Result<(), ActError> {
        let ruleset = self.ruleset()?;
        let TableState::Intact(from) = *ruleset.state() else { return Ok(()) };
        let to = ruleset.needed()?;
        if to.is_empty() || from == to || !from.has_all(to) {
            return Ok(());
        }
        self.send((&ruleset, &(self.lifeline)()), (Table::Reshape { from, to }, &[], &[]), &HashSet::new(), false, None)
    }

    /// Whether the kernel shows these members with the time they should still have: the shortest of them, or why not.
    pub(super) fn sees(&self, members: &[Timed], what: &str, now: Timestamp) -> Result<Result<Duration, ObservedState>, ActError> {
        // Reading may take long: what the kernel shows is held against the moment at which it was read.
        let begun = Instant::now();
        let ruleset = self.ruleset()?;
        let longest = members.iter().map(|(_, end)| until(*end, now)).max().unwrap_or_default();
        let (mut shortest, mut found) = (longest, 0);
        for (member, end) in members {
            let there = ruleset.find(*member)?;
            let left = until(*end, now).saturating_sub(begun.elapsed());
            let Some(kept) = there else {
                if left <= SLACK {
                    continue;
                }
                return Ok(Err(ObservedState::Drifted(format!("{what} is no longer in our table: somebody removed it"))));
            };
            found += 1;
            let Some(shown) = kept.remaining else {
                return Ok(Err(ObservedState::Drifted(format!("somebody made it endless that {what} is in our table"))));
            };
            let slack = ruleset.slack(*member)?;
            if shown > left + slack && !member.is_shared() || shown + slack < left {
                return Ok(Err(ObservedState::Drifted(format!("somebody changed the end of {what} in our table"))));
            }
            if kept.rate != member.rate().map(u64::from) {
                return Ok(Err(ObservedState::Drifted(format!("somebody changed how much {what} may send"))));
            }
            shortest = shortest.min(shown);
        }
        if found == 0 {
            return Ok(Err(ObservedState::Gone("the kernel ended it at its time".into())));
        }
        if let TableState::Altered(how) = ruleset.state() {
            return Ok(Err(ObservedState::Drifted(format!("somebody changed table inet {TABLE} ({how})"))));
        }
        Ok(Ok(shortest))
    }

    /// Brings a drifted action's members back; when the table itself is not as we made it, it is made anew with
    /// everything that live actions own. `None`: nothing of it would last long enough.
    pub(super) fn mend(
        &self,
        action: &Action,
        members: Result<Vec<Timed>, ActError>,
        others: &[Action],
        now: Timestamp,
    ) -> Option<Result<(), ActError>> {
        let mended = || -> Result<Option<()>, ActError> {
            let members = members?;
            let mine = elements(&members, now);
            if mine.iter().all(|element| element.lasts <= SLACK) {
                return Ok(None);
            }
            let by_person = action.by.is_person();
            let ruleset = self.ruleset()?;
            if let TableState::Intact(_) = ruleset.state() {
                return self.put(action, &members, by_person, now).map(Some);
            }
            let come: Vec<Element> =
                self.owned(others.iter().filter(|other| other.id != action.id), now)?.into_iter().chain(mine).collect();
            let known: HashSet<Place> = come.iter().map(|element| element.member.place()).collect();
            self.send((&ruleset, &(self.lifeline)()), (ruleset.shape_for(&come), &[], &come), &known, by_person, Some(action)).map(Some)
        };
        mended().transpose()
    }

    /// Removes what stands in the table and belongs to no active action; one sentence each.
    pub(super) fn remove_orphans(&self, active: &[Held]) -> Result<Vec<String>, ActError> {
        let done = self.clear_table(active);
        self.note_trouble(&done);
        done
    }

    /// What stands under our name and does not go, for the owner to see; and told once, when it begins.
    fn note_trouble(&self, done: &Result<Vec<String>, ActError>) {
        let trouble = done.as_ref().err().map(|error| match self.ruleset().as_deref().map(Ruleset::state) {
            Ok(TableState::Altered(how)) => format!("table inet {TABLE} is not of the shape that this version makes ({how}): {error}"),
            Ok(TableState::Absent | TableState::Intact(_)) | Err(_) => error.to_string(),
        });
        let mut known = self.table_trouble.lock().unpoisoned();
        if let (Some(trouble), None) = (&trouble, &*known) {
            let detail = HostText::from(trouble.as_str());
            (self.alarm)(Alarm { what: AlarmKind::TableChanged, detail, action: None, path: None });
        }
        *known = trouble;
    }

    fn clear_table(&self, active: &[Held]) -> Result<Vec<String>, ActError> {
        let ruleset = self.ruleset()?;
        if *ruleset.state() == TableState::Absent {
            return Ok(Vec::new());
        }
        if let TableState::Altered(how) = ruleset.state()
            && active.iter().all(|held| actions::of(held.action.kind).members(&held.action, &held.snapshot).unwrap_or_default().is_empty())
        {
            // Made by an older version, or by somebody else under our name; nothing of ours is in it.
            ruleset.nft.delete_table()?;
            let said = format!("table inet {TABLE} was not of the shape that this version makes ({how}), and was removed");
            self.forget_ruleset();
            return Ok(vec![said]);
        }
        let mut owned = HashSet::new();
        for held in active {
            owned.extend(
                actions::of(held.action.kind)
                    .members(&held.action, &held.snapshot)
                    .unwrap_or_default()
                    .iter()
                    .map(|(member, _)| member.place()),
            );
        }
        let foreign: Vec<Place> = ruleset.places()?.into_iter().filter(|place| !owned.contains(place)).collect();
        if foreign.is_empty() && !(owned.is_empty() && ruleset.is_bare()?) {
            // Tried again in the next round.
            let _ = self.narrow();
            return Ok(Vec::new());
        }
        let mut said = Vec::new();
        for place in foreign {
            if ruleset.nft.remove(&[place])? {
                let whom = place.remote().map_or_else(|| "an entry".to_owned(), |addr| format!("the entry for {addr}"));
                said.push(format!("{whom} in set {} had no owner and was removed", place.set.name()));
            }
        }
        self.forget_ruleset();
        let ruleset = self.ruleset()?;
        if ruleset.is_bare()? && owned.is_empty() && ruleset.nft.delete_table()? {
            said.push("the empty table was removed".into());
            self.forget_ruleset();
        }
        Ok(said)
    }
}

fn removed(places: &[Place]) -> String {
    match places {
        [one] => match one.remote() {
            Some(addr) => format!("removed {addr} from set {} of table inet {TABLE}", one.set.name()),
            None => format!("removed one entry of set {} of table inet {TABLE}", one.set.name()),
        },
        many => format!("removed {} entries of table inet {TABLE}", many.len()),
    }
}
