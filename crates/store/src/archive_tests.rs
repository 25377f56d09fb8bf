//! The archive on a real disk: what is kept, found again, swept, refused and set aside.

use std::path::Path;
use std::sync::Arc;

use super::{Archive, StoreError};
use bartizan_model::{
    Alert, AlertId, AlertState, Ancestor, BootId, Confidence, Event, EventId, EventKind, Family, HostText, Incident, IncidentId,
    IncidentState, Lineage, Loss, Posture, Process, ProcessKey, Severity, Signal, SignalId, Source, Stage, Tier, Timestamp,
};
use bartizan_protocol::{EventQuery, Filter};

pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + seconds, 5).unwrap()
}

fn process(argv: &[u8]) -> Arc<Process> {
    let key = |pid| ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    Arc::new(Process {
        ppid: 1,
        exe: HostText::from("/usr/bin/curl"),
        argv: vec![HostText::from("curl"), HostText::from(argv)],
        cwd: HostText::from("/tmp"),
        uid: 33,
        euid: 33,
        user: Some(HostText::from("www-data")),
        cgroup: HostText::from("/system.slice/nginx.service"),
        unit: Some("nginx.service".to_owned()),
        lineage: Lineage {
            ancestors: Arc::from(vec![Ancestor { key: key(1), exe: HostText::from("/usr/sbin/nginx") }; 4]),
            ..Lineage::default()
        },
        ..Process::unknown(key(42), moment(0))
    })
}

pub(super) fn exec(id: u64, seconds: i64, argv: &[u8]) -> Event {
    Event {
        id: EventId(id),
        at: moment(seconds),
        kind: EventKind::Exec,
        process: Some(process(argv)),
        source: Source::Ebpf,
        complete: true,
    }
}

pub(super) fn loss(id: u64, seconds: i64) -> Event {
    let loss = Loss::new("lane-bulk", 3);
    Event { id: EventId(id), at: moment(seconds), kind: EventKind::Loss { loss }, process: None, source: Source::Agent, complete: false }
}

pub(super) fn all() -> EventQuery {
    EventQuery { limit: u32::MAX, ..EventQuery::default() }
}

pub(super) fn ids(archive: &Archive, filter: EventQuery) -> Vec<u64> {
    let found = archive.reader().unwrap().events(&filter).unwrap();
    assert_eq!(found.unreadable, 0);
    found.records.iter().map(|event| event.id.0).collect()
}

#[test]
fn events_come_back_as_they_were_and_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let events = [exec(1, 0, b"http://a/\xff\x1b[\"x"), loss(2, 10), exec(3, 20, b"plain")];
    archive.writer().unwrap().events(&events).unwrap();
    let back = archive.reader().unwrap().events(&all()).unwrap();
    assert_eq!(back.records, events);
    assert_eq!(ids(&archive, EventQuery { since: Some(moment(10)), ..all() }), [2, 3]);
    assert_eq!(ids(&archive, EventQuery { kind: Some("process".to_owned()), ..all() }), [1, 3]);
    assert_eq!(ids(&archive, EventQuery { kind: Some("sensor.loss".to_owned()), ..all() }), [2]);
    assert_eq!(ids(&archive, EventQuery { kind: Some("proc".to_owned()), ..all() }), [0; 0]);
    assert_eq!(ids(&archive, EventQuery { filter: Some(Filter::text("\u{10ffff}\u{1b}[\"x")), ..all() }), [1]);
    assert_eq!(ids(&archive, EventQuery { filter: Some(Filter::text("\"kind\":\"process.exec\"")), ..all() }), [1, 3]);
    assert_eq!(ids(&archive, EventQuery { limit: 2, ..all() }), [2, 3], "the newest, oldest first");
    let reader = archive.reader().unwrap();
    assert_eq!((reader.count(None, None).unwrap(), reader.count(Some("process"), Some(moment(1))).unwrap()), (3, 1));
}

#[test]
fn records_are_replaced_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    let signal = Signal {
        id: SignalId { event: EventId(9), ordinal: 2 },
        at: moment(3),
        detector: "web-shell".to_owned(),
        technique: vec![],
        severity: Severity::High,
        confidence: Confidence::new(0.7),
        tier: Tier::Stable,
        family: Family::Lineage,
        stage: Stage::Execution,
        events: vec![EventId(9)],
        entities: vec![],
        subject: None,
        act: None,
        hostile: None,
        sentence: "nginx ran a shell".to_owned(),
        complete: true,
        excepted: None,
    };
    let incident = |confidence| Incident {
        id: IncidentId(4),
        opened: moment(3),
        updated: moment(4),
        state: IncidentState::Open,
        confidence: Confidence::new(confidence),
        severity: Severity::High,
        posture: Posture::Contain,
        stages: vec![Stage::Execution],
        entities: vec![],
        signals: vec![signal.id],
        signal_count: 1,
        families: vec![Family::Lineage],
        subject: None,
        addresses: vec![],
        sentence: "nginx ran a shell".to_owned(),
        complete: true,
        excepted: 0,
    };
    let alert = Alert {
        id: AlertId(6),
        incident: IncidentId(4),
        at: moment(3),
        updated: moment(4),
        severity: Severity::High,
        sentence: String::new(),
        count: 1,
        state: AlertState::New,
        by: None,
    };
    writer.upsert_signal(&signal).unwrap();
    writer.upsert_incident(&incident(0.5)).unwrap();
    writer.upsert_incident(&incident(0.9)).unwrap();
    writer.upsert_alert(&alert).unwrap();
    writer.set_meta("mode", "balanced").unwrap();
    drop(writer);
    let again = Archive::open(dir.path()).unwrap();
    assert_eq!(again.notice(), None);
    let reader = again.reader().unwrap();
    assert_eq!(reader.signals(10).unwrap().records, std::slice::from_ref(&signal));
    assert_eq!(reader.incidents(10).unwrap().records, [incident(0.9)]);
    assert_eq!((reader.incident(IncidentId(4)).unwrap(), reader.incident(IncidentId(5)).unwrap()), (Some(incident(0.9)), None));
    assert_eq!(reader.alerts(10).unwrap().records, [alert]);
    assert_eq!(reader.meta("mode").unwrap().as_deref(), Some("balanced"));
    assert_eq!(
        (reader.max_incident_id().unwrap(), reader.max_alert_id().unwrap().0, reader.max_approval_id().unwrap().0),
        (IncidentId(4), 6, 0)
    );
}

/// Bytes that cannot be compressed.
fn noise(seed: u64) -> [u8; 200] {
    let mut bytes = [0; 200];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn retention_keeps_the_newest_and_never_gives_a_number_twice() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    let many: Vec<Event> = (1..=4000).map(|id| exec(id, id as i64, &noise(id))).collect();
    writer.events(&many).unwrap();
    let full = writer.bytes().unwrap();
    let by_age = writer.retain(u64::MAX, moment(200)).unwrap();
    assert_eq!(by_age.events, 0, "no block is altogether from before");
    let by_age = writer.retain(u64::MAX, moment(2100)).unwrap();
    assert!((1000..2100).contains(&by_age.events), "{by_age:?}: only what is altogether from before");
    assert_eq!(ids(&archive, all()).first(), Some(&(by_age.events + 1)));
    let by_size = writer.retain(full / 2, moment(0)).unwrap();
    let left = ids(&archive, all());
    assert!(by_size.bytes <= full / 2 && left.len() >= 500 && left.last() == Some(&4000), "{by_size:?} of {full}, {} left", left.len());
    assert_eq!(writer.retain(0, moment(9999)).unwrap().events, left.len() as u64);
    assert_eq!(archive.reader().unwrap().max_event_id().unwrap(), EventId(4000));
    writer.events(&[exec(2, 2, b"late")]).unwrap();
    assert_eq!(archive.reader().unwrap().max_event_id().unwrap(), EventId(4000));
}

#[test]
fn a_newer_database_is_refused_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(Archive::open(dir.path()).unwrap());
    let file = dir.path().join("archive.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = Archive::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("has version 99, this program knows up to 2"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_damaged_database_is_set_aside_and_said_so() {
    let damage: [fn(&Path); 2] = [
        |file| std::fs::write(file, "this is no database, not at all, it is text").unwrap(),
        |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let end = bytes.len().min(20_000);
            bytes[4096..end].fill(0x5a);
            std::fs::write(file, bytes).unwrap();
        },
    ];
    for hurt in damage {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        archive.writer().unwrap().events(&(1..500).map(|id| exec(id, 1, b"x")).collect::<Vec<_>>()).unwrap();
        let file = dir.path().join("archive.db");
        hurt(&file);
        let bytes = std::fs::read(&file).unwrap();
        let again = Archive::open(dir.path()).unwrap();
        let notice = again.notice().unwrap();
        let aside = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains(".db.corrupt-"))
            .unwrap();
        assert!(notice.contains(&*aside.to_string_lossy()), "{notice}");
        assert_eq!(std::fs::read(aside).unwrap(), bytes, "what was there is kept");
        again.writer().unwrap().events(&[exec(1, 1, b"new")]).unwrap();
        assert_eq!(ids(&again, all()), [1]);
    }
}

#[test]
fn a_data_directory_that_cannot_be_is_one_line() {
    let error = Archive::open(Path::new("/dev/null/data")).unwrap_err().to_string();
    assert!(error.contains("/dev/null/data") && error.contains("--data DIR") && !error.contains('\n'), "{error}");
}

/// The floor is far below what a release build does, so that it only fails when batching itself is broken
/// (a transaction for each event is about a hundred times slower).
#[test]
fn a_flood_of_events_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    for batch in 0..10 {
        let events: Vec<Event> = (0..2000).map(|i| exec(batch * 2000 + i + 1, 1, b"http://203.0.113.7/x.sh")).collect();
        writer.events(&events).unwrap();
    }
    assert_eq!(archive.reader().unwrap().count(None, None).unwrap(), 20_000);
}
