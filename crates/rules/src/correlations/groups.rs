//! The groups of one correlation: what each holds, and which go when there are too many.

use std::collections::{HashMap, VecDeque};

use bartizan_model::EventId;

use super::super::correlation::{Correlation, Counted, MAX_COUNT};

/// Groups of one correlation.
pub(super) const MAX_GROUPS: usize = 1024;
/// Events of one correlation in all of its groups.
pub(super) const MAX_EVENTS: usize = 4096;
/// Part of either that one user's processes may hold before theirs go first.
const SHARE: usize = 16;
/// Events of one group whose rules are waited for in their order.
const MAX_ORDERED: usize = 64;
/// Events named with a match.
const MAX_NAMED: usize = 32;
/// Events come so much out of order at most, in milliseconds; what lies further back than this and than the correlation's time has
/// another clock, and the group begins anew.
const ANOTHER_CLOCK: i64 = 30_000;

/// One event of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// In milliseconds.
    pub(super) at: i64,
    /// A hash of what is counted.
    pub(super) value: u64,
    pub(super) event: EventId,
    /// Which of the correlated rules matched.
    pub(super) rule: u8,
}

/// Events that belong together, oldest first, and the user whose process was the first of them.
#[derive(Debug, Default)]
struct Group {
    owner: Option<u32>,
    window: VecDeque<Seen>,
}

/// All groups of one correlation.
#[derive(Debug)]
pub(super) struct Groups {
    of: Correlation,
    groups: HashMap<u64, Group>,
    /// How many events all groups hold.
    events: usize,
}

impl Groups {
    pub(super) fn new(of: &Correlation) -> Self {
        Self { of: of.clone(), groups: HashMap::new(), events: 0 }
    }

    /// Whether this is what they wait for.
    pub(super) fn is_of(&self, correlation: &Correlation) -> bool {
        self.of == *correlation
    }

    /// Takes what one event is into its group; when that is met, how many were found and what it rests on, and the group begins anew.
    pub(super) fn take(&mut self, group: u64, owner: Option<u32>, seen: &[Seen]) -> Option<(u64, Vec<EventId>)> {
        let now = seen.first()?.at;
        let is_new = !self.groups.contains_key(&group);
        if (is_new && self.groups.len() >= MAX_GROUPS) || self.events.saturating_add(seen.len()) > MAX_EVENTS {
            self.make_room(group, now);
        }
        let held = self.groups.entry(group).or_insert_with(|| Group { owner, ..Group::default() });
        self.events = self.events.saturating_sub(held.window.len());
        seen.iter().for_each(|one| held.insert(&self.of, *one));
        let Some(count) = held.count(&self.of) else {
            self.events = self.events.saturating_add(held.window.len());
            return None;
        };
        let skipped = held.window.len().saturating_sub(MAX_NAMED);
        let mut events: Vec<EventId> = held.window.iter().skip(skipped).map(|one| one.event).collect();
        events.dedup();
        self.groups.remove(&group);
        Some((count, events))
    }

    /// Halves what is held: first what is over, then what belongs to users who hold more than their share, then the groups with the
    /// fewest events, the oldest first. So whoever makes many groups of their own loses those, and not another's in which events gather.
    fn make_room(&mut self, spared: u64, now: i64) {
        let span = span(&self.of);
        self.groups.retain(|group, held| *group == spared || held.newest().is_some_and(|newest| is_one_time(newest, now, span)));
        let mut held_by: HashMap<Option<u32>, (usize, usize)> = HashMap::new();
        for group in self.groups.values() {
            let (groups, events) = held_by.entry(group.owner).or_default();
            (*groups, *events) = (*groups + 1, *events + group.window.len());
        }
        let is_within = |owner: Option<u32>| {
            held_by.get(&owner).is_none_or(|(groups, events)| *groups <= MAX_GROUPS / SHARE && *events <= MAX_EVENTS / SHARE)
        };
        let rank = |group: &Group| (is_within(group.owner), group.window.len(), group.newest());
        let mut order: Vec<_> = self.groups.iter().map(|(key, group)| (rank(group), *key)).filter(|(_, key)| *key != spared).collect();
        order.sort_unstable();
        let mut groups = self.groups.len();
        self.events = self.groups.values().map(|group| group.window.len()).sum();
        for ((_, length, _), key) in order {
            if groups <= MAX_GROUPS / 2 && self.events <= MAX_EVENTS / 2 {
                break;
            }
            self.groups.remove(&key);
            groups = groups.saturating_sub(1);
            self.events = self.events.saturating_sub(length);
        }
    }
}

impl Group {
    fn newest(&self) -> Option<i64> {
        self.window.back().map(|last| last.at)
    }

    /// Puts an event in its place in time, and lets go of what is over. Of what counts once, only the newest is kept: repeating it
    /// takes no room and pushes out nothing.
    fn insert(&mut self, of: &Correlation, one: Seen) {
        let span = span(of);
        if self.newest().is_some_and(|newest| newest.saturating_sub(one.at) > span.max(ANOTHER_CLOCK)) {
            self.window.clear();
        }
        let known = match &of.counted {
            Counted::Events | Counted::Ordered => None,
            Counted::Values(_) => self.window.iter().position(|known| known.value == one.value),
            Counted::Rules => self.window.iter().position(|known| known.rule == one.rule),
        };
        let older = known.and_then(|place| self.window.get(place)).map(|known| known.at <= one.at);
        match (known, older) {
            (Some(place), Some(true)) => drop(self.window.remove(place)),
            (Some(_), _) => return,
            (None, _) => {}
        }
        self.window.insert(self.window.partition_point(|known| known.at <= one.at), one);
        let newest = self.newest().unwrap_or(one.at);
        while self.window.front().is_some_and(|first| newest.saturating_sub(first.at) >= span) {
            self.window.pop_front();
        }
        self.shorten(of);
    }

    /// Where an order is waited for, an event of the rule that has the most goes, so that repeating one pushes out no other.
    fn shorten(&mut self, of: &Correlation) {
        if of.counted != Counted::Ordered {
            while self.window.len() as u64 > MAX_COUNT {
                self.window.pop_front();
            }
            return;
        }
        while self.window.len() > MAX_ORDERED {
            let of_rule = |rule: u8| self.window.iter().filter(|one| one.rule == rule).count();
            let most = self.window.iter().map(|one| one.rule).max_by_key(|rule| of_rule(*rule));
            let place = self.window.iter().position(|one| Some(one.rule) == most).unwrap_or_default();
            self.window.remove(place);
        }
    }

    /// How many there are, if they are as many as asked for.
    fn count(&self, of: &Correlation) -> Option<u64> {
        let count = self.window.len() as u64;
        let is_met = match &of.counted {
            Counted::Events | Counted::Values(_) => of.is_met(count),
            Counted::Rules => self.window.len() >= of.rules.len(),
            Counted::Ordered => {
                let mut wanted = 0;
                self.window.iter().for_each(|one| wanted += usize::from(usize::from(one.rule) == wanted));
                wanted >= of.rules.len()
            }
        };
        is_met.then_some(count)
    }
}

/// In milliseconds.
fn span(of: &Correlation) -> i64 {
    i64::try_from(of.span).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// Whether events at these times can still belong to one group.
fn is_one_time(newest: i64, now: i64, span: i64) -> bool {
    now.saturating_sub(newest) < span && newest.saturating_sub(now) <= span.max(ANOTHER_CLOCK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panic
    use super::*;

    fn groups(kind: &str) -> Groups {
        let rule = "title: A\nname: a\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    Image: a\n  condition: s\n---\n";
        let text = format!("{rule}title: B\nname: b\ncorrelation:\n  type: {kind}\n  rules: [a]\n  group-by: [User]\n  timespan: 1h\n");
        let condition = "  condition:\n    field: Image\n    gte: 5\n";
        let rules = super::super::super::parse("b.yml", &(text + condition), super::super::super::Pack::Host).unwrap();
        Groups::new(rules.iter().find_map(|rule| rule.correlation.as_ref()).unwrap())
    }

    fn seen(at: i64, value: u64) -> [Seen; 1] {
        [Seen { at, value, event: EventId(value), rule: 0 }]
    }

    fn check(groups: &Groups) {
        let events: usize = groups.groups.values().map(|group| group.window.len()).sum();
        assert_eq!(groups.events, events);
        assert!(groups.groups.len() <= MAX_GROUPS && events <= MAX_EVENTS, "{} {events}", groups.groups.len());
    }

    #[test]
    fn a_million_groups_take_bounded_memory() {
        let mut groups = groups("event_count");
        for number in 0..1_000_000 {
            assert!(groups.take(number, Some(1000), &seen(1, number)).is_none());
            assert!(groups.groups.len() <= MAX_GROUPS && groups.groups.capacity() <= 4 * MAX_GROUPS);
        }
        check(&groups);
    }

    #[test]
    fn one_user_pushes_out_no_burst_of_another_however_full_his_groups_are() {
        for kind in ["event_count", "value_count"] {
            let mut groups = groups(kind);
            (0..2).for_each(|number| assert!(groups.take(7, Some(33), &seen(number, number as u64)).is_none()));
            for number in 0..40_000_u64 {
                // Four events in each group: one less than would be told, and more than the other's two.
                assert!(groups.take(1_000 + number / 4, Some(1000), &seen(10, number)).is_none());
            }
            check(&groups);
            assert!((2..4).all(|number| groups.take(7, Some(33), &seen(20, number)).is_none()));
            assert_eq!(groups.take(7, Some(33), &seen(20, 4)).unwrap().0, 5, "{kind}");
        }
    }

    #[test]
    fn many_users_with_a_group_each_push_out_no_burst() {
        let mut groups = groups("event_count");
        (0..4).for_each(|number| assert!(groups.take(7, Some(33), &seen(number, 0)).is_none()));
        for number in 0..100_000_u32 {
            assert!(groups.take(1_000 + u64::from(number), Some(100_000 + number), &seen(10, 0)).is_none());
        }
        check(&groups);
        assert!(groups.take(7, Some(33), &seen(20, 4)).is_some());
    }

    #[test]
    fn what_is_over_goes_before_what_is_not() {
        let mut groups = groups("event_count");
        (0..1_000).for_each(|number| assert!(groups.take(number, Some(0), &seen(0, 0)).is_none()));
        let hour = 3_600_000;
        (2_000..2_030).for_each(|number| assert!(groups.take(number, Some(0), &seen(hour, 0)).is_none()));
        assert_eq!(groups.groups.len(), 30);
        check(&groups);
    }
}
