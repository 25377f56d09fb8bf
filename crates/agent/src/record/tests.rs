//! The recorder under a flood: what is refused, what is kept, that every count is exact, and when things reach the disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::*;
use bartizan_model::{EventId, HostText, Loss, Process, ProcessKey, Source, Timestamp};
use bartizan_protocol::EventQuery;
use bartizan_store::Archive;

fn event(id: u64, kind: EventKind, bytes: usize) -> Event {
    let key = ProcessKey { boot: bartizan_model::BootId(1), pid: id as u32, start: id };
    // No two alike: what repeats is written once.
    let argument: Vec<u8> = (0..bytes as u64).map(|place| (place.wrapping_mul(id | 1) >> 3) as u8 ^ id as u8).collect();
    let process = Process { argv: vec![HostText::from(argument)], ..Process::unknown(key, Timestamp::UNIX_EPOCH) };
    Event { id: EventId(id), at: Timestamp::UNIX_EPOCH, kind, process: Some(Arc::new(process)), source: Source::Ebpf, complete: true }
}

/// Counts what was lost; opens nothing.
struct Failed(u64);

impl Archiving for Failed {
    fn open(&mut self) -> Result<bartizan_store::Writer, bartizan_store::StoreError> {
        Err(bartizan_store::StoreError::Away)
    }
    fn report(&mut self, lost: u64, _: Option<bartizan_store::StoreError>) {
        self.0 += lost;
    }
    fn numbered(&mut self, _: Numbers) {}
}

fn started(dir: &std::path::Path) -> (Arc<Recorder>, Archive, JoinHandle<u64>) {
    let archive = Archive::open(dir).unwrap();
    let (recorder, far_end) = Recorder::new();
    let writer = archive.writer().unwrap();
    let run = std::thread::spawn(move || {
        let mut failed = Failed(0);
        write(&far_end, Some(writer), (1 << 30, Duration::from_secs(1 << 30)), &mut failed);
        failed.0
    });
    (Arc::new(recorder), archive, run)
}

/// Nobody writes. A flood of each class, least worth first and then all again in the other order.
#[test]
fn a_full_queue_keeps_a_reserve_for_what_is_worth_more() {
    let (recorder, far_end) = Recorder::new();
    let loss = || EventKind::Loss { loss: Loss::new("kernel-ring", 1) };
    let mut id = 0;
    let mut flood = |kind: &dyn Fn() -> EventKind| {
        let before = recorder.hop();
        for _ in 0..1_200 {
            id += 1;
            recorder.keep_all([&event(id, kind(), 16_000)]);
        }
        let after = recorder.hop();
        (after.received - before.received) - (after.dropped - before.dropped)
    };
    let forks = flood(&|| EventKind::Fork);
    let execs = flood(&|| EventKind::Exec);
    let losses = flood(&loss);
    assert!(forks > 400 && forks < 1_200, "{forks} forks fill half of it");
    assert!(execs > 100 && execs < forks, "{execs} execs after them");
    assert!(losses > 100 && losses < forks, "{losses} others after those");
    assert_eq!((flood(&|| EventKind::Fork), flood(&|| EventKind::Exec), flood(&loss)), (0, 0, 0));
    let waits = recorder.0.lock().bytes;
    assert!(waits < WAITING, "{waits} bytes wait");
    // What the agent concluded still fits.
    recorder.keep(Record::Note("mode", "paranoid".to_owned()));
    let hop = recorder.hop();
    assert_eq!(hop.received, 6 * 1_200 + 1);
    let kept = forks + execs + losses + 1;
    assert_eq!(hop.received - hop.dropped, kept, "kept + dropped = made");
    // Nobody ever writes it: then it is all lost, and counted so.
    recorder.0.lock().close_block();
    drop(far_end);
    recorder.keep(Record::Note("mode", "late".to_owned()));
    let (hop, waits) = (recorder.hop(), recorder.0.lock().bytes);
    assert_eq!((hop.dropped, waits), (hop.received, 0));
}

#[test]
fn what_is_kept_reaches_the_disk_and_the_counts_agree() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, archive, run) = started(dir.path());
    let events: Vec<Event> = (1..=5_000).map(|id| event(id, EventKind::Exec, 10)).collect();
    for part in events.chunks(700) {
        recorder.keep_all(part);
    }
    recorder.keep(Record::Note("mode", "balanced".to_owned()));
    recorder.flush();
    let reader = archive.reader().unwrap();
    let found = reader.events(&EventQuery { limit: u32::MAX, ..EventQuery::default() }).unwrap();
    assert_eq!((found.records, found.unreadable), (events, 0));
    assert_eq!(reader.meta("mode").unwrap().as_deref(), Some("balanced"));
    let hop = recorder.hop();
    assert_eq!((hop.received, hop.dropped), (5_001, 0));
    recorder.keep_all([&event(5_001, EventKind::Fork, 1)]);
    recorder.end();
    assert_eq!(run.join().unwrap(), 0);
    assert_eq!(reader.max_event_id().unwrap(), EventId(5_001), "the end writes at once");
    recorder.keep_all([&event(5_002, EventKind::Fork, 1)]);
    assert_eq!(recorder.hop().dropped, 1, "after the end nothing is kept, and that is counted");
    recorder.flush();
}

#[test]
fn a_quiet_host_has_its_events_on_disk_soon_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, archive, run) = started(dir.path());
    for id in 1..=20 {
        recorder.keep_all([&event(id, EventKind::Exec, 10)]);
    }
    let begun = Instant::now();
    let reader = archive.reader().unwrap();
    while reader.max_event_id().unwrap() < EventId(20) {
        assert!(begun.elapsed() < Duration::from_secs(20), "still not on disk");
        std::thread::sleep(Duration::from_millis(20));
    }
    recorder.end();
    run.join().unwrap();
}

#[test]
fn what_the_disk_refuses_is_counted_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, archive, run) = started(dir.path());
    recorder.keep_all([&event(1, EventKind::Exec, 1), &event(2, EventKind::Exec, 1)]);
    recorder.flush();
    // The same number again: the database refuses the block.
    recorder.keep_all([&event(1, EventKind::Exec, 1), &event(2, EventKind::Fork, 1)]);
    recorder.flush();
    recorder.keep_all([&event(3, EventKind::Exec, 1)]);
    recorder.end();
    assert_eq!(run.join().unwrap(), 2);
    assert_eq!(archive.reader().unwrap().max_event_id().unwrap(), EventId(3));
}
