//! A running agent tells people through real sinks: HTTPS with a CA of its own, a file, syslog; and stops when somebody has seen it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::agent::{Home, told};
use support::{can_run, wait_for};

const SECRET: &str = "hushhushhush";

/// Writes every request as a line of JSON; says 503 while there is a file `down`.
const SERVER: &str = r#"
import http.server, json, os, ssl, sys
directory = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        down = os.path.exists(directory + "/down")
        with open(directory + "/requests", "a") as out:
            out.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body, "down": down}) + "\n")
        self.send_response(503 if down else 200)
        self.end_headers()
        self.wfile.write(b"down for " + self.path.encode() if down else b"thanks")
    do_POST = do_GET
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/server.pem", directory + "/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(directory + "/port.new", "w") as out:
    out.write(str(server.server_address[1]))
os.rename(directory + "/port.new", directory + "/port")
server.serve_forever()
"#;

/// An SMTP server that takes mails over STARTTLS only, or over TLS from the beginning, from who logs in.
const MAIL_SERVER: &str = r#"
import json, ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
directory, port, tls = sys.argv[1], int(sys.argv[2]), sys.argv[3]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(directory + "/mails", "a") as out:
            out.write(json.dumps({"to": envelope.rcpt_tos, "over": tls, "starttls": session.ssl is not None, "login": session.login_data.decode(),
                                  "data": envelope.content.decode()}) + "\n")
        return "250 2.0.0 queued as 7"
def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"bartizan", b"hushhushhush")
    return AuthResult(success=known, handled=False, auth_data=data)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/server.pem", directory + "/server.key")
rules = {"tls_context": context, "require_starttls": True} if tls == "starttls" else {"ssl_context": context, "auth_require_tls": False}
Controller(Handler(), hostname="127.0.0.1", port=port, server_hostname="localhost", auth_required=True, authenticator=authenticate, **rules).start()
time.sleep(600)
"#;

/// Ends with the test, however that ends.
struct MailServer {
    child: Child,
    port: u16,
}

impl MailServer {
    fn start(directory: &Path, tls: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("/usr/bin/python3");
        let child = command.args(["-c", MAIL_SERVER]).arg(directory).args([&port.to_string(), tls]).stdin(Stdio::null()).spawn().unwrap();
        let server = Self { child, port };
        wait_for("the mail server", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).ok(), String::new);
        server
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Server {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Server {
    /// An HTTPS server whose certificate a CA in `ca.pem` signed.
    fn start(directory: &Path) -> Self {
        let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem \
                      -addext basicConstraints=critical,CA:TRUE && \
                      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr && \
                      printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\nextendedKeyUsage=serverAuth\\n' > ext && \
                      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem";
        let made = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
        assert!(made.status.success(), "{}", told(&made));
        let child = Command::new("python3").args(["-c", SERVER]).arg(directory).stdin(Stdio::null()).spawn().unwrap();
        let port = || std::fs::read_to_string(directory.join("port")).ok()?.parse().ok();
        let port = wait_for("the HTTPS server", Duration::from_secs(20), port, String::new);
        Self { child, directory: directory.to_owned(), port }
    }

    fn requests(&self, path: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.join("requests")).unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|request| request["path"] == path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Something that raises an alert on every sensor rung: a stranger writes beside the agent's records.
fn provoke(home: &Home) -> String {
    let script = format!("sleep 0.2; echo x > '{}'; sleep 0.3", home.path("data/stray").display());
    assert!(Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success());
    let alert = || Some(home.json(&["alerts"]).first()?["id"].as_str()?.to_owned());
    wait_for("an alert", Duration::from_secs(20), alert, || text_of(&home.path("agent.log")))
}

#[test]
fn an_alert_reaches_every_sink_and_nothing_escalates_once_it_is_seen() {
    if !can_run(&["openssl", "python3"]) {
        return;
    }
    let home = Home::new(None);
    let place = home.path("server");
    std::fs::create_dir(&place).unwrap();
    let server = Server::start(&place);
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    std::fs::write(home.path("key"), format!("{SECRET}\n")).unwrap();
    let (port, log, second) = (server.port, home.path("told"), home.path("second"));
    home.configure(&format!(
        "[alerts]\nheartbeat = \"https://localhost:{port}/beat\"\nheartbeat_every = \"10s\"\n\
         [[alerts.sinks]]\nname = \"hook\"\ntype = \"json\"\nurl = \"https://localhost:{port}/hook/{SECRET}\"\nsecret = {{ file = {:?} }}\n\
         [[alerts.sinks]]\nname = \"log\"\ntype = \"file\"\npath = {log:?}\n\
         [[alerts.sinks]]\nname = \"loghost\"\ntype = \"syslog\"\naddress = \"udp://{}\"\n\
         [[alerts.sinks]]\nname = \"boss\"\ntype = \"file\"\npath = {second:?}\nafter = \"15s\"\n",
        home.path("key"),
        syslog.local_addr().unwrap(),
    ));

    // Without an agent: an unknown CA is refused, a known one is not.
    let refused = home.run(&["alerts", "test", "hook"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(refused.status.code() == Some(5) && said.contains("hook (json at localhost) DID NOT TAKE IT"), "{}", told(&refused));
    assert!(said.contains("certificate") && server.requests(&format!("/hook/{SECRET}")).is_empty(), "{said}");
    let ca = [("SSL_CERT_FILE", place.join("ca.pem").display().to_string())];
    let taken = home.command(&["alerts", "test", "--json"]).envs(ca.clone()).output().unwrap();
    let tests: Value = serde_json::from_slice(&taken.stdout).unwrap_or_else(|_| panic!("{}", told(&taken)));
    assert!(taken.status.success() && tests.as_array().unwrap().len() == 4, "{}", told(&taken));
    assert_eq!(tests[0]["answer"], "localhost answered 200 OK: thanks");
    let mistyped = home.run(&["alerts", "test", "hok"]);
    assert!(mistyped.status.code() == Some(2) && told(&mistyped).contains("did you mean hook?"), "{}", told(&mistyped));

    let agent = home.start_with(&[("SSL_CERT_FILE", &ca[0].1)]);
    let alert = provoke(&home);
    let is_told = || text_of(&log).lines().any(|line| line.contains("\"kind\":\"alert\"")).then_some(());
    wait_for("the file", Duration::from_secs(20), is_told, || format!("{}{}", text_of(&log), text_of(&home.path("agent.log"))));
    let hook = format!("/hook/{SECRET}");
    let posted = || server.requests(&hook).into_iter().find(|request| request["body"].as_str().unwrap().contains("\"kind\":\"alert\""));
    let posted = wait_for("the webhook", Duration::from_secs(20), posted, || text_of(&home.path("agent.log")));
    let body: Value = serde_json::from_str(posted["body"].as_str().unwrap()).unwrap();
    assert!(body["id"] == alert.as_str() && body["sure"].is_u64() && body["commands"][0].is_string(), "{body:#}");
    let header =
        |name: &str| posted["headers"].as_object().unwrap().iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).unwrap().1.clone();
    let script = format!("printf '%s.%s' \"$AT\" \"$BODY\" | openssl dgst -sha256 -hmac {SECRET}");
    let environment = [("AT", header("X-Bartizan-Timestamp")), ("BODY", posted["body"].clone())];
    let environment = environment.map(|(name, value)| (name, value.as_str().unwrap().to_owned()));
    let signed = Command::new("sh").args(["-c", &script]).envs(environment).output().unwrap();
    let signed = String::from_utf8(signed.stdout).unwrap();
    assert_eq!(header("X-Bartizan-Signature"), format!("sha256={}", signed.trim().rsplit(' ').next().unwrap()));
    let mut buffer = [0; 4096];
    let datagram = wait_for(
        "syslog",
        Duration::from_secs(20),
        || {
            let length = syslog.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned()).filter(|text| text.contains(" ALERT [alert@"))
        },
        String::new,
    );
    assert!(datagram.contains(&format!("id=\"{alert}\"")) && datagram.lines().count() == 1, "{datagram}");

    // Seen in time: the second person is left alone.
    for row in home.json(&["alerts"]) {
        assert!(home.run(&["ack", row["id"].as_str().unwrap()]).status.success());
    }
    let rows = home.json(&["alerts", "sinks"]);
    assert!(rows[0]["state"] == "works" && rows[3]["acknowledged"].as_u64() >= Some(1), "{rows:#?}");
    let waiting = |rows: &[Value]| rows[3]["waiting"].as_u64().unwrap();
    let over = || (waiting(&home.json(&["alerts", "sinks"])) == 0).then_some(());
    wait_for("the escalation to end", Duration::from_secs(20), over, || format!("{rows:#?}"));
    assert!(!text_of(&second).contains(&format!("\"id\":\"{alert}\"")), "{}", text_of(&second));

    // Counted, and the secret is nowhere.
    let status = &home.json(&["status"])[0];
    assert!(status["messages"]["sinks"] == 4 && status["messages"]["sent"].as_u64() >= Some(3), "{status:#}");
    assert!(!server.requests("/beat").is_empty(), "it gives signs of life");
    for verb in [&["status"][..], &["doctor"], &["alerts", "sinks"], &["audit", "show"], &["alerts", "test", "hook"]] {
        let output = home.run(verb);
        assert!(!told(&output).contains(SECRET), "{verb:?}: {}", told(&output));
    }
    assert!(!text_of(&home.path("agent.log")).contains(SECRET) && !text_of(&home.path("data/alerts.json")).contains(SECRET));
    assert!(agent.stop().success());
    let beats = server.requests("/beat").len();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(server.requests("/beat").len(), beats, "a stopped agent gives none");
}

#[test]
fn what_a_server_that_is_down_was_to_be_told_it_is_told_after_a_restart() {
    if !can_run(&["openssl", "python3"]) {
        return;
    }
    let home = Home::new(None);
    let place = home.path("server");
    std::fs::create_dir(&place).unwrap();
    let server = Server::start(&place);
    std::fs::write(place.join("down"), "").unwrap();
    let trouble = home.path("trouble");
    home.configure(&format!(
        "webhook = \"https://localhost:{}/{SECRET}\"\nwebhook_format = \"slack\"\n\
         [[alerts.sinks]]\nname = \"trouble\"\ntype = \"file\"\npath = {trouble:?}\nkinds = [\"trouble\"]\n",
        server.port
    ));
    let ca = [("SSL_CERT_FILE", place.join("ca.pem").display().to_string())];
    let ca = [(ca[0].0, ca[0].1.as_str())];
    let agent = home.start_with(&ca);
    provoke(&home);
    let lost = || home.json(&["alerts", "sinks"])[0]["state"].eq("lost").then_some(());
    wait_for("the sink to be lost", Duration::from_secs(30), lost, || format!("{:#?}", home.json(&["alerts", "sinks"])));
    let is_told = || text_of(&trouble).contains("alerts do not reach webhook: localhost answered 503").then_some(());
    wait_for("the other sink to be told", Duration::from_secs(10), is_told, || text_of(&trouble));
    let degraded = home.json(&["status"])[0]["degraded"].to_string();
    assert!(degraded.contains("webhook takes none: localhost answered 503") && !degraded.contains(SECRET), "{degraded}");
    let doctor = home.run(&["doctor"]);
    assert!(doctor.status.code() == Some(5) && told(&doctor).contains("webhook lost"), "{}", told(&doctor));
    // A crash: what waits was on the disk.
    std::thread::sleep(Duration::from_secs(3));
    agent.kill();
    std::fs::remove_file(place.join("down")).unwrap();
    let path = format!("/{SECRET}");
    let taken = |request: &Value| request["down"] == false && request["body"].as_str().unwrap().contains("ALERT ");
    assert!(!server.requests(&path).iter().any(taken));
    let _agent = home.start_with(&ca);
    let arrived = || server.requests(&path).iter().any(taken).then_some(());
    wait_for("what waited", Duration::from_secs(60), arrived, || text_of(&home.path("agent.log")));
}

#[test]
fn a_mail_goes_out_encrypted_with_a_login_and_never_to_an_unknown_server() {
    let has_smtp = || Command::new("/usr/bin/python3").args(["-c", "import aiosmtpd"]).output().is_ok_and(|output| output.status.success());
    if !can_run(&["openssl", "python3"]) || !has_smtp() {
        return eprintln!("skipped: aiosmtpd is missing (./test.sh installs it where it may)");
    }
    let home = Home::new(None);
    let place = home.path("server");
    std::fs::create_dir(&place).unwrap();
    let _certificates = Server::start(&place);
    let (ca, mails) = (place.join("ca.pem"), place.join("mails"));
    for tls in ["starttls", "tls"] {
        let server = MailServer::start(&place, tls);
        let test = |password: &str, ca: Option<&Path>| {
            std::fs::write(home.path("password"), password).unwrap();
            home.configure(&format!(
                "[[alerts.sinks]]\nname = \"mail\"\ntype = \"mail\"\nserver = \"localhost:{}\"\ntls = \"{tls}\"\nuser = \"bartizan\"\n\
                 password = {{ file = {:?} }}\nsender = \"bartizan@web-1.example.org\"\nto = [\"you@example.org\"]\n",
                server.port,
                home.path("password")
            ));
            let begun = Instant::now();
            let output = home.command(&["alerts", "test"]).envs(ca.map(|ca| ("SSL_CERT_FILE", ca))).output().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(9), "it waited for the time limit: {}", told(&output));
            (output.status.code(), told(&output))
        };
        let (stranger, said) = test(SECRET, None);
        assert!(stranger == Some(5) && said.contains("mail to you@example.org through localhost) DID NOT TAKE IT"), "{said}");
        assert!(said.contains("certificate") && !mails.exists(), "{said}");
        let (wrong, said) = test("wrongwrong", Some(&ca));
        assert!(wrong == Some(5) && said.contains("localhost answered 535: 5.7.8") && !said.contains("wrongwrong"), "{said}");
        let (taken, said) = test(SECRET, Some(&ca));
        assert!(taken == Some(0) && said.contains("localhost answered 250: 2.0.0 queued as 7") && !said.contains(SECRET), "{said}");
        let mail: Value = serde_json::from_str(&text_of(&mails)).unwrap();
        assert!(mail["over"] == tls && mail["to"][0] == "you@example.org" && mail["login"] == "bartizan", "{mail:#}");
        assert!(tls == "tls" || mail["starttls"] == true, "{mail:#}");
        assert!(mail["data"].as_str().unwrap().contains("Subject: [bartizan] TEST mail on"), "{mail:#}");
        std::fs::remove_file(&mails).unwrap();
    }
}
