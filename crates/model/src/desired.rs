//! What an action is meant to be, whatever the host shows: live until its end, or gone for good.

use serde::{Deserialize, Serialize};

use super::{ActionState, Timestamp};

/// What the host is moved towards. `Gone` is final: nothing that bears it is ever applied again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Desired {
    /// On the host until [`super::Action::ends_at`].
    #[default]
    Live,
    /// Off the host, from a moment on and for good.
    Gone(Ending),
}

/// Why an action is gone for good, and what keeps it from being so while it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What ended it.
    pub cause: EndCause,
    /// Who or what decided that.
    pub by: String,
    /// In a few words; begins the action's note once it is undone.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// How often undoing it has failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_tries: u32,
    /// Why it failed the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What ends an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// It could not be applied whole.
    Failed,
    /// Somebody asked for it, or it did harm.
    Undone,
    /// Its time was over.
    Expired,
    /// Nobody confirmed it in time.
    Unconfirmed,
    /// The emergency stop.
    EmergencyStop,
}

impl EndCause {
    /// Where an action stands once the host shows it gone.
    pub fn outcome(self) -> ActionState {
        match self {
            Self::Failed => ActionState::Failed,
            Self::Expired => ActionState::Expired,
            Self::Undone | Self::Unconfirmed | Self::EmergencyStop => ActionState::RolledBack,
        }
    }

    /// As people read it, after "undo pending:".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Failed => "it could not be applied",
            Self::Undone => "its undo was asked for",
            Self::Expired => "its time is over",
            Self::Unconfirmed => "nobody confirmed it in time",
            Self::EmergencyStop => "emergency stop",
        }
    }
}

impl Desired {
    /// Why it is gone for good, if it is.
    pub fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Live => None,
            Self::Gone(ending) => Some(ending),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_an_action_of_an_older_version_is_meant_to_live() {
        let ending = Ending {
            cause: EndCause::EmergencyStop,
            by: "root".into(),
            why: "undone by root".into(),
            since: Timestamp::UNIX_EPOCH,
            failed_tries: 3,
            last_error: Some("another program owns it".into()),
        };
        for desired in [Desired::Live, Desired::Gone(ending.clone()), Desired::Gone(Ending { failed_tries: 0, last_error: None, ..ending })]
        {
            let text = serde_json::to_string(&desired).unwrap();
            assert_eq!(serde_json::from_str::<Desired>(&text).unwrap(), desired, "{text}");
        }
        assert_eq!(serde_json::to_string(&Desired::Live).unwrap(), r#"{"state":"live"}"#);
        assert_eq!(Desired::default(), Desired::Live);
    }
}
