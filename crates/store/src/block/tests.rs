//! Blocks: what goes in comes out, and what was damaged neither panics nor invents.

use proptest::prelude::*;

use super::*;
use crate::specimens::events;
use bartizan_model::HostText;

fn pack(events: &[Event]) -> Block {
    let mut packer = Packer::default();
    for event in events {
        packer.push(event).unwrap();
    }
    packer.take().unwrap()
}

proptest! {
    #[test]
    fn events_of_every_kind_come_back_byte_for_byte(events in events()) {
        let back = unpack(&unseal(&seal(&pack(&events).raw)).unwrap(), |_| {}).unwrap();
        prop_assert_eq!(&back, &events);
        prop_assert_eq!(serde_json::to_vec(&back).unwrap(), serde_json::to_vec(&events).unwrap());
    }

    #[test]
    fn bytes_that_are_no_block_are_refused_or_read_but_never_panic(
        events in events(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(),
    ) {
        let mut raw = pack(&events).raw;
        for (place, byte) in places {
            let place = place.index(raw.len());
            raw[place] = byte;
        }
        let _ = unpack(&raw, |_| {});
        raw.truncate(cut.index(raw.len()));
        let _ = unpack(&raw, |_| {});
    }
}

fn exec(id: u64, argv: &[u8]) -> Event {
    let key = ProcessKey { boot: BootId(7), pid: id as u32, start: id };
    let process = Process { argv: vec![HostText::from(argv)], ..Process::unknown(key, Timestamp::UNIX_EPOCH) };
    let process = Some(Arc::new(process));
    Event { id: EventId(id), at: Timestamp::UNIX_EPOCH, kind: EventKind::Exec, process, source: Source::Ebpf, complete: true }
}

#[test]
fn processes_are_shared_again_after_reading() {
    let first = exec(1, b"a");
    let exit = EventKind::Exit { exit: Exit { code: Some(0), signal: None } };
    let second = Event { id: EventId(2), kind: exit, ..first.clone() };
    let back = unpack(&pack(&[first, second]).raw, |_| {}).unwrap();
    assert!(Arc::ptr_eq(back[0].process.as_ref().unwrap(), back[1].process.as_ref().unwrap()));
}

#[test]
fn an_event_larger_than_a_block_is_refused_and_leaves_the_block_as_it_was() {
    let (mut packer, mut plain) = (Packer::default(), Packer::default());
    packer.push(&exec(1, b"before")).unwrap();
    assert!(matches!(packer.push(&exec(2, &vec![b'x'; MAX_RAW])), Err(StoreError::TooLarge { event: EventId(2), .. })));
    packer.push(&exec(3, b"after")).unwrap();
    plain.push(&exec(1, b"before")).unwrap();
    plain.push(&exec(3, b"after")).unwrap();
    assert_eq!(packer.take().unwrap().raw, plain.take().unwrap().raw);
}

#[test]
fn the_same_huge_command_line_again_and_again_does_not_hold_memory_for_ever() {
    let (mut packer, argv) = (Packer::default(), vec![b'x'; 100_000]);
    let held = (1..).take_while(|id| packer.push(&exec(*id, &argv)).is_ok_and(|_| !packer.is_full())).count();
    assert!(held < 25, "{held} processes of 100 kB each are kept alive");
}
