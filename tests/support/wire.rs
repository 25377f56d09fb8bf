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
}

impl Wire {
    pub fn open(home: &Home) -> Self {
        let stream = UnixStream::connect(home.path("agent.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut wire = Self { stream: BufReader::new(stream), next: 0 };
        let hello = wire.ask(&json!({ "hello": { "version": bartizan::protocol::VERSION } }));
        assert!(hello.get("hello").is_some(), "{hello}");
        wire
    }

    /// The answer to one question, or `null` when the agent hangs up.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.next += 1;
        let line = json!({ "id": self.next, "request": request });
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
