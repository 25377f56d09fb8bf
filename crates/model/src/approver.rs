//! Who allowed an action: a person, the mode in which the agent acts alone, or the emergency script.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Mode;

/// Who allowed an action. What may be uncertain about the lifeline depends on it, so it is never guessed from a name.
///
/// In JSON it is two fields: `by`, as people read it, and `approver`, which says what that is. Rows that were written before
/// `approver` existed have only `by`: they are read as the versions that wrote them read them, so that the name of a mode
/// is that mode, which is stricter, and everything else a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum Approver {
    /// A person, by the name under which the audit log knows them, whatever that spells.
    Person(String),
    /// The agent alone, as this mode lets it.
    Mode(Mode),
    /// The emergency script: it ends actions and begins none.
    EmergencyScript,
}

impl Approver {
    /// Whether a person decided. Only a person may act on what is not certainly none of the owner's own connections.
    pub fn is_person(&self) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Mode(_) | Self::EmergencyScript => false,
        }
    }
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => f.pad(name),
            Self::Mode(mode) => mode.fmt(f),
            Self::EmergencyScript => f.pad("the emergency script"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Person,
    Mode,
    EmergencyScript,
}

#[derive(Serialize, Deserialize)]
struct Written {
    by: String,
    #[serde(default)]
    approver: Option<Kind>,
}

impl From<Approver> for Written {
    fn from(approver: Approver) -> Self {
        let kind = match approver {
            Approver::Person(_) => Kind::Person,
            Approver::Mode(_) => Kind::Mode,
            Approver::EmergencyScript => Kind::EmergencyScript,
        };
        Self { by: approver.to_string(), approver: Some(kind) }
    }
}

impl TryFrom<Written> for Approver {
    type Error = super::ModeError;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written.approver {
            Some(Kind::Person) => Ok(Self::Person(written.by)),
            Some(Kind::Mode) => written.by.parse().map(Self::Mode),
            Some(Kind::EmergencyScript) => Ok(Self::EmergencyScript),
            None => Ok(written.by.parse().map_or(Self::Person(written.by), Self::Mode)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(approver: &Approver) -> String {
        serde_json::to_string(approver).unwrap()
    }

    #[test]
    fn a_person_whose_name_spells_a_mode_is_still_a_person() {
        for name in ["BALANCED", "aggressive", "Paranoid", "the emergency script", ""] {
            let person = Approver::Person(name.to_owned());
            assert_eq!(serde_json::from_str::<Approver>(&json(&person)).unwrap(), person);
            assert!(person.is_person() && person.to_string() == name);
        }
        for other in Mode::ALL.map(Approver::Mode).into_iter().chain([Approver::EmergencyScript]) {
            assert!(!other.is_person());
            assert_eq!(serde_json::from_str::<Approver>(&json(&other)).unwrap(), other);
        }
        assert_eq!(json(&Approver::Mode(Mode::Balanced)), r#"{"by":"BALANCED","approver":"mode"}"#);
    }

    #[test]
    fn a_row_of_an_older_version_is_never_read_as_more_lenient_than_it_was() {
        let read = |by: &str| serde_json::from_str::<Approver>(&format!(r#"{{"by":"{by}"}}"#)).unwrap();
        for (by, then) in [("BALANCED", Mode::Balanced), ("aggressive", Mode::Aggressive), ("Paranoid", Mode::Paranoid)] {
            assert_eq!(read(by), Approver::Mode(then));
        }
        assert_eq!(read("uid 0 (pid 7)"), Approver::Person("uid 0 (pid 7)".to_owned()));
        // What claims to be a mode and names none is no person, and nothing else either.
        assert!(serde_json::from_str::<Approver>(r#"{"by":"root","approver":"mode"}"#).is_err());
        assert!(serde_json::from_str::<Approver>(r#"{"by":"root","approver":"committee"}"#).is_err());
    }
}
