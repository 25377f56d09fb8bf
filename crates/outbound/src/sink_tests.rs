//! Sinks against real servers of the test's own: HTTP, syslog, a file, a program.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use bartizan_alerts::{Failure, Message, Parcel};
use bartizan_config::{Secret, SinkSetting, SinkType, WebForm};
use bartizan_model::{Severity, Timestamp};
use serde_json::Value;

use super::sink::test;
use super::web::Web;
use super::{Sink, place};

fn setting(to: SinkType) -> SinkSetting {
    SinkSetting {
        name: "ops".to_owned(),
        to,
        kinds: Vec::new(),
        from: Severity::Info,
        at_once: Severity::Medium,
        digest: chrono::NaiveTime::MIN,
        quiet: None,
        after: Duration::ZERO,
    }
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000, 0).unwrap()
}

fn parcel() -> Parcel {
    Parcel::single(Message { sentence: "**@everyone** <script> ran".to_owned(), ..Message::test("web-1", "ops") }, now())
}

fn web(url: &str, form: WebForm) -> Sink {
    Sink::new(&setting(SinkType::Web { url: Secret::Plain(url.to_owned()), form }))
}

/// A server that reads one request a connection and gives these bytes in turn; the requests.
fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/SECRETSECRET", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || answers.into_iter().map(|answer| exchange(&listener, &answer)).collect());
    (url, server)
}

fn exchange(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut request, mut buffer) = (String::new(), [0; 4096]);
    let is_whole = |request: &str| {
        let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        body.len() >= length.unwrap_or(0)
    };
    while !is_whole(&request) {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "cut: {request}");
        request.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    let _ = stream.write_all(answer.as_bytes());
    request
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn each_web_server_gets_the_request_that_it_takes() {
    let token = || Secret::Environment("BARTIZAN_TEST_TOKEN".to_owned());
    // SAFETY of the name: no other test of this process reads or writes it.
    let path = std::env::temp_dir().join(format!("bartizan-token-{}", std::process::id()));
    std::fs::write(&path, "tok_abcdef\n").unwrap();
    let file = || Secret::File(path.clone());
    for (form, first_line, field) in [
        (WebForm::Json { secret: Some(file()) }, "POST /hook/SECRETSECRET HTTP/1.1", "/sentence"),
        (WebForm::Slack, "POST /hook/SECRETSECRET HTTP/1.1", "/text"),
        (WebForm::Mattermost, "POST /hook/SECRETSECRET HTTP/1.1", "/text"),
        (WebForm::Discord, "POST /hook/SECRETSECRET HTTP/1.1", "/content"),
        (WebForm::Teams, "POST /hook/SECRETSECRET HTTP/1.1", "/attachments/0/content/body/1/text"),
        (WebForm::Telegram { chat: "-1".to_owned() }, "POST /hook/SECRETSECRET HTTP/1.1", "/text"),
        (WebForm::Ntfy { token: Some(file()) }, "POST /hook/SECRETSECRET HTTP/1.1", ""),
        (
            WebForm::Matrix { room: "!a:b".to_owned(), token: file() },
            "PUT /hook/SECRETSECRET/_matrix/client/v3/rooms/!a:b/send/m.room.message/",
            "/body",
        ),
    ] {
        let (url, server) = serve(vec![answer("200 OK", "ok")]);
        let said = web(&url, form.clone()).send(&parcel(), now()).unwrap();
        assert_eq!(said, "127.0.0.1 answered 200 OK: ok");
        let request = server.join().unwrap().remove(0);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(first_line), "{form:?}: {head}");
        let head = head.to_lowercase();
        match &form {
            WebForm::Json { .. } => {
                assert!(head.contains("x-bartizan-timestamp: 1700000000") && head.contains("x-bartizan-signature: sha256="), "{head}");
                let mut openssl = std::process::Command::new("openssl")
                    .args(["dgst", "-sha256", "-hmac", "tok_abcdef"])
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap();
                openssl.stdin.take().unwrap().write_all(format!("1700000000.{body}").as_bytes()).unwrap();
                let computed = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
                let computed = computed.trim().rsplit(' ').next().unwrap().to_owned();
                assert!(head.contains(&format!("sha256={computed}")), "{head} {computed}");
            }
            WebForm::Ntfy { .. } | WebForm::Matrix { .. } => assert!(head.contains("authorization: bearer tok_abcdef"), "{head}"),
            _ => assert!(!head.contains("authorization")),
        }
        let text = match field {
            "" => body.to_owned(),
            field => serde_json::from_str::<Value>(body).unwrap().pointer(field).unwrap().as_str().unwrap().to_owned(),
        };
        assert!(text.contains("ran") && text.contains("script"), "{form:?}: {text}");
        assert!(matches!(form, WebForm::Json { .. }) || !text.contains("@everyone") || text == body, "{form:?}: {text}");
    }
    std::fs::remove_file(&path).unwrap();
    let missing = Sink::new(&setting(SinkType::Web { url: token(), form: WebForm::Slack })).send(&parcel(), now()).unwrap_err();
    assert_eq!(missing.why, "the environment variable BARTIZAN_TEST_TOKEN of the agent is not set");
}

#[test]
fn a_failure_says_what_came_back_whether_to_try_again_and_never_the_secret() {
    let long = "x".repeat(100_000);
    for (given, why, retry_after, refused_for_good) in [
        (answer("500 Internal Server Error", "oops"), "127.0.0.1 answered 500 Internal Server Error: oops", None, false),
        (answer("400 Bad Request", "invalid_payload"), "127.0.0.1 answered 400 Bad Request: invalid_payload", None, true),
        (answer("404 Not Found", "no /hook/SECRETSECRET here"), "127.0.0.1 answered 404 Not Found: no /hook/*** here", None, false),
        (answer("429 Too Many Requests\r\nRetry-After: 30", ""), "127.0.0.1 answered 429 Too Many Requests", Some(30), false),
        (answer("307 Temporary Redirect", ""), "127.0.0.1 answered 307 Temporary Redirect", None, false),
        (answer("503 Service Unavailable", &long), "127.0.0.1 answered 503 Service Unavailable: xxx", None, false),
        // Cut in the middle of the head, and before it.
        ("HTTP/1.1 20".to_owned(), "127.0.0.1: cannot send", None, false),
        (String::new(), "127.0.0.1: cannot send", None, false),
    ] {
        let (url, server) = serve(vec![given.clone()]);
        let failure: Failure = web(&url, WebForm::Slack).send(&parcel(), now()).unwrap_err();
        assert!(
            failure.why.starts_with(why) && failure.why.len() < 300 && !failure.why.contains("SECRETSECRET"),
            "{given:.60}: {failure:?}"
        );
        assert_eq!(
            (failure.retry_after.map(|after| after.num_seconds()), failure.refused_for_good),
            (retry_after, refused_for_good),
            "{given:.60}"
        );
        server.join().unwrap();
    }
    let refused = web("http://127.0.0.1:1/hook/SECRETSECRET", WebForm::Slack).send(&parcel(), now()).unwrap_err();
    assert!(refused.why.starts_with("127.0.0.1: cannot connect"), "{refused:?}");
    let wrong = web("http://[nonsense/SECRETSECRET", WebForm::Slack).send(&parcel(), now()).unwrap_err();
    assert!(wrong.why.starts_with("the address is not one") && !wrong.why.contains("SECRET"), "{wrong:?}");
}

#[test]
fn a_server_that_takes_the_connection_and_stays_silent_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let begun = Instant::now();
    let web = Web::new(Secret::Plain(url), WebForm::Slack);
    let failure = web.send(&parcel(), now()).unwrap_err();
    assert!(failure.why.contains("no answer in time"), "{failure:?}");
    assert!((5..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn syslog_takes_one_message_a_datagram_or_a_frame() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let sink = Sink::new(&setting(SinkType::Syslog { address: address.clone(), tcp: false }));
    assert!(sink.send(&parcel(), now()).unwrap().starts_with("sent; UDP"));
    let mut buffer = [0; 4096];
    let length = udp.recv(&mut buffer).unwrap();
    let datagram = String::from_utf8(buffer[..length].to_vec()).unwrap();
    assert!(
        datagram.starts_with("<38>1 2023-11-14T22:13:20.000000Z web-1 bartizan - TEST [alert@32473 ") && !datagram.contains('\n'),
        "{datagram}"
    );
    drop(udp);
    assert!(sink.send(&parcel(), now()).unwrap_err().why.starts_with(&address), "nobody listens any more");

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        tcp.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let sink = Sink::new(&setting(SinkType::Syslog { address, tcp: true }));
    assert_eq!(sink.send(&parcel(), now()).unwrap(), "the server read it and closed the connection");
    assert_eq!(reader.join().unwrap(), format!("{} {datagram}", datagram.len()));
    assert!(sink.send(&parcel(), now()).is_err());
}

#[test]
fn a_file_and_a_program_get_one_json_document() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let file = setting(SinkType::File { path: path.clone(), max_bytes: 65_536 });
    let tested = test(&file, "web-1", now());
    assert!(tested.taken && tested.answer == format!("appended to {}", path.display()), "{tested:?}");
    Sink::new(&file).send(&parcel(), now()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["kind"], &lines[1]["sentence"]), (2, &"test".into(), &"**@everyone** <script> ran".into()));

    let run = |script: &str| {
        let line = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Sink::new(&setting(SinkType::Command { line, user: "nobody".to_owned(), timeout: Duration::from_secs(1) })).send(&parcel(), now())
    };
    assert_eq!(run("grep -c everyone >&2").unwrap(), "/bin/sh ended with 0: 1");
    assert_eq!(run("echo no such pager >&2; exit 4").unwrap_err().why, "/bin/sh ended with 4: no such pager");
    assert_eq!(run("sleep 30").unwrap_err().why, "/bin/sh: not done within 1s");
}

#[test]
fn a_place_is_shown_without_the_secret_in_it() {
    let of = |url: Secret| place(&SinkType::Web { url, form: WebForm::Slack });
    assert_eq!(of(Secret::Plain("https://hooks.slack.com/services/SECRET".to_owned())), "slack at hooks.slack.com");
    assert_eq!(of(Secret::File("/etc/bartizan/slack".into())), "slack, address in /etc/bartizan/slack");
    assert_eq!(place(&SinkType::Syslog { address: "loghost:601".to_owned(), tcp: true }), "syslog at loghost:601 over TCP");
}
