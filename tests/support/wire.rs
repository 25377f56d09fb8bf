//! The control socket without a client of ours: raw lines, as somebody would send them who knows the protocol.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::agent::Home;

/// One connection that has said hello.
pub struct Wire {
    stream: BufReader<UnixStream>,
    next: u64,
    /// Leave to ask for more than looking, as the agent gave it.
    token: Value,
}

impl Wire {
    pub fn open(home: &Home) -> Self {
        let stream = UnixStream::connect(home.path("agent.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut wire = Self { stream: BufReader::new(stream), next: 0, token: Value::Null };
        let hello = wire.ask(&json!({ "hello": { "version": bartizan_protocol::VERSION, "scope": "admin" } }));
        wire.token = hello["hello"]["pass"]["token"].clone();
        assert!(wire.token.is_string(), "no token for root: {hello}");
        wire
    }

    /// The answer to one question, or `null` when the agent hangs up.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.next += 1;
        let mut line = json!({ "id": self.next, "request": request });
        if !self.token.is_null() {
            line["token"] = self.token.clone();
        }
        if writeln!(self.stream.get_mut(), "{line}").is_err() {
            return Value::Null;
        }
        loop {
            let mut answer = String::new();
            if self.stream.read_line(&mut answer).unwrap_or(0) == 0 {
                return Value::Null;
            }
            let answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["reply"]["id"] == self.next {
                return answer["reply"]["reply"].clone();
            }
        }
    }

    /// Asks for an action outright.
    pub fn act(&mut self, kind: &str, target: &Value, seconds: u64) -> Value {
        let plan = json!({ "kind": kind, "target": target, "lasts": { "secs": seconds, "nanos": 0 } });
        self.ask(&json!({ "act": { "plan": plan, "reason": "a forged plan" } }))
    }
}
