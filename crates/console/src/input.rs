//! What reaches the console, in one order, and what it may ask its runner to do.

use bartizan_config::Key;
use bartizan_model::{ActionPlan, Role};
use bartizan_protocol::{Push, Reply, Request};

/// What reaches the console.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key press, alone in its read.
    Key(Key),
    /// Several keys that arrived in one read: pasted text on a terminal that does not mark it, or a held key on a slow line.
    Burst(Vec<Key>),
    /// Pasted text: goes into a text field or nowhere, never a command.
    Paste(String),
    /// The terminal's new size.
    Resize(u16, u16),
    /// News from the agent.
    Push(Box<Push>),
    /// An answer from the agent.
    Reply { ticket: u64, reply: Box<Reply> },
    /// A second passed.
    Tick,
    /// The terminal went away (SIGHUP).
    Hangup,
    /// The terminal gives nothing more to read.
    Broken,
    /// The shell shall have the terminal (SIGTSTP).
    Suspend,
    /// This job goes on (SIGCONT).
    Continued,
    /// Somebody asked the program to end (SIGTERM).
    Terminate,
    /// The connection ended.
    Lost { reason: String },
    /// It is back.
    Found { role: Role },
}

/// What the console asks its runner to do. Nothing else in the room does anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask the agent.
    Ask(Question),
    /// Leave; the guard goes on.
    Detach,
    /// Leave; an embedded guard ends.
    Quit,
    /// Let the shell have the terminal for a while.
    Suspend,
    /// Paint everything again.
    Repaint,
    /// Put this into the clipboard of the person's terminal.
    Copy(String),
}

/// A question and what the person sees while it is open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub request: Request,
    /// What is being asked, for "asking: ...".
    pub what: String,
    /// The plan whose preview is asked for: the answer opens the confirmation.
    pub plan: Option<ActionPlan>,
}

impl Effect {
    /// Asks.
    pub(crate) fn ask(request: Request, what: impl Into<String>) -> Self {
        Self::Ask(Question { request, what: what.into(), plan: None })
    }
}
