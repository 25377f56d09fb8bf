//! The gate against real sockets and a real engine: other users, other processes, old tokens, floods.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::Engine;
use bartizan_client::{Connection, News};
use bartizan_config::{Flags, Settings};
use bartizan_isolation::other_user::run_as;
use bartizan_model::{AlertId, AuditEntry, Role, Rung};
use bartizan_protocol::{ClientFrame, ErrorCode, Hello, Reply, Request, ServerFrame, Token, VERSION};
use bartizan_sys::umask;

/// Not in any list, and no user of Debian.
const STRANGER: u32 = 61_234;

struct Bench {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    lists: Arc<Mutex<bartizan_config::Access>>,
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// An agent on the slowest rung, whose tokens hold so long; `None`, said aloud, without root.
    fn start(lifetime: Duration, listed: bartizan_config::Access) -> Option<Self> {
        if umask::own_uid() != 0 {
            eprintln!("skipped: needs root to be other users");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let flags = Flags { data: Some(dir.path().join("data")), rung: Some(Rung::Procfs), ..Flags::default() };
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let settings = Settings::load_with(&flags, &|_| None).unwrap();
        let engine = Engine::start(settings, None).unwrap();
        let lists = Arc::new(Mutex::new(listed.clone()));
        let read = Arc::clone(&lists);
        let gate = Gate::new(Access { listed, own: 0 }, lifetime, move || Some(read.lock().unwrap().clone())).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let socket = dir.path().join("socket");
        let listener = runtime.block_on(Listener::bind(&socket, None)).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
        runtime.spawn(attend(listener, Arc::clone(&engine), Arc::clone(&gate), Places::new(64)));
        Some(Self { engine, gate, lists, socket, runtime, _dir: dir })
    }

    fn raw(&self) -> Raw {
        Raw::connect(&self.socket)
    }

    /// Lines of the audit log about refused questions.
    fn refusals(&self) -> Vec<AuditEntry> {
        let Reply::Audit(lines) = self.engine.answer(Request::AuditShow { limit: 10_000 }, "test", None) else { panic!("no audit log") };
        lines.into_iter().filter(|line| line.body.what == "request.refused").collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.stop("the test is over");
    }
}

/// A client without any manners.
struct Raw {
    stream: BufReader<UnixStream>,
    id: u64,
}

impl Raw {
    fn connect(socket: &std::path::Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream: BufReader::new(stream), id: 0 }
    }

    fn ask(&mut self, request: Request, token: Option<Token>) -> Option<Reply> {
        self.id += 1;
        let line = serde_json::to_string(&ClientFrame { id: self.id, request, token }).unwrap() + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).ok()?;
        self.hear()
    }

    fn hear(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match serde_json::from_str(&line).unwrap() {
            ServerFrame::Reply { reply, .. } => Some(*reply),
            ServerFrame::Push(push) => panic!("{push:?}"),
        }
    }

    fn hello(&mut self, scope: Option<Role>) -> Hello {
        match self.ask(Request::Hello { version: VERSION, scope }, None) {
            Some(Reply::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        }
    }

    fn token(&mut self, scope: Option<Role>) -> Option<Token> {
        self.hello(scope).pass.map(|pass| pass.token)
    }

    /// Asks for what an operator may ask, of an alert that does not exist: `Usage` means that the gate was open.
    fn act(&mut self, token: Option<Token>) -> ErrorCode {
        match self.ask(act(), token) {
            Some(Reply::Refused(refusal)) => refusal.code,
            other => panic!("{other:?}"),
        }
    }
}

fn act() -> Request {
    Request::Ack { id: AlertId(987_654) }
}

fn operators(uids: &[u32]) -> bartizan_config::Access {
    bartizan_config::Access { operators: uids.to_vec(), ..bartizan_config::Access::default() }
}

#[test]
fn only_ones_own_token_of_enough_scope_opens_the_gate() {
    let Some(bench) = Bench::start(LIFETIME, operators(&[])) else { return };
    let (mut one, mut other) = (bench.raw(), bench.raw());
    let (token, foreign) = (one.token(None), other.token(None));
    assert_eq!(one.act(token.clone()), ErrorCode::Usage);
    assert_eq!(one.act(None), ErrorCode::Lapsed, "a client renews and asks again");
    assert_eq!(one.act(foreign), ErrorCode::Refused);
    assert_eq!(one.act(Some(Token::new(token.clone().unwrap().text().replace("admin", "operator")))), ErrorCode::Refused);
    let narrow = bench.raw().hello(Some(Role::Viewer)).pass.unwrap();
    assert_eq!(narrow.scope, Role::Viewer);
    let mut narrowed = bench.raw();
    let narrow = narrowed.token(Some(Role::Viewer));
    assert_eq!(narrowed.act(narrow), ErrorCode::Refused);
    assert!(matches!(one.ask(Request::Status, None), Some(Reply::Health(_))), "looking needs no token");
    assert_eq!(one.act(token), ErrorCode::Usage, "refusals change nothing");
    let why: Vec<String> = bench.refusals().into_iter().map(|line| format!("{} {}", line.body.subject, line.body.detail)).collect();
    let all = ["without a token", "another connection or process", "not made by this agent", "allows viewer only"];
    assert!(why.len() == all.len() && all.iter().zip(&why).all(|(part, why)| why.contains(part) && why.starts_with("ack ")), "{why:#?}");
    let mut rude = bench.raw();
    assert!(matches!(rude.ask(Request::Status, None), Some(Reply::Refused(_))) && rude.hear().is_none(), "cut");
    let mut garbled = bench.raw();
    garbled.stream.get_mut().write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(matches!(garbled.hear(), Some(Reply::Refused(_))) && garbled.hear().is_none());
    assert_eq!(bench.refusals().len(), 6);
}

#[test]
fn another_user_has_the_role_of_the_lists_as_they_are_now() {
    let Some(bench) = Bench::start(LIFETIME, operators(&[STRANGER])) else { return };
    run_as(STRANGER, STRANGER, &[], || {
        let mut peer = bench.raw();
        let hello = peer.hello(None);
        let pass = hello.pass.unwrap();
        assert_eq!((hello.role, pass.scope), (Role::Operator, Role::Operator));
        assert_eq!(peer.act(Some(pass.token.clone())), ErrorCode::Usage);
        assert!(matches!(peer.ask(Request::Stop, Some(pass.token.clone())), Some(Reply::Refused(_))), "no admin");
        *bench.lists.lock().unwrap() = operators(&[]);
        assert_eq!(peer.act(Some(pass.token.clone())), ErrorCode::Usage, "the lists are read at a renewal or a reload");
        std::thread::sleep(Duration::from_millis(1100));
        let renewed = peer.ask(Request::Renew { scope: Role::Admin }, None);
        let Some(Reply::Pass(renewed)) = renewed else { panic!("{renewed:?}") };
        assert_eq!(renewed.scope, Role::Viewer, "taken off the list");
        assert_eq!(peer.act(Some(renewed.token)), ErrorCode::Refused);
        assert_eq!(peer.act(Some(pass.token.clone())), ErrorCode::Refused, "the old token does not help");
        *bench.lists.lock().unwrap() = operators(&[STRANGER]);
        bench.gate.reread();
        assert_eq!(peer.act(Some(pass.token)), ErrorCode::Usage);
    });
    *bench.lists.lock().unwrap() = bartizan_config::Access { operator_groups: vec![4_711], ..bartizan_config::Access::default() };
    bench.gate.reread();
    let roles = [[4_711], [4_712]].map(|groups| run_as(STRANGER, STRANGER, &groups, || bench.raw().hello(None).role));
    assert_eq!(roles, [Role::Operator, Role::Viewer], "supplementary groups count");
    assert!(bench.refusals().iter().all(|line| line.body.actor.contains(&format!("uid {STRANGER}"))));
    assert_eq!(bench.refusals().len(), 3);
}

#[test]
fn a_descriptor_that_another_process_has_is_worth_nothing() {
    let Some(bench) = Bench::start(LIFETIME, operators(&[])) else { return };
    let mut peer = bench.raw();
    let token = peer.token(None);
    let line = serde_json::to_string(&ClientFrame { id: 9, request: act(), token: token.clone() }).unwrap();
    let inherited: OwnedFd = peer.stream.get_ref().try_clone().unwrap().into();
    let mut child = Command::new("/bin/sh").args(["-c", "echo \"$1\"", "sh", &line]).stdout(Stdio::from(inherited)).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let said = peer.hear();
    assert!(matches!(&said, Some(Reply::Refused(refusal)) if refusal.message.contains(&child.id().to_string())), "{said:?}");
    assert!(peer.ask(Request::Status, None).is_none(), "cut for everybody");
    let refusals = bench.refusals();
    assert!(refusals.len() == 1 && refusals[0].body.detail.contains("did not open"), "{refusals:?}");
}

#[test]
fn a_flood_of_refusals_is_cut_and_leaves_few_lines() {
    let Some(bench) = Bench::start(LIFETIME, operators(&[])) else { return };
    run_as(STRANGER, STRANGER, &[], || {
        let (mut asked, mut cut) = (0, 0);
        while asked < 200 {
            let mut peer = bench.raw();
            peer.hello(None);
            while asked < 200 && peer.ask(act(), None).is_some() {
                asked += 1;
            }
            cut += u32::from(asked < 200);
        }
        assert!(cut > 100, "{cut}");
    });
    assert_eq!(bench.refusals().len(), 31, "thirty, and that it is a flood");
    let mut owner = bench.raw();
    let token = owner.token(None);
    assert_eq!(owner.act(token), ErrorCode::Usage, "others are not concerned");
}

/// Hours of a console in seconds: a lifetime of 250 ms instead of five minutes.
#[test]
fn a_client_renews_without_anybody_noticing() {
    let Some(bench) = Bench::start(Duration::from_millis(250), operators(&[])) else { return };
    bench.runtime.block_on(async {
        let mut line = Connection::open(&bench.socket).await.unwrap();
        let (asker, mut inbox) = Connection::open(&bench.socket).await.unwrap().split();
        let (begun, mut answers) = (Instant::now(), 0);
        // So many, and over several lifetimes, however slow the host is.
        while answers < 42 || begun.elapsed() < Duration::from_secs(2) {
            let ticket = asker.ask(act()).unwrap();
            let News::Reply { ticket: answered, reply } = inbox.next().await.unwrap() else { panic!("a push") };
            assert!(answered == ticket && matches!(&*reply, Reply::Refused(refusal) if refusal.code == ErrorCode::Usage), "{reply:?}");
            let asked = line.ask(act()).await.unwrap();
            assert!(matches!(&asked, Reply::Refused(refusal) if refusal.code == ErrorCode::Usage), "{asked:?}");
            answers += 2;
            // Now and then longer than a token holds.
            tokio::time::sleep(Duration::from_millis(if answers % 10 == 0 { 300 } else { 30 })).await;
        }
    });
    assert_eq!(bench.refusals().len(), 0, "nothing lapsed");
}

/// Six hundred idle connections of one user: half of them greet, a third begin a line, and some read nothing of what they ask.
#[test]
fn whoever_fills_the_socket_keeps_neither_root_nor_an_operator_out() {
    let Some(bench) = Bench::start(LIFETIME, operators(&[STRANGER + 1])) else { return };
    let socket = bench.socket.clone();
    let held = run_as(STRANGER, STRANGER, &[], || {
        let mut held = Vec::new();
        for turn in 0..600 {
            let Ok(mut stream) = UnixStream::connect(&socket) else { continue };
            stream.set_nonblocking(true).unwrap();
            let hello =
                serde_json::to_string(&ClientFrame { id: 1, request: Request::Hello { version: VERSION, scope: None }, token: None })
                    .unwrap();
            let _ = match turn % 6 {
                0..=2 => stream.write_all(format!("{hello}\n").as_bytes()),
                3 | 4 => stream.write_all(b"{\"id\":1,\"requ"),
                _ => Ok(()),
            };
            held.push(stream);
        }
        held
    });
    assert!(held.len() > 500, "{}", held.len());
    let begun = Instant::now();
    let mut root = bench.raw();
    let token = root.token(None);
    assert_eq!(root.act(token), ErrorCode::Usage, "root acts");
    let acted = run_as(STRANGER + 1, STRANGER, &[], || {
        let mut operator = bench.raw();
        let token = operator.token(None);
        operator.act(token)
    });
    assert_eq!(acted, ErrorCode::Usage, "an operator acts");
    assert!(begun.elapsed() < Duration::from_secs(2), "and does not wait: {:?}", begun.elapsed());
    // The one too many hears why.
    let said = run_as(STRANGER, STRANGER, &[], || {
        let kept: Vec<Raw> = (0..8).map(|_| bench.raw()).collect();
        let mut one_more = bench.raw();
        drop(kept);
        one_more.hear()
    });
    let Some(Reply::Refused(refusal)) = said else { panic!("{said:?}") };
    assert!(refusal.message.contains("8 connections of this user are open"), "{refusal:?}");
    // Who never greets, or never ends a line, leaves by itself.
    drop(held);
    let silent = bench.raw();
    let mut half = bench.raw();
    half.hello(None);
    half.stream.get_mut().write_all(b"{\"id\":2,\"requ").unwrap();
    for mut peer in [silent, half] {
        peer.stream.get_ref().set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        assert!(peer.hear().is_none(), "still connected");
        assert!(begun.elapsed() < Duration::from_secs(16));
    }
}
