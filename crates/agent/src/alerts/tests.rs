//! The queue with its threads, real sinks and a real disk.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bartizan_config::Flags;
use bartizan_model::{MessageKind, Severity, SinkState};

use super::*;

fn settings(dir: &Path, sinks: &str) -> Settings {
    let file = dir.join("agent.toml");
    std::fs::write(&file, sinks).unwrap();
    let flags = Flags { config: Some(file), data: Some(dir.join("data")), ..Flags::default() };
    std::fs::create_dir_all(dir.join("data")).unwrap();
    Settings::load_with(&flags, &|_| None).unwrap()
}

fn message(key: &str, severity: Severity) -> Message {
    Message { key: key.to_owned(), kind: MessageKind::Alert, severity, sentence: format!("nginx ran {key}"), ..Message::test("web-1", key) }
}

struct Running(Arc<Alerts>, Option<std::thread::JoinHandle<()>>);

impl Running {
    fn start(settings: &Settings) -> Self {
        let alerts = Arc::new(Alerts::open(settings, &Arc::default()));
        send_all(&alerts, &settings.alerts.sinks).unwrap();
        let keeper = Arc::clone(&alerts);
        Self(alerts, Some(std::thread::spawn(move || keeper.keep())))
    }

    fn stop(mut self) {
        self.0.end();
        self.1.take().unwrap().join().unwrap();
    }

    fn until(&self, what: &str, is_so: impl Fn(&[SinkRow]) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.0.rows()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {:?}", self.0.rows());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_slow_sink_holds_up_nobody_and_what_it_was_to_be_sent_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let file = dir.path().join("told.jsonl");
    let text = format!(
        "[[alerts.sinks]]\nname = \"slow\"\ntype = \"json\"\nurl = \"http://{address}/\"\n\
         [[alerts.sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"{}\"\n",
        file.display()
    );
    let settings = settings(dir.path(), &text);
    let running = Running::start(&settings);
    let begun = Instant::now();
    for number in 0..1_000 {
        running.0.offer(|_| message(&format!("p{number}"), Severity::High));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    running.until("the other sink is told", |rows| rows[1].sent > 0);
    assert_eq!((running.0.rows()[0].sent, running.0.rows()[0].waiting), (0, 1_000));
    running.stop();
    drop(silent);

    let server = TcpListener::bind(address).unwrap();
    let told = std::thread::spawn(move || {
        let mut text = String::new();
        let (mut stream, _) = server.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let _ = stream.read_to_string(&mut text);
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        text
    });
    let running = Running::start(&settings);
    assert_eq!(running.0.rows()[0].waiting, 1_000, "as the run before left it");
    running.until("it is told now", |rows| rows[0].sent > 0);
    assert!(told.join().unwrap().contains("nginx ran p"));
    assert_eq!(running.0.rows().iter().map(|row| row.sent + row.waiting).collect::<Vec<_>>(), [1_000, 1_000]);
    running.stop();
}

#[test]
fn a_lost_sink_is_told_to_the_other_and_shown_and_its_return_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("told.jsonl");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "[[alerts.sinks]]\nname = \"phone\"\ntype = \"ntfy\"\nurl = \"http://127.0.0.1:{port}/SECRETSECRET\"\n\
         [[alerts.sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"{}\"\nkinds = [\"trouble\"]\nat_once = \"low\"\n",
        file.display()
    );
    let running = Running::start(&settings(dir.path(), &text));
    running.0.offer(|_| message("p1", Severity::High));
    running.until("it is lost", |rows| rows[0].state == SinkState::Lost);
    running.until("the other is told", |rows| rows[1].sent == 1);
    let told = std::fs::read_to_string(&file).unwrap();
    assert!(told.contains("alerts do not reach phone: 127.0.0.1: cannot connect") && !told.contains("SECRET"), "{told}");
    let server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    running.until("it is back", |rows| rows[0].state == SinkState::Works && rows[1].sent == 2);
    answering.join().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains("alerts reach phone again, after 3 failed attempts"));
    running.stop();
}

#[test]
fn an_acknowledgement_ends_the_escalation_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let text = format!(
        "[[alerts.sinks]]\nname = \"first\"\ntype = \"file\"\npath = \"{}\"\n\
         [[alerts.sinks]]\nname = \"second\"\ntype = \"file\"\npath = \"{}\"\nafter = \"3s\"\n",
        file("first").display(),
        file("second").display()
    );
    let settings = settings(dir.path(), &text);
    let running = Running::start(&settings);
    running.0.offer(|_| message("L1", Severity::High));
    running.0.offer(|_| message("L2", Severity::High));
    running.until("the first is told", |rows| rows[0].sent == 2);
    running.0.acknowledge("L1");
    running.stop();
    let running = Running::start(&settings);
    assert_eq!((running.0.rows()[1].waiting, running.0.rows()[1].acknowledged), (1, 1));
    running.until("the second is told", |rows| rows[1].sent == 1);
    let told = std::fs::read_to_string(file("second")).unwrap();
    assert!(told.contains("nginx ran L2") && !told.contains("nginx ran L1"), "{told}");
    running.stop();
}

#[test]
fn ten_thousand_alerts_in_a_second_become_five_messages_at_most_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("told.jsonl");
    let text = format!("[[alerts.sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"{}\"\n", path.display());
    let settings = settings(dir.path(), &text);
    let running = Running::start(&settings);
    for number in 0..10_000 {
        running.0.offer(|_| message(&format!("p{number}"), Severity::Critical));
    }
    // Four at once; the summary of the rest comes a minute later, as the queue's own tests show in virtual time.
    running.until("four messages", |rows| rows[0].sent - rows[0].folded == 4);
    let waiting = running.0.rows()[0].waiting;
    running.stop();
    let text = std::fs::read_to_string(&path).unwrap();
    let told: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.len() <= 5, "{}", told.len());
    assert_eq!(told.iter().map(|one| one["messages"].as_u64().unwrap()).sum::<u64>() + waiting, 10_000);
    let kept = std::fs::metadata(dir.path().join("data/alerts.json")).unwrap();
    assert!(kept.len() < 1 << 20 && std::os::unix::fs::PermissionsExt::mode(&kept.permissions()) & 0o777 == 0o600);
}

#[test]
fn a_damaged_file_is_reported_and_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), "[[alerts.sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"/nonexistent/x\"\n");
    std::fs::write(dir.path().join("data/alerts.json"), "{\"lanes\": 3").unwrap();
    let troubles = Arc::<Troubles>::default();
    let alerts = Alerts::open(&settings, &troubles);
    let told = || troubles.all()["alert queue of before"].clone();
    assert!(told().contains("alerts.json could not be read"), "{:?}", troubles.all());
    alerts.offer(|_| message("p", Severity::High));
    assert_eq!(alerts.rows()[0].waiting, 1);
    // It is set aside for a person, and the next write, which succeeds, takes nothing of that back.
    alerts.end();
    alerts.keep();
    assert_eq!(std::fs::read_to_string(dir.path().join("data/alerts.json.damaged")).unwrap(), "{\"lanes\": 3");
    assert!(dir.path().join("data/alerts.json").exists() && told().contains("set aside"), "{:?}", troubles.all());
}

#[test]
fn what_a_full_disk_refused_is_written_when_it_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), "[[alerts.sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"/nonexistent/x\"\n");
    let alerts = Arc::new(Alerts::open(&settings, &Arc::default()));
    let (data, away) = (dir.path().join("data"), dir.path().join("away"));
    std::fs::rename(&data, &away).unwrap();
    let keeper = std::thread::spawn({
        let alerts = Arc::clone(&alerts);
        move || alerts.keep()
    });
    alerts.offer(|_| message("p", Severity::High));
    std::thread::sleep(Duration::from_millis(300));
    std::fs::rename(&away, &data).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !data.join("alerts.json").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(std::fs::read_to_string(data.join("alerts.json")).unwrap().contains("\"p\""));
    alerts.end();
    keeper.join().unwrap();
}
