//! Requests to a web server through parser, detectors, correlator and console: what a person is told of them, and of the shell behind one.

use std::sync::Arc;

use super::queue::Item;
use super::tests::Bench;
use bartizan_model::*;
use bartizan_worker::{At, Heard, LogFormat, LogParser, Parser as _};

const LOG: &str = "/var/log/nginx/access.log";

fn request(bench: &mut Bench, client: &str, target: &str, status: u16) {
    bench.wait(1);
    let at = bench.now.format("%d/%b/%Y:%H:%M:%S +0000");
    let line = format!(r#"{client} - - [{at}] "GET {target} HTTP/1.1" {status} 153 "-" "Mozilla/5.0""#);
    let mut reader = LogParser.open(&LogFormat::Access(None));
    let Heard::Record(record) = LogParser.parse(&mut reader, line.as_bytes()) else { panic!("{line}") };
    let item = Item::Record(LOG.into(), Box::new(At { offset: 7, line: HostText::from(line.as_str()), record }));
    bench.pipeline.take_item(item, bench.now);
}

fn attack(n: usize) -> String {
    match n % 3 {
        0 => format!("/item?id={n}%20UNION%20SELECT%20{n},null,version()--"),
        1 => format!("/show?name=%3Cscript%3Ealert({n})%3C/script%3E"),
        _ => format!("/ping?host=127.0.0.1;cat%20/etc/shadow%7Cmail%20{n}"),
    }
}

#[test]
fn attacks_on_a_web_server_are_one_alert_that_names_who_did_enough_and_rests_on_their_lines() {
    let mut bench = Bench::new();
    let mut events = bench.parts.console.follow();
    (0..3).for_each(|n| request(&mut bench, "192.0.2.77", &attack(n), 404));
    assert_eq!((bench.alerts().len(), bench.incidents().len()), (0, 0), "background noise");
    for n in 0..60 {
        request(&mut bench, &format!("203.0.113.{}", 1 + n % 4), &attack(n), 404);
        request(&mut bench, "192.0.2.1", &format!("/article/{n}?page=2"), 200);
    }
    let (alerts, incidents) = (bench.alerts(), bench.incidents());
    assert_eq!((alerts.len(), incidents.len()), (1, 1), "{alerts:#?}");
    let incident = &incidents[0];
    assert!(incident.families.contains(&Family::Web) && incident.sentence.contains("attack requests from"), "{incident:#?}");
    let hostile = bench.pipeline.correlator.proof(incident.id).hostile;
    let expected: Vec<std::net::IpAddr> = (1..=4).map(|n| format!("203.0.113.{n}").parse().unwrap()).collect();
    assert_eq!(hostile, expected, "and nobody else");
    let told = std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match &event.kind {
        EventKind::WebAttack { web } => Some(web.clone()),
        _ => None,
    });
    let told = told.unwrap();
    assert!(told.line.source == *LOG && told.line.text.escaped().contains("GET /"), "{told:?}");
}

#[test]
fn the_request_behind_a_shell_joins_the_incident_of_the_shell() {
    let mut bench = Bench::new();
    let key = |pid| ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    let nginx = Root { role: ServiceRole::WebServer, key: key(812), exe: "/usr/sbin/nginx".into() };
    let ancestor = Ancestor { key: key(812), exe: "/usr/sbin/nginx".into() };
    let shell = Process {
        exe: "/usr/bin/dash".into(),
        argv: ["dash", "-c", "id"].map(HostText::from).to_vec(),
        lineage: Lineage { ancestors: vec![ancestor].into(), elided: 0, roots: vec![nginx].into() },
        ..Process::unknown(key(900), bench.now)
    };
    let event = Event {
        id: EventId(4711),
        at: bench.now,
        kind: EventKind::Exec,
        process: Some(Arc::new(shell)),
        source: Source::Ebpf,
        complete: true,
    };
    bench.pipeline.step(event);
    assert_eq!(bench.incidents().len(), 1);
    request(&mut bench, "203.0.113.9", "/up.php?cmd=id%3Bcat%20/etc/passwd", 200);
    let incidents = bench.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
    assert_eq!(incidents[0].addresses, ["203.0.113.9".parse::<std::net::IpAddr>().unwrap()]);
    assert!(incidents[0].families.contains(&Family::Web) && incidents[0].families.contains(&Family::Lineage), "{incidents:#?}");
    let proof = bench.pipeline.correlator.proof(incidents[0].id);
    assert!(proof.pieces <= 1 && proof.hostile.is_empty(), "{proof:?}");
}
