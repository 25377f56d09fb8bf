//! What a whole agent adds to events beyond what the kernel reports: digests, packages, names of destinations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::agent::Home;
use support::{can_run, wait_for};

/// The events of this kind whose JSON holds this text, oldest first.
fn events(home: &Home, kind: &str, holding: &str) -> Vec<Value> {
    home.json(&["events", "--kind", kind, "--where", holding, "--limit", "100"])
}

#[test]
fn programs_have_digests_and_packages() {
    if !can_run(&["sha256sum", "true"]) {
        return;
    }
    let home = Home::new(None);
    let _agent = home.start();
    let tool = home.path("some-tool");
    std::fs::copy("/bin/true", &tool).unwrap();
    let out = Command::new("sha256sum").arg(&tool).output().unwrap().stdout;
    let wanted = String::from_utf8(out).unwrap().split(' ').next().unwrap().to_owned();
    let known = |value: &Value| value["process"]["exe_file"]["sha256"] == Value::String(wanted.clone());
    let first = Instant::now();
    let event = wait_for(
        "an exec with its digest",
        Duration::from_secs(60),
        || {
            // Each one asks, and later ones are answered.
            assert!(Command::new(&tool).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(200));
            events(&home, "process.exec", "some-tool").into_iter().find(known)
        },
        || format!("{:#?}", events(&home, "process.exec", "some-tool").last()),
    );
    eprintln!("known {:?} after the first exec", first.elapsed());
    assert!(event["process"].get("package").is_none(), "no package owns it: {event:#}");
    // What is asked for later knows it of the first one too.
    wait_for(
        "the digest of the very first exec",
        Duration::from_secs(20),
        || {
            let execs = events(&home, "process.exec", "some-tool");
            let mut own = execs.iter().filter(|event| event["process"]["exe"].as_str().unwrap().ends_with("/some-tool"));
            own.all(known).then_some(())
        },
        || format!("{:#?}", events(&home, "process.exec", "some-tool").first()),
    );
    if std::path::Path::new("/var/lib/dpkg/info/coreutils.list").exists() {
        wait_for(
            "an exec with its package",
            Duration::from_secs(60),
            || {
                assert!(Command::new("/bin/true").arg("marked-for-this-test").status().unwrap().success());
                let found = events(&home, "process.exec", "marked-for-this-test");
                found.into_iter().find(|event| event["process"]["package"] == "coreutils" && known(event))
            },
            String::new,
        );
    }
    let hops = home.json(&["status"])[0]["hops"].clone();
    let hop = hops.as_array().unwrap().iter().find(|hop| hop["hop"] == "executables").unwrap().clone();
    assert!(hop["received"].as_u64().unwrap() > 5 && hop["dropped"] == 0, "{hop}");
}

#[test]
fn a_destination_has_the_name_that_was_asked_for() {
    if !can_run(&[]) {
        return;
    }
    let Ok(resolver) = UdpSocket::bind("127.3.5.7:53") else {
        return eprintln!("skipped: port 53 of 127.3.5.7 is taken");
    };
    let home = Home::new(None);
    let _agent = home.start();
    let client = UdpSocket::bind("127.3.5.7:0").unwrap();
    // web.example.net is 127.3.5.8, for half a minute.
    let mut answer = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    answer.extend(b"\x03web\x07example\x03net\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x7f\x03\x05\x08");
    let (mut tries, mut named) = (0, 0);
    let event = wait_for(
        "a connection with a name",
        Duration::from_secs(20),
        || {
            resolver.send_to(&answer, client.local_addr().unwrap()).unwrap();
            tries += 1;
            assert!(TcpStream::connect("127.3.5.8:9").is_err(), "nobody listens there");
            let found = events(&home, "net.connect", "127.3.5.8");
            named = found.iter().filter(|event| event["net"]["name"] == "web.example.net").count();
            found.into_iter().find(|event| event["net"]["name"] == "web.example.net")
        },
        || format!("{:#?}", events(&home, "net.connect", "127.3.5.8").last()),
    );
    eprintln!("{named} of {tries} named, each connected at once after its answer");
    assert_eq!(event["net"]["dst"], "127.3.5.8");
}
