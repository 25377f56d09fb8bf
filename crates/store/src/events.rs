//! Finding events: blocks from the newest on, opened only when what is known of them from outside may fit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, Row, params};

use super::block::{unpack, unseal};
use super::digests::Lookup;
use super::error::StoreError;
use super::kinds;
use super::needle::Needle;
use super::reader::{EventFilter, Found, MOST};
use super::writer::nanos;
use bartizan_model::{Event, Timestamp};

/// How the data of a row is written: the JSON of its one event, as in the first version of the tables.
const JSON: i64 = 0;
/// The sealed form of `block`.
pub(super) const PACKED: i64 = 1;

/// What an event must be to be found.
struct Wanted<'a> {
    since: Option<Timestamp>,
    kind: Option<&'a str>,
    needle: Option<Needle>,
}

impl Wanted<'_> {
    fn fits(&self, event: &Event, json: &mut Vec<u8>) -> bool {
        if self.since.is_some_and(|since| event.at < since) || self.kind.is_some_and(|kind| !kinds::is_of(event.kind.name(), kind)) {
            return false;
        }
        let Some(needle) = &self.needle else { return true };
        json.clear();
        serde_json::to_writer(&mut *json, event).is_ok() && needle.is_in(json)
    }
}

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

/// The newest events that fit, oldest first.
pub(super) fn find(connection: &Connection, filter: &EventFilter) -> Result<Found<Event>, Trouble> {
    let most = filter.limit.min(MOST) as usize;
    let mut lookup = Lookup::new(connection);
    let needle = filter.containing.as_ref().map(|text| needle(text, &lookup)).transpose()?;
    let wanted = Wanted { since: filter.since, kind: filter.kind.as_deref(), needle };
    let mut newest: BinaryHeap<Reverse<ByNumber>> = BinaryHeap::new();
    let (mut unreadable, mut json) = (0, Vec::new());
    let (mut held, mut full) = (0, false);
    let before = filter.before.map_or(u64::MAX, |id| id.0);
    let mut statement = connection.prepare_cached(
        "SELECT last, events, codec, data FROM blocks WHERE latest >= ?1 AND kinds & ?2 AND first < ?3 ORDER BY last DESC",
    )?;
    let mask = filter.kind.as_deref().map_or(i64::MAX, kinds::mask);
    let mut rows = statement.query(params![filter.since.map_or(i64::MIN, nanos), mask, i64::try_from(before).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        // Numbers of neighbouring blocks may overlap, for the lanes let urgent events overtake others.
        let enough = full || newest.len() >= most;
        if enough && newest.peek().is_none_or(|Reverse(oldest)| row.get::<_, i64>(0).is_ok_and(|last| oldest.0.id.0 > last.unsigned_abs()))
        {
            break;
        }
        let Some(events) = open(row, wanted.needle.as_ref(), &mut lookup)? else {
            unreadable += row.get::<_, i64>(1)?.unsigned_abs();
            continue;
        };
        for event in events {
            if event.id.0 < before && wanted.fits(&event, &mut json) {
                held += event.weight();
                newest.push(Reverse(ByNumber(event)));
                while newest.len() > most || held > Event::PAGE && newest.len() > 1 {
                    full = true;
                    held -= newest.pop().map_or(0, |Reverse(ByNumber(event))| event.weight());
                }
            }
        }
    }
    if let Some(why) = lookup.trouble {
        return Err(why.into());
    }
    let records = newest.into_sorted_vec().into_iter().rev().map(|Reverse(ByNumber(event))| event).collect();
    Ok(Found { records, unreadable })
}

/// How many readable events of this kind or family there are since a moment.
pub(super) fn count(connection: &Connection, kind: Option<&str>, since: Option<Timestamp>) -> Result<u64, Trouble> {
    let wanted = Wanted { since, kind, needle: None };
    let since = since.map_or(i64::MIN, nanos);
    let mut statement =
        connection.prepare_cached("SELECT last, events, codec, data, earliest, kinds FROM blocks WHERE latest >= ?1 AND kinds & ?2")?;
    let mask = kind.map_or(i64::MAX, kinds::mask);
    let mut rows = statement.query(params![since, mask])?;
    let (mut number, mut lookup) = (0, Lookup::new(connection));
    while let Some(row) = rows.next()? {
        let (earliest, kinds): (i64, i64) = (row.get(4)?, row.get(5)?);
        let all = earliest >= since && (kind.is_none() || kinds & !(mask & !kinds::OTHER) == 0);
        if all {
            number += row.get::<_, i64>(1)?.unsigned_abs();
        } else if let Some(events) = open(row, None, &mut lookup)? {
            number += events.iter().filter(|event| wanted.fits(event, &mut Vec::new())).count() as u64;
        }
    }
    Ok(number)
}

/// The text to find. Where the table of digests may add it to an event, no block can say that it is not there.
fn needle(text: &bartizan_model::HostText, lookup: &Lookup<'_>) -> Result<Needle, Trouble> {
    let mut needle = Needle::new(text)?;
    for part in needle.parts().to_vec() {
        if lookup.a_package_holds(&part)? {
            needle.read_everything();
        }
    }
    Ok(needle)
}

/// The events of a row; none when the text cannot be among them, `None` when they cannot be read.
fn open(row: &Row<'_>, needle: Option<&Needle>, lookup: &mut Lookup<'_>) -> rusqlite::Result<Option<Vec<Event>>> {
    let Ok(data) = row.get_ref(3)?.as_bytes() else { return Ok(None) };
    let hopeless = |raw: &[u8]| needle.is_some_and(|needle| !needle.may_be_in(raw));
    Ok(match row.get(2)? {
        JSON if hopeless(data) => Some(Vec::new()),
        JSON => serde_json::from_slice(data).ok().map(|event| vec![event]),
        PACKED => match unseal(data) {
            Some(raw) if hopeless(&raw) => Some(Vec::new()),
            Some(raw) => unpack(&raw, |process| lookup.complete(process)),
            None => None,
        },
        _ => None,
    })
}

/// What can stop a search.
#[derive(Debug)]
pub(super) enum Trouble {
    Database(rusqlite::Error),
    Other(StoreError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(why: rusqlite::Error) -> Self {
        Self::Database(why)
    }
}

impl From<StoreError> for Trouble {
    fn from(why: StoreError) -> Self {
        Self::Other(why)
    }
}
