//! What the console knows and shows: the mirror of the agent, and where the person is in it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chrono::{FixedOffset, TimeDelta};

use bartizan_config::{Keymap, View};
use bartizan_model::{AlertId, AuditEntry, Check, IncidentId, ProcessKey, Role, Timestamp};
use bartizan_protocol::{AuditVerdict, Mirror};

mod alike;
pub(crate) mod dialog;
pub(crate) mod facts;
pub(crate) mod held;
mod list;
pub(crate) mod query;
pub(crate) mod question;
pub(crate) mod rows;
pub(crate) mod sheet_rows;
pub(crate) mod sheets;

pub(crate) use dialog::Dialog;
pub(crate) use list::{List, Move, RowKey};
pub(crate) use sheets::{Item, Sheets};

/// Measurements behind the sparkline.
const RATES_KEPT: usize = 240;
/// Age of the agent's last word beyond which the screen says how old it is.
const STALE: TimeDelta = TimeDelta::seconds(10);

/// How a message sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    Done,
    Note,
    Refused,
}

/// One line that tells what came of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub sound: Sound,
    pub text: String,
    pub at: Timestamp,
}

/// A question that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub question: super::input::Question,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    /// Since when not, and why.
    Lost {
        reason: String,
        since: Timestamp,
    },
}

/// What the console knows and shows.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub mirror: Mirror,
    pub role: Role,
    pub link: Link,
    /// The moment of the last input.
    pub now: Timestamp,
    /// The owner's time zone.
    pub zone: FixedOffset,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Only this one view, without tabs.
    pub single: bool,
    /// The other host whose agent this is, as the person named it.
    pub remote: Option<String>,
    /// The guard lives in this very program.
    pub embedded: bool,
    pub keymap: Keymap,
    pub view: View,
    lists: BTreeMap<View, List>,
    blank: List,
    /// Processes whose descendants are hidden.
    pub folded: HashSet<ProcessKey>,
    /// The cursor stays on the newest process.
    pub follow: bool,
    /// Every incident has a row of its own, also those of little weight that are alike.
    pub spread: bool,
    /// Listeners instead of connections.
    pub listeners: bool,
    /// Views that show their other list: who attacks by the logs, what was learned.
    pub second: BTreeSet<View>,
    /// What views asked for.
    pub sheets: Sheets,
    /// Whose timeline.
    pub incident: Option<IncidentId>,
    pub audit: Vec<AuditEntry>,
    /// The cursor of the audit view stays on the last line.
    pub tail: bool,
    pub verdict: Option<AuditVerdict>,
    pub checks: Option<Vec<Check>>,
    pub dialog: Option<Dialog>,
    /// Filters of before, oldest first.
    pub filters: Vec<String>,
    /// The places that esc goes back to, the last one first to come.
    pub trail: Vec<super::update::Step>,
    /// The key of now came alone in its read: only such a one can answer anything.
    pub alone: bool,
    /// "While you were away" is on screen.
    pub away: bool,
    pub asked: BTreeMap<u64, Asked>,
    /// Alerts of one answer whose acknowledgement the agent confirmed so far.
    pub acknowledged: Vec<AlertId>,
    pub message: Option<Message>,
    pub rates: VecDeque<u64>,
}

impl State {
    pub(crate) fn new(keymap: Keymap, role: Role, view: View, now: Timestamp, zone: FixedOffset) -> Self {
        Self {
            mirror: Mirror::default(),
            role,
            link: Link::Up,
            now,
            zone,
            size: (80, 24),
            single: false,
            remote: None,
            embedded: false,
            keymap,
            view,
            lists: BTreeMap::new(),
            blank: List::default(),
            folded: HashSet::new(),
            follow: false,
            spread: false,
            listeners: false,
            second: BTreeSet::new(),
            sheets: Sheets::default(),
            incident: None,
            audit: Vec::new(),
            tail: true,
            verdict: None,
            checks: None,
            dialog: None,
            filters: Vec::new(),
            trail: Vec::new(),
            alone: true,
            away: false,
            asked: BTreeMap::new(),
            acknowledged: Vec::new(),
            message: None,
            rates: VecDeque::new(),
        }
    }

    /// The list of the view on screen.
    pub(crate) fn list(&self) -> &List {
        self.lists.get(&self.view).unwrap_or(&self.blank)
    }

    /// The same, to move in.
    pub(crate) fn list_mut(&mut self) -> &mut List {
        self.lists.entry(self.view).or_default()
    }

    /// The next visit of that view begins at its first row.
    pub(crate) fn forget_cursor_of(&mut self, view: View) {
        self.lists.entry(view).or_default().key = None;
    }

    /// The row under the cursor, if it is still there.
    pub(crate) fn chosen(&self) -> Option<RowKey> {
        self.list().chosen(&rows::keys(self))
    }

    /// Notes a rate for the sparkline.
    pub(crate) fn note_rate(&mut self) {
        let Some(health) = &self.mirror.health else { return };
        if self.rates.len() >= RATES_KEPT {
            self.rates.pop_front();
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate; `as` saturates
        self.rates.push_back(health.events_per_second.round() as u64);
    }

    /// Says something on the message line.
    pub(crate) fn say(&mut self, sound: Sound, text: impl Into<String>) {
        self.message = Some(Message { sound, text: text.into(), at: self.now });
    }

    /// How old the agent's last word is, when that is too old.
    pub(crate) fn stale_for(&self) -> Option<TimeDelta> {
        let age = self.now - self.mirror.health.as_ref()?.at;
        (age > STALE).then_some(age)
    }

    /// The incident that the timeline shows: the one chosen, else the worst.
    pub(crate) fn timeline_of(&self) -> Option<IncidentId> {
        self.incident.filter(|id| self.mirror.incidents.contains_key(id)).or_else(|| rows::worst(self))
    }
}
