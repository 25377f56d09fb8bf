//! A filter on the packed form says what the same filter says of the event that comes out.

use proptest::prelude::*;

use super::*;
use crate::archive_tests::all;
use crate::specimens::events;
use bartizan_protocol::{EventQuery, Field, Filter, Form};

/// Stretches of the JSON of events, values of fields as JSON has them, and words that mean something in a filter.
fn filters(events: &[Event], picks: &[(prop::sample::Index, prop::sample::Index, usize)]) -> Vec<String> {
    let mut made = Vec::new();
    for (which, from, length) in picks {
        let json = serde_json::to_string(&events[which.index(events.len())]).unwrap();
        let chars: Vec<char> = json.chars().collect();
        let from_char = from.index(chars.len());
        let text: String = chars.iter().skip(from_char).take(*length).collect();
        made.push(format!("text:\"{}\"", escaped(&text)));
        let field = Field::ALL[from.index(Field::ALL.len())];
        let value: Vec<char> = text.chars().collect();
        made.push(match field.form() {
            Form::Text => format!("{}=\"*{}*\"", field.name(), escaped(&value.iter().take(2).collect::<String>())),
            Form::Number => format!("{}={}", field.name(), length % 4),
            Form::Flag => format!("{}=true", field.name()),
            Form::Address => format!("{}=128.0.0.0/1", field.name()),
            Form::Kind => format!("{}=process", field.name()),
        });
        made.push(format!("{}=*", field.name()));
    }
    made
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*").replace('?', "\\?")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_filter_says_of_packed_events_what_it_says_of_the_events(
        events in events(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..14), 1..5),
        shape in 0usize..6,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let archive = crate::Archive::open(dir.path()).unwrap();
        archive.writer().unwrap().events(&events).unwrap();
        let reader = archive.reader().unwrap();
        let single = filters(&events, &picks);
        let pair = |join: &str| single.chunks(2).map(|pair| pair.join(join)).collect::<Vec<_>>();
        let made = match shape {
            0 => single.iter().map(|one| format!("not {one}")).collect(),
            1 => pair(" and "),
            2 => pair(" or "),
            3 => pair(" and not "),
            4 => vec![format!("not ({})", single.join(" or "))],
            _ => single,
        };
        for source in made {
            let filter: Filter = source.parse().map_err(|error| TestCaseError::fail(format!("{source}: {error}")))?;
            let mut expected: Vec<u64> = events.iter().filter(|event| filter.fits(event)).map(|event| event.id.0).collect();
            expected.sort_unstable();
            let found = reader.events(&EventQuery { filter: Some(filter), ..all() }).unwrap();
            prop_assert_eq!(found.unreadable, 0);
            prop_assert_eq!(found.records.iter().map(|event| event.id.0).collect::<Vec<_>>(), expected, "{}", source);
        }
    }

    /// The one thing that could make a sure answer wrong: a token that JSON would write otherwise than it was looked for.
    #[test]
    fn a_sure_answer_is_right_for_every_stretch_of_json(events in events(), which in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), length in 1usize..8) {
        let mut packer = Packer::default();
        events.iter().for_each(|event| { packer.push(event).unwrap(); });
        let raw = packer.take().unwrap().raw;
        let json: Vec<char> = serde_json::to_string(&events[which.index(events.len())]).unwrap().chars().collect();
        let text: String = json.iter().skip(from.index(json.len())).take(length).collect();
        let (filter, query) = (Filter::text(&text), EventQuery::default());
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE digests (device, inode, changed, sha256, package)").unwrap();
        let wanted = scan(&raw, &Sieve::new(&filter), &query, &mut crate::digests::Lookup::new(&connection)).unwrap();
        for (place, event) in events.iter().enumerate() {
            match wanted.iter().find(|candidate| candidate.place == place) {
                Some(candidate) if candidate.sure => prop_assert!(filter.fits(event), "{} is not in it", text),
                Some(_) => {}
                None => prop_assert!(!filter.fits(event), "{} is in it", text),
            }
        }
    }

    #[test]
    fn bytes_that_are_no_block_are_refused_or_read_but_never_panic(
        events in events(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut packer = Packer::default();
        events.iter().for_each(|event| { packer.push(event).unwrap(); });
        let mut raw = packer.take().unwrap().raw;
        for (place, byte) in places {
            let place = place.index(raw.len());
            raw[place] = byte;
        }
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE digests (device, inode, changed, sha256, package)").unwrap();
        let filter: Filter = "process.exe=/a* or net.dport=1 or 12".parse().unwrap();
        let _ = scan(&raw, &Sieve::new(&filter), &EventQuery::default(), &mut crate::digests::Lookup::new(&connection));
    }
}

/// Every field is the path of its value in the JSON of events, and what JSON has there is what the field shows.
#[test]
fn every_field_is_called_as_json_calls_it() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        for event in events().new_tree(&mut runner).unwrap().current() {
            let json = serde_json::to_value(&event).unwrap();
            for field in Field::ALL {
                let mut values = Vec::new();
                values_at(&json, &field.name().split('.').collect::<Vec<_>>(), &mut values);
                let there = format!("{}=*", field.name()).parse::<Filter>().unwrap().fits(&event);
                assert_eq!(there, !values.is_empty(), "{}: {json}", field.name());
                for value in values {
                    seen.insert(field.name());
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    // A raw byte has no sign of its own in a filter.
                    if text.chars().any(|c| c >= '\u{10ff00}') {
                        continue;
                    }
                    let filter: Filter = format!("{}=\"{}\"", field.name(), escaped(&text)).parse().unwrap();
                    assert!(filter.fits(&event), "{filter} of {json}");
                    assert!(!format!("not ({filter})").parse::<Filter>().unwrap().fits(&event));
                }
            }
        }
    }
    let unseen: Vec<&str> = Field::ALL.iter().map(|field| field.name()).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "no event of the tests has {unseen:?}");
}

/// The values at this path; lists are looked through.
fn values_at<'a>(json: &'a serde_json::Value, path: &[&str], out: &mut Vec<&'a serde_json::Value>) {
    match (json, path) {
        (serde_json::Value::Array(each), path) => each.iter().for_each(|one| values_at(one, path, out)),
        (serde_json::Value::Null, _) => {}
        (value, []) => out.push(value),
        (value, [first, rest @ ..]) => value.get(first).into_iter().for_each(|value| values_at(value, rest, out)),
    }
}
