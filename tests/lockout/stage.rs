//! The stage: a guarded host with its operator logged in, and how one attempt is faced.

use std::cell::Cell;
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Agent, Home, told};
use crate::support::lan::{HOST, Lan, OPERATOR};
use crate::support::ssh::{Session, SshServer};
use crate::support::terminal::Terminal;
use crate::support::wait_until;
use crate::support::wire::Wire;

/// How long a living session may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where somebody sits at a console, by SSH_CONNECTION alone: no connection of this address exists.
pub const CONSOLE: &str = "192.0.2.99";

/// What must come of an attempt itself; that nobody is cut off must come of every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// Nothing may be done.
    BeRefused,
    /// It may do what does not cut the owner off; it is rolled back afterwards.
    DoNoHarm,
}

/// Does it; whether it was refused, or what went wrong.
pub type Act = Box<dyn FnOnce(&Stage) -> Result<bool, String>>;

/// One attempt: what it does gives whether it was refused, or what went wrong.
pub struct Attempt {
    pub name: String,
    pub must: Must,
    pub act: Act,
}

impl Attempt {
    pub fn new(name: impl Into<String>, must: Must, act: impl FnOnce(&Stage) -> Result<bool, String> + 'static) -> Self {
        Self { name: name.into(), must, act: Box::new(act) }
    }

    /// By the command line: exit code 4 is refused, 2 is nonsense.
    pub fn by_command(must: Must, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::new(format!("bartizan {}", arguments.join(" ")), must, move |stage| {
            let output = stage.home.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            match output.status.code() {
                Some(2 | 4) => Ok(true),
                Some(0) => Ok(false),
                // It failed: nothing was done.
                Some(1) if must == Must::DoNoHarm => Ok(true),
                _ => Err(told(&output)),
            }
        })
    }

    /// By raw words on the socket: an action outright.
    pub fn by_wire(must: Must, kind: &str, target: Value, seconds: u64) -> Self {
        let kind = kind.to_owned();
        Self::new(format!("raw {kind} {target} for {seconds}s"), must, move |stage| {
            let answer = Wire::open(&stage.home).act(&kind, &target, seconds);
            match &answer {
                Value::Null => Ok(true),
                // Refused for what it is, not for want of a token.
                answer if answer["refused"]["code"] == "lapsed" => Err(answer.to_string()),
                answer if answer.get("refused").is_some() => Ok(true),
                answer if answer.get("actions").is_some() => Ok(false),
                answer => Err(answer.to_string()),
            }
        })
    }
}

/// The stage.
pub struct Stage {
    pub lan: Lan,
    pub home: Home,
    pub server: SshServer,
    /// The operator's sessions over IPv4 and IPv6.
    sessions: Vec<(usize, Session)>,
    /// Somebody looks at it all the time.
    _console: Terminal,
    agent: Cell<u32>,
    faced: usize,
}

impl Stage {
    /// Network, sshd, sessions, agent and a console.
    pub fn set() -> Self {
        let lan = Lan::new();
        let server = SshServer::start(&lan.host, "");
        let sessions = [0, 1].map(|family| (family, Session::open(&server, &lan.operator, OPERATOR[family], HOST[family])));
        let home = Home::on(&lan.host);
        let agent = home.start();
        let pid = agent.pid();
        // Ended by pid when the stage goes.
        std::mem::forget::<Agent<'_>>(agent);
        let console = Terminal::new(100, 30);
        console.type_line(&format!("SSH_CONNECTION='{CONSOLE} 50000 {} 22' {}", HOST[0], home.shell_line(&["attach"])));
        console.wait_for("PARANOID");
        Self { lan, home, server, sessions: sessions.into(), _console: console, agent: Cell::new(pid), faced: 0 }
    }

    pub fn agent(&self) -> u32 {
        self.agent.get()
    }

    /// Ends the agent, does this while none runs, and starts one again.
    pub fn without_agent(&self, meanwhile: impl FnOnce()) {
        self.home.end_agent();
        meanwhile();
        let agent = self.home.start();
        self.agent.set(agent.pid());
        std::mem::forget::<Agent<'_>>(agent);
    }

    /// Tries it, then proves that the owner is still in and can come in again.
    pub fn face(&mut self, attempt: Attempt) -> Result<(), String> {
        self.faced += 1;
        let Attempt { name, must, act } = attempt;
        let outcome = act(self);
        let still_in = self.owner_is_in();
        if still_in.is_err() {
            // Let the others be tried on a host as it was.
            self.home.run(&["emergency-stop"]);
            for (family, session) in &mut self.sessions {
                if !session.echoes(Duration::from_secs(1)) {
                    *session = Session::open(&self.server, &self.lan.operator, OPERATOR[*family], HOST[*family]);
                }
            }
        }
        let tidied = self.tidy();
        still_in.map_err(|why| format!("{name}: THE OWNER WAS CUT OFF: {why}"))?;
        match outcome {
            Err(why) => return Err(format!("{name}: {why}")),
            Ok(false) if must == Must::BeRefused => return Err(format!("{name}: it was done")),
            Ok(_) => {}
        }
        tidied.map_err(|why| format!("{name}: {why}"))
    }

    /// Both sessions answer, and a new login succeeds; by IPv6 too now and then.
    pub fn owner_is_in(&mut self) -> Result<(), String> {
        for (family, session) in &mut self.sessions {
            if !session.echoes(PATIENCE) {
                return Err(format!("the session from {} does not answer", OPERATOR[*family]));
            }
        }
        let family = usize::from(self.faced.is_multiple_of(5));
        self.server.lets_in(&self.lan.operator, OPERATOR[family], HOST[family]).map_err(|why| format!("no new login: {why}"))
    }

    /// Everything undone, so that each attempt meets the same host.
    fn tidy(&self) -> Result<(), String> {
        let output = self.home.run(&["rollback", "--all"]);
        let left = self.home.json(&["actions", "--active"]);
        if left.is_empty() { Ok(()) } else { Err(format!("could not be rolled back: {left:?} {}", told(&output))) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // As its owner would; the sessions end after it.
        let _ = self.home.run(&["emergency-stop"]);
        self.home.end_agent();
        wait_until("the agent to end", Duration::from_secs(10), || !self.home.answers());
    }
}
