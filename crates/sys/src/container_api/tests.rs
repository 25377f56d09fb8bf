//! The interface against a runtime that says whatever it likes.

use chrono::Utc;

use super::*;
use std::os::unix::net::UnixListener;

/// A runtime that gives each caller the next of these answers.
fn saying(answers: Vec<Vec<u8>>) -> (tempfile::TempDir, ContainerApi, std::thread::JoinHandle<Vec<String>>) {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("s")).unwrap();
    let asked = std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (mut caller, _) = listener.accept().unwrap();
                let mut request = [0; 2048];
                let read = caller.read(&mut request).unwrap();
                let _closed_early = caller.write_all(&answer);
                String::from_utf8_lossy(&request[..read]).into_owned()
            })
            .collect()
    });
    let api = ContainerApi::at(&dir.path().join("s"), "docker");
    (dir, api, asked)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n{body}").into_bytes()
}

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_container_is_read() {
    let inspected = format!(
        r#"{{"Id":"{ID}","Name":"/web","Config":{{"Image":"nginx:1"}},"State":{{"Running":true,"Pid":77,"StartedAt":"2026-01-02T03:04:05.6Z"}}}}"#
    );
    let (_dir, api, asked) = saying(vec![ok(&format!(r#"[{{"Id":"{ID}"}}]"#)), ok(&inspected), b"HTTP/1.0 404 x\r\n\r\n{}".to_vec()]);
    assert_eq!(api.running(10).unwrap(), [ID]);
    let found = api.inspect(ID).unwrap().unwrap();
    assert_eq!((found.container.id.as_str(), &found.container.name, found.container.pid), ("0123456789ab", &"web".into(), Some(77)));
    assert!(found.running && found.started.is_some());
    assert_eq!(api.inspect(ID).unwrap(), None);
    assert!(asked.join().unwrap()[0].starts_with("GET /containers/json HTTP/1.0\r\n"));
}

#[test]
fn what_of_the_host_a_container_reaches_is_read() {
    use bartizan_model::HostReach::{Capabilities, Network, Privileged, Processes, RuntimeSocket, SystemFiles};
    let inspected = |more: &str| ok(&format!(r#"{{"Id":"{ID}","Name":"/x","State":{{"Running":true,"Pid":7}},{more}}}"#));
    let cases = [
        (
            r#""HostConfig":{"NetworkMode":"bridge","CapAdd":["NET_BIND_SERVICE"]},"Mounts":[{"Source":"/srv/data"},{"Source":"/etc/localtime"}]"#,
            vec![],
        ),
        (r#""HostConfig":{"CapAdd":null,"PidMode":""},"Mounts":[{"Source":"/var/lib/docker/volumes/db/_data"}]"#, vec![]),
        (r#""HostConfig":{"Privileged":true,"NetworkMode":"host","PidMode":"host"}"#, vec![Privileged, Processes, Network]),
        (r#""HostConfig":{"CapAdd":["CAP_SYS_ADMIN"]},"Mounts":[{"Source":"/var/run/docker.sock"}]"#, vec![Capabilities, RuntimeSocket]),
        (r#""HostConfig":{"CapAdd":["SYS_PTRACE"]},"Mounts":[{"Source":"/etc/cron.d"}]"#, vec![Capabilities, SystemFiles]),
        (r#""Mounts":[{"Source":"/"}]"#, vec![RuntimeSocket, SystemFiles]),
        (r#""Mounts":[{"Source":"/etcetera"},{"Source":"/homepage"}]"#, vec![]),
    ];
    for (more, reach) in cases {
        let (_dir, api, asked) = saying(vec![inspected(more)]);
        assert_eq!(api.inspect(ID).unwrap().unwrap().container.reach, reach, "{more}");
        asked.join().unwrap();
    }
}

#[test]
fn a_path_cannot_begin_a_second_request() {
    let (_dir, api, asked) = saying(vec![b"HTTP/1.0 204 x\r\n\r\n".to_vec()]);
    for path in ["/x HTTP/1.0\r\nEvil: 1", "x", "/a b", "/\u{e9}"] {
        assert!(matches!(api.post(path, None), Err(ApiError::Broken(..))), "{path:?}");
    }
    assert_eq!(api.post("/containers/x/pause", Some(&serde_json::json!({"a": 1}))).unwrap(), b"");
    assert!(asked.join().unwrap()[0].ends_with("\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
}

#[test]
fn hostile_answers_are_errors() {
    let long = vec![b'x'; MAX_ANSWER + 1];
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n".to_vec();
    let (_dir, api, asked) =
        saying(vec![ok("{}"), b"\0\xff".to_vec(), Vec::new(), long, chunked, b"HTTP/1.0 500 x\r\n\r\n\x1b[2J".to_vec()]);
    for _ in 0..6 {
        let error = api.running(10).unwrap_err().to_string();
        assert!(!error.contains('\x1b'), "{error:?}");
    }
    asked.join().unwrap();
    assert!(matches!(ContainerApi::at(Path::new("/nonexistent"), "docker").running(1), Err(ApiError::Absent(..))));
}

#[test]
fn events_come_in_pieces_and_have_a_bound() {
    let event =
        format!("{{\"Action\":\"start\",\"Actor\":{{\"ID\":\"{ID}\",\"Attributes\":{{\"name\":\"web\",\"image\":\"i\"}}}},\"time\":7}}\n");
    let (_dir, api, asked) =
        saying(vec![ok(&format!("\n{event}{event}")), ok(&"x".repeat(MAX_HEAD + 9000)), b"HTTP/1.0 400 no\r\n\r\nno".to_vec()]);
    let mut events = api.events(Utc::now()).unwrap();
    for _ in 0..2 {
        let happened = events.next(PATIENCE).unwrap().unwrap();
        assert_eq!((happened.action.as_str(), happened.container.name, happened.at.timestamp()), ("start", "web".into(), 7));
    }
    assert!(matches!(events.next(PATIENCE), Err(ApiError::Broken(..))), "the runtime ended");
    assert!(matches!(api.events(Utc::now()).unwrap().next(PATIENCE), Err(ApiError::Garbled(..))));
    assert!(matches!(api.events(Utc::now()).unwrap().next(PATIENCE), Err(ApiError::Refused(_, 400, _))));
    asked.join().unwrap();
}
