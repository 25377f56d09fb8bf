//! The answer to "can this account?": yes, no, or not to be told, and why.

use bartizan_enforce::accounts::Account;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Able {
    Yes,
    /// It depends on what cannot be read here; on what.
    Unclear(String),
    No,
}

impl Able {
    pub(super) fn unclear(why: impl Into<String>) -> Self {
        Self::Unclear(why.into())
    }

    pub(super) fn when(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }

    /// Either way suffices.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unclear(why), _) | (Self::No, Self::Unclear(why)) => Self::Unclear(why),
            (Self::No, Self::No) => Self::No,
        }
    }

    /// Both are needed.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unclear(why), _) | (Self::Yes, Self::Unclear(why)) => Self::Unclear(why),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// The reason, with the account that it is about.
    pub(super) fn about(self, account: &Account) -> Self {
        match self {
            Self::Unclear(why) => Self::Unclear(format!("{}: {why}", account.name.escaped())),
            sure => sure,
        }
    }
}
