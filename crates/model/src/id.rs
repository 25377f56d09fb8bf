//! Short names for records: one letter says what kind, a number says which (`I7`, `A12`, `S1042.3`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A record's name that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not {expected}: write it as {example}")]
pub struct IdError {
    given: String,
    expected: &'static str,
    example: &'static str,
}

macro_rules! record_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $expected:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!("{}{}", $letter, self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads `X12`, `x12` or the bare `12`.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix([$letter, $letter.to_ascii_lowercase()]).unwrap_or(text);
                let fail = || IdError { given: text.escape_debug().take(40).collect(), expected: $expected, example: $example };
                if digits.starts_with('+') {
                    return Err(fail());
                }
                digits.parse().map(Self).map_err(|_| fail())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}

record_id!(/// A fact from the host.
    EventId, 'E', "an event", "E1042");
record_id!(/// Signals joined.
    IncidentId, 'I', "an incident", "I7");
record_id!(/// What a person is told.
    AlertId, 'L', "an alert", "L3");
record_id!(/// A question to the operator.
    ApprovalId, 'Q', "an approval", "Q5");
record_id!(/// A change to the host.
    ActionId, 'A', "an action", "A12");
record_id!(/// Leave to do one thing once.
    WarrantId, 'W', "a warrant", "W9");
record_id!(/// Something that is normal on this host, or waits for a person to say so.
    HabitId, 'H', "a habit", "H37");
record_id!(/// What a person excepts from alerts and actions.
    ExceptionId, 'X', "an exception", "X4");

/// One detector's opinion: the event that completed it and the detector's place in the registry, so the same
/// input always gives the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SignalId {
    /// The event that made the detector speak.
    pub event: EventId,
    /// Which opinion on that event, from 0.
    pub ordinal: u16,
}

impl fmt::Display for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("S{}.{}", self.event.0, self.ordinal))
    }
}

impl FromStr for SignalId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fail = || IdError { given: text.escape_debug().take(40).collect(), expected: "a signal", example: "S1042.3" };
        let (event, ordinal) = text.strip_prefix(['S', 's']).unwrap_or(text).split_once('.').ok_or_else(fail)?;
        Ok(Self { event: EventId(event.parse().map_err(|_| fail())?), ordinal: ordinal.parse().map_err(|_| fail())? })
    }
}

impl From<SignalId> for String {
    fn from(id: SignalId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SignalId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert_eq!("A12".parse(), Ok(ActionId(12)));
        assert_eq!("12".parse(), Ok(ActionId(12)));
        assert_eq!("S3.1".parse::<SignalId>().map(|s| s.to_string()), Ok("S3.1".to_owned()));
        assert_eq!("I9".parse::<ActionId>().unwrap_err().to_string(), "\"I9\" is not an action: write it as A12");
        assert!("+3".parse::<ActionId>().is_err());
    }
}
