//! Questions with a few answers: the mode, and how to leave.

use crate::input::Effect;
use crate::state::dialog::{Choice, Choose, Then};
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, Sound, State};
use crate::widgets::Tone;
use bartizan_model::{Mode, Role};
use bartizan_protocol::Request;

pub(super) fn mode(state: &mut State) {
    if state.role < Role::Admin {
        state.say(Sound::Refused, format!("changing the mode needs the role admin, you are {}: use sudo", state.role));
        return;
    }
    let now = state.mirror.health.as_ref().map(|health| health.mode);
    let options = Mode::ALL.into_iter().map(|mode| Choice {
        label: mode.to_string(),
        about: format!("{}{}", mode.meaning(), if Some(mode) == now { " (now)" } else { "" }),
        then: Then::Confirm(Box::new(mode_question(mode))),
    });
    let at = Mode::ALL.iter().position(|mode| Some(*mode) == now).unwrap_or(0);
    state.dialog = Some(Dialog::Choose(Choose {
        title: "Mode".to_owned(),
        about: "How much may the agent do without asking?".to_owned(),
        options: options.collect(),
        at,
    }));
}

fn mode_question(mode: Mode) -> Confirm {
    let essentials = vec![
        Essential::new("What", Tone::Plain, format!("from now on: {}", mode.meaning())),
        Essential::new("Lasts", Tone::Plain, "until you choose another mode"),
        Essential::new("Stays", Tone::Plain, "your own access and protected programs are never touched without a person")
            .or("your access is never touched"),
        Essential::new("Undo", Tone::Plain, "choose another mode (m); live actions keep their own expiry").or("choose another mode (m)"),
    ];
    let yes = vec![Effect::ask(Request::SetMode { mode }, format!("changing the mode to {mode}"))];
    Confirm::new(format!("Change the mode to {mode}?"), essentials, Vec::new(), yes)
}

pub(super) fn quit(state: &mut State) -> Vec<Effect> {
    if !state.embedded {
        return vec![Effect::Quit];
    }
    let active = state.mirror.actions.values().filter(|row| row.state.is_active()).count();
    let stay = if active == 1 { "stays until it expires" } else { "stay until they expire" };
    let nothing = format!("nothing watches; {} {stay}", crate::view::format::plural(active, "action"));
    let choice = |label: &str, about: String, then| Choice { label: label.to_owned(), about, then };
    state.dialog = Some(Dialog::Choose(Choose {
        title: "Leave the console".to_owned(),
        about: "The guard runs inside this program.".to_owned(),
        options: vec![
            choice(
                "detach",
                "the agent keeps running in the background; `bartizan attach` reopens the console".to_owned(),
                Then::Do(vec![Effect::Detach]),
            ),
            choice("stop the guard", nothing, Then::Do(vec![Effect::Quit])),
            choice("stay", "back to the console".to_owned(), Then::Nothing),
        ],
        at: 0,
    }));
    Vec::new()
}
