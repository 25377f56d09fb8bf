//! Every command of the console, declared once: the footer, the help, the palette and the docs derive from here.

use std::collections::BTreeMap;

use super::{Key, View};

/// The commented default keymap, also installed as an example. A test keeps it equal to [`COMMANDS`].
pub const DEFAULT: &str = include_str!("../../../config/keymap.toml");

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the table below says what each does, once
pub enum Command {
    Show(View),
    NextView,
    PreviousView,
    Down,
    Up,
    First,
    Last,
    PageDown,
    PageUp,
    Open,
    Back,
    Filter,
    Palette,
    Help,
    Explain,
    Feedback,
    Mode,
    EmergencyStop,
    Detach,
    Quit,
    Redraw,
    Suspend,
    Confirm,
    Approve,
    Reject,
    Duration,
    Undo,
    Acknowledge,
    Fold,
    FoldAll,
    FollowNewest,
    NextSuspect,
    Freeze,
    Kill,
    Block,
    Limit,
    Isolate,
    DisableUser,
    Contain,
    Left,
    Right,
    SelfTest,
    Verify,
    Sort,
    Mark,
    MarkAll,
    Copy,
}

/// A command's one declaration.
#[derive(Debug, Clone, Copy)]
pub struct CommandInfo {
    /// Which.
    pub command: Command,
    /// Its name in `keymap.toml` and in the palette.
    pub id: &'static str,
    /// Its keys, unless the owner says otherwise; what has none is found in the palette.
    pub keys: &'static [&'static str],
    /// One word for the footer.
    pub short: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// The views in which it works; everywhere when empty.
    pub views: &'static [View],
}

const fn row(
    command: Command,
    id: &'static str,
    keys: &'static [&'static str],
    short: &'static str,
    about: &'static str,
    views: &'static [View],
) -> CommandInfo {
    CommandInfo { command, id, keys, short, about, views }
}

/// The views that are lists of rows.
const LISTS: &[View] = &[
    View::Overview,
    View::Processes,
    View::Network,
    View::Timeline,
    View::Alerts,
    View::Approvals,
    View::Actions,
    View::Audit,
    View::Files,
    View::Logs,
    View::Baseline,
    View::Findings,
    View::Exceptions,
];

/// The views in which a row belongs to an incident whose questions, actions and alerts can be answered there.
const CASES: &[View] = &[View::Overview, View::Timeline, View::Alerts, View::Approvals, View::Actions];

/// The views in which something is answered with yes.
const YES: &[View] = &[View::Overview, View::Timeline, View::Alerts, View::Approvals, View::Actions, View::Baseline, View::Findings];

/// The views in which something is answered with no.
const NO: &[View] = &[View::Overview, View::Timeline, View::Alerts, View::Approvals, View::Actions, View::Baseline, View::Exceptions];

/// The views in which something can be undone.
const UNDONE: &[View] = &[View::Overview, View::Timeline, View::Alerts, View::Approvals, View::Actions, View::Baseline];

/// The views whose rows can be answered several at a time.
const MARKED: &[View] = &[View::Alerts, View::Approvals, View::Actions, View::Baseline];

/// The views with something beside what is shown: another list, another incident, a tree.
const SIDES: &[View] = &[View::Processes, View::Network, View::Timeline, View::Logs, View::Baseline];

/// The table. Order is the order of footer and help: what belongs to one view first.
pub const COMMANDS: &[CommandInfo] = &[
    row(Command::Confirm, "confirm", &["C"], "confirm", "confirm the action, so that it is not undone early", &[]),
    row(
        Command::Approve,
        "approve",
        &["a"],
        "approve",
        "approve the question under the cursor or of its incident; a habit: it is normal; accept a finding",
        YES,
    ),
    row(
        Command::Reject,
        "reject",
        &["x"],
        "reject",
        "reject the question under the cursor or of its incident; a habit: it is not normal; end an exception",
        NO,
    ),
    row(Command::Duration, "duration", &["t"], "time", "approve for another time than proposed", CASES),
    row(
        Command::Undo,
        "undo",
        &["u"],
        "undo",
        "undo the action under the cursor or the newest of its incident; the last decision on a habit",
        UNDONE,
    ),
    row(
        Command::Acknowledge,
        "acknowledge",
        &["c"],
        "acknowledge",
        "say that you have seen the alert under the cursor, or those of its incident",
        CASES,
    ),
    row(Command::Fold, "fold", &["space"], "fold", "fold or unfold what is below the process", &[View::Processes]),
    row(
        Command::FoldAll,
        "fold-all",
        &["z"],
        "fold all",
        "fold or unfold the whole tree, or the incidents that are alike",
        &[View::Overview, View::Processes],
    ),
    row(Command::NextSuspect, "next-suspect", &["s"], "suspect", "go to the next process that an incident names", &[View::Processes]),
    row(Command::FollowNewest, "follow-newest", &["n"], "follow", "keep the cursor on the newest process", &[View::Processes]),
    row(Command::Freeze, "freeze", &["F"], "freeze", "freeze the process under the cursor and everything below it", &[View::Processes]),
    row(Command::Kill, "kill", &["K"], "kill", "kill the process under the cursor and everything below it", &[View::Processes]),
    row(
        Command::Isolate,
        "isolate",
        &["I"],
        "isolate",
        "cut off or pause the container of the process under the cursor",
        &[View::Processes],
    ),
    row(
        Command::DisableUser,
        "disable-user",
        &["D"],
        "disable user",
        "lock the account of the process under the cursor and end its logins",
        &[View::Processes],
    ),
    row(Command::Block, "block", &["b"], "block", "block the remote address under the cursor", &[View::Network, View::Logs]),
    row(
        Command::Limit,
        "limit",
        &["L"],
        "limit",
        "let only so many packets of the address under the cursor pass",
        &[View::Network, View::Logs],
    ),
    row(Command::Left, "left", &["left", "h"], "previous", "previous incident, other list, fold", SIDES),
    row(Command::Right, "right", &["right", "l"], "next", "next incident, other list, unfold", SIDES),
    row(Command::SelfTest, "self-test", &["r"], "self-test", "try every sensor, enforcer and dependency now", &[View::Health]),
    row(Command::Verify, "verify", &["v"], "verify", "recompute the hash chain of the audit log", &[View::Audit]),
    row(
        Command::Explain,
        "explain",
        &["e"],
        "explain",
        "say why the incident scores what it scores",
        &[View::Overview, View::Processes, View::Network, View::Timeline, View::Alerts, View::Approvals, View::Actions],
    ),
    row(
        Command::Feedback,
        "feedback",
        &["f"],
        "feedback",
        "say what you think of the incident or action",
        &[View::Overview, View::Processes, View::Network, View::Timeline, View::Alerts, View::Approvals, View::Actions],
    ),
    row(Command::Mark, "mark", &["space"], "mark", "mark the row, so that the next answer is about all marked ones", MARKED),
    row(Command::MarkAll, "mark-all", &["*"], "mark all", "mark every row that waits for an answer, or none", MARKED),
    row(Command::Copy, "copy", &["y"], "copy", "copy what is under the cursor to the clipboard of your terminal (OSC 52)", LISTS),
    row(Command::Sort, "sort", &["o"], "sort", "sort by one of the columns, again for the other way round", LISTS),
    row(Command::Open, "open", &["enter"], "open", "open what is under the cursor", LISTS),
    row(
        Command::Filter,
        "filter",
        &["/"],
        "filter",
        "show only rows that fit: words, user:www-data, dport>1024, !container:, ~regex",
        LISTS,
    ),
    row(Command::Help, "help", &["?"], "help", "show all keys", &[]),
    row(Command::Palette, "palette", &[":"], "commands", "find a command by name", &[]),
    row(Command::Mode, "mode", &["m"], "mode", "change the mode: how much the agent may do without asking", &[]),
    row(
        Command::EmergencyStop,
        "emergency-stop",
        &["!"],
        "stop all",
        "undo every active action and ask about everything from then on",
        &[],
    ),
    row(Command::Contain, "contain", &[], "contain", "containment mode: close the whole host but for its owner", &[]),
    row(Command::Detach, "detach", &["d"], "detach", "leave the console, the guard goes on", &[]),
    row(Command::Quit, "quit", &["q", "ctrl-c"], "quit", "leave the console", &[]),
    row(Command::Down, "down", &["j", "down"], "down", "next row", &[]),
    row(Command::Up, "up", &["k", "up"], "up", "previous row", &[]),
    row(Command::First, "first", &["g", "home"], "first", "first row", &[]),
    row(Command::Last, "last", &["G", "end"], "last", "last row", &[]),
    row(Command::PageDown, "page-down", &["pgdn", "ctrl-f", "ctrl-d"], "page", "one page down", &[]),
    row(Command::PageUp, "page-up", &["pgup", "ctrl-b", "ctrl-u"], "page up", "one page up", &[]),
    row(Command::Back, "back", &["esc"], "back", "close the pane, clear the filter", &[]),
    row(Command::NextView, "next-view", &["tab"], "next view", "next view", &[]),
    row(Command::PreviousView, "previous-view", &["shift-tab"], "previous view", "previous view", &[]),
    row(Command::Redraw, "redraw", &["ctrl-l"], "redraw", "paint the whole screen again", &[]),
    row(Command::Suspend, "suspend", &["ctrl-z"], "suspend", "back to the shell, the guard goes on; fg comes back", &[]),
    row(Command::Show(View::Overview), "view-overview", &["1"], "overview", "how things stand", &[]),
    row(Command::Show(View::Processes), "view-processes", &["2"], "processes", "living processes as a tree", &[]),
    row(Command::Show(View::Network), "view-network", &["3"], "network", "connections and listeners", &[]),
    row(Command::Show(View::Timeline), "view-timeline", &["4"], "timeline", "the kill chain of an incident", &[]),
    row(Command::Show(View::Alerts), "view-alerts", &["5"], "alerts", "what needs a look", &[]),
    row(Command::Show(View::Approvals), "view-approvals", &["6"], "approvals", "what waits for your yes or no", &[]),
    row(Command::Show(View::Actions), "view-actions", &["7"], "actions", "what was done to the host, and its undoing", &[]),
    row(Command::Show(View::Health), "view-health", &["8"], "health", "what the guard sees, loses and costs", &[]),
    row(Command::Show(View::Audit), "view-audit", &["9"], "audit", "the record of every decision", &[]),
    row(Command::Show(View::Files), "view-files", &["W"], "files", "changes of the watched files, and who made them", &[]),
    row(Command::Show(View::Logs), "view-logs", &["J"], "logs", "logs that are followed, and who attacks by them", &[]),
    row(Command::Show(View::Baseline), "view-baseline", &["B"], "baseline", "habits that wait for your review", &[]),
    row(Command::Show(View::Findings), "view-findings", &["S"], "findings", "weaknesses that scans found", &[]),
    row(Command::Show(View::Exceptions), "view-exceptions", &["X"], "exceptions", "what people say is harmless, and until when", &[]),
];

impl CommandInfo {
    /// Whether it works in this view.
    pub fn works_in(&self, view: View) -> bool {
        self.views.is_empty() || self.views.contains(&view)
    }

    fn meets(&self, other: &Self) -> bool {
        self.views.is_empty() || other.views.is_empty() || self.views.iter().any(|view| other.views.contains(view))
    }
}

/// A keymap that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct KeymapError {
    /// Which file.
    pub file: String,
    /// What is wrong and what to write.
    pub problem: String,
}

/// Which key does what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    keys: Vec<Vec<Key>>,
}

impl Keymap {
    /// The built-in keys with those of `text` in place of their own: `[keys]`, then `undo = ["u", "ctrl-z"]`.
    /// An empty list takes a command's keys away. `file` is named in errors.
    ///
    /// # Errors
    /// [`KeymapError`] for unknown commands, keys that do not exist, and one key for two commands (both are named).
    pub fn parse(text: &str, file: &str) -> Result<Self, KeymapError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            keys: BTreeMap<String, Vec<String>>,
        }
        let fail = |problem: String| KeymapError { file: file.to_owned(), problem };
        let own: File = toml::from_str(text).map_err(|e| fail(e.to_string()))?;
        if let Some(unknown) = own.keys.keys().find(|id| COMMANDS.iter().all(|info| info.id != id.as_str())) {
            return Err(fail(format!("there is no command {unknown:?}: `?` in the console and config/keymap.toml list them all")));
        }
        let mut keys = Vec::with_capacity(COMMANDS.len());
        for info in COMMANDS {
            let written: Vec<&str> =
                own.keys.get(info.id).map_or_else(|| info.keys.to_vec(), |own| own.iter().map(String::as_str).collect());
            let read: Result<Vec<Key>, _> = written.into_iter().map(str::parse).collect();
            keys.push(read.map_err(|e| fail(format!("{}: {e}", info.id)))?);
        }
        let keymap = Self { keys };
        keymap.conflict().map_or(Ok(keymap), |problem| Err(fail(problem)))
    }

    /// The built-in keys.
    ///
    /// # Errors
    /// Never in a released program; a test parses them.
    pub fn built_in() -> Result<Self, KeymapError> {
        Self::parse("", "built-in keymap")
    }

    /// What a key asks for in a view.
    pub fn command(&self, key: Key, view: View) -> Option<Command> {
        let mut bound = COMMANDS.iter().zip(&self.keys);
        bound.find(|(info, keys)| info.works_in(view) && keys.contains(&key)).map(|(info, _)| info.command)
    }

    /// The keys of a command, as people write them.
    pub fn keys(&self, command: Command) -> Vec<String> {
        let mut bound = COMMANDS.iter().zip(&self.keys);
        bound.find(|(info, _)| info.command == command).map(|(_, keys)| keys.iter().map(Key::to_string).collect()).unwrap_or_default()
    }

    /// The first key of a command, for the footer; `None` when it has none.
    pub fn key(&self, command: Command) -> Option<String> {
        self.keys(command).into_iter().next()
    }

    fn conflict(&self) -> Option<String> {
        let bound: Vec<_> = COMMANDS.iter().zip(&self.keys).collect();
        bound.iter().enumerate().find_map(|(at, (info, keys))| {
            bound.iter().skip(at + 1).filter(|(other, _)| info.meets(other)).find_map(|(other, others)| {
                let key = keys.iter().find(|key| others.contains(key))?;
                Some(format!("the key {key} stands for both \"{}\" and \"{}\": give one of them another key", info.id, other.id))
            })
        })
    }
}

/// The commented keymap file, written from the table.
pub fn reference() -> String {
    let mut out = String::from(
        "# Bartizan keymap: every command of the console and its keys.\n\
         # Every line here is the built-in default; a file in /etc/bartizan/keymap.toml needs only what it changes.\n\
         # Keys: one character, or enter, esc, tab, shift-tab, space, backspace, delete, up, down, left, right, home, end,\n\
         # pgup, pgdn, f1 to f12, with ctrl- or alt- before it. One key for two commands of one view is refused.\n\n[keys]\n",
    );
    for info in COMMANDS {
        let keys = info.keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        let views = if info.views.is_empty() {
            String::new()
        } else if info.views.len() == LISTS.len() {
            " (all but health)".to_owned()
        } else {
            format!(" ({})", info.views.iter().map(|view| view.name()).collect::<Vec<_>>().join(", "))
        };
        out.push_str(&format!("{:<36}# {}{views}\n", format!("{} = [{keys}]", info.id), info.about));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_is_what_the_table_says() {
        assert!(reference() == DEFAULT, "config/keymap.toml is stale; it should be:\n{}", reference());
        assert_eq!(Keymap::parse(DEFAULT, "k").unwrap(), Keymap::built_in().unwrap());
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let keymap = Keymap::parse("[keys]\nundo = [\"U\", \"ctrl-x\"]\n", "k").unwrap();
        assert_eq!(keymap.command("ctrl-x".parse().unwrap(), View::Actions), Some(Command::Undo));
        assert_eq!(keymap.command(Key::char('u'), View::Actions), None);
        assert_eq!(keymap.command(Key::char('j'), View::Actions), Some(Command::Down));
    }

    #[test]
    fn one_key_for_two_commands_names_both() {
        let problem = Keymap::parse("[keys]\nundo = [\"j\"]\n", "k.toml").unwrap_err().to_string();
        assert!(problem.starts_with("k.toml: ") && problem.contains("\"undo\"") && problem.contains("\"down\""), "{problem}");
        let elsewhere = Keymap::parse("[keys]\nundo = [\"a\"]\n", "k.toml");
        assert!(elsewhere.is_err(), "approve and undo work in one view");
        assert!(Keymap::parse("[keys]\nfreeze = [\"a\"]\n", "k").is_ok(), "freeze and approve never do");
    }

    #[test]
    fn unknown_commands_and_keys_are_named() {
        assert!(Keymap::parse("[keys]\nundoo = [\"j\"]\n", "k").unwrap_err().problem.contains("undoo"));
        assert!(Keymap::parse("[keys]\nundo = [\"hyper-j\"]\n", "k").unwrap_err().problem.contains("hyper-j"));
        assert!(Keymap::parse("[kyes]\n", "k").unwrap_err().problem.contains("kyes"));
    }
}
