//! Finding events: blocks from the newest on, opened only when what is known of them from outside may fit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, params};

use super::block::{Candidate, Sieve, scan, unpack, unseal};
use super::digests::Lookup;
use super::kinds;
use super::prefilter::Prefilter;
use super::reader::{Found, MOST};
use super::writer::nanos;
use bartizan_model::{Event, Timestamp};
use bartizan_protocol::EventQuery;

/// How the data of a row is written: the JSON of its one event, as in the first version of the tables.
const JSON: i64 = 0;
/// The sealed form of `block`.
pub(super) const PACKED: i64 = 1;

/// The newest events first in the heap's order, so that the oldest of them is the one to give way.
struct ByNumber(Event);

impl PartialEq for ByNumber {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ByNumber {}

impl PartialOrd for ByNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

/// Longest that a search may take: whoever asked has gone by then, and others wait.
const LONGEST: Duration = Duration::from_secs(60);

/// What is said of one that took longer.
fn too_slow() -> rusqlite::Error {
    let why =
        format!("the search took longer than {} s: narrow it by --since, by a kind, or by a text without wildcards", LONGEST.as_secs());
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT), Some(why))
}

/// The newest events that fit, oldest first.
pub(super) fn find(connection: &Connection, query: &EventQuery) -> rusqlite::Result<Found<Event>> {
    let mut search = Search::new(connection, query)?;
    let mut newest = Newest::new(query.limit.min(MOST) as usize);
    let begun = Instant::now();
    let mut unreadable = 0;
    let mut statement = connection.prepare_cached(
        "SELECT last, events, codec, data FROM blocks WHERE latest >= ?1 AND kinds & ?2 AND first < ?3 ORDER BY last DESC",
    )?;
    let mask = query.kind.as_deref().map_or(i64::MAX, kinds::mask);
    let before = query.before.map_or(i64::MAX, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
    let mut rows = statement.query(params![query.since.map_or(i64::MIN, nanos), mask, before])?;
    while let Some(row) = rows.next()? {
        if newest.needs_none_up_to(row.get::<_, i64>(0)?.unsigned_abs()) {
            break;
        }
        if begun.elapsed() > LONGEST {
            return Err(too_slow());
        }
        match search.wanted(row)? {
            Some(events) => events.into_iter().for_each(|event| newest.take(event)),
            None => unreadable += row.get::<_, i64>(1)?.unsigned_abs(),
        }
    }
    match search.lookup.trouble {
        Some(why) => Err(why),
        None => Ok(Found { records: newest.into_sorted(), unreadable }),
    }
}

/// How many readable events of this kind or family there are since a moment.
pub(super) fn count(connection: &Connection, kind: Option<&str>, since: Option<Timestamp>) -> rusqlite::Result<u64> {
    let query = EventQuery { kind: kind.map(str::to_owned), since, ..EventQuery::default() };
    let mut search = Search::new(connection, &query)?;
    let since = since.map_or(i64::MIN, nanos);
    let mut statement =
        connection.prepare_cached("SELECT last, events, codec, data, earliest, kinds FROM blocks WHERE latest >= ?1 AND kinds & ?2")?;
    let mask = kind.map_or(i64::MAX, kinds::mask);
    let mut rows = statement.query(params![since, mask])?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        let (earliest, kinds): (i64, i64) = (row.get(4)?, row.get(5)?);
        let all = earliest >= since && (kind.is_none() || kinds & !(mask & !kinds::OTHER) == 0);
        if all {
            number += row.get::<_, i64>(1)?.unsigned_abs();
        } else if let Some(events) = search.wanted(row)? {
            number += events.len() as u64;
        }
    }
    Ok(number)
}

/// One question, held against row after row.
struct Search<'a> {
    query: &'a EventQuery,
    sieve: Option<(Sieve<'a>, Prefilter)>,
    lookup: Lookup<'a>,
}

impl<'a> Search<'a> {
    fn new(connection: &'a Connection, query: &'a EventQuery) -> rusqlite::Result<Self> {
        let lookup = Lookup::new(connection);
        let sieve = query.filter.as_ref().map(|filter| Ok::<_, rusqlite::Error>((Sieve::new(filter), Prefilter::new(filter, &lookup)?)));
        Ok(Self { query, sieve: sieve.transpose()?, lookup })
    }

    /// The events of a row that are wanted; `None` when they cannot be read.
    fn wanted(&mut self, row: &Row<'_>) -> rusqlite::Result<Option<Vec<Event>>> {
        let Ok(data) = row.get_ref(3)?.as_bytes() else { return Ok(None) };
        Ok(match row.get(2)? {
            JSON => {
                let event: Option<Event> = serde_json::from_slice(data).ok();
                event.map(|event| if self.query.fits(&event) { vec![event] } else { Vec::new() })
            }
            PACKED => unseal(data).and_then(|raw| self.packed(&raw)),
            _ => None,
        })
    }

    fn packed(&mut self, raw: &[u8]) -> Option<Vec<Event>> {
        let Some((sieve, prefilter)) = &self.sieve else {
            let events = unpack(raw, |process| self.lookup.complete(process))?;
            return Some(events.into_iter().filter(|event| self.query.fits(event)).collect());
        };
        if !prefilter.may_be_in(raw) {
            return Some(Vec::new());
        }
        let candidates = scan(raw, sieve, self.query, &mut self.lookup)?;
        if candidates.is_empty() {
            return Some(Vec::new());
        }
        let events = unpack(raw, |process| self.lookup.complete(process))?;
        let mut wanted = Vec::with_capacity(candidates.len());
        let mut candidates = candidates.into_iter().peekable();
        for (place, event) in events.into_iter().enumerate() {
            if let Some(Candidate { sure, .. }) = candidates.next_if(|candidate| candidate.place == place)
                && (sure || self.query.fits(&event))
            {
                wanted.push(event);
            }
        }
        Some(wanted)
    }
}

/// The newest events found so far: as many as were asked for, and as fit into one answer.
struct Newest {
    events: BinaryHeap<Reverse<ByNumber>>,
    most: usize,
    held: usize,
    full: bool,
}

impl Newest {
    fn new(most: usize) -> Self {
        Self { events: BinaryHeap::new(), most, held: 0, full: false }
    }

    /// Whether no event of a number up to this can be among them. Numbers of neighbouring blocks may overlap, for the lanes let
    /// urgent events overtake others.
    fn needs_none_up_to(&self, last: u64) -> bool {
        let enough = self.full || self.events.len() >= self.most;
        enough && self.events.peek().is_none_or(|Reverse(oldest)| oldest.0.id.0 > last)
    }

    fn take(&mut self, event: Event) {
        self.held += event.weight();
        self.events.push(Reverse(ByNumber(event)));
        while self.events.len() > self.most || self.held > Event::PAGE && self.events.len() > 1 {
            self.full = true;
            self.held -= self.events.pop().map_or(0, |Reverse(ByNumber(event))| event.weight());
        }
    }

    fn into_sorted(self) -> Vec<Event> {
        self.events.into_sorted_vec().into_iter().rev().map(|Reverse(ByNumber(event))| event).collect()
    }
}
