//! Mails to a real SMTP server (aiosmtpd) of the test's own. STARTTLS and login: tests/alerts_e2e.rs, with a CA of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_alerts::Message as Told;
use bartizan_config::Secret;
use serde_json::Value;

use super::*;

const SERVER: &str = r#"
import json, sys, time
from aiosmtpd.controller import Controller
class Handler:
    async def handle_DATA(self, server, session, envelope):
        if b"refuse me" in envelope.content:
            return "554 5.7.1 taken for spam"
        with open(sys.argv[1] + "/mails", "a") as out:
            out.write(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode()}) + "\n")
        return "250 2.0.0 queued as 7"
Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[2])).start()
time.sleep(600)
"#;

struct Server(Child, u16);

impl Server {
    /// None where aiosmtpd is not installed.
    fn start(directory: &Path) -> Option<Self> {
        let python = "/usr/bin/python3";
        if !Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: aiosmtpd is missing (./test.sh installs it where it may)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python).args(["-c", SERVER]).arg(directory).arg(port.to_string()).spawn().unwrap();
        let (server, begun) = (Self(child, port), Instant::now());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the mail server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn setting(port: u16, tls: MailTls) -> MailSetting {
    let to = vec!["you@example.org".to_owned(), "me@example.org".to_owned()];
    MailSetting { host: "127.0.0.1".to_owned(), port, tls, login: None, sender: "bartizan@web-1.example.org".to_owned(), to }
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000, 0).unwrap()
}

fn parcel(sentence: &str) -> Parcel {
    Parcel::single(
        Told { sentence: sentence.to_owned(), about: "L1\r\nBcc: victim@example.org".to_owned(), ..Told::test("web-1", "ops") },
        now(),
    )
}

#[test]
fn a_mail_has_the_headers_and_receivers_of_the_settings_whatever_a_name_holds() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(dir.path()) else { return };
    let evil = "**@everyone** <script> ran\r\n.\r\nMAIL FROM:<x@y>\r\n\u{202e}é";
    let said = send(&setting(server.1, MailTls::None), &parcel(evil), now()).unwrap();
    assert!(said.starts_with("127.0.0.1 answered 250: ") && said.contains("queued as 7"), "{said}");
    let mails = std::fs::read_to_string(dir.path().join("mails")).unwrap();
    let mails: Vec<Value> = mails.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert_eq!(
        (&mails[0]["from"], &mails[0]["to"]),
        (&"bartizan@web-1.example.org".into(), &serde_json::json!(["you@example.org", "me@example.org"]))
    );
    let (head, body) = mails[0]["data"].as_str().unwrap().split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ");
    let names: Vec<&str> = unfolded.lines().map(|line| line.split(':').next().unwrap()).collect();
    for name in ["From", "To", "Date", "Message-ID", "Subject", "Auto-Submitted", "Content-Type"] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name}: {head}");
    }
    assert!(unfolded.lines().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@web-1.example.org>")), "{head}");
    assert!(!names.contains(&"Bcc") && unfolded.contains("Subject: [bartizan] TEST L1"), "{head}");
    assert!(body.contains("<script> ran") && !body.contains("\u{202e}") && body.contains("=C3=A9"), "{body}");
}

#[test]
fn a_server_that_refuses_has_no_tls_or_is_not_there_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(dir.path()) else { return };
    let failed = |setting: &MailSetting, sentence: &str| send(setting, &parcel(sentence), now()).unwrap_err();
    let spam = failed(&setting(server.1, MailTls::None), "refuse me");
    assert!(spam.refused && spam.why.contains("taken for spam"), "{}", spam.why);
    // Without STARTTLS nothing is sent, and no password leaves.
    let login = Some(("bartizan".to_owned(), Secret::Environment("PATH".to_owned())));
    let bare = failed(&MailSetting { login, ..setting(server.1, MailTls::StartTls) }, "x");
    assert!(!bare.refused && bare.why.starts_with("127.0.0.1: ") && bare.why.to_lowercase().contains("starttls"), "{}", bare.why);
    assert!(!dir.path().join("mails").exists());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(failed(&setting(gone, MailTls::None), "x").why.contains("refused"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let why = failed(&setting(silent.local_addr().unwrap().port(), MailTls::None), "x").why;
    assert!(why.contains("no answer in time") && begun.elapsed() < Duration::from_secs(25), "{why}");
}

/// A server that says one prepared line after the other and then nothing any more, without hanging up.
fn scripted(lines: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut commands = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines {
            stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
            let taken = commands.next();
            if line.starts_with("354") {
                let _ = commands.by_ref().find(|line| line.as_ref().is_ok_and(|line| line == "."));
            } else if taken.is_none() {
                return;
            }
        }
        let _ = commands.count();
    });
    port
}

#[test]
fn only_a_refusal_of_the_whole_mail_is_for_good_and_no_silence_hides_an_answer() {
    let sent = |lines| {
        let begun = Instant::now();
        let sent = send(&setting(scripted(lines), MailTls::None), &parcel("x"), now());
        assert!(begun.elapsed() < TIMEOUT, "it waited for an answer to QUIT: {sent:?}");
        sent
    };
    let busy = sent(&["554 5.3.2 no service for you"]).unwrap_err();
    assert!(!busy.refused && busy.why == "127.0.0.1 answered 554: 5.3.2 no service for you", "{busy:?}");
    let unknown = sent(&["220 hello", "250 hello", "250 ok", "550 5.1.1 nobody of that name"]).unwrap_err();
    assert!(!unknown.refused && unknown.why.contains("answered 550: 5.1.1 nobody"), "{unknown:?}");
    let later = sent(&["220 hello", "250 hello", "250 ok", "250 ok", "250 ok", "354 go", "451 4.7.1 later"]).unwrap_err();
    assert!(!later.refused && later.why.contains("answered 451: 4.7.1 later"), "{later:?}");
    let spam = sent(&["220 hello", "250 hello", "250 ok", "250 ok", "250 ok", "354 go", "550 5.7.1 spam"]).unwrap_err();
    assert!(spam.refused && spam.why.contains("answered 550: 5.7.1 spam"), "{spam:?}");
    let taken = sent(&["220 hello", "250 hello", "250 ok", "250 ok", "250 ok", "354 go", "250 queued"]).unwrap();
    assert_eq!(taken, "127.0.0.1 answered 250: queued");
}

#[test]
fn a_password_that_a_server_repeats_is_not_shown_in_any_of_its_forms() {
    // printf x | base64, RFC 4648, section 10.
    for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{ff}\0", "w78A")] {
        assert_eq!(base64(bytes.as_bytes()), expected);
    }
    let hidden = secrets_of(&("bartizan".to_owned(), "hush hush".to_owned()));
    // printf '\0bartizan\0hush hush' | base64; printf 'hush hush' | base64
    let said = one_line("bad AGJhcnRpemFuAGh1c2ggaHVzaA== or aHVzaCBodXNo\r\nor hush hush \u{1b}[2J".to_owned(), &hidden);
    assert_eq!(said, "bad *** or *** or *** [2J");
}
