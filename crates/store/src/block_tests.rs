//! Blocks in the archive: filters that open no more than they must, damage, migration, digests that came later.

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::archive_tests::{all, exec, ids, loss, moment};
use super::specimens;
use super::{Archive, FileDigest};
use bartizan_model::{Event, EventId, HostText, Process, Sha256};
use bartizan_protocol::{EventQuery, Filter};

fn with(events: &[&[Event]]) -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    events.iter().for_each(|events| writer.events(events).unwrap());
    (dir, archive)
}

fn sql(archive: &Archive) -> Connection {
    Connection::open(archive.path()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A text taken from anywhere in an event's JSON, or typed otherwise, finds exactly the events whose JSON holds it.
    #[test]
    fn every_text_finds_what_reading_everything_finds(
        events in specimens::events(), which in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), length in 1usize..14, typed in "[a-z/]{1,3}",
    ) {
        let (_dir, archive) = with(&[&events]);
        let reader = archive.reader().unwrap();
        let json: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        let source: Vec<char> = json[which.index(json.len())].chars().collect();
        let some: String = source.iter().skip(from.index(source.len())).take(length).collect();
        for text in [some, typed] {
            let quoted = serde_json::to_string(&text).unwrap();
            let inner = &quoted[1..quoted.len() - 1];
            let mut expected: Vec<u64> = events.iter().zip(&json)
                .filter(|(_, json)| json.contains(&text) || json.contains(inner)).map(|(event, _)| event.id.0).collect();
            expected.sort_unstable();
            let found = reader.events(&EventQuery { filter: Some(Filter::text(&text)), ..all() }).unwrap();
            prop_assert_eq!(found.records.iter().map(|event| event.id.0).collect::<Vec<_>>(), expected, "{:?}", text);
        }
    }

    #[test]
    fn every_kind_and_family_finds_its_events(events in specimens::events()) {
        let (_dir, archive) = with(&[&events]);
        let reader = archive.reader().unwrap();
        for kind in bartizan_model::EventKind::NAMES.iter().flat_map(|name| [*name, name.split('.').next().unwrap()]) {
            let fits = |event: &&Event| event.kind.name() == kind || event.kind.name().split('.').next() == Some(kind);
            let mut expected: Vec<Event> = events.iter().filter(fits).cloned().collect();
            expected.sort_by_key(|event| event.id);
            prop_assert_eq!(reader.count(Some(kind), None).unwrap(), expected.len() as u64);
            prop_assert_eq!(reader.events(&EventQuery { kind: Some(kind.to_owned()), ..all() }).unwrap().records, expected);
        }
    }
}

#[test]
fn urgent_events_that_overtook_others_stand_in_their_place() {
    let execs = |ids: &[u64]| ids.iter().map(|id| exec(*id, *id as i64, b"x")).collect::<Vec<_>>();
    let (_dir, archive) = with(&[&execs(&[1, 2, 9, 3]), &execs(&[4, 12, 5]), &execs(&[6, 7, 8])]);
    assert_eq!(ids(&archive, all()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 12]);
    assert_eq!(ids(&archive, EventQuery { limit: 3, ..all() }), [8, 9, 12]);
    assert_eq!(ids(&archive, EventQuery { limit: 0, ..all() }), [0; 0]);
}

#[test]
fn a_damaged_block_is_counted_and_the_others_are_read() {
    for damage in [
        "UPDATE blocks SET data = substr(data, 1, length(data) - 3) WHERE last = 3",
        "UPDATE blocks SET data = CAST(substr(data, 1, 20) || x'00' || substr(data, 22) AS BLOB) WHERE last = 3",
        "UPDATE blocks SET data = x'' WHERE last = 3",
        "UPDATE blocks SET data = 'text' WHERE last = 3",
        "UPDATE blocks SET codec = 0 WHERE last = 3",
        "UPDATE blocks SET codec = 9 WHERE last = 3",
    ] {
        let (_dir, archive) = with(&[&[exec(1, 1, b"a"), exec(2, 2, b"b"), exec(3, 3, b"c")], &[loss(4, 4)]]);
        assert_eq!(sql(&archive).execute(damage, []).unwrap(), 1);
        let found = archive.reader().unwrap().events(&all()).unwrap();
        assert_eq!((found.records, found.unreadable), (vec![loss(4, 4)], 3), "{damage}");
        // What is not of the kind, or older, is not even opened.
        for filter in [
            EventQuery { kind: Some("sensor".to_owned()), ..all() },
            EventQuery { since: Some(moment(4)), ..all() },
            EventQuery { limit: 1, ..all() },
        ] {
            assert_eq!(ids(&archive, filter), [4]);
        }
    }
}

/// The tables as the first version left them.
#[test]
fn events_of_the_first_version_are_kept_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("archive.db");
    let events = [exec(1, 1, b"http://a/\xff\x1b[\"x"), loss(2, 2), exec(7, 3, b"plain")];
    let mut old = Connection::open(&file).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    super::migrations::ALL.to_version(&mut old, 1).unwrap();
    let insert = "INSERT INTO events (id, at, kind, json) VALUES (?1, ?2, ?3, ?4)";
    for event in &events {
        let json = serde_json::to_vec(event).unwrap();
        let at = event.at.timestamp_nanos_opt().unwrap();
        old.execute(insert, params![event.id.0 as i64, at, event.kind.name(), json]).unwrap();
    }
    old.execute(insert, params![8, 0, "process.exec", b"{}"]).unwrap();
    drop(old);
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(archive.notice(), None);
    let reader = archive.reader().unwrap();
    let found = reader.events(&all()).unwrap();
    assert_eq!((found.records.as_slice(), found.unreadable), (&events[..], 1), "and the row that never was readable is still told");
    assert_eq!(reader.max_event_id().unwrap(), EventId(8));
    assert_eq!(ids(&archive, EventQuery { kind: Some("sensor.loss".to_owned()), ..all() }), [2]);
    assert_eq!(ids(&archive, EventQuery { filter: Some(Filter::text("plain")), since: Some(moment(0)), ..all() }), [7]);
    archive.writer().unwrap().events(&[exec(9, 9, b"new")]).unwrap();
    assert_eq!(ids(&archive, EventQuery { since: Some(moment(0)), ..all() }), [1, 2, 7, 9]);
}

fn of_file(id: u64, changed: i64, sha256: Option<Sha256>) -> Event {
    let event = exec(id, id as i64, b"x");
    let mut process: Process = (**event.process.as_ref().unwrap()).clone();
    (process.exe_file.device, process.exe_file.inode) = (3, u64::MAX);
    (process.exe_file.changed, process.exe_file.sha256) = (changed, sha256);
    Event { process: Some(process.into()), ..event }
}

#[test]
fn what_became_known_later_is_filled_in_where_it_is_missing() {
    let (own, later) = (Sha256([1; 32]), Sha256([2; 32]));
    let (_dir, archive) = with(&[&[of_file(1, 50, None), of_file(2, 50, Some(own)), of_file(3, 51, None), of_file(4, 0, None)]]);
    let mut writer = archive.writer().unwrap();
    let digest = |changed, sha256, package: Option<&str>| FileDigest {
        device: 3,
        inode: u64::MAX,
        changed,
        sha256,
        package: package.map(HostText::from),
    };
    writer.upsert_digest(&digest(50, Some(later), None)).unwrap();
    writer.upsert_digest(&digest(50, None, Some("coreutils"))).unwrap();
    writer.upsert_digest(&digest(0, Some(later), Some("never"))).unwrap();
    let found = archive.reader().unwrap().events(&all()).unwrap().records;
    let known = |event: &Event| {
        let process = event.process.as_ref().unwrap();
        (process.exe_file.sha256, process.package.as_ref().map(HostText::escaped))
    };
    let package = || Some("coreutils".to_owned());
    assert_eq!(found.iter().map(known).collect::<Vec<_>>(), [(Some(later), package()), (Some(own), package()), (None, None), (None, None)]);
    assert_eq!(ids(&archive, EventQuery { filter: Some(Filter::text("oreutil")), ..all() }), [1, 2], "as if it always had been there");
    assert_eq!(ids(&archive, EventQuery { filter: Some(Filter::text(&later.to_string())), ..all() }), [1]);
}

#[test]
fn the_table_of_digests_is_bounded() {
    let (_dir, archive) = with(&[]);
    sql(&archive)
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO digests (device, inode, changed) SELECT 1, i, 1 FROM n",
        )
        .unwrap();
    let digest = FileDigest { device: 2, inode: 2, changed: 2, sha256: None, package: Some(HostText::from("p")) };
    archive.writer().unwrap().upsert_digest(&digest).unwrap();
    let rows = |condition: &str| -> i64 {
        sql(&archive).query_row(&format!("SELECT count(*) FROM digests WHERE {condition}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("1"), rows("inode = 1"), rows("device = 2")), (super::digests::MOST, 0, 1), "the oldest went");
}
